"""Contacts that are merged in HubSpot: one customer is left, whatever is found first."""

from itertools import permutations

import pytest
from histories import (
    Person,
    change,
    count,
    expire,
    link,
    lives,
    lost,
    person,
    row,
    there,
)
from world import World

from reconciler.core.ports import Subject


def _merged(world: World, kai: Person, uwe: Person) -> int:
    return int(world.portal.merge(kai[1], uwe[1]).id)


def test_what_happens_to_the_loser_of_a_merge_does_nothing_to_the_winner(
    world: World, kai: Person, uwe: Person
) -> None:
    survivor = _merged(world, kai, uwe)
    world.event(kai[1], uwe[1], survivor)
    world.quiet()
    assert str(row(world, uwe[0])["mergedinto"]) == str(kai[0])
    assert link(world, kai[0])["contact"] == survivor
    change(world, uwe[0], phone="1")
    world.quiet()
    change(world, uwe[0], deletedat=None, email="other@example.com")
    world.quiet()
    world.sql("delete from customer where uuid = %s", uwe[0])
    world.quiet()
    world.event(kai[1], uwe[1], survivor)
    world.quiet()
    world.sweep()
    assert lives(world, survivor)
    assert row(world, kai[0])["deletedat"] is None
    assert len(world.portal.contacts) == 1
    world.assert_equal()
    world.assert_fixpoint()


@pytest.mark.parametrize("order", [*permutations((0, 1, 2)), (0,), (1,), (2,), ()])
def test_a_merge_ends_the_same_in_whatever_order_it_is_found(
    world: World, kai: Person, uwe: Person, order: tuple[int, ...]
) -> None:
    survivor = _merged(world, kai, uwe)
    for n in order:
        world.event((kai[1], uwe[1], survivor)[n])
        world.quiet()
    world.sweep()
    assert link(world, kai[0])["contact"] == survivor
    assert row(world, kai[0])["deletedat"] is None
    assert str(row(world, uwe[0])["mergedinto"]) == str(kai[0])
    assert row(world, uwe[0])["deletedat"] is not None
    assert count(world, "customer") == 2
    world.assert_equal()
    world.assert_fixpoint()


def test_what_the_loser_of_a_merge_had_not_sent_is_not_lost(world: World, kai: Person, uwe: Person) -> None:
    survivor = _merged(world, kai, uwe)
    change(world, uwe[0], company="unsent")
    world.event(uwe[1], survivor)
    world.quiet()
    world.sweep()
    assert row(world, uwe[0])["mergedinto"] is not None
    assert ("company", "unsent") in lost(world) or there(world, survivor, "company") == "unsent"
    world.assert_equal()


def test_what_the_loser_of_a_merge_had_not_sent_is_not_lost_when_the_winner_is_found_first(
    world: World, kai: Person, uwe: Person
) -> None:
    _merged(world, kai, uwe)
    change(world, uwe[0], company="unsent")
    world.sql("select sync.fold()")
    world.parts.marks.claim(1, only=[Subject.customer(uwe[0])])
    world.event(kai[1])
    world.parts.reconciler.drain()
    expire(world)
    world.quiet()
    world.sweep()
    survivor = link(world, kai[0])["contact"]
    assert ("company", "unsent") in lost(world) or there(world, survivor, "company") == "unsent"
    world.assert_equal()


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0,), (1,)])
def test_a_merge_a_deletion_and_a_restore_that_nobody_told_of_leave_one_customer(
    world: World, kai: Person, uwe: Person, order: tuple[int, ...]
) -> None:
    person(world, email="ada@example.com")
    survivor = _merged(world, kai, uwe)
    world.portal.delete(survivor)
    for n in order:
        world.event((kai, uwe)[n][1])
        world.quiet()
    world.sweep()
    assert count(world, "customer where deletedat is null") == 1
    world.portal.restore(survivor)
    world.event(survivor)
    world.quiet()
    world.sweep()
    assert row(world, kai[0])["deletedat"] is None
    assert str(row(world, uwe[0])["mergedinto"]) == str(kai[0])
    world.assert_equal()
    world.assert_fixpoint()


def test_merges_of_merges_end_at_the_last_survivor(world: World, kai: Person, uwe: Person) -> None:
    ada = person(world, email="ada@example.com", firstname="Ada")
    first = _merged(world, kai, uwe)
    world.event(first)
    world.quiet()
    last = int(world.portal.merge(first, ada[1]).id)
    world.event(kai[1], uwe[1], ada[1])
    world.quiet()
    assert link(world, kai[0])["contact"] == last
    assert {str(row(world, each[0])["mergedinto"]) for each in (uwe, ada)} == {str(kai[0])}
    world.assert_equal()
    world.assert_fixpoint()
