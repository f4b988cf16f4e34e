"""HubSpot calls shared by all processes: so many in any window, urgent lanes first, none while HubSpot is down.

A call takes the slot unused for longest, if that is a window ago: never more calls in any window than slots. When
HubSpot fails several times in a row for causes of its own, no call is made but one probe at a time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from math import ceil
from threading import Lock
from time import monotonic

from reconciler.core.errors import NotNow, OtherAccount, PathUnknown, QuotaSpent, ScopeMissing, Transient
from reconciler.core.ports import Door, Lane, Outage, Quota, Slots, Told

WINDOWS = {"all": 10.1, "search": 1.05}
"""Seconds of HubSpot's windows, and a tenth or less for calls that bunch on their way."""

LONGEST_WAIT = 60.0
"""Seconds to wait for a call before the work is put off."""

FRESH = 0.04
"""Seconds a reservation may be older than its call without being stamped again."""

GIVE_BACK = 8.0
"""Seconds after which what was reserved and not spent is neither used nor given back."""

NAP = 0.05
"""Shortest pause between two looks for a free slot, in seconds."""

TURN = 0.005
"""Pause between two looks whether it is this thread's turn, in seconds."""

SPREAD = 7
"""The part of a window's calls that a lane below the interactive one takes in a tenth of the window at most.

Were they all taken in its first seconds, an urgent call would find none for the rest of it.
"""

LOW_LANES_SHARE = 0.8
"""Share of the day's calls at which bulk and audit work stops."""

DAY_SPENT_DELAY = 50.0
"""Seconds until another call looks whether HubSpot's day has begun anew when the day's calls are spent."""

SHUT_PAUSE = 30.0
"""Seconds for which a kind of call is not made that was refused for its scope or path."""

HEARING_PAUSE = 5.0
"""Seconds between two looks at what HubSpot says of its limits."""

FIRST_SLOT = 1
"""The slot of a call that looks whether HubSpot is up."""

FAILURES = 3
"""Failures in a row after which HubSpot counts as down."""

PROBE_PAUSE = 30.0
"""Seconds between two probes while HubSpot is down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The portal's limits."""

    per_10s: int
    search_per_second: int
    daily: int


@dataclass(slots=True)
class _Permit:
    """What one thread may call: its lane, the slots it has reserved and not used, or one look whether HubSpot is up."""

    lane: Lane = Lane.FRESH
    slots: list[int] = field(default_factory=list)
    taken: float = 0.0
    is_probe: bool = False


