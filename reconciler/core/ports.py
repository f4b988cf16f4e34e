"""What the floors below must offer: few verbs, all batch-shaped, in the words of the design.

Real adapters and the simulation's in-memory ones implement these; both pass the same contract tests.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, IntEnum, StrEnum, auto
from math import inf
from typing import Any, NamedTuple, Protocol

from reconciler.core.brake import Need
from reconciler.core.contact import Contact, ContactId, Customer, CustomerId, IntentId, IntentKind, Pair, Snapshot
from reconciler.core.context import Context
from reconciler.core.errors import Refused, Transient
from reconciler.core.merge import Conflict
from reconciler.core.reasons import Reason
from reconciler.core.step import Step
from reconciler.core.values import Values


class Lane(IntEnum):
    """How urgent: a person waits, something just changed, a bulk import, a sweep."""

    INTERACTIVE = 0
    FRESH = 1
    BULK = 2
    AUDIT = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """What a mark is about: a contact id, a customer uuid or an e-mail address."""

    key: str

    @classmethod
    def contact(cls, contact_id: int) -> "Subject":
        return cls(f"c:{contact_id}")

    @classmethod
    def customer(cls, uuid: CustomerId) -> "Subject":
        return cls(f"u:{uuid}")

    @classmethod
    def address(cls, address: str) -> "Subject":
        return cls(f"e:{address}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A lease on one pair and the marks (subject key, generation) that led to it."""

    uuid: CustomerId
    fence: int
    marks: tuple[tuple[str, int], ...] = ()
    attempts: int = 0
    delays: int = 0
    privacy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a claim ends: settled, or another look after `again` seconds.

    `spend` counts an attempt of the record. `delayed`: a call failed that was not the record's own; after `DELAYS` in
    a row it is looked at alone, for it may be what its batch fails on. `left_out`: another transaction holds
    its row, mostly; that stops no other pair, so it is looked at beside others all the same, only more seldom.
    """

    claim: Claim
    again: float | None = None
    spend: bool = False
    delayed: bool = False
    left_out: bool = False

    @property
    def is_exhausted(self) -> bool:
        """Whether this was the last attempt: the record is blocked."""
        return self.spend and self.claim.attempts + 1 >= ATTEMPTS

    @property
    def is_put_off(self) -> bool:
        """Whether there is to be another look."""
        return self.again is not None and not self.is_exhausted

    @property
    def delay(self) -> float:
        """Seconds until the next look; failed attempts back off."""
        again = self.again or 0.0
        if self.delayed:
            return max(again, min(BACK_OFF**self.claim.delays, LONGEST_DELAY))
        if self.left_out:
            return max(again, LEFT_OUT_DELAYS[min(self.claim.delays, DELAYS - 1)])
        return max(again, BACK_OFF ** (self.claim.attempts + 1)) if self.spend else again

    @property
    def delays(self) -> int:
        """Looks in a row, with this one, that were put off for nothing of the record's own."""
        if self.left_out and not self.delayed:
            return min(self.claim.delays + 1, DELAYS - 1)
        return self.claim.delays + 1 if self.delayed else 0


class Due(NamedTuple):
    """The lane of what is due, and whether any mark about an address is."""

    lane: Lane
    has_addresses: bool


Progress = Callable[[int], None]
"""Hears at each page of a walk how many records it met."""


