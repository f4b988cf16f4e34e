"""HubSpot's port on the sandbox's own portal, without HTTP: the same strictness, a tenth of the time.

What the gateway makes of HTTP (halved batches, outcomes by record, failures in our words) is made here of the
portal's refusals.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from math import inf
from typing import TypeVar

from reconciler.adapters.gateway.parse import going_over, properties_of, refusal_of
from reconciler.core.contact import GONE, Contact, ContactId, CustomerId, Entry, Snapshot
from reconciler.core.errors import OutcomeUnknown, PathUnknown, RateLimited, Refused, Transient, Unavailable
from reconciler.core.fields import Fields
from reconciler.core.ports import CALL_DEADLINE, Answer, Door, HubSpotAccount, Page, Subject, Unanswered, Written
from reconciler.core.reasons import Reason
from reconciler.core.values import Value, Values, normalise_email
from reconciler.sync.budget import SharedBudget
from sandbox.contact import Contact as Record
from sandbox.errors import HubSpotError
from sandbox.lifecycle import STAGE
from sandbox.portal import Portal
from sandbox.search_index import pack
from simulation.clock import Clock
from simulation.mapped import value_of
from simulation.stage import Stage, Weather

PAGE = 3
"""Contacts on a page: few, so that walks have several."""

Answered = TypeVar("Answered")


class Wire:
    """What all processes' calls have in common: when they were made, what they overwrote, what they created."""

    def __init__(
        self,
        portal: Portal,
        fields: Fields,
        per_10s: int,
        per_second: int,
        is_agreed: Callable[[int, str, Value], bool] = lambda contact, field, value: False,
    ) -> None:
        self.portal, self.fields, self.is_agreed = portal, fields, is_agreed
        self._per_10s, self._per_second = per_10s, per_second
        self.calls: list[float] = []
        self.searches: list[float] = []
        self.overwritten: set[tuple[str, Value]] = set()
        self.meant: set[tuple[str, Value]] = set()
        self.created: dict[CustomerId, list[int]] = {}
        self.staged: set[str] = set()
        self.burst = ""
        self.lost: frozenset[Door] = frozenset()

    def note(self, seconds: float, *, search: bool) -> None:
        """Note a call; more of them in a window than the limit is HubSpot's to refuse, and ours to avoid."""
        self.calls.append(seconds)
        if len(self.calls) - bisect_left(self.calls, seconds - 10) > self._per_10s:
            self.burst = f"more than {self._per_10s} calls in ten seconds"
        if search:
            self.searches.append(seconds)
            if len(self.searches) - bisect_left(self.searches, seconds - 1) > self._per_second:
                self.burst = f"more than {self._per_second} searches in a second"