class SharedBudget:
    """Hands out calls. `sleep` waits a number of seconds, `clock` counts them."""

    def __init__(
        self,
        slots: Slots,
        quota: Quota,
        outage: Outage,
        limits: Limits,
        sleep: Callable[[float], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._slots, self._quota, self._outage = slots, quota, outage
        self._limits, self._sleep, self._clock = limits, sleep, clock
        self._permit: ContextVar[_Permit | None] = ContextVar("permit", default=None)
        self._turns = {(kind, lane): Lock() for kind in WINDOWS for lane in Lane}
        # Another process may have failed before, or shut a door: the first good answers say that it is over.
        self._suspect = set(Door)
        self._shut: dict[Door, tuple[float, str]] = dict.fromkeys(Door, (float("-inf"), ""))
        self._hears_again = float("-inf")
        self._blocked = dict.fromkeys(WINDOWS, float("-inf"))

    def shape(self) -> None:
        """Make the slots fit the limits."""
        self._slots.shape({"all": self._limits.per_10s, "search": self._limits.search_per_second})

    def hear(self, told: Told) -> None:
        """Take in what HubSpot says of its limits, where it is less than what was set; now and then is enough."""
        if self._clock() < self._hears_again:
            return
        self._hears_again = self._clock() + HEARING_PAUSE
        if told.per_10s and told.per_10s < self._limits.per_10s:
            self._limits = replace(self._limits, per_10s=told.per_10s)
            self.shape()
        if told.daily and told.daily < self._limits.daily:
            self._limits = replace(self._limits, daily=told.daily)
        if told.daily and told.left_today is not None:
            self._quota.hear(told.daily - told.left_today, left=told.left_today)

    @contextmanager
    def reserve(self, lane: Lane, calls: int) -> Iterator[bool]:
        slots, taken = self._take("all", lane, calls)
        permit = _Permit(lane, slots, taken, is_probe=len(slots) < calls)
        outer = self._permit.set(permit)
        try:
            yield permit.is_probe
        finally:
            self._permit.reset(outer)
            if permit.is_probe:
                self._outage.leave(PROBE_PAUSE)
            if permit.slots and self._clock() - permit.taken < GIVE_BACK:
                self._slots.give("all", permit.slots)

    @property
    def is_looking(self) -> bool:
        permit = self._permit.get()
        return permit is not None and permit.is_probe

    def spend(self, door: Door = Door.READ) -> None:
        """Use one call, of those reserved by this thread while there are any."""
        self._knock(door)
        permit = self._permit.get() or _Permit()
        if not permit.is_probe or permit.slots:
            self._count_day(permit.lane)
        if self._clock() - permit.taken > GIVE_BACK:
            # Slots held for longer than a window may be another process's by now.
            permit.slots.clear()
        since, slots = permit.taken, permit.slots[-1:]
        del permit.slots[-1:]
        is_probe, permit.is_probe = permit.is_probe and not slots, False
        if not slots and not is_probe:
            slots, since = self._take("all", permit.lane, 1)
            is_probe = not slots
        if door is Door.SEARCH and not is_probe:
            self._take("search", permit.lane, 1)
        if is_probe:
            # While HubSpot is down no slot is held; its window begins here.
            self._slots.stamp(FIRST_SLOT)
        elif slots and self._clock() - since > FRESH:
            # The window begins with the call, not with its reservation.
            self._slots.stamp(slots[0])

    def block(self, delay: float, door: Door = Door.READ) -> None:
        """Stop all calls for `delay` seconds: HubSpot said 429.

        For a whole window at the second time within one: then it was no bunching of calls, the limit is less than ours.
        """
        kind = "search" if door is Door.SEARCH else "all"
        if self._clock() - self._blocked[kind] < WINDOWS[kind] + delay:
            delay = max(delay, WINDOWS[kind])
        self._blocked[kind] = self._clock()
        permit = self._permit.get()
        if permit is not None:
            # What was reserved before is not to be used in the pause.
            permit.slots.clear()
        self._slots.block(kind, delay=delay, window=WINDOWS[kind])

    def failed(self, error: Transient, door: Door = Door.READ) -> None:
        """Note that a call failed for a cause of HubSpot's own; a refused token or a long wait stops all at once.

        Where one kind of call is refused, the others go on, but for reads: without them nothing can be decided.
        """
        if isinstance(error, ScopeMissing | PathUnknown | OtherAccount) and door is not Door.READ:
            self._shut[door] = (self._clock() + SHUT_PAUSE, error.reason)
            self._outage.shut(door, error)
            return
        is_certain = error.is_systemic or error.delay > PROBE_PAUSE
        self._suspect = set(Door)
        self._outage.fail(error, after=1 if is_certain else FAILURES, pause=max(error.delay, PROBE_PAUSE))

    def answered(self, door: Door = Door.READ) -> None:
        """Note that HubSpot answered a call as agreed."""
        if self._shut.pop(door, None) is not None:
            self._outage.open(door)
        if door in self._suspect:
            # Only a read says that all is well again.
            self._suspect -= set(Door) if door is Door.READ else {door}
            self._outage.recover(door)
            if door is Door.SEARCH:
                # The poll's search took the look, and says nothing of reads: another call may look at once.
                self._outage.leave(PROBE_PAUSE)

    def _knock(self, door: Door) -> None:
        """Raise `NotNow` while this kind of call is refused; once in a while one looks whether it still is."""
        until, reason = self._shut.get(door, (float("-inf"), ""))
        if self._clock() < until:
            raise NotNow(reason, delay=until - self._clock())

    def _take(self, kind: str, lane: Lane, calls: int) -> tuple[list[int], float]:
        """Return the slots, and when the first of them was taken."""
        deadline = self._clock() + LONGEST_WAIT
        # Of all threads that wait for the same, one looks: Postgres hears as little of many as of one.
        turn = self._turns[kind, lane]
        while not turn.acquire(blocking=False):
            if self._clock() > deadline:
                raise NotNow("no HubSpot call free", delay=10.0)
            self._sleep(TURN)
        try:
            return self._wait_for(kind, lane, calls, deadline)
        finally:
            turn.release()

    def _wait_for(self, kind: str, lane: Lane, calls: int, deadline: float) -> tuple[list[int], float]:
        slots: list[int] = []
        since = self._clock()
        while True:
            if self._clock() - since > GIVE_BACK:
                # What was taken before the rest may soon be another process's.
                self._slots.give(kind, slots)
                slots.clear()
            if not slots:
                since = self._clock()
            most = pace(lane, self._limits.per_10s) if kind == "all" else None
            slots += self._slots.take(kind, lane=lane, calls=calls - len(slots), window=WINDOWS[kind], pace=most)
            if len(slots) == calls or self._is_probing():
                return slots, since
            if self._clock() > deadline:
                self._slots.give(kind, slots)
                raise NotNow("no HubSpot call free", delay=10.0)
            self._slots.want(lane)
            self._sleep(min(max(self._slots.next_free(kind, window=WINDOWS[kind]), NAP), 1.0))

    def _is_probing(self) -> bool:
        """Whether HubSpot is down and this call is the one that looks; raises `NotNow` when it is another's turn."""
        pause = self._outage.probe(PROBE_PAUSE)
        if pause is None:
            return False
        if pause.seconds > 0:
            raise NotNow(pause.reason, delay=pause.seconds)
        self._suspect = set(Door)
        return True

    def _count_day(self, lane: Lane) -> None:
        quota = self._limits.daily
        share = LOW_LANES_SHARE if lane >= Lane.BULK else 1.0
        if self._quota.count(1, quota=quota) <= quota * share:
            return
        self._quota.count(-1, quota=quota)
        spent = QuotaSpent("the account's HubSpot calls of the day are spent", delay=DAY_SPENT_DELAY)
        if lane < Lane.BULK and self._quota.is_spent():
            # It is HubSpot's count that is spent, and only HubSpot knows when its day begins: a call in a minute looks.
            self._outage.fail(spent, after=1, pause=DAY_SPENT_DELAY)
        raise NotNow(spent.reason, delay=spent.delay)


def pace(lane: Lane, calls: int) -> int | None:
    """Return how many of a window's `calls` the lane may have taken in a tenth of it; None: as many as there are."""
    return None if lane is Lane.INTERACTIVE else ceil(calls / SPREAD)


class Uncounted:
    """The budget of a look before there is a schema: a few calls of a person's, counted nowhere."""

    def spend(self, door: Door = Door.READ) -> None: ...

    def block(self, delay: float, door: Door = Door.READ) -> None: ...

    def failed(self, error: Transient, door: Door = Door.READ) -> None: ...

    def answered(self, door: Door = Door.READ) -> None: ...

    def hear(self, told: Told) -> None: ...