class Marks(Protocol):
    """What may mean work."""

    def mark(self, subjects: Collection[Subject], *, lane: Lane, privacy: bool = False) -> None:
        """Mark the subjects due now."""

    def next_lane(self, lanes: Sequence[Lane]) -> Due | None:
        """Return the first of these lanes that has due marks."""

    def claim(
        self,
        limit: int,
        *,
        lanes: Collection[Lane] = tuple(Lane),
        only: Collection[Subject] | None = None,
    ) -> list[Claim]:
        """Lease up to `limit` due pairs; `only` claims these subjects, due or not."""

    def claim_page(self, contacts: Sequence[Contact], *, lane: Lane, read_at: int) -> list[Claim]:
        """Lease the pairs of a page's news that the page, read at that number, counts for; mark the other news.

        It counts for what nothing has told of, what no worker has had since, and what none died over.
        """

    def addresses(self, limit: int) -> list[tuple[str, int]]:
        """Take the due marks about addresses that no customer has, with their generations, for a while."""

    def looked_up(self, taken: Sequence[tuple[str, int]]) -> None:
        """Clear marks about addresses, unless they were made again meanwhile."""

    def finish(self, endings: Sequence[Ending]) -> None:
        """Clear what was settled (unless marked again meanwhile), put the rest off, end the leases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One HubSpot write about to be sent, under the pair's claim if it has one.

    `hubspot_first`: an API write. HubSpot comes first and the row follows; nothing was read before, so what it
    overwrites is looked up in the history afterwards; and a refusal leaves everything as it was.
    """

    pair: Pair
    kind: IntentKind
    values: Values = field(default_factory=dict)
    conflicts: tuple[Conflict, ...] = ()
    hubspot_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A write whose intent is stored."""

    intent: IntentId
    write: Write


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """HubSpot took it: the contact with the properties it answered."""

    contact: Contact


class Unanswered(Enum):
    """A write without an answer: HubSpot left it out, its answer did not arrive, or it was certainly not sent.

    `HELD`: HubSpot took it, and the row that was to follow is locked by another transaction, or hidden.
    """

    OMITTED = auto()
    UNKNOWN = auto()
    UNSENT = auto()
    HELD = auto()


Answer = Written | Refused | Unanswered


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The answers that the rows could not follow.

    `refused`: a rule of the owner's refuses their row. HubSpot has them, and the next look puts that back.
    `held`: another transaction holds their row, or it is hidden. Their intents stay open, and their customers
    are marked.
    """

    refused: Mapping[CustomerId, Refused] = field(default_factory=dict)
    held: frozenset[IntentId] = frozenset()

    def __or__(self, other: "Settled") -> "Settled":
        """Return what became of both."""
        return Settled(refused={**self.refused, **other.refused}, held=self.held | other.held)

    def without(self, intents: Collection[IntentId]) -> "Settled":
        """Return this without what was held up of these intents: they are looked at again."""
        return replace(self, held=self.held.difference(intents))


CALL_DEADLINE = 30.0
"""Seconds after which a HubSpot call has ended, however it ended."""

INTENT_DEADLINE = CALL_DEADLINE + 15.0
"""Seconds after which an open intent is due work."""

LANDING = 130.0
"""Seconds after its intent within which a call that got no answer may still take effect: HubSpot's edge waits 100."""

LEASE = 45.0
"""Seconds a claim lasts; longer than the total deadline of any HubSpot call, and prolonged before each."""

ATTEMPTS = 8
"""Looks that may fail for a reason of the record's own before it is blocked."""

DELAYS = 3
"""Looks in a row that a call failed, after which a record is looked at alone."""

LEFT_OUT_DELAYS = (1.0, 8.0, 30.0)
"""Seconds until another look at a pair that was left out for the first, the second, and any later time in a row."""

LONGEST_DELAY = 600.0
"""Seconds at most between two looks at a record whose calls fail."""

BACK_OFF = 2.0
"""Base of the delay after a failed look, in seconds."""


NO_CLAIMS: Mapping[CustomerId, Claim] = {}


class Pairs(Protocol):
    """Customers, links and what is remembered about them."""

    def load(self, claims: Sequence[Claim]) -> list[Pair]:
        """Return the claimed pairs without their remote side."""

    def context(
        self, *, addresses: Collection[str], contacts: Collection[ContactId], ours: Collection[CustomerId] = ()
    ) -> Context:
        """Return the holders of the addresses and the links of the contacts; `ours` are the caller's own claims."""

    def join(self, steps: Sequence[Step]) -> list[Claim]:
        """Lease the holders of addresses that these steps want, to decide about them together."""

    def merge(self, steps: Sequence[Step], ending: Mapping[CustomerId, Claim] = NO_CLAIMS) -> set[CustomerId]:
        """Commit the local part of the steps, each field only if it still holds what was read.

        Returns the uuids of which something was left out and that want another look. With the others, the claims of
        those in `ending` end, and their marks are cleared.
        """

    def rearrange(self, steps: Sequence[Step]) -> set[CustomerId]:
        """Change which customer and contact are linked, forget, ignore, detach or erase.

        Returns the uuids of what was left out, because others' transactions are in the way.
        """

    def know_addresses(self, uuid: CustomerId, addresses: Collection[str]) -> None:
        """Remember addresses that the contact of a customer has, or had, beside its own."""


class Outbox(Protocol):
    """HubSpot writes that are under way: what is stored before they are sent, and of their answers."""

    def intend(self, writes: Sequence[Write]) -> list[Sent]:
        """Store the intents and the losers, prolong the leases; leave out what is no longer ours."""

    def withdraw(self, sent: Sequence[Sent]) -> None:
        """Drop the intents of writes that were certainly not sent."""

    def settle(self, answers: Sequence[tuple[Sent, Answer]]) -> Settled:
        """Commit HubSpot's answers: base in the order of HubSpot's time, fields by compare-and-set."""


