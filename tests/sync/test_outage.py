"""While HubSpot is down one call at a time looks whether it is back, whatever kind of call comes first."""

import pytest
from world import World

from reconciler.core.errors import NotNow, Unavailable
from reconciler.core.ports import Door, Lane


@pytest.fixture
def down(world: World) -> World:
    for _ in range(3):
        world.parts.budget.failed(Unavailable("HubSpot did not answer"))
    world.sql("update sync.outage set probe = now()")
    return world


@pytest.mark.parametrize("door", [Door.SEARCH, Door.READ])
def test_one_call_of_any_kind_looks_whether_hubspot_is_back(down: World, door: Door) -> None:
    with down.parts.budget.reserve(Lane.FRESH, 1) as is_probe:
        assert is_probe
        down.parts.budget.spend(door)
    with pytest.raises(NotNow), down.parts.budget.reserve(Lane.FRESH, 1):
        pass
    down.parts.budget.answered()
    with down.parts.budget.reserve(Lane.FRESH, 2) as is_probe:
        assert not is_probe


def test_the_call_that_looks_whether_hubspot_is_back_counts_in_its_window(down: World) -> None:
    with down.parts.budget.reserve(Lane.FRESH, 1):
        down.parts.budget.spend()
    used = "select count(*) from sync.slot where kind = 'all' and at > now() - interval '5 s'"
    assert down.sql(used) == [{"count": 1}]


def test_work_that_needs_no_call_does_not_use_up_the_look_whether_hubspot_is_back(down: World) -> None:
    for _ in range(2):
        with down.parts.budget.reserve(Lane.FRESH, 1) as is_probe:
            assert is_probe


def test_a_poll_can_be_what_finds_hubspot_back(down: World) -> None:
    down.parts.poll.recent()
    assert down.sql("select since from sync.outage") == [{"since": None}]