class SimulatedHubSpot:
    """The remote side as one process sees it."""

    def __init__(self, wire: Wire, stage: Stage, clock: Clock, budget: SharedBudget, weather: Weather) -> None:
        self._wire, self._portal, self._fields = wire, wire.portal, wire.fields
        self._stage, self._clock, self._budget, self._weather = stage, clock, budget, weather

    def read(self, ids: Collection[ContactId], *, history: bool = False) -> Mapping[ContactId, Snapshot]:
        read = self._call(lambda: {each: self._snapshot(each, history) for each in sorted(ids)})
        self._remember(snapshot.contact for snapshot in read.values())
        return read

    def _snapshot(self, contact_id: ContactId, history: bool) -> Snapshot:
        record = self._portal.find(contact_id)
        return GONE if record is None else Snapshot(contact=contact_of(self._fields, record, history=history))

    def find(self, addresses: Collection[str]) -> Mapping[str, Contact]:
        def look() -> dict[str, Contact]:
            found = {address: self._portal.find(address, "email") for address in sorted(addresses)}
            return {
                address: contact_of(self._fields, record) for address, record in found.items() if record is not None
            }

        found = self._call(look)
        self._remember(found.values())
        return found

    def _remember(self, contacts: Collection[Contact | None] | Iterator[Contact | None]) -> None:
        """Remember what this task has read: what it overwrites of that is no edit in the window."""
        if self._stage.current is not None:
            known = self._stage.current.notes.setdefault("known", {})
            for each in contacts:
                if each is not None:
                    known.setdefault(each.id, each.values)

    def create(self, drafts: Sequence[Values], *, until: float = inf) -> list[Answer]:
        sent = self._stage.current.notes["intend"] if self._stage.current else []
        owners = [each.write.pair.uuid for each in sent]
        return self._write(list(range(len(drafts))), lambda n: self._create(drafts[n], owners[n]), until)

    def _create(self, values: Values, owner: CustomerId) -> Answer:
        record = self._portal.create(properties_of(values), by=self._portal.app)
        self._wire.created.setdefault(owner, []).append(record.id)
        return Written(contact=going_over(self._fields, values, contact_of(self._fields, record, {*values, STAGE})))

    def update(self, edits: Sequence[tuple[ContactId, Values]], *, until: float = inf) -> list[Answer]:
        sent = self._stage.current.notes["intend"] if self._stage.current else []
        for each in sent:
            if STAGE in each.write.values:
                self._wire.staged |= {
                    Subject.customer(each.write.pair.uuid).key,
                    Subject.contact(each.write.pair.link.contact_id).key,
                }
        return self._write(list(edits), lambda edit: self._update(*edit), until)

    def _update(self, contact_id: ContactId, values: Values) -> Answer:
        if contact_id in self._portal.ledger.records.aliases:
            return Unanswered.OMITTED
        before = self._portal.find(contact_id, archived=False)
        if before is None:
            return Refused(reason=Reason.GONE)
        self._overwrite(before, values, asked=contact_id)
        record = self._portal.edit(contact_id, properties_of(values), by=self._portal.app)
        contact = going_over(self._fields, values, contact_of(self._fields, record, {*values, STAGE}))
        if self._portal.settings.echo_ignored_stage and values.get(STAGE):
            contact = replace(contact, values={**contact.values, STAGE: values[STAGE]})
        return Written(contact=contact)

    def _overwrite(self, before: Record, values: Values, *, asked: ContactId, is_read: bool = True) -> None:
        """Note values that a person wrote after this task had read the contact: the one window that remains.

        An update that read nothing has no such window, what it overwrites is in the history. What is meant to go is
        noted beside: another API write's value, one that both sides had, what does not go over and is edited on the
        other side, and all of a record that is deleted outright.
        """
        known = self._stage.current.notes.get("known", {}).get(asked, {}) if self._stage.current else {}
        for field, sent in values.items():
            value = value_of(self._fields, field, before.get(field))
            is_ours = any(entry.origin == self._portal.app for entry in before.entries(field)[:1])
            is_agreed = self._wire.is_agreed(before.id, field, value)
            is_blind = (not known and is_ours) or ((not known or not is_read) and is_agreed)
            is_news = not known or not is_read or not self._wire.is_agreed(before.id, field, sent)
            if field in known and known[field] != value:
                self._wire.overwritten.add((field, value))
            elif is_blind or (not known and not is_read) or (is_news and field not in self._fields.to_postgres):
                self._wire.meant.add((field, value))

    def archive(self, ids: Sequence[ContactId], *, until: float = inf) -> list[Answer]:
        return self._write(list(ids), self._archive, until)

    def _archive(self, contact_id: ContactId) -> Answer:
        record = self._portal.find(contact_id, archived=False)
        if record is not None:
            self._overwrite(record, dict.fromkeys(self._fields.names), asked=contact_id, is_read=False)
            self._portal.delete(contact_id, by=self._portal.app)
        at = datetime.fromtimestamp(0, UTC)
        return Written(contact=Contact(id=contact_id, values={}, created_at=at, updated_at=at, archived=True))

    def purge(self, contact_id: ContactId) -> None:
        def erase() -> None:
            with suppress(HubSpotError):
                self._portal.erase(contact_id, by=self._portal.app)

        self._call(erase, Door.ERASE)

    def changed(self, *, since: datetime, until: datetime | None, after: str) -> Page:
        def search() -> Page:
            with self._portal.ledger.session() as now:
                index = self._portal.ledger.index
                index.catch_up(self._clock.steady_ms())
                top = pack(millis(until)) if until is not None else 1 << 120
                last = int(after.split(":")[0])
                ids = sorted(each for each in index.modified_between(pack(millis(since)), top) if each > last)
                records = [self._portal.ledger.records.contacts.get(each) for each in ids[:PAGE]]
                found = [
                    contact_of(self._fields, each, set()) for each in records if each is not None and not each.archived
                ]
                ahead = f"{ids[PAGE - 1]}:0" if len(ids) > PAGE else None
                return Page(contacts=found, after=ahead, served_at=time_of(now // 1000 * 1000))

        return self._call(search, Door.SEARCH)

    def walk(self, after: str | None) -> Page:
        def page() -> Page:
            with self._portal.ledger.session() as now:
                records = self._portal.ledger.records
                ids = list(islice(records.live.walk(int(after or 0), 1 << 62), PAGE + 1))
                found = [contact_of(self._fields, records.contacts[each]) for each in ids[:PAGE]]
                ahead = str(ids[PAGE - 1] + 1) if len(ids) > PAGE else None
                return Page(contacts=found, after=ahead, served_at=time_of(now))

        page_ = self._call(page)
        self._remember(page_.contacts)
        return page_

    def highest(self) -> ContactId | None:
        def search() -> ContactId | None:
            with self._portal.ledger.session():
                live = self._portal.ledger.records.live.walk(0, 1 << 62)
                return max(map(ContactId, live), default=None)

        return self._call(search, Door.SEARCH)

    def account(self) -> HubSpotAccount:
        return self._call(lambda: HubSpotAccount(portal=self._portal.settings.portal_id, time_zone="UTC"), Door.ACCOUNT)

    def _write(self, items: list[Answered], act: Callable[[Answered], Answer], until: float) -> list[Answer]:
        """Act on each item for itself, as a halved batch ends; its second half may stay unsent or unanswered."""
        random, cut = self._stage.random, len(items)
        missing: Unanswered | None = None
        if len(items) > 1 and random.random() < self._weather.fail_before:
            cut, missing = len(items) // 2, random.choice([Unanswered.UNKNOWN, Unanswered.UNSENT])

        def call() -> list[Answer]:
            answers = [self._answer(act, item) for item in items[:cut]]
            if missing is Unanswered.UNKNOWN and random.random() < 0.5:
                for item in items[cut:]:
                    self._answer(act, item)
            return answers + [missing] * (len(items) - cut) if missing else answers

        return self._call(call, Door.WRITE, until=until)

    def _call(self, act: Callable[[], Answered], door: Door = Door.READ, *, until: float = inf) -> Answered:
        """Make one call: budget, flight there, effect, flight back."""
        writes = door in (Door.WRITE, Door.ERASE)
        self._stage.check()
        self._budget.spend(door)
        if self._clock.seconds > until:
            raise Transient("no HubSpot call free in time")
        self._wire.note(self._clock.seconds, search=door is Door.SEARCH)
        with self._judged(door):
            if door in self._wire.lost:
                raise PathUnknown("HubSpot does not know this path", delay=30.0)
            self._fly(writes, self._clock.seconds)
            answer = act()
            self._return(writes)
        return answer

    def _fly(self, writes: bool, sent: float) -> None:
        weather, random = self._weather, self._stage.random
        if weather.fail_before and random.random() < weather.fail_before:
            raise self._failure(writes)
        if weather.pause and random.random() < weather.pause:
            self._stage.stop()
        if self._clock.seconds - sent > CALL_DEADLINE:
            raise (OutcomeUnknown if writes else Unavailable)("HubSpot's answer did not arrive")

    def _failure(self, writes: bool) -> Transient:
        kind = self._stage.random.randrange(4)
        if kind == 0:
            return RateLimited("HubSpot's rate limit", delay=self._stage.random.choice([1.0, 10.0]))
        return (OutcomeUnknown if writes and kind == 1 else Unavailable)("HubSpot did not answer")

    def _return(self, writes: bool) -> None:
        weather, random = self._weather, self._stage.random
        if weather.fail_after and random.random() < weather.fail_after:
            raise (OutcomeUnknown if writes else Unavailable)("HubSpot's answer did not arrive")
        if weather.pause and random.random() < weather.pause:
            self._stage.stop()

    @contextmanager
    def _judged(self, door: Door) -> Iterator[None]:
        try:
            yield
        except RateLimited as error:
            self._budget.block(error.delay)
            raise
        except Transient as error:
            self._budget.failed(error, door)
            raise
        self._budget.answered(door)

    def _answer(self, act: Callable[[Answered], Answer], item: Answered) -> Answer:
        try:
            return act(item)
        except HubSpotError as error:
            return refusal_of(self._fields, error.body if isinstance(error.body, dict) else {})


def contact_of(
    fields: Fields, record: Record, answered: Collection[str] | None = None, *, history: bool = False
) -> Contact:
    """Return a record as the core sees it: as it is read, or the `answered` fields only, those that have a value."""
    if answered is None:
        raw = {field: record.get(field) for field in fields.names}
    else:
        raw = {field: record.get(field) for field in fields.only(answered) if record.get(field) is not None}
    # Of what does not go over nobody asks who edited it, and when; but which addresses a person had is asked.
    asked = [field for field in fields.names if field in fields.to_postgres or field == "email"] if history else []
    return Contact(
        id=ContactId(record.id),
        values=fields.canonical(raw),
        created_at=time_of(record.created),
        updated_at=time_of(record.modified),
        archived=record.archived,
        other_addresses=frozenset(a for a in map(normalise_email, record.secondary) if a is not None),
        history={field: _history(fields, record, field) for field in asked},
    )


def _history(fields: Fields, record: Record, field: str) -> tuple[Entry, ...]:
    return tuple(Entry(value=value_of(fields, field, e.value), at=time_of(e.timestamp)) for e in record.entries(field))


def time_of(ms: int) -> datetime:
    """Return a time of HubSpot's."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def millis(at: datetime) -> int:
    """Return a time as HubSpot counts it."""
    return int(at.timestamp() * 1000)
