"""The one mapping table: which column is which HubSpot property, how values are normalised, which side wins a conflict.

Everything that speaks of "the mapped fields" derives its list from `FIELDS`; a test holds schema.sql and
the statements against it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.letters import LOWER

Value = str | None
"""A canonical value; None is the one empty value (HubSpot's missing, null and "")."""

Values = Mapping[str, Value]
"""Column name -> canonical value. A missing key means unknown, never empty."""

TEXT_LIMIT = 65_536
"""Characters HubSpot keeps in one text property."""


STAGE = "lifecyclestage"
"""The one column whose property HubSpot may leave as it is, without a word."""


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
    """One mapped field: `column` in Postgres, `property` in HubSpot."""

    column: str
    property: str
    normalise: Callable[[str | None], Value]
    policy: Policy = Policy.NEWEST


FIELDS = (
    Field("email", "email", normalise_email),
    Field("firstname", "firstname", normalise_text),
    Field("lastname", "lastname", normalise_text),
    Field("phone", "phone", normalise_text),
    Field("company", "company", normalise_text),
    Field("website", "website", normalise_text),
    Field("lifecyclestage", "lifecyclestage", normalise_text),
)

COLUMNS = tuple(field.column for field in FIELDS)
PROPERTIES = tuple(field.property for field in FIELDS)
NORMALISE = {field.column: field.normalise for field in FIELDS}


def normalised(raw: Mapping[str, str | None]) -> dict[str, Value]:
    """Return the mapped columns found in `raw` with canonical values."""
    return {column: NORMALISE[column](raw[column]) for column in COLUMNS if column in raw}
