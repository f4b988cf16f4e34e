"""Divides the space of contact ids among several walkers that read it page by page at once. Pure; the caller locks.

HubSpot pages follow the id, so a page costs a whole round trip before the next can be asked for; several stretches of
the space have no such order. A walker at the end of its stretch takes a share off the longest one left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

END = 2**63 - 1
"""Beyond every id."""

COST = 0.04
"""Share of all pages that may be read in vain, one at each cut; a stretch of more than 1 / COST pages is cut anyway."""

LEAST = 2.0
"""Pages that must seem to be left of a stretch before it is divided."""

Interval = tuple[int, int]
"""Ids from the first up to, not including, the second."""

EVERYTHING: tuple[Interval, ...] = ((0, END),)


@dataclass(slots=True, eq=False)
class Stretch:
    """What one reader reads: from `at` up to `end`. `ids_per_page` is that of the last page, its origin's at first.

    `vain` counts the cuts in a row that found next to nothing beyond: the next one is made much nearer.
    """

    at: int
    end: int
    ids_per_page: float | None = None
    is_fresh: bool = True
    vain: int = 0

    @property
    def is_read(self) -> bool:
        return self.at >= self.end


class Division:
    """Hands out stretches of what is `unread` to so many `readers` at once; they may become more or fewer.

    `highest` is about the highest id there is; None, as long as it is not known: nothing is divided.
    """

    def __init__(self, unread: Sequence[Interval], readers: int) -> None:
        self._waiting = [Stretch(at, end) for at, end in reversed(unread)]
        self._taken: list[Stretch] = []
        self.highest: int | None = None
        self.readers = readers
        self._pages = self._cuts = 0

    def take(self) -> Stretch | None:
        """Return a stretch that is not being read, or a part of one that is; None when there is none now."""
        if len(self._taken) >= self.readers:
            return None
        stretch = self._waiting.pop() if self._waiting else self._cut()
        if stretch is not None:
            self._taken.append(stretch)
        return stretch

    def give_back(self, stretch: Stretch) -> None:
        """Say that this stretch is not being read any more."""
        self._taken.remove(stretch)

    @property
    def is_being_read(self) -> bool:
        """Whether a stretch is being read, which may yet turn out to be worth dividing."""
        return bool(self._taken)

    def advance(self, stretch: Stretch, upto: int, first: int | None = None) -> Interval:
        """Note that a page reached from its `first` contact up to this id; return the part of the stretch it covers."""
        start, stretch.at = stretch.at, min(upto, stretch.end)
        if stretch.is_fresh:
            self._judge_cut(start, in_vain=stretch.is_read)
        stretch.is_fresh = False
        # What lies before the first contact is a gap, and tells nothing of how dense the ids are.
        stretch.ids_per_page = max(upto - (start if first is None else first), 1.0)
        self._pages += 1
        return start, stretch.at

    def _cut(self) -> Stretch | None:
        longest = max((each for each in self._taken if not each.is_fresh), key=self._pages_left, default=None)
        length = 0.0 if longest is None else self._pages_left(longest)
        left = sum(map(self._pages_left, self._taken))
        is_cheap = self._cuts + 1 <= (self._pages + left) * COST or length * COST >= 1
        if longest is None or length < LEAST or not is_cheap:
            return None
        self._cuts += 1
        share = min(left / self.readers / length, 0.5)
        near = 1 - share if longest.vain == 0 else 0.5 ** (2**longest.vain)
        cut = longest.at + max(int((self._last(longest) - longest.at) * near), 1)
        far, longest.end = Stretch(cut, longest.end, longest.ids_per_page), cut
        return far

    def _judge_cut(self, cut: int, *, in_vain: bool) -> None:
        for each in self._taken:
            if each.end == cut:
                each.vain = each.vain + 1 if in_vain else 0

    def _pages_left(self, stretch: Stretch) -> float:
        return max(self._last(stretch) - stretch.at, 0) / stretch.ids_per_page if stretch.ids_per_page else 0.0

    def _last(self, stretch: Stretch) -> int:
        return min(stretch.end, (self.highest or 0) + 1)


def needed(calls: float, page: float) -> int:
    """Return how many readers make so many `calls` a second, at so many seconds a `page`.

    Half as many again as the pages under way at once, for those that come late; more would only cut in vain.
    """
    return ceil(1.5 * calls * page) + 1


def without(unread: Sequence[Interval], read: Interval) -> list[Interval]:
    """Return what is unread after one more interval was."""
    start, end = read
    left = [(low, min(high, start)) for low, high in unread] + [(max(low, end), high) for low, high in unread]
    return sorted((low, high) for low, high in left if low < high)