class Gates(Protocol):
    """What keeps whole fields or refused rows waiting, until it is over."""

    def suspended(self) -> Mapping[str, Reason]:
        """Return the fields that wait for HubSpot's schema, with the reason."""

    def suspend(self, fields: Collection[str], reason: Reason) -> None:
        """Let mapped fields wait: HubSpot does not have them, or lets no caller write them."""

    def resume(self, fields: Collection[str]) -> None:
        """Let mapped fields go again; the pairs that waited for them are marked as lanes are asked for."""

    def lift_refused(self, *, only_if_rules_changed: bool) -> None:
        """Look again at what a rule of the table's owner refused; or only if the rules are others by now."""


class Records(Protocol):
    """Where the walks stand, and what their pages tell."""

    def cursor(self, name: str) -> Mapping[str, Any] | None:
        """Return where a walk stands."""

    def number(self) -> int:
        """Return a number above all fences and generations that there are, and below all that there will be."""

    def meet(self, contacts: Sequence[Contact], *, lane: Lane, cursor: str, value: Mapping[str, Any]) -> int:
        """Mark the contacts of a page that are news and save the cursor, in one transaction; return how many."""

    def save(self, cursor: str, value: Mapping[str, Any]) -> None:
        """Remember where a walk stands."""

    def miss(self, *, after: int, upto: int, met: Collection[ContactId], lane: Lane) -> int:
        """Mark the linked contacts with `after` < id <= `upto` that a walk did not meet."""

    def find_rows(self) -> None:
        """Take in the rows that no trigger saw come."""

    def drifted(self, *, after: CustomerId, upto: CustomerId, limit: int, lane: Lane) -> tuple[CustomerId | None, int]:
        """Mark, of the next customers with `after` < uuid <= `upto`, those that differ from their base or have no link.

        Returns the last one looked at (None at the end) and how many were marked.
        """

    def linked(self) -> int:
        """Return how many contacts are linked and alive."""


class CustomerStore(Protocol):
    """Customers as the API sees them: by address, one at a time or many."""

    def by_address(self, addresses: Collection[str]) -> Mapping[str, Customer]:
        """Return the live customers with these addresses."""

    def by_uuid(self, uuids: Collection[CustomerId]) -> list[Customer]:
        """Return the customers with these uuids."""

    def reserve(self, uuids: Collection[CustomerId]) -> list[Claim]:
        """Make and lease links for customers that are about to be created."""

    def rehearse(self, writes: Sequence[Write]) -> Mapping[CustomerId, Refused]:
        """Return which of these writes the table's owner would refuse a row for; nothing stays of the attempt."""

    def lease(self, uuids: Collection[CustomerId]) -> list[Claim]:
        """Lease the pairs of these customers; the busy ones, and those whose row is held, are left out."""

    def held(self, uuids: Collection[CustomerId]) -> set[CustomerId]:
        """Return those whose row another transaction holds."""

    def remove(self, uuid: CustomerId) -> bool:
        """Soft-delete a customer as any SQL writer would; return whether there was a living one."""


class Brakes(Protocol):
    """The rolling hour of dangerous changes."""

    def grant(self, needed: Mapping[Need, int]) -> Mapping[Need, int]:
        """Take as much of the allowance as there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of contacts. `after`: where the next begins, None at the end; `served_at`: HubSpot's clock."""

    contacts: Sequence[Contact]
    after: str | None
    served_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSpotAccount:
    """The HubSpot account behind the token. Its day ends at midnight of its `time_zone`."""

    portal: int
    time_zone: str

    def other_than(self, linked: int) -> str | None:
        """Say so, if the token is for another account than the database belongs to."""
        if self.portal == linked:
            return None
        return f"the token is for HubSpot account {self.portal}, this database belongs to {linked}"


