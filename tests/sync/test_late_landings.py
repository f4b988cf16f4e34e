"""A call that was cut off may land long after the next ones: HubSpot's edge waits a hundred seconds."""

from collections.abc import Callable

import pytest
from histories import UPDATE, Caller, Person, change, conflicts, expire, row, settle, there
from world import World

OF_KAI = {"phone": "1"}


def _cut_off(world: World, run: Callable[[], object]) -> None:
    """Make a write whose call gets no answer, and has no effect yet."""
    world.portal.faults.add(action="cut", path_contains=UPDATE)
    run()


def _land(world: World, kai: Person, *, is_told: bool = True, **values: str) -> None:
    """The call that was cut off has its effect now."""
    world.portal.edit(kai[1], values, by=world.portal.app)
    if is_told:
        world.event(kai[1])
    else:
        world.parts.poll.recent()
    settle(world)


def _assert_company(world: World, kai: Person, company: str) -> None:
    assert (row(world, kai[0])["company"], there(world, kai[1], "company")) == (company, company)
    world.assert_equal()
    world.assert_fixpoint()


@pytest.mark.parametrize("is_settled", [False, True])
@pytest.mark.parametrize("is_told", [False, True])
@pytest.mark.parametrize("second", ["c", "a"])
def test_a_put_that_lands_over_a_later_one_is_put_right(
    world: World, kai: Person, caller: Caller, second: str, is_told: bool, is_settled: bool
) -> None:
    _cut_off(world, lambda: caller.put("kai@example.com", {"company": "b"}))
    assert caller.put("kai@example.com", {"company": second, "phone": "2"})[0] == 200
    if is_settled:
        settle(world)
    _land(world, kai, is_told=is_told, company="b")
    assert conflicts(world) == set()
    _assert_company(world, kai, second)


def test_a_put_after_the_deadline_of_the_one_cut_off_is_not_lost_either(
    world: World, kai: Person, caller: Caller
) -> None:
    _cut_off(world, lambda: caller.put("kai@example.com", {"company": "b"}))
    expire(world)
    assert caller.put("kai@example.com", {"company": "c"})[0] == 200
    world.quiet()
    _land(world, kai, company="b")
    _assert_company(world, kai, "c")


def test_several_puts_that_were_cut_off_may_land_one_after_the_other(world: World, kai: Person, caller: Caller) -> None:
    for value in ("b1", "b2"):
        _cut_off(world, lambda value=value: caller.put("kai@example.com", {"company": value}))
    assert caller.put("kai@example.com", {"company": "c"})[0] == 200
    settle(world)
    for value in ("b2", "b1"):
        _land(world, kai, company=value)
        _assert_company(world, kai, "c")


@pytest.mark.parametrize("is_settled", [False, True])
def test_a_push_that_lands_over_a_later_put_is_put_right(
    world: World, kai: Person, caller: Caller, is_settled: bool
) -> None:
    change(world, kai[0], company="b")
    _cut_off(world, world.parts.reconciler.drain)
    assert caller.put("kai@example.com", {"company": "c"})[0] == 200
    if is_settled:
        settle(world)
    _land(world, kai, company="b")
    _assert_company(world, kai, "c")


@pytest.mark.parametrize("is_settled", [False, True])
def test_a_put_that_lands_over_a_later_edit_here_is_put_right(
    world: World, kai: Person, caller: Caller, is_settled: bool
) -> None:
    _cut_off(world, lambda: caller.put("kai@example.com", {"company": "b"}))
    change(world, kai[0], company="c")
    if is_settled:
        settle(world)
    else:
        world.parts.reconciler.drain()
    _land(world, kai, company="b")
    _assert_company(world, kai, "c")


def test_a_put_that_lands_over_a_later_edit_in_hubspot_is_put_right(world: World, kai: Person, caller: Caller) -> None:
    _cut_off(world, lambda: caller.put("kai@example.com", {"company": "b"}))
    settle(world)
    world.portal.edit(kai[1], {"company": "e"})
    world.event(kai[1])
    world.quiet()
    _land(world, kai, company="b")
    _assert_company(world, kai, "e")


def test_a_late_landing_that_nothing_came_after_is_taken(world: World, kai: Person, caller: Caller) -> None:
    _cut_off(world, lambda: caller.put("kai@example.com", {"company": "b"}))
    settle(world)
    _assert_company(world, kai, "a")
    _land(world, kai, company="b")
    _assert_company(world, kai, "b")


def test_a_late_landing_takes_no_other_property_along(world: World, kai: Person, caller: Caller) -> None:
    _cut_off(world, lambda: caller.put("kai@example.com", {"company": "b", "phone": "2"}))
    assert caller.put("kai@example.com", {"company": "c"})[0] == 200
    settle(world)
    _land(world, kai, company="b", phone="2")
    _assert_company(world, kai, "c")
    assert there(world, kai[1], "phone") == "2"


def test_the_same_value_from_a_person_after_that_time_is_that_persons(
    world: World, kai: Person, caller: Caller
) -> None:
    _cut_off(world, lambda: caller.put("kai@example.com", {"company": "b"}))
    assert caller.put("kai@example.com", {"company": "c"})[0] == 200
    settle(world)
    world.sql("update sync.link set late = jsonb_set(late, '{0,until}', '\"1990-01-01T00:00:00Z\"')")
    world.portal.edit(kai[1], {"company": "b"})
    world.event(kai[1])
    world.quiet()
    assert conflicts(world) == {("company", "hubspot", "b", "c")}
    _assert_company(world, kai, "b")


def test_what_cannot_land_any_more_is_forgotten_at_the_next_look(world: World, kai: Person, caller: Caller) -> None:
    _cut_off(world, lambda: caller.put("kai@example.com", {"company": "b"}))
    assert caller.put("kai@example.com", {"company": "c"})[0] == 200
    settle(world)
    world.event(kai[1])
    world.quiet()
    assert world.sql("select 1 from sync.link where late <> '[]'")
    world.sql("update sync.link set late = jsonb_set(late, '{0,until}', to_jsonb(now() - interval '2 minutes'))")
    world.event(kai[1])
    world.quiet()
    assert not world.sql("select 1 from sync.link where late <> '[]'")
    world.portal.edit(kai[1], {"company": "b"})
    world.event(kai[1])
    world.quiet()
    assert conflicts(world) == set()
    _assert_company(world, kai, "b")
