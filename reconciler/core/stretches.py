"""Divides the space of contact ids among several who read it page by page at once. Pure; the caller locks.

HubSpot pages follow the id, so a page costs a whole round trip before the next can be asked for; several stretches of
the space have no such order. Who has come to the end of his stretch takes the far half of the longest one left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

END = 2**63 - 1
"""Beyond every id."""

COST = 0.04
"""Share of all pages that may be read in vain, one at each cut."""

LEAST = 2.0
"""Pages that must seem to be left of a stretch before it is divided."""

Interval = tuple[int, int]
"""Ids from the first up to, not including, the second."""

EVERYTHING: tuple[Interval, ...] = ((0, END),)


@dataclass(slots=True, eq=False)
class Stretch:
    """What one reader reads: from `at` up to `end`. `ids_per_page` is None until a page was read.

    `vain` counts the cuts in a row that found next to nothing beyond: the next one is made much nearer.
    """

    at: int
    end: int
    ids_per_page: float | None = None
    vain: int = 0

    @property
    def is_read(self) -> bool:
        return self.at >= self.end


class Division:
    """Hands out stretches of what is `unread`. `highest` is about the highest id there is; None: nothing is divided."""

    def __init__(self, unread: Sequence[Interval], highest: int | None) -> None:
        self._waiting = [Stretch(at, end) for at, end in reversed(unread)]
        self._taken: list[Stretch] = []
        self._highest = highest
        self._pages = self._cuts = 0

    def take(self) -> Stretch | None:
        """Return a stretch that nobody reads, or half of somebody's; None when there is none now."""
        stretch = self._waiting.pop() if self._waiting else self._half()
        if stretch is not None:
            self._taken.append(stretch)
        return stretch

    def give_back(self, stretch: Stretch) -> None:
        """Say that nobody reads this stretch any more."""
        self._taken.remove(stretch)

    @property
    def is_being_read(self) -> bool:
        """Whether somebody has a stretch, which may yet turn out to be worth dividing."""
        return bool(self._taken)

    def advance(self, stretch: Stretch, upto: int) -> Interval:
        """Note that a page reached up to this id; return the part of the stretch that it covers."""
        start, stretch.at = stretch.at, min(upto, stretch.end)
        if stretch.ids_per_page is None:
            self._judge_cut(start, in_vain=stretch.is_read)
        stretch.ids_per_page = max(upto - start, 1.0)
        self._pages += 1
        return start, stretch.at

    def _half(self) -> Stretch | None:
        longest = max(self._taken, key=self._pages_left, default=None)
        pages = self._pages + sum(map(self._pages_left, self._taken))
        if longest is None or self._pages_left(longest) < LEAST or self._cuts + 1 > pages * COST:
            return None
        self._cuts += 1
        cut = longest.at + max((self._last(longest) - longest.at) >> 2**longest.vain, 1)
        far, longest.end = Stretch(cut, longest.end), cut
        return far

    def _judge_cut(self, cut: int, *, in_vain: bool) -> None:
        for each in self._taken:
            if each.end == cut:
                each.vain = each.vain + 1 if in_vain else 0

    def _pages_left(self, stretch: Stretch) -> float:
        return max(self._last(stretch) - stretch.at, 0) / stretch.ids_per_page if stretch.ids_per_page else 0.0

    def _last(self, stretch: Stretch) -> int:
        return min(stretch.end, (self._highest or 0) + 1)


def without(unread: Sequence[Interval], read: Interval) -> list[Interval]:
    """Return what is unread after one more interval was."""
    start, end = read
    left = [(low, min(high, start)) for low, high in unread] + [(max(low, end), high) for low, high in unread]
    return sorted((low, high) for low, high in left if low < high)