class HubSpot(Protocol):
    """The remote side. Every call raises `Transient` for causes that are not a record's own."""

    def read(self, ids: Collection[ContactId], *, history: bool = False) -> Mapping[ContactId, Snapshot]:
        """Return what each id is now: alive, archived, merged into another, or gone."""

    def find(self, addresses: Collection[str]) -> Mapping[str, Contact]:
        """Return the living contacts that have these addresses (as primary or secondary one)."""

    def create(self, drafts: Sequence[Values], *, until: float = inf) -> list[Answer]:
        """Create contacts; one answer per draft, in order. Nothing is sent after `until` (monotonic seconds)."""

    def update(self, edits: Sequence[tuple[ContactId, Values]], *, until: float = inf) -> list[Answer]:
        """Update contacts; one answer per edit, in order. Nothing is sent after `until`."""

    def archive(self, ids: Sequence[ContactId], *, until: float = inf) -> list[Answer]:
        """Archive contacts; one answer per id, in order. Archiving twice is no error. Nothing is sent after `until`."""

    def purge(self, contact_id: ContactId) -> None:
        """Delete one contact for good, with its history (GDPR)."""

    def changed(self, *, since: datetime, until: datetime | None, after: str) -> Page:
        """Return contacts modified in the window, by id, from the search index (which lags)."""

    def walk(self, after: str | None) -> Page:
        """Return contacts by id from the store (which does not lag), with all mapped properties."""

    def account(self) -> HubSpotAccount:
        """Return the account that the token is for."""

    def highest(self) -> ContactId | None:
        """Return about the highest contact id (from the search index, which lags); None: there is no contact."""


class Door(StrEnum):
    """What a HubSpot call is for. A token may open some doors and not others; a version may lose one path of many."""

    READ = "read contacts"
    SEARCH = "search contacts"
    WRITE = "write contacts"
    ERASE = "erase contacts"
    PROPERTIES = "read properties"
    ACCOUNT = "read the account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What HubSpot says of its limits in an answer; None: nothing."""

    per_10s: int | None
    daily: int | None
    left_today: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """While HubSpot is down: the seconds until the next call may look whether it is back, and why it is down."""

    seconds: float
    reason: str


class Witnesses(Protocol):
    """What is known of HubSpot from before, to hold an answer against that says that a contact is gone."""

    def claim_account(self, account: HubSpotAccount) -> int:
        """Make the account this database's own if it has none; return the portal id of the one that is."""

    def living(self, limit: int, *, apart_from: Collection[ContactId]) -> list[ContactId]:
        """Return some linked contacts believed to be alive, drawn by chance."""


class Slots(Protocol):
    """When each call of a window was made, of all processes."""

    def shape(self, rates: Mapping[str, int]) -> None:
        """Have as many slots of each kind as calls fit a window."""

    def take(self, kind: str, *, lane: Lane, calls: int, window: float, pace: int | None = None) -> list[int]:
        """Take up to `calls` slots unused for a window, and no more than `pace` in any tenth of one.

        None while HubSpot is down or a more urgent lane waits.
        """

    def next_free(self, kind: str, *, window: float) -> float:
        """Return the seconds until a slot comes free."""

    def want(self, lane: Lane) -> None:
        """Say that this lane waits."""

    def stamp(self, slot: int) -> None:
        """Say that the call of this slot is made now."""

    def give(self, kind: str, slots: Sequence[int]) -> None:
        """Give back slots that were not used."""

    def block(self, kind: str, *, delay: float, window: float) -> None:
        """Let no slot be taken for `delay` seconds."""


class Quota(Protocol):
    """What the day's calls are counted by."""

    def count(self, calls: int, *, quota: int) -> int:
        """Add to the day's calls, of which there may be `quota`; return how many there are."""

    def hear(self, calls: int, *, left: int) -> None:
        """Say that HubSpot has counted so many calls today, of all callers, and leaves so many."""

    def is_spent(self) -> bool:
        """Whether HubSpot has left no call of today."""


class Outage(Protocol):
    """Whether HubSpot is down, or a kind of call is refused, and when to look again."""

    def fail(self, error: Transient, *, after: int, pause: float) -> None:
        """Count a failure; from the `after`th in a row on HubSpot is down, the next probe `pause` seconds ahead."""

    def recover(self, door: Door) -> None:
        """Say that HubSpot answers this kind of call. That it knows other paths says nothing of the one it did not."""

    def shut(self, door: Door, error: Transient) -> None:
        """Say that one kind of call is refused, and why; the others go on."""

    def open(self, door: Door) -> None:
        """Say that this kind of call is answered again."""

    def probe(self, pause: float) -> Pause | None:
        """Return None while HubSpot is up; else how long to wait, no time at all for the call that may look now."""

    def leave(self, pause: float) -> None:
        """Let another process look at once: the one that was to had nothing to call for. `pause` is that of `probe`."""


class Budget(Protocol):
    """HubSpot calls shared by all processes."""

    def reserve(self, lane: Lane, calls: int) -> AbstractContextManager[bool]:
        """Wait until `calls` calls may be made in this lane; they are taken before a pair is claimed.

        Yields whether HubSpot is down and these calls are to find out whether it is back.
        """

    @property
    def is_looking(self) -> bool:
        """Whether this thread's next call is the one that finds out."""
