"""One lock, one time and one transaction for whatever a request does to the portal.

Inside `session` changes are made at once and remembered; a refusal undoes all of them, success writes them to
the state file and hands the events on. Nothing here waits for a network.
"""

import heapq
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

from sandbox.clock import Clock, steady_ms
from sandbox.contact import Contact, Origin
from sandbox.events import Event, is_subscribed
from sandbox.records import Records
from sandbox.search_index import SearchIndex
from sandbox.settings import Switches
from sandbox.store import Batch, Store

_FIRST_ID = 874_716_779_000
_FIRST_EVENT = 3_944_863_254


class Ledger:
    """The contacts with everything a change has to keep in step."""

    def __init__(
        self, switches: Switches, records: Records, clock: Clock, store: Store | None, steady: Clock = steady_ms
    ) -> None:
        self.records = records
        self.index = SearchIndex()
        self.random = Random(switches.current.seed)
        self.clock, self.steady = clock, steady
        self.revision = 0
        self._switches = switches
        self._store = store
        self._lock = threading.RLock()
        self._now: int | None = None
        self._batch = Batch()
        self._before: dict[int, Contact | None] = {}
        self._touches: list[tuple[int, int]] = []
        self._last_id = _FIRST_ID
        self._last_event = 0
        self._deliver: Callable[[list[Event]], None] = lambda events: None

    def deliver_to(self, deliver: Callable[[list[Event]], None]) -> None:
        """Name the receiver of committed events; it must not wait."""
        self._deliver = deliver

    def load(self) -> list[Event]:
        """Read the state file; return the events that were not delivered."""
        if self._store is None:
            return []
        contacts = self._store.contacts()
        self.records.load(contacts)
        self.records.aliases = self._store.aliases()
        self.records.blocklist = self._store.blocklist()
        self.index.load([contact for contact in contacts if not contact.archived])
        facts = self._store.facts()
        self._last_id = facts.get("last_id", _FIRST_ID)
        self._last_event = facts.get("last_event", 0)
        return self._store.events()

    @contextmanager
    def session(self) -> Iterator[int]:
        """Hold the portal for one request and yield its time; inner sessions join the outer one."""
        with self._lock:
            if self._now is not None:
                yield self._now
                return
            self._now = self.clock()
            try:
                self._touch_due(self._now)
                yield self._now
                self._commit()
            except BaseException:
                self._undo()
                raise
            finally:
                self._now, self._batch, self._before = None, Batch(), {}

    def put(self, contact: Contact) -> Contact:
        """Store a version of a contact."""
        self._before.setdefault(contact.id, self.records.contacts.get(contact.id))
        self.records.put(contact)
        self._batch.contacts[contact.id] = contact
        return contact

    def remove(self, contact_id: int) -> None:
        """Forget a contact."""
        self._before.setdefault(contact_id, self.records.contacts[contact_id])
        self.records.remove(contact_id)
        self._batch.contacts[contact_id] = None

    def alias(self, old: int, new: int) -> None:
        """Let an absorbed id lead to its survivor."""
        self.records.aliases[old] = new
        self._batch.aliases[old] = new

    def block(self, addresses: tuple[str, ...]) -> None:
        """Keep erased addresses from being used again."""
        new = set(addresses) - self.records.blocklist
        self.records.blocklist |= new
        self._batch.blocklist.extend(new)

    def emit(self, kind: str, object_id: int, by: Origin, **details: Any) -> None:
        """Record an event of this session's time."""
        assert self._now is not None
        self._last_event += 1
        event = Event(
            number=self._last_event,
            event_id=self._event_id(),
            kind=kind,
            object_id=object_id,
            occurred_at=self._now,
            origin=by,
            **details,
        )
        if is_subscribed(event, self._switches.current):
            self._batch.events.append(event)

    def emit_values(self, contact_id: int, values: Mapping[str, str], by: Origin) -> None:
        """Record a propertyChange for each value."""
        for name, value in values.items():
            self.emit("propertyChange", contact_id, by, name=name, value=value)

    def new_id(self) -> int:
        """Return an id that was never used; ids rise, with gaps."""
        self._last_id += self.random.randint(1, 3)
        return self._last_id

    def between(self, low: int, high: int) -> int:
        """Return a random delay, or the lower bound when there is no range."""
        return self.random.randint(low, high) if high > low else low

    def touch_later(self, contact_id: int, now: int) -> None:
        """Arrange for the background processing of a new contact, if that is switched on."""
        settings = self._switches.current
        if settings.touch_ms or settings.touch_max_ms:
            due = now + self.between(settings.touch_ms, settings.touch_max_ms)
            heapq.heappush(self._touches, (due, contact_id))

    def clear(self) -> None:
        """Forget every contact; ids go on rising."""
        with self._lock:
            if self._store is not None:
                self._store.clear()
            self.records.clear()
            self.index = SearchIndex()
            self._touches.clear()

    def _event_id(self) -> int:
        repeats = self.random.random() < self._switches.current.webhook_same_event_id
        return _FIRST_EVENT if repeats else _FIRST_EVENT + self._last_event

    def _touch_due(self, now: int) -> None:
        while self._touches and self._touches[0][0] <= now:
            due, contact_id = heapq.heappop(self._touches)
            contact = self.records.contacts.get(contact_id)
            if contact is not None and not contact.archived and contact.modified < due:
                self.put(replace(contact, modified=due))

    def _commit(self) -> None:
        batch = self._batch
        if not batch:
            return
        batch.facts = {"last_id": self._last_id, "last_event": self._last_event}
        if self._store is not None:
            self._store.save(batch, with_events=self._sends_webhooks())
        self.revision += len(batch.contacts)
        due = self._index_due()
        for contact_id, contact in batch.contacts.items():
            self.index.note(contact_id, None if contact is None or contact.archived else contact, due())
        self._deliver(batch.events)

    def _sends_webhooks(self) -> bool:
        settings = self._switches.current
        return settings.webhook_url is not None and not settings.webhook_mute

    def _index_due(self) -> Callable[[], int | None]:
        settings = self._switches.current
        low, high = settings.index_lag_ms, settings.index_lag_max_ms
        return lambda: self.steady() + self.between(low, high) if low or high else None

    def _undo(self) -> None:
        for old in self._batch.aliases:
            self.records.aliases.pop(old, None)
        self.records.blocklist.difference_update(self._batch.blocklist)
        for contact_id in self._batch.contacts:
            if contact_id in self.records.contacts:
                self.records.remove(contact_id)
        for contact in self._before.values():
            if contact is not None:
                self.records.put(contact)
