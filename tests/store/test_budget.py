"""The shared budget in virtual time: an urgent call finds one free, and a 429 costs no more than it must."""

import pytest

from reconciler.core.ports import Lane
from reconciler.sync.budget import Limits, SharedBudget
from simulation.memory.slots import MemoryOutage, MemoryQuota, MemorySlots

RATE = 70


class Ticking:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def budget(clock: Ticking) -> SharedBudget:
    outage = MemoryOutage(clock)
    limits = Limits(per_10s=RATE, search_per_second=5, daily=10**6)
    made = SharedBudget(MemorySlots(clock, outage), MemoryQuota(clock), outage, limits, clock.sleep, clock)
    made.shape()
    return made


def call(budget: SharedBudget, lane: Lane) -> None:
    with budget.reserve(lane, 1):
        budget.spend()


def test_an_urgent_call_finds_one_free_beside_any_backlog(budget: SharedBudget, clock: Ticking) -> None:
    """Somebody wants one every two seconds, and asks again and again while the backlog waits for its turn."""
    wanted, waits = clock.now + 2, []

    def meanwhile(seconds: float) -> None:
        nonlocal wanted
        clock.now += seconds
        if clock.now >= wanted and budget._slots.take("all", lane=Lane.INTERACTIVE, calls=1, window=10.1):
            waits.append(clock.now - wanted)
            wanted = clock.now + 2

    budget._sleep = meanwhile
    for _ in range(5 * RATE):
        call(budget, Lane.FRESH)
    assert len(waits) > 15
    assert max(waits) < 4


def test_a_backlog_is_still_worked_off_at_the_full_rate(budget: SharedBudget, clock: Ticking) -> None:
    began = clock.now
    for _ in range(10 * RATE):
        call(budget, Lane.BULK)
    assert clock.now - began < 10 * 10.1


def test_one_429_costs_the_second_after_which_the_window_has_room(budget: SharedBudget, clock: Ticking) -> None:
    budget.block(1.0)
    began = clock.now
    call(budget, Lane.FRESH)
    assert 1 <= clock.now - began < 2


def test_a_second_429_within_a_window_costs_the_whole_window(budget: SharedBudget, clock: Ticking) -> None:
    for _ in range(2):
        budget.block(1.0)
        began = clock.now
        call(budget, Lane.FRESH)
    assert 10 <= clock.now - began < 11
    clock.sleep(30)
    budget.block(1.0)
    began = clock.now
    call(budget, Lane.FRESH)
    assert clock.now - began < 2


def test_a_call_whose_slot_was_taken_long_before_the_rest_counts_from_when_it_is_made(
    budget: SharedBudget, clock: Ticking
) -> None:
    """Two are wanted at once while one is free; the other comes when the first one's window is nearly over."""
    made = []
    for lane, calls in [(Lane.INTERACTIVE, 1)] * (RATE - 1) + [(Lane.FRESH, 2)] + [(Lane.INTERACTIVE, 1)] * RATE:
        with budget.reserve(lane, calls):
            for _ in range(calls):
                budget.spend()
                made.append(clock.now)
    for first, beyond in zip(made, made[RATE:], strict=False):
        assert beyond - first >= 10
