"""Counts of what was not taken, kept here until they are written down: a refusal never waits for the database."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How often something came, and at what time last, on the tally's clock."""

    times: int
    last: float


class Tally:
    """Counts by kind; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: dict[str, Count] = {}
        self._changed = Condition()

    def count(self, kind: str) -> None:
        """Count one more of a kind."""
        self._add(kind, Count(times=1, last=self._clock()))

    def take(self) -> dict[str, Count]:
        """Wait until something was counted, and hand it over."""
        with self._changed:
            self._changed.wait_for(lambda: self._counts)
            counts, self._counts = self._counts, {}
        return counts

    def put_back(self, counts: dict[str, Count]) -> None:
        """Keep what could not be written down."""
        for kind, count in counts.items():
            self._add(kind, count)

    def ages(self, counts: dict[str, Count]) -> dict[str, float]:
        """Return how many seconds ago each kind came last."""
        now = self._clock()
        return {kind: now - count.last for kind, count in counts.items()}

    def _add(self, kind: str, count: Count) -> None:
        with self._changed:
            known = self._counts.get(kind, Count(times=0, last=count.last))
            self._counts[kind] = Count(times=known.times + count.times, last=max(known.last, count.last))
            self._changed.notify()
