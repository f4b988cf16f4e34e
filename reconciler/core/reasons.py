"""Why a property or a record does not move: in a sentence, by whose fault, and what ends it."""

from enum import StrEnum
from typing import NamedTuple


class Fault(StrEnum):
    """At whose side the cause of a block lies."""

    RECORD = "record"
    TABLE = "table"
    HUBSPOT = "hubspot"
    SYNC = "sync"


class Wake(StrEnum):
    """What ends a block: another value, any edit in Postgres, an address that its contact gives up, an operator's
    allowance, HubSpot's schema, other rules of the table's owner, or a person.
    """

    VALUE = "value"
    EDIT = "edit"
    ADDRESS_FREED = "address_freed"
    ALLOWANCE = "allowance"
    SCHEMA = "schema"
    RULES = "rules"
    PERSON = "person"


class Reason(StrEnum):
    """Every reason there is; `sync.reason` in schema.sql has the same rows.

    HubSpot's own texts may hold personal data: these words are ours.
    """

    INVALID = "invalid_value"
    REQUIRED = "property_required"
    ADDRESS_BLOCKED = "address_blocked"
    REFUSED = "refused"
    UNKNOWN_PROPERTY = "unknown_property"
    FORBIDDEN = "forbidden_property"
    TAKEN = "address_taken"
    DUPLICATE = "duplicate"
    GONE = "contact_gone"
    ERASED = "erased_subject"
    FORMER_RESTORED = "former_restored"
    CREATE_UNKNOWN = "create_outcome_unknown"
    ROW = "row_refused"
    UNFIT = "unfit_value"
    COERCED = "coerced"
    EXHAUSTED = "attempts_exhausted"
    HELD_DELETE = "held_delete"
    HELD_BLANK = "held_blank"
    HELD_CREATE = "held_create"
    HELD_REWRITE = "held_rewrite"
    HELD_MISSING = "held_missing"

    @property
    def wake(self) -> Wake:
        """What ends a block for this reason."""
        return ABOUT[self].wake

    @property
    def is_held(self) -> bool:
        """Whether the brake holds it."""
        return self.wake is Wake.ALLOWANCE


class About(NamedTuple):
    """A reason in a sentence, whose fault it is, and what ends it."""

    fault: Fault
    wake: Wake
    sentence: str


ABOUT = {
    Reason.INVALID: About(Fault.RECORD, Wake.VALUE, "HubSpot refuses the value"),
    Reason.REQUIRED: About(Fault.RECORD, Wake.VALUE, "HubSpot requires another property beside it"),
    Reason.ADDRESS_BLOCKED: About(Fault.RECORD, Wake.VALUE, "HubSpot blocks the address"),
    Reason.REFUSED: About(Fault.RECORD, Wake.VALUE, "HubSpot refuses the record and does not say why"),
    Reason.UNKNOWN_PROPERTY: About(Fault.HUBSPOT, Wake.SCHEMA, "HubSpot does not have the property"),
    Reason.FORBIDDEN: About(Fault.HUBSPOT, Wake.SCHEMA, "HubSpot lets no caller write the property"),
    Reason.TAKEN: About(Fault.RECORD, Wake.ADDRESS_FREED, "another record has the address"),
    Reason.DUPLICATE: About(Fault.RECORD, Wake.ADDRESS_FREED, "a linked customer has the contact's address"),
    Reason.GONE: About(Fault.HUBSPOT, Wake.PERSON, "HubSpot does not have the contact any more"),
    Reason.ERASED: About(Fault.RECORD, Wake.VALUE, "the address belongs to an erased person"),
    Reason.FORMER_RESTORED: About(
        Fault.HUBSPOT, Wake.PERSON, "the contact was archived and replaced, and is back beside its successor"
    ),
    Reason.CREATE_UNKNOWN: About(
        Fault.HUBSPOT, Wake.PERSON, "a create without an address was not answered: another might be a second contact"
    ),
    Reason.ROW: About(Fault.TABLE, Wake.RULES, "a rule of the table's owner refuses the row"),
    Reason.UNFIT: About(Fault.RECORD, Wake.VALUE, "one side holds what the other cannot"),
    Reason.COERCED: About(Fault.TABLE, Wake.VALUE, "a trigger of the table's owner undoes the value as HubSpot has it"),
    Reason.EXHAUSTED: About(Fault.SYNC, Wake.EDIT, "it failed too often"),
    Reason.HELD_DELETE: About(
        Fault.SYNC, Wake.ALLOWANCE, "more was deleted than may pass in an hour: python -m reconciler allow delete N"
    ),
    Reason.HELD_BLANK: About(
        Fault.SYNC,
        Wake.ALLOWANCE,
        "more values were emptied than may pass in an hour: python -m reconciler allow blank N",
    ),
    Reason.HELD_CREATE: About(
        Fault.SYNC,
        Wake.ALLOWANCE,
        "more records were made than may pass in an hour: python -m reconciler allow create N",
    ),
    Reason.HELD_REWRITE: About(
        Fault.SYNC,
        Wake.ALLOWANCE,
        "more values were replaced than may pass in an hour: python -m reconciler allow rewrite N",
    ),
    Reason.HELD_MISSING: About(
        Fault.SYNC, Wake.ALLOWANCE, "one side is absent, and nothing saw it go: python -m reconciler allow missing N"
    ),
}
