"""The two sides of a pair and what the sync knows about them, as frozen values.

Adapters build these at the border, already canonical; nothing below has to normalise again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

from reconciler.core.blocks import Blocks
from reconciler.core.values import Value, Values

ContactId = NewType("ContactId", int)
CustomerId = NewType("CustomerId", UUID)
IntentId = NewType("IntentId", int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a HubSpot property history, newest first in its tuple."""

    value: Value
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A HubSpot record ("remote"). `history` is filled only when it was asked for; `unfit`: field -> why what it holds
    is no value of its kind. `is_wanted`: it is one of those that become customers.
    """

    id: ContactId
    values: Values
    created_at: datetime
    updated_at: datetime
    archived: bool = False
    other_addresses: frozenset[str] = frozenset()
    history: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)
    is_wanted: bool = True

    @property
    def addresses_beside(self) -> frozenset[str]:
        """The addresses that it has beside its own, and had, as far as they were read."""
        if not self.other_addresses and not self.history:
            return frozenset()
        had = {entry.value for entry in self.history.get("email", ()) if entry.value is not None}
        return (self.other_addresses | had) - {self.values.get("email")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a read by id found: a contact (perhaps archived, perhaps under another id after a merge) or nothing.

    `is_proven`: HubSpot's word counts. That a contact is gone is only believed while the account and another contact,
    known to live, read well.
    """

    contact: Contact | None
    is_proven: bool = True

    @property
    def is_alive(self) -> bool:
        return self.contact is not None and not self.contact.archived


GONE = Snapshot(contact=None)
ABSENT = Snapshot(contact=None, is_proven=False)
"""A contact that HubSpot does not show; that it is gone is not proven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A row of the customer table ("local"). `raw` are the fields as they are, for compare-and-set; `values` canonical,
    without those that hold what HubSpot cannot (`unfit`, with why). `before`: of one that an API write is to change.
    `key` is the owner's, where that is not the uuid.
    """

    uuid: CustomerId
    raw: Values
    values: Values
    created_at: datetime | None
    updated_at: datetime | None
    contact_id: ContactId | None = None
    remote_created_at: datetime | None = None
    remote_updated_at: datetime | None = None
    is_deleted: bool = False
    is_erased: bool = False
    merged_into: CustomerId | None = None
    unfit: Mapping[str, str] = field(default_factory=dict)
    before: Values | None = None
    key: Any = None

    @property
    def held(self) -> Values:
        """What the row holds, in canonical form."""
        return self.values if self.before is None else self.before

    def to_hold(self, values: Values) -> "Customer":
        """Return the customer as an API write is to leave it; its row holds something else still."""
        return replace(self, values={**self.values, **values}, before=self.held)

    @property
    def is_alive(self) -> bool:
        return not self.is_deleted


class IntentKind(StrEnum):
    """What is about to be done to HubSpot."""

    CREATE = "create"
    UPDATE = "update"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A HubSpot write stored before it is sent, open until its answer is committed.

    `hubspot_first`: an API write; the row does not hold it yet, it follows HubSpot. `reserved` marks the create of one
    whose customer does not exist yet. `overtaken` are the fields on which something later was agreed.
    """

    id: IntentId
    kind: IntentKind
    values: Values
    at: datetime
    is_overdue: bool
    hubspot_first: bool = False
    reserved: bool = False
    overtaken: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """What was sent to a property without an answer, and given up: it may still land `until` then.

    `is_overtaken`: something later was agreed since it was sent.
    """

    field: str
    value: Value
    until: datetime
    is_overtaken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindPush:
    """What was `sent` to a property without a read since `base` was agreed, at HubSpot's time `since`."""

    since: datetime | None
    base: Value
    sent: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """customer uuid <-> contact id, with base and times. `alive` is the base of existence; None: never agreed.

    `is_deletion_seen`: the row was deleted, and the trigger was there. `is_erase_due`: an operator has asked for it.
    """

    uuid: CustomerId
    contact_id: ContactId | None = None
    base: Values = field(default_factory=dict)
    alive: bool | None = None
    newest_seen: datetime | None = None
    merged_through: datetime | None = None
    stale_reads: int = 0
    edited: Mapping[str, datetime] = field(default_factory=dict)
    blocks: Blocks = field(default_factory=dict)
    blind_pushes: Mapping[str, BlindPush] = field(default_factory=dict)
    late: tuple[Late, ...] = ()
    is_detached: bool = False
    privacy: bool = False
    is_deletion_seen: bool = False
    is_erase_due: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A link with both its sides and its open intents: all that a decision needs.

    `fence` is the claim's number. `remote` is None when nothing was read (an unlinked customer).
    `privacy` says that a privacy deletion of this contact was announced, now or before. `hides_rows`: the table shows
    this role not every row, so that one that is not there may well be.
    """

    link: Link
    customer: Customer | None = None
    remote: Snapshot | None = None
    intents: tuple[Intent, ...] = ()
    fence: int = 0
    privacy: bool = False
    hides_rows: bool = False

    @property
    def uuid(self) -> CustomerId:
        return self.link.uuid

    @property
    def contact(self) -> Contact | None:
        return None if self.remote is None else self.remote.contact

    @property
    def unfit(self) -> Mapping[str, str]:
        """The fields in which one side holds what the other cannot, and why."""
        return {**(self.customer.unfit if self.customer else {}), **(self.contact.unfit if self.contact else {})}

    @property
    def is_row_missing(self) -> bool:
        """Whether a customer that both sides agreed on, or that was edited here, is absent, and nothing saw it go."""
        was_there = bool(self.link.alive) or bool(self.link.edited)
        return self.customer is None and was_there and not self.link.is_deletion_seen

    @property
    def is_hidden(self) -> bool:
        """Whether the row is missing because this role may not see it, as far as can be told."""
        return self.is_row_missing and self.hides_rows

    @property
    def is_contact_missing(self) -> bool:
        """Whether HubSpot does not show the contact, and nothing proves that it is gone."""
        return self.remote is not None and not self.remote.is_proven

    @property
    def is_settled(self) -> bool:
        """Whether contact and living customer have each other and one address: no other pair is concerned."""
        contact, customer = self.contact, self.customer
        if contact is None or customer is None or not customer.is_alive or contact.id != self.link.contact_id:
            return False
        return contact.values.get("email") == customer.values.get("email")

    @property
    def is_pushed_unread(self) -> bool:
        """Whether an API write is under way that was made without a read of the contact."""
        return any(intent.hubspot_first and not intent.is_overdue for intent in self.intents)
