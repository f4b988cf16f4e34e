"""The store in memory, as the contract tests use it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random

from stores import IntentState, LinkState, Loser, MarkState, Store

from reconciler.core.brake import Limits
from reconciler.core.contact import CustomerId
from reconciler.core.ports import Brakes
from reconciler.core.values import Value
from simulation.clock import Clock
from simulation.mapped import MAPPED
from simulation.memory.customer_store import MemoryCustomerStore
from simulation.memory.gates import MemoryGates
from simulation.memory.marks import MemoryMarks
from simulation.memory.outbox import MemoryOutbox
from simulation.memory.pairs import MemoryPairs
from simulation.memory.records import MemoryRecords
from simulation.memory.slots import MemoryOutage, MemoryQuota, MemorySlots
from simulation.memory.tables import Rule, Tables


class InMemory(Store):
    """The simulation's store on a clock that moves when it is told to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.tables = Tables(self.clock.now, Random(1), MAPPED)
        self.marks, self.pairs = MemoryMarks(self.tables), MemoryPairs(self.tables)
        self.outbox, self.gates = MemoryOutbox(self.tables), MemoryGates(self.tables)
        self.records, self.customer_store = MemoryRecords(self.tables), MemoryCustomerStore(self.tables)
        self.quota, self.outage = MemoryQuota(self.clock.monotonic), MemoryOutage(self.clock.monotonic)
        self.slots = MemorySlots(self.clock.monotonic, self.outage)

    def limited(self, limits: Limits) -> Brakes:
        return MemoryRecords(self.tables, limits)

    def insert(self, **values: Value) -> CustomerId:
        uuid = self.tables.new_uuid()
        self.tables.insert(uuid, values)
        return uuid

    def update(self, uuid: CustomerId, **values: Value) -> None:
        self.tables.update(uuid, values)

    def remove(self, uuid: CustomerId) -> None:
        self.tables.remove(uuid)

    def restore(self, uuid: CustomerId) -> None:
        self.tables.restore(uuid)

    def delete(self, uuid: CustomerId) -> None:
        self.tables.delete(uuid)

    @contextmanager
    def held(self, uuid: CustomerId) -> Iterator[None]:
        self.tables.held.add(uuid)
        try:
            yield
        finally:
            self.tables.held.discard(uuid)

    @contextmanager
    def hidden(self, uuid: CustomerId) -> Iterator[None]:
        self.tables.hide([uuid])
        yield
        self.tables.show()

    @contextmanager
    def forbidden(self, field: str, ending: str) -> Iterator[None]:
        self.tables.rule = Rule(field, ending)
        try:
            yield
        finally:
            self.tables.rule = None

    def bury(self, address: str) -> None:
        self.tables.tombstones.add(address)

    def pass_time(self, seconds: float) -> None:
        self.clock.forward(seconds)

    def links(self) -> Mapping[CustomerId, LinkState]:
        return {
            uuid: LinkState(
                contact=link.contact,
                base=dict(link.base),
                alive=link.alive,
                newest_seen=link.newest_seen,
                merged_through=link.merged_through,
                stale_reads=link.stale_reads,
                blocks={field: str(why.reason) for field, why in link.blocks.items()},
                blind_pushes={field: (push.since, push.base, push.sent) for field, push in link.blind_pushes.items()},
                edited=frozenset(link.edited),
                is_detached=link.detached,
                privacy=link.privacy,
                is_leased=self.tables.is_leased(link),
            )
            for uuid, link in self.tables.links.items()
        }

    def marked(self) -> Mapping[str, MarkState]:
        now = self.tables.now()
        return {
            subject: MarkState(
                due_in=max((mark.due - now).total_seconds(), 0.0),
                lane=mark.lane,
                attempts=mark.attempts,
                crashes=mark.crashes,
                privacy=mark.privacy,
            )
            for subject, mark in self.tables.marks.items()
        }

    def intents(self) -> list[IntentState]:
        now = self.tables.now()
        return [
            IntentState(
                uuid=each.uuid,
                kind=each.kind,
                values=dict(each.values),
                hubspot_first=each.hubspot_first,
                is_reserved=each.reserved is not None,
                is_overdue=each.is_overdue or each.deadline < now,
            )
            for each in self.tables.intents.values()
        ]

    def losers(self) -> set[Loser]:
        return {(each.uuid, each.field, each.kept or "", each.lost or "") for each in self.tables.losers}

    def aliases(self) -> Mapping[int, tuple[CustomerId | None, str]]:
        return dict(self.tables.aliases)
