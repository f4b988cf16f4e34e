"""HubSpot's port, two implementations: the simulation's on a portal, and the gateway on a running sandbox."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from reconciler.adapters.gateway.client import Gateway
from reconciler.core.contact import Contact, ContactId, CustomerId, IntentId, IntentKind, Link, Pair
from reconciler.core.errors import Refused
from reconciler.core.ports import Answer, HubSpot, Sent, Write, Written
from reconciler.core.values import Values
from reconciler.sync.budget import Limits, SharedBudget
from sandbox import Portal, Settings, start
from simulation.clock import Clock
from simulation.hubspot import SimulatedHubSpot, Wire
from simulation.mapped import MAPPED
from simulation.memory.slots import MemoryOutage, MemoryQuota, MemorySlots
from simulation.stage import Stage, Task, Weather

NOBODY = ContactId(1)

MANY = 100_000
"""Calls in a window: no test waits for the budget."""


class Remote:
    """The port and the portal behind it; both live on the clock that moves when it is told to."""

    def __init__(self, portal: Portal, port: HubSpot, clock: Clock) -> None:
        self.portal, self.port, self.clock = portal, port, clock

    def person(self, address: str | None = None, **values: str) -> ContactId:
        """Have somebody create a contact in HubSpot, a second after what was before."""
        self.clock.forward(1)
        properties = values if address is None else {"email": address, **values}
        return ContactId(self.portal.create(properties).id)

    def create(self, *drafts: Values) -> list[Answer]:
        """Create contacts through the port."""
        return self.port.create(drafts)

    def read(self, contact_id: int, *, history: bool = False) -> Contact | None:
        """Return what one id is now."""
        return self.port.read([ContactId(contact_id)], history=history)[ContactId(contact_id)].contact


class Simulated(Remote):
    """Whose creates are the simulation's: it notes for whom each is made."""

    def __init__(self, portal: Portal, port: HubSpot, clock: Clock, stage: Stage) -> None:
        super().__init__(portal, port, clock)
        self._stage = stage

    def create(self, *drafts: Values) -> list[Answer]:
        self._stage.current = Task("create", SimpleNamespace(dead=False), notes={"intend": _sent(drafts)})
        try:
            return super().create(*drafts)
        finally:
            self._stage.current = None


def _sent(drafts: Sequence[Values]) -> list[Sent]:
    pairs = [Pair(link=Link(uuid=CustomerId(uuid4()))) for _ in drafts]
    return [Sent(intent=IntentId(0), write=Write(pair=each, kind=IntentKind.CREATE)) for each in pairs]


def _budget(clock: Clock) -> SharedBudget:
    quota, outage = MemoryQuota(clock.monotonic), MemoryOutage(clock.monotonic)
    slots = MemorySlots(clock.monotonic, outage)
    slots.shape({"all": MANY, "search": MANY})
    limits = Limits(per_10s=MANY, search_per_second=MANY, daily=10**9)
    return SharedBudget(slots, quota, outage, limits, clock.forward, clock.monotonic)


def simulated(**settings: Any) -> Remote:
    """Return the simulation's HubSpot in good weather."""
    clock = Clock()
    portal = Portal(Settings(**settings), clock=clock.hubspot_ms, steady=clock.steady_ms)
    stage = Stage(Random(1), clock, lambda line: None)
    port = SimulatedHubSpot(Wire(portal, MAPPED, MANY, MANY), stage, clock, _budget(clock), Weather())
    return Simulated(portal, port, clock, stage)


@contextmanager
def real(**settings: Any) -> Iterator[Remote]:
    """Run the sandbox and the gateway that speaks with it."""
    clock = Clock()
    with start(clock=clock.hubspot_ms, rate_per_10s=0, search_per_second=0, **settings) as sandbox:
        yield Remote(
            sandbox.portal,
            Gateway(
                fields=MAPPED,
                base_url=sandbox.url,
                token=lambda: sandbox.token,
                budget=_budget(clock),
                sleep=clock.forward,
            ),
            clock,
        )


def written(answer: Answer) -> Contact:
    assert isinstance(answer, Written)
    return answer.contact


def refused(answer: Answer) -> Refused:
    assert isinstance(answer, Refused)
    return answer


def alive(remote: Remote, contact_id: int) -> bool:
    return remote.port.read([ContactId(contact_id)])[ContactId(contact_id)].is_alive


Opened = Callable[..., Remote]
