"""The few errors of the core. Adapters turn every library's errors into these, in one place each.

`Transient` is never the record's own fault and never spends its attempts; what is the record's own fault
is no exception but a `Refused` value, so that one bad record cannot harm its batch.
"""

from dataclasses import dataclass
from typing import ClassVar

from reconciler.core.contact import ContactId
from reconciler.core.reasons import Reason, Wake


class SyncError(Exception):
    """The sync could not go on."""


class Transient(SyncError):
    """Something outside the record failed; try again after `delay` seconds.

    `reason` says so in a sentence for people, `cause` in one word for status, logs and alerts. `is_systemic`: it is
    certainly no record's doing, and nothing of its kind goes on until it is over.
    """

    cause: ClassVar[str] = "unavailable"
    is_systemic: ClassVar[bool] = False

    def __init__(self, reason: str, *, delay: float = 5.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay = delay


class Unavailable(Transient):
    """HubSpot or Postgres did not answer as agreed; nothing was written."""


class Untrusted(Unavailable):
    """No secure connection to HubSpot could be made: its certificate is not trusted here."""

    cause = "tls_failed"
    is_systemic = True


class TooLarge(Unavailable):
    """HubSpot's answer is larger than any that is taken; ask for less at once."""

    cause = "answer_too_large"


class RateLimited(Transient):
    """HubSpot says that its limit is reached; nothing was written."""

    cause = "rate_limited"
    is_systemic = True


class QuotaSpent(RateLimited):
    """The account's HubSpot calls of the day are spent; nothing was written."""

    cause = "quota_spent"


class NotNow(Transient):
    """No HubSpot call may be made now: none is left, or HubSpot is down; nothing was written."""

    cause = "waiting"
    is_systemic = True


class Unauthorised(Transient):
    """HubSpot does not accept the token; nothing was written."""

    cause = "token_refused"
    is_systemic = True


class ScopeMissing(Transient):
    """The token may not make this kind of call; others it may."""

    cause = "scope_missing"
    is_systemic = True


class PathUnknown(Transient):
    """HubSpot does not know this path: that says nothing of any record. So ends a version of its API."""

    cause = "path_unknown"
    is_systemic = True


class OtherAccount(Transient):
    """The token is for another HubSpot account by now: what it does not show says nothing of ours."""

    cause = "other_account"
    is_systemic = True


class TooLate(Transient):
    """The call could not be sent in time; nothing was written."""


class OutcomeUnknown(Transient):
    """The write may or may not have happened; its intent stays open."""


class DatabaseDown(Transient):
    """Postgres did not answer."""

    cause = "database_down"
    is_systemic = True


class PrivilegeMissing(DatabaseDown):
    """The sync's role lacks a privilege."""

    cause = "privilege"


class DatabaseReadOnly(DatabaseDown):
    """The database takes no writes."""

    cause = "read_only"


class DatabaseFull(DatabaseDown):
    """The database's disk, or another of its means, is used up."""

    cause = "disk_full"


class SchemaMissing(DatabaseDown):
    """Postgres has not got schema.sql, or not this version of it, or the table lacks a column by now."""

    cause = "schema"


class Busy(Transient):
    """Another transaction was in the way."""


class AddressTaken(Transient):
    """A live customer got this address first."""


class AddressErased(Transient):
    """The address belongs to an erased person."""


class WrongPortal(SyncError):
    """The token belongs to another HubSpot account than the one this database was linked with."""


class RowRefused(SyncError):
    """A rule of the table's owner refuses a row: a constraint, a type, a trigger. It is an answer about that row.

    `rule` is the name of the constraint, index or trigger function, or what else there is to go by; `fields` are the
    mapped ones that it speaks of, as far as that is known. `is_misfit`: a column's type cannot hold a value.
    """

    def __init__(self, rule: str, fields: frozenset[str] = frozenset(), *, is_misfit: bool = False) -> None:
        super().__init__(rule)
        self.rule, self.fields, self.is_misfit = rule, fields, is_misfit


class CopiedDatabase(WrongPortal):
    """The database is a copy of the one that is linked with the HubSpot account."""


class OtherMapping(WrongPortal):
    """The database was made for another mapping file than this process has."""


class NewerDatabase(OtherMapping):
    """The database is of a later version than this program."""


class EmptyRead(SyncError):
    """HubSpot listed no contact although contacts are linked; refused as an error until proven otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """HubSpot said no to one record. `fields` are the ones it named; `holder` the contact that has the address.

    `text` is HubSpot's own message: for the API's answer only, never stored or logged. `detail` are its words about
    properties that were not sent: no value stands in them.
    """

    reason: Reason
    fields: frozenset[str] = frozenset()
    holder: ContactId | None = None
    text: str = ""
    detail: str = ""

    @property
    def suspends(self) -> frozenset[str]:
        """The fields that HubSpot takes from no caller at the moment."""
        return self.fields if self.reason.wake is Wake.SCHEMA else frozenset()
