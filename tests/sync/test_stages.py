"""Lifecycle stages: HubSpot moves them forward only."""

import pytest
from histories import (
    UPDATE,
    Caller,
    Person,
    blocks,
    calls,
    change,
    conflicts,
    during,
    killed,
    lost,
    person,
    row,
    settle,
    there,
    worker,
)
from world import World


@pytest.fixture
def kai(world: World) -> Person:
    return person(world, email="kai@example.com", firstname="Kai", company="a", lifecyclestage="customer")


def _assert_stage(world: World, kai: Person, stage: str | None) -> None:
    assert (row(world, kai[0])["lifecyclestage"], there(world, kai[1], "lifecyclestage")) == (stage, stage)
    world.assert_equal()
    world.assert_fixpoint()


def _assert_no_conflict(world: World, kai: Person, stage: str) -> None:
    assert conflicts(world) == set()
    _assert_stage(world, kai, stage)


@pytest.mark.parametrize("is_echoed", [False, True])
def test_a_stage_that_goes_back_here_goes_back_there(world: World, kai: Person, is_echoed: bool) -> None:
    world.portal.set(echo_ignored_stage=is_echoed)
    change(world, kai[0], lifecyclestage="lead", company="b")
    world.quiet()
    assert conflicts(world) == set()
    assert there(world, kai[1], "company") == "b"
    _assert_stage(world, kai, "lead")


@pytest.mark.parametrize("call", [0, 1, 2])
@pytest.mark.parametrize("when", ["before", "after", "late"])
def test_a_crash_amid_clearing_and_setting_a_stage_loses_it_on_neither_side(
    world: World, kai: Person, call: int, when: str
) -> None:
    change(world, kai[0], lifecyclestage="lead")
    with killed(world, UPDATE, when=when, skip=call):
        world.quiet()
    settle(world)
    _assert_no_conflict(world, kai, "lead")


@pytest.mark.parametrize("call", [0, 1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_amid_clearing_and_setting_a_stage_loses_it_on_neither_side(
    world: World, kai: Person, call: int, when: str
) -> None:
    change(world, kai[0], lifecyclestage="lead")
    world.portal.faults.add(action="cut", when=when, path_contains=UPDATE, skip=call)
    settle(world)
    _assert_no_conflict(world, kai, "lead")


def test_a_stage_that_hubspot_keeps_is_taken_and_the_one_from_here_logged(world: World, kai: Person) -> None:
    world.portal.set(stage_rule="no_clear")
    change(world, kai[0], lifecyclestage="lead", company="b")
    world.quiet()
    assert there(world, kai[1], "company") == "b"
    assert ("lifecyclestage", "lead") in lost(world)
    world.portal.calls.clear()
    world.sweep()
    assert calls(world, UPDATE) == 0
    _assert_stage(world, kai, "customer")


def test_a_put_of_an_earlier_stage_arrives(world: World, kai: Person) -> None:
    assert Caller(world).put("kai@example.com", {"lifecyclestage": "lead"})[0] == 200
    world.quiet()
    world.event(kai[1])
    world.quiet()
    _assert_stage(world, kai, "lead")


@pytest.mark.parametrize("call", [1, 2])
def test_a_put_of_an_earlier_stage_that_fails_in_the_middle_does_not_lose_the_stage(
    world: World, kai: Person, call: int
) -> None:
    caller = Caller(world)
    world.portal.faults.add(action="status", status=400, body={"message": "no"}, path_contains=UPDATE, skip=call)
    status, _ = caller.put("kai@example.com", {"lifecyclestage": "lead"})
    settle(world)
    assert status in (200, 400, 500)
    stage = there(world, kai[1], "lifecyclestage")
    assert stage in ("customer", "lead")
    _assert_stage(world, kai, stage)


def test_a_put_of_an_impossible_stage_changes_nothing(world: World, kai: Person) -> None:
    status, body = Caller(world).put("kai@example.com", {"lifecyclestage": "no such stage", "company": "b"})
    assert status == 400
    assert body["message"].startswith("HubSpot API Error (400): ")
    world.quiet()
    assert blocks(world, kai[0]) == {}
    assert there(world, kai[1], "company") == "a"
    _assert_stage(world, kai, "customer")


def test_a_stage_that_is_cleared_here_is_cleared_there(world: World, kai: Person) -> None:
    change(world, kai[0], lifecyclestage=None)
    world.quiet()
    _assert_stage(world, kai, None)


@pytest.mark.parametrize("is_echoed", [False, True])
@pytest.mark.parametrize("is_told", [False, True])
def test_a_put_of_an_earlier_stage_is_no_conflict(world: World, kai: Person, is_echoed: bool, is_told: bool) -> None:
    world.portal.set(echo_ignored_stage=is_echoed)
    assert Caller(world).put("kai@example.com", {"lifecyclestage": "lead", "company": "b"})[0] == 200
    if is_told:
        world.event(kai[1])
    world.quiet()
    world.sweep()
    _assert_no_conflict(world, kai, "lead")


def test_puts_of_earlier_stages_one_after_the_other_are_no_conflict(world: World, kai: Person) -> None:
    caller = Caller(world)
    for stage in ("lead", "opportunity", "lead", "", "customer", "lead"):
        assert caller.put("kai@example.com", {"lifecyclestage": stage})[0] == 200
    world.event(kai[1])
    world.quiet()
    _assert_no_conflict(world, kai, "lead")


def test_what_a_put_of_an_earlier_stage_overwrites_is_still_logged(world: World, kai: Person) -> None:
    world.portal.edit(kai[1], {"lifecyclestage": "evangelist"})
    assert Caller(world).put("kai@example.com", {"lifecyclestage": "lead"})[0] == 200
    world.event(kai[1])
    world.quiet()
    assert conflicts(world) == {("lifecyclestage", "postgres", "lead", "evangelist")}
    _assert_stage(world, kai, "lead")


def test_a_put_of_an_earlier_stage_that_is_refused_in_the_middle_is_no_conflict(world: World, kai: Person) -> None:
    world.portal.faults.add(action="status", status=400, body={"message": "no"}, path_contains=UPDATE, skip=2)
    Caller(world).put("kai@example.com", {"lifecyclestage": "lead"})
    settle(world)
    _assert_no_conflict(world, kai, "customer")


@pytest.mark.parametrize("call", [0, 1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_look_amid_a_put_of_an_earlier_stage_takes_nothing_for_a_persons(
    world: World, kai: Person, call: int, when: str
) -> None:
    """The PUT went ahead without a claim, and a worker reads the contact between two of its calls."""

    def look() -> None:
        world.sql("update sync.link set lease_until = null")
        world.event(kai[1])
        worker(world).drain()

    world.sql("update sync.link set lease_until = now() + interval '1 minute'")
    during(world, UPDATE, look, when=when, skip=call)
    assert Caller(world).put("kai@example.com", {"lifecyclestage": "lead"})[0] in (200, 500)
    settle(world)
    _assert_no_conflict(world, kai, "lead")
