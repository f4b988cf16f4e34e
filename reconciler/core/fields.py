"""The one mapping: which properties and columns are kept equal, how values are normalised, which side wins a conflict.

Everything that speaks of "the mapped fields" derives its list from `MAPPING`; a test holds schema.sql and
the statements against it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.letters import LOWER

Value = str | None
"""A canonical value; None is the one empty value (HubSpot's missing, null and "")."""

Values = Mapping[str, Value]
"""Field name -> canonical value. A missing key means unknown, never empty."""

TEXT_LIMIT = 65_536
"""Characters HubSpot keeps in one text property."""


STAGE = "lifecyclestage"
"""The one field whose property HubSpot may leave as it is, without a word."""


class Policy(StrEnum):
    """Which side wins when both changed the same property since the base."""

    NEWEST = "newest"
    HUBSPOT = "hubspot"
    POSTGRES = "postgres"
    MANUAL = "manual"


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


@dataclass(frozen=True, slots=True)
class Field:
    """One mapped field, by the name of its HubSpot property; the column has the same name."""

    name: str
    normalise: Callable[[str | None], Value]
    policy: Policy = Policy.NEWEST


MAPPING = (
    Field("email", normalise_email),
    Field("firstname", normalise_text),
    Field("lastname", normalise_text),
    Field("phone", normalise_text),
    Field("company", normalise_text),
    Field("website", normalise_text),
    Field("lifecyclestage", normalise_text),
)

FIELDS = tuple(field.name for field in MAPPING)
NORMALISE = {field.name: field.normalise for field in MAPPING}


def normalised(raw: Mapping[str, str | None]) -> dict[str, Value]:
    """Return the mapped fields found in `raw` with canonical values."""
    return {field: NORMALISE[field](raw[field]) for field in FIELDS if field in raw}
