"""Hours that pass in seconds: the database's times are moved back instead of waiting, for all processes at once."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from clocks import move_back
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.core.errors import Transient
from reconciler.core.ports import Lane
from reconciler.process import wiring
from reconciler.process.wiring import Parts

TICK = 5.0
"""Seconds between two turns of a process."""


def pass_time(world: World, seconds: float) -> None:
    move_back(world.connection, seconds)


class Process:
    """A reconciler process, one turn at a time."""

    def __init__(self, parts: Parts, poll_interval: float) -> None:
        self.parts = parts
        self._poll_interval = poll_interval

    def turn(self) -> None:
        """Do what is due; what fails for now is put off, as the schedule does it."""
        for job in (self._drain, self._poll):
            try:
                job()
            except Transient:
                continue

    def _drain(self) -> None:
        while self.parts.reconciler.drain_once(tuple(Lane)):
            pass

    def _poll(self) -> None:
        records = self.parts.records
        if records.take("poll", every=self._poll_interval * 0.9, stale=60.0):
            try:
                self.parts.poll.recent()
                records.beat("poll")
            finally:
                records.leave("poll")


class Hours:
    """`processes` work while time passes; `calls` has the second of every HubSpot call."""

    def __init__(self, world: World, stack: ExitStack, processes: int) -> None:
        self.world = world
        self._moved, self._began = 0.0, time.monotonic()
        self.calls: list[float] = []
        self._noticed = world.portal.calls.total
        self.processes = [Process(self.parts(stack), world.settings.poll_interval) for _ in range(processes)]

    @classmethod
    @contextmanager
    def of(cls, world: World, *, processes: int) -> "Iterator[Hours]":
        with ExitStack() as stack:
            yield cls(world, stack, processes)

    def parts(self, stack: ExitStack, **settings: Any) -> Parts:
        """The parts of one more process, with a pool of its own, whose pauses pass here."""
        pool = stack.enter_context(open_pool(self.world.dsn, size=4))
        return wiring.build(self.world.settings.model_copy(update=settings), Database(pool), self.sleep)

    def sleep(self, seconds: float) -> None:
        """Time passes while a process waits."""
        self.notice()
        pass_time(self.world, seconds)
        self._moved += seconds

    @property
    def elapsed(self) -> float:
        """Seconds that have passed for the database: those it was moved by, and those that a slow machine took."""
        return self._moved + time.monotonic() - self._began

    def notice(self) -> None:
        """Note the calls made since the last look as made now."""
        total = self.world.portal.calls.total
        self.calls += [self.elapsed] * (total - self._noticed)
        self._noticed = total

    def forget(self) -> None:
        """Begin to count from here."""
        self.notice()
        self.calls.clear()

    def let(self, seconds: float, *, until: Callable[[], object] = lambda: False) -> bool:
        """Let this much time pass while the processes work, or less if it comes true; return whether it did."""
        end = self.elapsed + seconds
        while self.elapsed < end:
            for process in self.processes:
                process.turn()
                self.notice()
            if until():
                return True
            self.sleep(TICK)
        return False

    def assert_only_probes(self, *, after: int, every: float) -> None:
        """All calls but the first few came one at a time, each at least this long after the one before."""
        probes = self.calls[after - 1 :]
        pauses = [late - early for early, late in zip(probes, probes[1:], strict=False)]
        assert all(pause >= every - 1 for pause in pauses), f"calls at {self.calls[:40]}"
