"""The rows, and what the triggers do when a person writes to `customer`."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random
from uuid import UUID

from reconciler.core.blocks import Block, waiting_for
from reconciler.core.brake import Need
from reconciler.core.contact import (
    BlindPush,
    Contact,
    ContactId,
    Customer,
    CustomerId,
    Intent,
    IntentId,
    IntentKind,
    Late,
    Link,
)
from reconciler.core.errors import RowRefused, Transient
from reconciler.core.fields import Fields
from reconciler.core.merge import Conflict, Verdict
from reconciler.core.ports import LANDING, Subject
from reconciler.core.reasons import Reason, Wake
from reconciler.core.values import Value, normalise_email


class Refusal(Exception):
    """The database refuses what a person writes: the address is taken, or was erased."""


class Erased(Transient):
    """The address belongs to an erased person."""


class Clash(Transient):
    """A live customer got this address first."""


@dataclass(slots=True)
class CustomerRow:
    """A row of `customer`."""

    uuid: CustomerId
    raw: dict[str, Value]
    created: datetime
    updated: datetime
    contact: ContactId | None = None
    hubspot_created: datetime | None = None
    hubspot_updated: datetime | None = None
    deleted: datetime | None = None
    erased: datetime | None = None
    merged_into: CustomerId | None = None

    @property
    def address(self) -> Value:
        return normalise_email(self.raw["email"])

    @property
    def is_alive(self) -> bool:
        return self.deleted is None

    def value(self, fields: Fields) -> Customer:
        """Return the row as the core sees it."""
        return Customer(
            uuid=self.uuid,
            raw=dict(self.raw),
            values=fields.canonical(self.raw),
            created_at=self.created,
            updated_at=self.updated,
            contact_id=self.contact,
            remote_created_at=self.hubspot_created,
            remote_updated_at=self.hubspot_updated,
            is_deleted=not self.is_alive,
            is_erased=self.erased is not None,
            merged_into=self.merged_into,
        )


Before = tuple[Value, int | None]
"""A field's base, and when it was pushed, as a write found them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateRow:
    """An entry of `sync.link.late`."""

    field: str
    value: Value
    before: Before
    until: datetime

    def value_in(self, link: "LinkRow") -> Late:
        """Return the entry as the core sees it."""
        is_overtaken = link.based(self.field) != self.before
        return Late(field=self.field, value=self.value, until=self.until, is_overtaken=is_overtaken)


@dataclass(slots=True)
class LinkRow:
    """A row of `sync.link`."""

    uuid: CustomerId
    contact: ContactId | None = None
    base: dict[str, Value] = field(default_factory=dict)
    base_at: dict[str, int] = field(default_factory=dict)
    alive: bool | None = None
    newest_seen: datetime | None = None
    merged_through: datetime | None = None
    stale_reads: int = 0
    edited: dict[str, datetime] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    blind_pushes: dict[str, BlindPush] = field(default_factory=dict)
    late: list["LateRow"] = field(default_factory=list)
    former: set[str] = field(default_factory=set)
    detached: bool = False
    privacy: bool = False
    deleted: bool = False
    erase_due: bool = False
    fence: int = 0
    lease_until: datetime | None = None

    def value(self) -> Link:
        """Return the row as the core sees it."""
        return Link(
            uuid=self.uuid,
            contact_id=self.contact,
            base=dict(self.base),
            alive=self.alive,
            newest_seen=self.newest_seen,
            merged_through=self.merged_through,
            stale_reads=self.stale_reads,
            edited=dict(self.edited),
            blocks=dict(self.blocks),
            blind_pushes=dict(self.blind_pushes),
            late=tuple(each.value_in(self) for each in self.late),
            is_detached=self.detached,
            privacy=self.privacy,
            is_deletion_seen=self.deleted,
            is_erase_due=self.erase_due,
        )

    def based(self, field: str) -> Before:
        """Return the base of a field and when it was pushed."""
        return self.base.get(field), self.base_at.get(field)

    def settle(self, values: Mapping[str, Value]) -> None:
        """Move the base; empty values are not kept."""
        for name, value in values.items():
            if value is None:
                self.base.pop(name, None)
            else:
                self.base[name] = value


@dataclass(slots=True)
class IntentRow:
    """A row of `sync.intent`."""

    id: IntentId
    uuid: CustomerId
    kind: IntentKind
    values: dict[str, Value]
    at: datetime
    deadline: datetime
    is_overdue: bool = False
    hubspot_first: bool = False
    reserved: Value = None
    before: dict[str, Before] = field(default_factory=dict)

    def value(self, now: datetime, link: LinkRow) -> Intent:
        """Return the row as the core sees it."""
        return Intent(
            id=self.id,
            kind=self.kind,
            values=dict(self.values),
            at=self.at,
            is_overdue=self.is_overdue or self.deadline < now,
            hubspot_first=self.hubspot_first,
            reserved=self.reserved is not None,
            overtaken=frozenset(c for c in self.before.keys() & self.values.keys() if link.based(c) != self.before[c]),
        )


