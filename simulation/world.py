"""One run: both sides, the processes between them, and what happens to all of these, drawn from one seed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

import orjson

from reconciler.core.contact import ContactId
from reconciler.core.context import Rules
from reconciler.core.ports import Lane, Subject
from reconciler.core.values import Value
from reconciler.sync.budget import Limits, SharedBudget
from reconciler.sync.reconcile import Reconciler
from reconciler.sync.sender import Sender
from reconciler.sync.witness import Witness
from reconciler.sync.write_through import WriteThrough
from reconciler.walks.poll import Poll
from reconciler.walks.sweep import Sweep
from sandbox.events import Event, payload
from sandbox.portal import Portal
from sandbox.settings import Settings
from simulation.clock import Clock
from simulation.hubspot import SimulatedHubSpot, Wire
from simulation.mapped import TYPED, drawn
from simulation.memory.customer_store import MemoryCustomerStore
from simulation.memory.gates import MemoryGates
from simulation.memory.marks import MemoryMarks
from simulation.memory.outbox import MemoryOutbox
from simulation.memory.pairs import MemoryPairs
from simulation.memory.records import MemoryRecords
from simulation.memory.slots import MemoryOutage, MemoryQuota, MemorySlots
from simulation.memory.tables import Tables
from simulation.oracle import Oracle
from simulation.owner import Owner
from simulation.people import People
from simulation.stage import Stage, Task, Watched, Weather
from webhook.events import read

PER_10S = 40
PER_SECOND = 5
OVERLAP = 120.0
SECOND_LOOK = 3600.0


class Process:
    """One process of the sync: its own budget's memory and its own objects, on the shared store."""

    def __init__(self, world: "World") -> None:
        stage, clock = world.stage, world.clock
        weather = world.wire_weather
        marks, pairs = world.watched(world.marks), world.watched(world.pairs)
        outbox, gates = world.watched(world.outbox), world.watched(world.gates)
        records, self.customer_store = world.watched(world.records), world.watched(world.customer_store)
        limits = Limits(per_10s=PER_10S, search_per_second=PER_SECOND, daily=10**9)
        budget = SharedBudget(world.slots, world.quota, world.outage, limits, stage.sleep, clock.monotonic)
        hubspot = SimulatedHubSpot(world.wire, stage, clock, budget, weather)
        self.reconciler = Reconciler(
            marks=marks,
            pairs=pairs,
            outbox=outbox,
            gates=gates,
            hubspot=hubspot,
            brakes=records,
            budget=budget,
            rules=lambda: world.rules,
            witness=Witness(hubspot, records, clock.monotonic),
            clock=clock.monotonic,
        )
        self.api = WriteThrough(
            customer_store=self.customer_store,
            marks=marks,
            pairs=pairs,
            sender=Sender(outbox, hubspot, clock.monotonic),
            budget=budget,
            reconciler=self.reconciler,
            fields=world.rules.fields,
            sleep=stage.sleep,
            pushes_deletes=world.rules.deletes_outbound,
            clock=clock.monotonic,
        )
        self.poll = Poll(
            hubspot=hubspot, records=records, budget=budget, overlap=OVERLAP, second_look=SECOND_LOOK, now=clock.now
        )
        self.sweep = Sweep(
            hubspot=hubspot,
            records=records,
            marks=marks,
            gates=gates,
            budget=budget,
            reconciler=self.reconciler,
            rate=10.0,
            walkers=1,
        )


