"""Dividing the id space: every id is read once, by as many as it is worth, at a small cost."""

from bisect import bisect_left
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.walks.id_ranges import END, EVERYTHING, Division, Stretch, without

PAGE = 100


class Reader:
    """Reads a portal's ids with several walkers, each a page in turn."""

    def __init__(self, ids: list[int], walkers: int, seed: int = 1) -> None:
        self.ids, self.random = sorted(ids), Random(seed)
        self.division = Division(EVERYTHING, walkers)
        self.division.highest = max(ids, default=None)
        self.met: list[int] = []
        self.pages = self.rounds = 0
        self.unread = list(EVERYTHING)
        self.hands: list[Stretch | None] = [None] * walkers

    def run(self) -> None:
        while self._round():
            self.rounds += 1

    def _round(self) -> bool:
        turns = list(range(len(self.hands)))
        self.random.shuffle(turns)
        for n in turns:
            self.hands[n] = self.hands[n] or self.division.take()
        for n in turns:
            stretch = self.hands[n]
            if stretch is not None:
                self._page(stretch)
                if stretch.is_read:
                    self.division.give_back(stretch)
                    self.hands[n] = None
        return self.division.is_being_read

    def _page(self, stretch: Stretch) -> None:
        self.pages += 1
        first = bisect_left(self.ids, stretch.at)
        page = self.ids[first : first + PAGE + 1]
        low, high = self.division.advance(stretch, page[PAGE] if len(page) > PAGE else END, page[0] if page else None)
        self.unread = without(self.unread, (low, high))
        self.met += [each for each in page[:PAGE] if low <= each < high]


@given(st.sets(st.integers(1, 10**12), max_size=600), st.integers(1, 8), st.integers(0, 99))
def test_every_id_is_met_once(ids: set[int], walkers: int, seed: int) -> None:
    reader = Reader(list(ids), walkers, seed)
    reader.run()
    assert sorted(reader.met) == sorted(ids)
    assert reader.unread == []


def portals() -> dict[str, list[int]]:
    random = Random(5)
    return {
        "dense": list(range(10**11, 10**11 + 40_000)),
        "with gaps": random.sample(range(10**9), 40_000),
        "old ones and new ones": [*range(51, 1_000_051, 50), *random.sample(range(8 * 10**11, 9 * 10**11), 20_000)],
    }


@pytest.mark.parametrize("portal", portals())
def test_eight_walkers_are_several_times_as_fast_as_one_at_little_cost(portal: str) -> None:
    ids = portals()[portal]
    reader = Reader(ids, 8)
    reader.run()
    least = len(ids) // PAGE
    assert reader.pages <= least * 1.05 + 8, "and a page that is not full for each walker"
    assert reader.rounds <= least / 3


def test_a_small_portal_is_not_divided() -> None:
    reader = Reader(list(range(1000)), 8)
    reader.run()
    assert reader.pages == 10


def test_without_a_highest_id_one_walker_reads_everything() -> None:
    division = Division(EVERYTHING, 2)
    stretch = division.take()
    assert stretch is not None
    division.advance(stretch, 100)
    assert division.take() is None
    assert division.is_being_read


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 10)), max_size=20))
def test_what_was_read_is_unread_no_more(parts: list[tuple[int, int]]) -> None:
    unread, read = [(0, 60)], set()
    for low, length in parts:
        unread = without(unread, (low, low + length))
        read |= set(range(low, low + length))
    assert {n for low, high in unread for n in range(low, high)} == set(range(60)) - read
