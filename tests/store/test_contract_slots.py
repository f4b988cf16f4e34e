"""The call budget's memory, shared by all processes (rule 17)."""

import pytest
from stores import Store

from reconciler.core.errors import PathUnknown, Unavailable
from reconciler.core.ports import Door, Lane, Pause

WINDOW = 10.0
RATES = {"all": 40, "search": 5}
DOWN = Unavailable("HubSpot did not answer")


@pytest.fixture(autouse=True)
def _shaped(store: Store) -> None:
    store.slots.shape(RATES)


def taken(store: Store, calls: int, lane: Lane = Lane.FRESH, kind: str = "all") -> list[int]:
    return store.slots.take(kind, lane=lane, calls=calls, window=WINDOW)


def test_as_many_slots_are_taken_as_there_are(store: Store) -> None:
    first = taken(store, 30)
    second = taken(store, 30)
    assert (len(first), len(second)) == (30, 10)
    assert len({*first, *second}) == 40
    assert not taken(store, 1)


def test_each_kind_has_slots_of_its_own(store: Store) -> None:
    assert len(taken(store, 100)) == 40
    assert len(taken(store, 100, kind="search")) == 5


def test_a_slot_is_free_again_after_a_window(store: Store) -> None:
    taken(store, 10)
    store.pass_time(WINDOW / 2)
    taken(store, 30)
    assert not taken(store, 1)
    store.pass_time(WINDOW / 2)
    assert len(taken(store, 40)) == 10


def test_a_pace_leaves_the_rest_of_the_window_to_others(store: Store) -> None:
    def paced(calls: int) -> int:
        return len(store.slots.take("all", lane=Lane.BULK, calls=calls, window=WINDOW, pace=5))

    assert [paced(3), paced(3), paced(3)] == [3, 2, 0]
    assert len(taken(store, 10, lane=Lane.INTERACTIVE)) == 10
    store.pass_time(WINDOW / 10 + 0.1)
    assert paced(10) == 5


def test_the_next_free_slot_is_foretold(store: Store) -> None:
    assert store.slots.next_free("all", window=WINDOW) == 0
    taken(store, 40)
    assert WINDOW - 1 < store.slots.next_free("all", window=WINDOW) <= WINDOW
    store.pass_time(WINDOW - 2)
    assert 1 < store.slots.next_free("all", window=WINDOW) <= 2


def test_a_call_counts_from_when_it_is_made(store: Store) -> None:
    (slot,) = taken(store, 1)
    store.pass_time(8)
    store.slots.stamp(slot)
    store.pass_time(8)
    assert slot not in taken(store, 40)
    store.pass_time(3)
    assert slot in taken(store, 40)


def test_slots_that_were_not_used_are_given_back(store: Store) -> None:
    mine = taken(store, 40)
    store.slots.give("all", mine[:3])
    assert set(taken(store, 40)) == set(mine[:3])


def test_nobody_takes_a_slot_while_a_kind_is_blocked(store: Store) -> None:
    taken(store, 10)
    store.slots.block("all", delay=30.0, window=WINDOW)
    assert not taken(store, 1)
    assert 29 < store.slots.next_free("all", window=WINDOW) <= 30
    store.pass_time(29)
    assert not taken(store, 1)
    store.pass_time(2)
    assert len(taken(store, 40)) == 40


def test_a_block_does_not_end_another_one_earlier(store: Store) -> None:
    store.slots.block("all", delay=60.0, window=WINDOW)
    store.slots.block("all", delay=5.0, window=WINDOW)
    store.pass_time(30)
    assert not taken(store, 1)


def test_giving_a_slot_back_does_not_undo_a_block(store: Store) -> None:
    mine = taken(store, 2)
    store.slots.block("all", delay=60.0, window=WINDOW)
    store.slots.give("all", mine)
    assert not taken(store, 40)


def test_a_blocked_kind_leaves_the_others(store: Store) -> None:
    store.slots.block("search", delay=60.0, window=WINDOW)
    assert len(taken(store, 5)) == 5
    assert not taken(store, 1, kind="search")


def test_a_less_urgent_lane_leaves_all_but_its_floor_to_one_that_waits(store: Store) -> None:
    store.slots.want(Lane.INTERACTIVE)
    assert len(taken(store, 40, Lane.BULK)) == 2
    assert len(taken(store, 40, Lane.INTERACTIVE)) == 38


def test_a_lane_that_waits_no_more_keeps_nobody_back(store: Store) -> None:
    store.slots.want(Lane.INTERACTIVE)
    store.pass_time(1)
    assert len(taken(store, 40, Lane.BULK)) == 40


def test_a_lane_does_not_wait_for_a_less_urgent_one(store: Store) -> None:
    store.slots.want(Lane.AUDIT)
    assert len(taken(store, 40, Lane.FRESH)) == 40


