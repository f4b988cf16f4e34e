"""The way of events to the app: planned, batched, signed, sent, repeated.

Events wait in a heap by the moment they are due; a few workers take up to a hundred at a time. Order is not
kept, an event may come twice, and after the last attempt it is gone: as with HubSpot.
"""

import heapq
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from sandbox.clock import Clock, steady_ms
from sandbox.events import Event, payload
from sandbox.post import Poster
from sandbox.settings import Settings, Switches
from sandbox.signing import headers
from sandbox.store import Store

_AGENT = "HubSpot Connect 2.0 (http://dev.hubspot.com/)"


@dataclass(slots=True)
class Delivery:
    """An event on its way; state is waiting, sending, delivered, failed, dropped, muted or unsent."""

    event: Event
    state: str = "waiting"
    attempt: int = 0
    answer: int | None = None

    def to_json(self, settings: Settings) -> dict[str, Any]:
        """Return the event with how it fares."""
        fate = {"state": self.state, "attempt": self.attempt, "answer": self.answer}
        return fate | {"event": payload(self.event, self.attempt, settings)}


class Outbox:
    """All events ever made, as far as they are kept, and those still to be sent."""

    def __init__(self, switches: Switches, clock: Clock, store: Store | None) -> None:
        self._switches = switches
        self._clock = clock
        self._store = store
        self._random = Random(switches.current.seed)
        self._poster = Poster()
        self._changed = threading.Condition()
        self._log: deque[Delivery] = deque()
        self._due: list[tuple[int, int, Delivery]] = []
        self._pushed = 0
        self._in_flight = 0
        self._requests = 0
        self._workers: list[threading.Thread] = []
        self._closed = False

    def accept(self, events: Iterable[Event]) -> None:
        """Plan the sending of new events."""
        with self._changed:
            given_up = [event.number for event in events if not self._plan(event)]
            self._changed.notify_all()
        # Without a target nothing was stored, so there is nothing to forget.
        if given_up and self._switches.current.webhook_url:
            self._settle(given_up)

    def redeliver(self) -> int:
        """Send every remembered event again, as first attempts; return how many."""
        with self._changed:
            events = list({delivery.event.number: delivery.event for delivery in self._log}.values())
            for event in events:
                self._push(Delivery(event), 0)
            self._changed.notify_all()
            return len(events)

    def wake(self) -> None:
        """Look at the settings again."""
        with self._changed:
            self._changed.notify_all()

    @property
    def deliveries(self) -> list[Delivery]:
        """What became of each event, oldest first."""
        with self._changed:
            return list(self._log)

    @property
    def waiting(self) -> int:
        """How many events are still to be sent or being sent."""
        with self._changed:
            return len(self._due) + self._in_flight

    def wait_until_idle(self, timeout: float = 10) -> bool:
        """Wait until every event was delivered or given up; False when that takes too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._due and not self._in_flight, timeout)

    def clear(self) -> None:
        """Forget every event."""
        with self._changed:
            self._log.clear()
            self._due.clear()
            self._changed.notify_all()

    def close(self) -> None:
        """Stop; events that were not delivered stay in the state file."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._poster.close()
        for worker in self._workers:
            worker.join(timeout=2)

    def _plan(self, event: Event) -> bool:
        """Log an event and put it on its way; return whether it is on its way."""
        settings = self._switches.current
        delivery = Delivery(event, self._fate(settings))
        self._remember(delivery, settings)
        if delivery.state != "waiting":
            return False
        self._push(delivery, self._delay(settings))
        if self._random.random() < settings.webhook_duplicate:
            self._push(Delivery(event), self._delay(settings))
        return True

    def _fate(self, settings: Settings) -> str:
        if settings.webhook_url is None:
            return "unsent"
        if settings.webhook_mute:
            return "muted"
        return "dropped" if self._random.random() < settings.webhook_drop else "waiting"

    def _remember(self, delivery: Delivery, settings: Settings) -> None:
        self._log.append(delivery)
        while len(self._log) > settings.events_kept:
            self._log.popleft()

    def _delay(self, settings: Settings) -> int:
        low, high = settings.webhook_delay_ms, settings.webhook_delay_max_ms
        return self._random.randint(low, high) if high > low else low

    def _push(self, delivery: Delivery, delay: int) -> None:
        self._pushed += 1
        heapq.heappush(self._due, (steady_ms() + delay, self._pushed, delivery))
        self._start_workers()

    def _start_workers(self) -> None:
        while len(self._workers) < self._switches.current.webhook_concurrency and not self._closed:
            name = f"sandbox-webhook-{len(self._workers)}"
            worker = threading.Thread(target=self._work, name=name, daemon=True)
            self._workers.append(worker)
            worker.start()

    def _work(self) -> None:
        while batch := self._next():
            self._send(batch)

    def _next(self) -> list[Delivery]:
        """Wait for events that are due; an empty list means the end."""
        with self._changed:
            while not self._closed:
                batch = self._take(self._switches.current)
                if batch:
                    return batch
                self._changed.wait(self._until_next())
            return []

    def _until_next(self) -> float | None:
        if not self._due or not self._may_send(self._switches.current):
            return None
        return max(0, self._due[0][0] - steady_ms()) / 1000 + 0.001

    def _may_send(self, settings: Settings) -> bool:
        return settings.webhook_url is not None and self._requests < settings.webhook_concurrency

    def _take(self, settings: Settings) -> list[Delivery]:
        if not self._may_send(settings):
            return []
        batch = self._pop_due(None if settings.webhook_reorder else settings.webhook_batch)
        if settings.webhook_reorder:
            self._random.shuffle(batch)
            for delivery in batch[settings.webhook_batch :]:
                self._push(delivery, 0)
            batch = batch[: settings.webhook_batch]
        self._in_flight += len(batch)
        self._requests += bool(batch)
        return batch

    def _pop_due(self, most: int | None) -> list[Delivery]:
        now = steady_ms()
        taken: list[Delivery] = []
        while self._due and self._due[0][0] <= now and (most is None or len(taken) < most):
            taken.append(heapq.heappop(self._due)[2])
        return taken

    def _send(self, batch: list[Delivery]) -> None:
        settings = self._switches.current
        for delivery in batch:
            delivery.state = "sending"
        body = orjson.dumps([payload(each.event, each.attempt, settings) for each in batch])
        answer = self._post(settings, body)
        with self._changed:
            done = [each.event.number for each in batch if self._conclude(each, answer, settings)]
        # Forgotten before the outbox counts as idle, so that nothing is sent again by a later start.
        self._settle(done)
        with self._changed:
            self._in_flight -= len(batch)
            self._requests -= 1
            self._changed.notify_all()

    def _post(self, settings: Settings, body: bytes) -> int:
        url, now = settings.webhook_url or "", self._clock()
        signed = headers(settings.client_secret, url, body, now)
        sent = {"Content-Type": "application/json", "User-Agent": _AGENT, **signed}
        return self._poster.post(url, body, sent, settings.webhook_timeout_ms / 1000)

    def _conclude(self, delivery: Delivery, answer: int, settings: Settings) -> bool:
        """Note the outcome, plan a retry if there is one to come; return whether this was the end."""
        delivery.answer = answer
        if 200 <= answer < 300:
            delivery.state = "delivered"
            return True
        if delivery.attempt + 1 >= settings.webhook_attempts:
            delivery.state = "failed"
            return True
        delivery.attempt += 1
        delivery.state = "waiting"
        if not self._closed:
            self._push(delivery, self._retry_delay(delivery.attempt, settings))
        return False

    def _retry_delay(self, attempt: int, settings: Settings) -> int:
        delay = min(
            settings.webhook_retry_ms * settings.webhook_retry_factor ** (attempt - 1),
            settings.webhook_retry_max_ms,
        )
        return round(delay * self._random.uniform(0.5, 1))

    def _settle(self, numbers: list[int]) -> None:
        if self._store is not None and numbers and not self._closed:
            self._store.settle(numbers)
