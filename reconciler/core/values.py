"""Canonical values of text, and of addresses."""

from collections.abc import Mapping

from reconciler.core.letters import LOWER

Value = str | None
"""A canonical value; None is the one empty value (HubSpot's missing, null and "")."""

Values = Mapping[str, Value]
"""Field name -> canonical value. A missing key means unknown, never empty."""

TEXT_LIMIT = 65_536
"""Characters HubSpot keeps in one text property."""


def normalise_text(text: str | None) -> Value:
    """Return the text with NUL (which Postgres cannot hold) replaced, and "" as None."""
    if not text:
        return None
    return text.replace("\x00", "�") if "\x00" in text else text


def normalise_email(text: str | None) -> Value:
    """Return the address trimmed and lower-cased, idempotently; None when nothing is left.

    `sync.address` in schema.sql gives the same for every text.
    """
    if not text:
        return None
    address = (normalise_text(text) or "").strip()
    return (address.lower() if address.isascii() else address.translate(LOWER)) or None
