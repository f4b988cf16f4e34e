"""The call budget's memory, in memory."""

from collections.abc import Callable, Mapping, Sequence

from reconciler.core.errors import Transient, Unavailable
from reconciler.core.ports import Door, Lane, Pause

NEVER = float("-inf")
PATIENCE = 0.5
"""Seconds for which a waiting lane keeps the less urgent ones back."""


class MemoryOutage:
    """What the simulated processes know of HubSpot's being down."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures, self.is_down, self._probe = 0, False, NEVER
        self._last: Transient = Unavailable("HubSpot did not answer")

    def fail(self, error: Transient, *, after: int, pause: float) -> None:
        self._failures += 1
        self._last = error
        if self._failures >= after or self.is_down:
            self.is_down, self._probe = True, self._clock() + pause

    def recover(self, door: Door) -> None:
        if door is Door.READ or self._last.cause not in ("path_unknown", "scope_missing"):
            self._failures, self.is_down = 0, False

    def shut(self, door: Door, error: Transient) -> None:
        """Nothing here reads it."""

    def open(self, door: Door) -> None:
        """Nothing here reads it."""

    def probe(self, pause: float) -> Pause | None:
        if not self.is_down:
            return None
        if self._probe <= self._clock():
            self._probe = self._clock() + pause
            return Pause(seconds=0.0, reason=self._last.reason)
        return Pause(seconds=max(self._probe - self._clock(), 0.001), reason=self._last.reason)

    def leave(self, pause: float) -> None:
        if self._probe <= self._clock() + pause:
            self._probe = self._clock()


class MemoryQuota:
    """The day's count shared by the simulated processes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._days: dict[int, int] = {}
        self._spent: int | None = None

    def count(self, calls: int, *, quota: int) -> int:
        day = int(self._clock() // 86_400)
        self._days[day] = self._days.get(day, 0) + calls
        return self._days[day]

    def hear(self, calls: int, *, left: int) -> None:
        day = int(self._clock() // 86_400)
        self._days[day] = calls
        self._spent = day if left <= 0 else None

    def is_spent(self) -> bool:
        return self._spent == int(self._clock() // 86_400)


class MemorySlots:
    """Slots shared by the simulated processes. `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float], outage: MemoryOutage) -> None:
        self._clock, self._outage = clock, outage
        self._slots: dict[str, dict[int, float]] = {}
        self._wanted = dict.fromkeys(Lane, NEVER)

    def shape(self, rates: Mapping[str, int]) -> None:
        for kind, rate in rates.items():
            known = self._slots.get(kind, {})
            self._slots[kind] = {n: known.get(n, NEVER) for n in range(1, rate + 1)}

    def take(self, kind: str, *, lane: Lane, calls: int, window: float, pace: int | None = None) -> list[int]:
        now = self._clock()
        if self._outage.is_down:
            return []
        waits = any(self._wanted[each] > now - PATIENCE for each in Lane if each < lane)
        slots = self._slots[kind]
        free = sorted((at, n) for n, at in slots.items() if at <= now - window and (not waits or n % 20 == lane))
        if pace is not None:
            calls = min(calls, max(pace - sum(at > now - window / 10 for at in slots.values()), 0))
        for _, n in free[:calls]:
            slots[n] = now
        return [n for _, n in free[:calls]]

    def next_free(self, kind: str, *, window: float) -> float:
        return max(min(self._slots[kind].values()) + window - self._clock(), 0.0)

    def want(self, lane: Lane) -> None:
        self._wanted[lane] = self._clock()

    def stamp(self, slot: int) -> None:
        self._slots["all"][slot] = max(self._slots["all"][slot], self._clock())

    def give(self, kind: str, slots: Sequence[int]) -> None:
        free = [n for n in slots if self._slots[kind][n] <= self._clock()]
        self._slots[kind].update(dict.fromkeys(free, NEVER))

    def block(self, kind: str, *, delay: float, window: float) -> None:
        until = self._clock() + delay - window
        self._slots[kind] = {n: max(at, until) for n, at in self._slots[kind].items()}
