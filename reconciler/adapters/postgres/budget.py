"""HubSpot calls shared by all processes: one row per call of a window, taken with SKIP LOCKED.

A call takes the slot unused for longest, if that is a window ago: never more calls in any window than slots, and
no row that every process would queue for. Lanes wait for the more urgent ones, but each has a floor of 5 %.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from reconciler.adapters.postgres.database import Database, to_json
from reconciler.core.errors import RateLimited
from reconciler.core.ports import Lane

WINDOWS = {"all": 10.2, "search": 1.05}
"""Seconds of HubSpot's windows, with 2 % and more for calls that bunch on their way."""

LONGEST_WAIT = 60.0
"""Seconds to wait for a call before the work is put off."""

FRESH = 0.1
"""Seconds a reservation may be older than its call without being stamped again."""

GIVE_BACK = 8.0
"""Seconds after which what was not spent is not given back."""

NAP = 0.05
"""Shortest pause between two looks for a free slot, in seconds."""

LOW_LANES_SHARE = 0.8
"""Share of the day's calls at which bulk and audit work stops."""

DAY_SPENT_DELAY = 300.0
"""Seconds until another try when the day's calls are spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The portal's limits."""

    per_10s: int
    search_per_second: int
    daily: int


class _Permit(threading.local):
    lane: Lane = Lane.FRESH
    slots: list[int] | None = None
    taken: float = 0.0


class PostgresBudget:
    """Hands out calls. `sleep` waits a number of seconds."""

    def __init__(self, database: Database, limits: Limits, sleep: Callable[[float], None]) -> None:
        self._database, self._limits, self._sleep = database, limits, sleep
        self._permit = _Permit()

    def shape(self) -> None:
        """Make the slots fit the limits."""
        rates = to_json(
            [{"kind": "all", "rate": self._limits.per_10s}, {"kind": "search", "rate": self._limits.search_per_second}]
        )
        self._database.run("shape_budget", rates=rates)
        self._database.run("trim_budget", rates=rates)

    @contextmanager
    def reserve(self, lane: Lane, calls: int) -> Iterator[None]:
        outer = self._permit.lane
        self._permit.lane = lane
        self._permit.slots = self._take("all", lane, calls)
        self._permit.taken = monotonic()
        try:
            yield
        finally:
            unspent, self._permit.slots = self._permit.slots, None
            self._permit.lane = outer
            # Slots held for longer than a window may be somebody else's by now.
            if unspent and monotonic() - self._permit.taken < GIVE_BACK:
                self._database.run("give_slots", kind="all", slots=unspent)

    def spend(self, *, search: bool = False) -> None:
        """Use one call, of those reserved by this thread while there are any."""
        if search:
            self._take("search", self._permit.lane, 1)
        if self._permit.slots:
            slot = self._permit.slots.pop()
            if monotonic() - self._permit.taken > FRESH:
                # The window begins with the call, not with its reservation.
                self._database.run("stamp_slot", slot=slot)
        else:
            self._take("all", self._permit.lane, 1)
        self._count_day()

    def block(self, delay: float, *, search: bool = False) -> None:
        """Stop all calls for `delay` seconds: HubSpot said 429."""
        kind = "search" if search else "all"
        self._database.run("block_slots", kind=kind, delay=delay, window=WINDOWS[kind])

    def _take(self, kind: str, lane: Lane, calls: int) -> list[int]:
        slots: list[int] = []
        deadline = monotonic() + LONGEST_WAIT
        while True:
            slots += self._try(kind, lane, calls - len(slots))
            if len(slots) == calls:
                return slots
            if monotonic() > deadline:
                self._database.run("give_slots", kind=kind, slots=slots)
                raise RateLimited("no HubSpot call free", delay=10.0)
            self._wait(kind, lane)

    def _try(self, kind: str, lane: Lane, calls: int) -> list[int]:
        rows = self._database.rows("take_slots", kind=kind, lane=int(lane), calls=calls, window=WINDOWS[kind])
        return [row["n"] for row in rows]

    def _wait(self, kind: str, lane: Lane) -> None:
        self._database.run("want_slots", lane=int(lane))
        row = self._database.row("next_slot", kind=kind, window=WINDOWS[kind])
        self._sleep(min(max(row["wait"] if row else NAP, NAP), 1.0))

    def _count_day(self) -> None:
        row = self._database.row("count_day", calls=1)
        share = LOW_LANES_SHARE if self._permit.lane >= Lane.BULK else 1.0
        if row is not None and row["calls"] > self._limits.daily * share:
            self._database.run("count_day", calls=-1)
            raise RateLimited("the day's HubSpot calls are spent", delay=DAY_SPENT_DELAY)