def test_a_lower_rate_takes_slots_away_and_a_higher_one_brings_more(store: Store) -> None:
    taken(store, 40)
    store.slots.shape({**RATES, "all": 20})
    store.pass_time(WINDOW + 1)
    assert len(taken(store, 40)) == 20
    store.slots.shape({**RATES, "all": 30})
    assert len(taken(store, 40)) == 10


def test_shaping_again_does_not_free_what_is_used(store: Store) -> None:
    taken(store, 40)
    store.slots.shape(RATES)
    assert not taken(store, 1)


def test_the_days_calls_are_counted(store: Store) -> None:
    before = store.quota.count(0, quota=9)
    assert store.quota.count(3, quota=9) == before + 3
    assert store.quota.count(2, quota=9) == before + 5


def test_hubspots_own_count_of_the_day_is_the_one_that_counts(store: Store) -> None:
    """Other apps of the account call, too; and HubSpot's day ends at midnight of the account, not ours."""
    before = store.quota.count(1, quota=9)
    store.quota.hear(before + 10, left=90)
    assert store.quota.count(1, quota=9) == before + 11
    store.quota.hear(3, left=97)
    assert store.quota.count(1, quota=9) == 4


def test_a_day_is_spent_when_hubspot_says_so_and_not_by_our_own_limit(store: Store) -> None:
    store.quota.count(100, quota=9)
    assert not store.quota.is_spent()
    store.quota.hear(100, left=0)
    assert store.quota.is_spent()
    store.quota.hear(1, left=99)
    assert not store.quota.is_spent()


def test_hubspot_is_down_after_so_many_failures_in_a_row(store: Store) -> None:
    for _ in range(2):
        store.outage.fail(DOWN, after=3, pause=30.0)
    assert store.outage.probe(30.0) is None
    assert taken(store, 1)
    store.outage.fail(DOWN, after=3, pause=30.0)
    assert not taken(store, 1)
    waits = store.outage.probe(30.0)
    assert waits is not None
    assert 29 < waits.seconds <= 30


def test_failures_that_an_answer_parts_do_not_add_up(store: Store) -> None:
    for _ in range(5):
        store.outage.fail(DOWN, after=2, pause=30.0)
        store.outage.recover(Door.READ)
    assert store.outage.probe(30.0) is None


def test_one_at_a_time_looks_whether_hubspot_is_back(store: Store) -> None:
    store.outage.fail(DOWN, after=1, pause=30.0)
    store.pass_time(31)
    assert store.outage.probe(30.0) == Pause(seconds=0.0, reason=DOWN.reason)
    waits = store.outage.probe(30.0)
    assert waits is not None
    assert 29 < waits.seconds <= 30


def test_a_probe_that_fails_puts_the_next_one_off(store: Store) -> None:
    store.outage.fail(DOWN, after=3, pause=30.0)
    for _ in range(2):
        store.outage.fail(DOWN, after=3, pause=30.0)
    store.pass_time(31)
    assert store.outage.probe(30.0) == Pause(seconds=0.0, reason=DOWN.reason)
    store.outage.fail(DOWN, after=3, pause=300.0)
    store.pass_time(31)
    waits = store.outage.probe(30.0)
    assert waits is not None
    assert waits.seconds > 200


def test_whoever_was_to_look_and_had_no_call_to_make_leaves_it_to_the_next(store: Store) -> None:
    store.outage.fail(DOWN, after=1, pause=30.0)
    store.pass_time(31)
    assert store.outage.probe(30.0) == Pause(seconds=0.0, reason=DOWN.reason)
    store.outage.leave(30.0)
    assert store.outage.probe(30.0) == Pause(seconds=0.0, reason=DOWN.reason)


def test_a_probe_left_to_the_next_does_not_shorten_the_wait_that_hubspot_asked_for(store: Store) -> None:
    store.outage.fail(DOWN, after=1, pause=30.0)
    store.pass_time(31)
    assert store.outage.probe(30.0) == Pause(seconds=0.0, reason=DOWN.reason)
    store.outage.fail(DOWN, after=1, pause=300.0)
    store.outage.leave(30.0)
    waits = store.outage.probe(30.0)
    assert waits is not None
    assert waits.seconds > 200


def test_one_answer_brings_hubspot_back(store: Store) -> None:
    store.outage.fail(DOWN, after=1, pause=30.0)
    store.outage.recover(Door.READ)
    assert store.outage.probe(30.0) is None
    assert len(taken(store, 40)) == 40


def test_a_path_that_is_gone_is_back_when_a_read_says_so_and_not_before(store: Store) -> None:
    gone = PathUnknown("HubSpot does not know this path")
    store.outage.fail(gone, after=1, pause=30.0)
    store.outage.recover(Door.ACCOUNT)
    waits = store.outage.probe(30.0)
    assert waits is not None
    assert waits.reason == gone.reason
    store.outage.recover(Door.READ)
    assert store.outage.probe(30.0) is None
