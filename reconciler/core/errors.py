"""The few errors of the core. Adapters turn every library's errors into these, in one place each.

`Transient` is never the record's own fault and never spends its attempts; what is the record's own fault
is no exception but a `Refused` value, so that one bad record cannot harm its batch.
"""

from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.contact import ContactId


class SyncError(Exception):
    """The sync could not go on."""


class Transient(SyncError):
    """Something outside the record failed; try again after `delay` seconds."""

    def __init__(self, reason: str, *, delay: float = 5.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay = delay


class Unavailable(Transient):
    """HubSpot or Postgres did not answer as agreed; nothing was written."""


class RateLimited(Transient):
    """HubSpot says that its limit is reached; nothing was written."""


class NotNow(Transient):
    """No HubSpot call may be made now: none is left, or HubSpot is down; nothing was written."""


class Unauthorised(Transient):
    """HubSpot does not accept the token; nothing was written."""


class OutcomeUnknown(Transient):
    """The write may or may not have happened; its intent stays open."""


class WrongPortal(SyncError):
    """The token belongs to another HubSpot account than the one this database was linked with."""


class EmptyRead(SyncError):
    """HubSpot listed no contact although contacts are linked; refused as an error until proven otherwise."""


class Code(StrEnum):
    """Why HubSpot refused a record, in words of ours (its own text may hold personal data)."""

    INVALID = "invalid_value"
    UNKNOWN_PROPERTY = "unknown_property"
    FORBIDDEN = "forbidden_property"
    TAKEN = "address_taken"
    GONE = "contact_gone"
    BLOCKED = "address_blocked"
    REFUSED = "refused"


OF_THE_SCHEMA = frozenset({Code.UNKNOWN_PROPERTY, Code.FORBIDDEN})
"""Refusals that are about a property and no record: the property waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """HubSpot said no to one record. `columns` are the ones it named; `holder` the contact that has the address.

    `text` is HubSpot's own message: for the API's answer only, never stored or logged.
    """

    code: Code
    columns: frozenset[str] = frozenset()
    holder: ContactId | None = None
    text: str = ""

    @property
    def suspends(self) -> frozenset[str]:
        """The columns that HubSpot takes from nobody at the moment."""
        return self.columns if self.code in OF_THE_SCHEMA else frozenset()