class World:
    """Everything of one run. `wild`: addresses collide, records are merged, restored, erased; mappings differ."""

    def __init__(self, seed: int, *, trace: Callable[[str], None] = lambda line: None) -> None:
        self.random = random = Random(seed)
        self.wild = random.random() < 0.6
        self.clock = Clock()
        self.clock.skew = timedelta(seconds=random.choice([0, 0, -200, 200]))
        self.trace = trace
        self.stage = Stage(random, self.clock, trace)
        self.weather, self.wire_weather = Weather(), Weather()
        fields = drawn(random, wild=self.wild)
        self.tables = Tables(self.clock.now, random, fields)
        self.marks, self.pairs = MemoryMarks(self.tables), MemoryPairs(self.tables)
        self.outbox, self.gates = MemoryOutbox(self.tables), MemoryGates(self.tables)
        self.records, self.customer_store = MemoryRecords(self.tables), MemoryCustomerStore(self.tables)
        self.quota, self.outage = MemoryQuota(self.clock.monotonic), MemoryOutage(self.clock.monotonic)
        self.slots = MemorySlots(self.clock.monotonic, self.outage)
        self.slots.shape({"all": PER_10S, "search": PER_SECOND})
        self.portal = Portal(_settings(random, seed), clock=self.clock.hubspot_ms, steady=self.clock.steady_ms)
        self.wire = Wire(self.portal, fields, PER_10S, PER_SECOND, self._is_agreed)
        self.rules = Rules(fields=fields, skew=self.clock.skew)
        self.oracle = Oracle(fields)
        self.erased_contacts: set[int] = set()
        self.restored_contacts: set[int] = set()
        self.lost_in_erased: set[int] = set()
        self.events: list[Event] = []
        self.waiting: list[Event] = []
        self.is_lossy = random.random() < 0.5
        self.portal.ledger.deliver_to(self._hear)
        self.processes = [Process(self) for _ in range(3)]
        self.people = People(self, random, wild=self.wild)
        self.owner = Owner(self, random, wild=self.wild)

    def _is_agreed(self, contact: int, field: str, value: Value) -> bool:
        link = self.tables.owner(ContactId(contact))
        return link is not None and link.base.get(field) == value

    def watched(self, port: object) -> Any:
        return Watched(port, self.stage, self.weather, of_table=port in (self.pairs, self.customer_store))

    @property
    def api(self) -> WriteThrough:
        """The API of one of the processes."""
        return self.random.choice(self.processes).api

    def _hear(self, events: list[Event]) -> None:
        self.events += events
        self.waiting += events

    # What happens.

    def run(self, steps: int) -> None:
        """Let `steps` things happen."""
        self.weather.pause = self.wire_weather.pause = 0.3
        acts: list[tuple[Callable[[], bool], int]] = [
            *self.people.acts,
            *self.owner.acts,
            (self.deliver, 20),
            (self.work, 12),
            (self.go_on, 60),
            (self.pass_time, 6),
            (self.die, 1),
            (self.turn_weather, 1),
            (self.look_for_changes, 2),
            (self.look_again, 1),
            (self.look_at_all, 1),
        ]
        todo, weights = [act for act, _ in acts], [weight for _, weight in acts]
        for act in self.random.choices(todo, weights, k=steps):
            self.clock.forward(self.random.random() * 0.2)
            if act():
                self.trace(act.__name__)

    def deliver(self) -> bool:
        """An event arrives: late, twice, out of order, or never."""
        if not self.waiting:
            return False
        event = self.random.choice(self.waiting)
        chance = self.random.random()
        if chance > 0.15:
            self.waiting.remove(event)
        # Only a privacy deletion cannot be found out in any other way.
        if not (self.is_lossy and chance > 0.95 and event.kind != "privacyDeletion"):
            self.arrive(event)
        return True

    def arrive(self, event: Event) -> None:
        """What the receiver does with one event."""
        settings = self.portal.settings
        body = orjson.dumps([payload(event, 0, settings)])
        delivery = read(body, portal_id=settings.portal_id, app_id=settings.app_id)
        public = delivery.contacts - delivery.private
        self.marks.mark({Subject.contact(each) for each in public}, lane=Lane.FRESH)
        self.marks.mark({Subject.contact(each) for each in delivery.private}, lane=Lane.FRESH, privacy=True)

    def work(self) -> bool:
        process = self.random.choice(self.processes)
        return self._begin("drain", lambda: process.reconciler.drain_once(tuple(Lane)))

    def look_for_changes(self) -> bool:
        process = self.random.choice(self.processes)
        return self._alone("poll", process.poll.recent)

    def look_again(self) -> bool:
        process = self.random.choice(self.processes)
        return self._alone("poll again", process.poll.again)

    def look_at_all(self) -> bool:
        process = self.random.choice(self.processes)
        return self._alone("sweep", process.sweep.run)

    def _begin(self, name: str, work: Callable[[], object]) -> bool:
        if sum(task.name == name for task in self.stage.tasks) >= 3:
            return False
        self.stage.start(name, work)
        return True

    def _alone(self, name: str, work: Callable[[], object]) -> bool:
        """Begin a job of which one process is enough."""
        return all(task.name != name for task in self.stage.tasks) and self._begin(name, work)

    def go_on(self) -> bool:
        ready = [task for task in self.stage.tasks if task.wakes <= self.clock.seconds]
        if ready:
            self.stage.resume(self.random.choice(ready))
        return bool(ready)

    def pass_time(self) -> bool:
        self.clock.forward(self.random.choice([1, 1, 5, 10, 31, 46, 70, 4000]))
        return True

    def die(self) -> bool:
        if not self.stage.tasks:
            return False
        self.stage.kill(self.random.choice(self.stage.tasks))
        return True

    def turn_weather(self) -> bool:
        bad = self.random.choice([0.0, 0.0, 0.1, 0.5])
        for weather in (self.weather, self.wire_weather):
            weather.fail_before = weather.fail_after = bad * self.random.choice([0, 1])
        return True

    # And what ends it.

    def calm_down(self) -> None:
        """No more faults: everything under way ends, every event arrives."""
        self.owner.leave_in_peace()
        for weather in (self.weather, self.wire_weather):
            weather.pause = weather.fail_before = weather.fail_after = 0.0
        for task in list(self.stage.tasks):
            self._end(task)
        while self.waiting:
            self.arrive(self.waiting.pop())

    def _end(self, task: Task) -> None:
        if self.random.random() < 0.2:
            self.stage.kill(task)
        else:
            self.stage.finish(task)

    def settle(self, *, rounds: int = 400) -> bool:
        """Work until nothing is left to do; False if that does not end."""
        process = self.processes[0]
        for _ in range(rounds):
            self.do("drain", lambda: process.reconciler.drain_once(tuple(Lane)))
            due = self._next_due()
            if due is None:
                return True
            self.clock.forward(max((due - self.clock.now()).total_seconds(), 0.5))
        return False

    def _next_due(self) -> datetime | None:
        tables = self.tables
        if tables.dirty:
            return self.clock.now()
        times = [mark.due for mark in tables.marks.values()]
        times += [intent.deadline for intent in tables.intents.values()]
        return min(times, default=None)

    def do(self, name: str, work: Callable[[], object]) -> None:
        """Do one piece of work from beginning to end."""
        self.stage.finish(self.stage.start(name, work))

    def search_all(self) -> None:
        """Poll, look again and sweep, with the search index up to date."""
        self.clock.forward(2 * SECOND_LOOK)
        process = self.processes[0]
        self.do("poll", process.poll.recent)
        self.do("poll again", process.poll.again)
        self.do("sweep", process.sweep.run)

    def tell_again(self) -> None:
        """Every event there ever was arrives once more, and everything is marked."""
        for event in self.events:
            self.arrive(event)
        records = self.portal.ledger.records
        self.marks.mark({Subject.contact(ContactId(each)) for each in records.contacts}, lane=Lane.FRESH)
        self.marks.mark({Subject.customer(uuid) for uuid in self.tables.customers}, lane=Lane.FRESH)


def _settings(random: Random, seed: int) -> Settings:
    lag = random.choice([0, 0, 8_000, 600_000])
    return Settings.model_construct(
        **{
            **DEFAULTS,
            "seed": seed,
            "index_lag_max_ms": lag,
            "preserve_primary_id": random.random() < 0.3,
            "webhook_same_event_id": random.choice([0.0, 0.5]),
            "merge_creation_event": random.random() < 0.5,
            "restore_taken": random.choice(["refuse", "drop_email"]),
            "update_conflict": random.choice(["409", "400"]),
            "echo_ignored_stage": random.random() < 0.3,
        }
    )


DEFAULTS = {**Settings().model_dump(), "custom_properties": tuple(TYPED.values())}