@dataclass(slots=True)
class MarkRow:
    """A row of `sync.mark`."""

    generation: int
    due: datetime
    lane: int = 1
    attempts: int = 0
    crashes: int = 0
    delays: int = 0
    privacy: bool = False


@dataclass(frozen=True, slots=True)
class LoserRow:
    """A row of `sync.conflict`."""

    uuid: CustomerId
    field: str
    winner: Verdict | None
    kept: Value
    lost: Value


@dataclass(frozen=True, slots=True)
class Rule:
    """A check of the owner's: no row may hold this ending in that field."""

    field: str
    ending: str

    def allows(self, values: Mapping[str, Value]) -> bool:
        """Whether a row may hold these values."""
        return not (values.get(self.field) or "").endswith(self.ending)

    def require(self, values: Mapping[str, Value]) -> None:
        """Raise `RowRefused` where a row may not."""
        if not self.allows(values):
            raise RowRefused(f"{self.field}_is_allowed", frozenset({self.field}))


class Tables:
    """Everything the database holds. `now` is its clock."""

    def __init__(self, now: Callable[[], datetime], random: Random, fields: Fields) -> None:
        self.now, self._random, self.fields = now, random, fields
        self.customers: dict[CustomerId, CustomerRow] = {}
        self.links: dict[CustomerId, LinkRow] = {}
        self.aliases: dict[ContactId, tuple[CustomerId | None, str]] = {}
        self.intents: dict[IntentId, IntentRow] = {}
        self.marks: dict[str, MarkRow] = {}
        self.dirty: list[tuple[CustomerId, list[str], datetime, bool]] = []
        self.hidden: dict[CustomerId, CustomerRow] = {}
        self.hides_rows = False
        self.rule: Rule | None = None
        self.claimed_portal: int | None = None
        self.allowances: dict[str, int] = {}
        self.cursors: dict[str, Mapping[str, object]] = {}
        self.losers: dict[LoserRow, None] = {}
        self.tombstones: set[str] = set()
        self.dangers: list[tuple[Need, datetime, int]] = []
        self.numbers = count(1)
        self.suspended: dict[str, Reason] = {}
        self.erased: set[CustomerId] = set()
        self.erased_losers: set[tuple[str, Value]] = set()
        self.overruled: set[tuple[str, Value]] = set()
        self.handed_over: set[ContactId] = set()
        self.held: set[CustomerId] = set()

    def is_ignored(self, contact: ContactId) -> bool:
        """Whether it is an erased person's."""
        return self.aliases.get(contact, (None, ""))[1] == "ignored"

    def is_held(self, uuid: CustomerId) -> bool:
        """Whether the row is out of reach: another transaction holds it, or it is hidden."""
        return uuid in self.hidden or (uuid in self.held and uuid in self.customers)

    def new_uuid(self) -> CustomerId:
        """Return a uuid that was never used."""
        return CustomerId(UUID(int=self._random.getrandbits(128), version=4))

    # What people do with SQL; each is captured as the triggers would.

    def insert(self, uuid: CustomerId, values: Mapping[str, Value]) -> None:
        """INSERT a customer; raises `Refusal`."""
        raw = {field: values.get(field) for field in self.fields.names}
        self._refuse(raw["email"], uuid)
        self._check(values)
        self.customers[uuid] = CustomerRow(uuid, raw, self.now(), self.now())
        self._capture(uuid, [field for field, value in raw.items() if value is not None])

    def update(self, uuid: CustomerId, values: Mapping[str, Value]) -> None:
        """UPDATE fields of a customer; raises `Refusal`."""
        row = self.customers[uuid]
        changed = [field for field, value in values.items() if row.raw[field] != value]
        if "email" in changed and values["email"] is not None and row.is_alive:
            self._refuse(values["email"], uuid)
        self._check(values)
        row.raw.update(values)
        if changed:
            row.updated = self.now()
            self._capture(uuid, changed)

    def remove(self, uuid: CustomerId) -> bool:
        """Set `deletedat`, if it is not set; return whether it was not."""
        row = self.customers.get(uuid)
        if row is None or not row.is_alive:
            return False
        row.deleted = row.updated = self.now()
        self._capture(uuid, [])
        return True

    def restore(self, uuid: CustomerId) -> None:
        """Clear `deletedat`; raises `Refusal`."""
        row = self.customers[uuid]
        self._refuse(row.raw["email"], uuid)
        row.deleted, row.updated = None, self.now()
        self._capture(uuid, [])

    def delete(self, uuid: CustomerId) -> None:
        """DELETE the row."""
        if self.customers.pop(uuid, None) is not None:
            self._capture(uuid, [], deleted=True)

    def vanish(self, uuid: CustomerId) -> None:
        """DELETE the row where no trigger sees it."""
        self.customers.pop(uuid, None)

    def hide(self, uuids: Collection[CustomerId]) -> None:
        """Switch row level security on: the sync's role does not see these rows."""
        self.hides_rows = True
        self.hidden.update({uuid: self.customers.pop(uuid) for uuid in uuids if uuid in self.customers})

    def show(self) -> None:
        """Switch row level security off."""
        self.hides_rows = False
        self.customers.update(self.hidden)
        self.hidden.clear()

    def _check(self, values: Mapping[str, Value]) -> None:
        if self.rule is not None and not self.rule.allows(values):
            raise Refusal("the owner's rule")

    def _capture(self, uuid: CustomerId, edited: list[str], *, deleted: bool = False) -> None:
        self.dirty.append((uuid, edited, self.now(), deleted))

    def _refuse(self, email: Value, uuid: CustomerId) -> None:
        address = normalise_email(email)
        if address in self.tombstones:
            raise Refusal("erased_subject")
        holder = self.holder(address)
        if holder is not None and holder.uuid != uuid:
            raise Refusal("customer_address_is_unique_among_live")

    # What several ports look up or do.

    def holder(self, address: Value) -> CustomerRow | None:
        """Return the live customer with this address."""
        if address is None:
            return None
        return next((row for row in self.customers.values() if row.is_alive and row.address == address), None)

    def owner(self, contact: ContactId) -> LinkRow | None:
        """Return the link of this contact."""
        return next((link for link in self.links.values() if link.contact == contact), None)

    def news(self, contacts: Sequence[Contact]) -> list[ContactId]:
        """Return the contacts of a page that are worth a look."""
        return [contact.id for contact in contacts if self._is_news(contact)]

    def _is_news(self, contact: Contact) -> bool:
        if self.aliases.get(contact.id, (None, "former"))[1] != "former":
            return False
        link = self.owner(contact.id)
        at = None if link is None else link.merged_through
        if link is None or at is None or at < contact.updated_at or link.alive is not True:
            return True
        return any(why.reason is Reason.HELD_MISSING for why in link.blocks.values())

    def ensure_link(self, uuid: CustomerId) -> LinkRow:
        """Return the link of this customer, made now if there is none."""
        if uuid not in self.links:
            self.links[uuid] = LinkRow(uuid)
        return self.links[uuid]

    def is_leased(self, link: LinkRow) -> bool:
        return link.lease_until is not None and link.lease_until >= self.now()

    def mark(self, subjects: Collection[str], lane: int, *, privacy: bool = False) -> None:
        """Mark subjects due now."""
        for subject in sorted(subjects):
            row = self.marks.get(subject)
            if row is None:
                self.marks[subject] = MarkRow(next(self.numbers), self.now(), lane, privacy=privacy)
            else:
                row.generation = next(self.numbers)
                row.due, row.lane = min(row.due, self.now()), min(row.lane, lane)
                row.privacy = row.privacy or privacy

    def log(self, uuid: CustomerId, conflicts: Collection[Conflict]) -> set[str]:
        """Log the losers, each once; return the fields of those that are new."""
        fresh = set()
        for conflict in conflicts:
            row = LoserRow(uuid, conflict.field, None, conflict.kept or "", conflict.lost or "")
            if row not in self.losers:
                self.losers[row] = None
                fresh.add(conflict.field)
        return fresh

    def refuse_erased(self, addresses: Collection[Value]) -> None:
        """Raise `Erased` if one of these addresses was erased."""
        if self.tombstones.intersection(address for address in addresses if address is not None):
            raise Erased("erased_subject")

    def intents_of(self, uuid: CustomerId) -> Iterator[IntentRow]:
        """Yield the open intents of a link."""
        return (intent for intent in self.intents.values() if intent.uuid == uuid)

    def clear_marks(self, marks: Sequence[tuple[str, int]]) -> None:
        """Clear settled marks; one that was made again meanwhile stays."""
        for subject, generation in marks:
            mark = self.marks.get(subject)
            if mark is not None and mark.generation == generation:
                del self.marks[subject]
            elif mark is not None:
                mark.crashes = 0

    def wake_waiting(self, freed: Collection[Value]) -> None:
        """Look again at the links that want an address that its contact has given up."""
        keys = {key for address in freed if address is not None for key in waiting_for(address)}
        for link in self.links.values():
            woken = [
                c for c, why in link.blocks.items() if why.fingerprint in keys and why.reason.wake is Wake.ADDRESS_FREED
            ]
            for name in woken:
                del link.blocks[name]
            self.mark({Subject.customer(link.uuid).key for _ in woken}, 1)

    def give_up(self, intents: Collection[IntentId]) -> None:
        """Forget intents without an answer; what an update sent may still land."""
        for intent in filter(None, (self.intents.pop(each, None) for each in intents)):
            link = self.links.get(intent.uuid)
            if link is not None and intent.kind is IntentKind.UPDATE:
                until = intent.at + timedelta(seconds=LANDING)
                link.late += [
                    LateRow(field=field, value=value, before=intent.before[field], until=until)
                    for field, value in intent.values.items()
                ]

    def close(self, intents: Collection[IntentId]) -> None:
        """Forget settled intents."""
        for intent in intents:
            self.intents.pop(intent, None)


def later(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the later of two times; None is no time."""
    if one is None or other is None:
        return one or other
    return max(one, other)
