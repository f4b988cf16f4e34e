"""A part of HubSpot fails, the rest works: what works is used, and what fails keeps nobody else from it."""

import pytest
from hours import Hours, pass_time
from states import assert_sound, assert_unspent, due, people
from world import World

QUITE_SOON = 600.0
"""Seconds within which the good ones of a batch are found."""

SOON = 180.0
"""Seconds within which an edit arrives that the failing part has nothing to do with."""


def test_without_the_search_edits_still_go_both_ways(world: World, hours: Hours) -> None:
    people(world, 10)
    world.portal.faults.add(action="status", status=500, path_contains="/search", times=None)
    hours.let(60)
    for n in range(5):
        world.sql("update customer set company = %s", f"b{n}")
        contact = world.portal.contact("c3@example.com")
        world.portal.edit(contact.id, {"phone": str(n)})
        world.event(contact.id)
        assert hours.let(
            SOON,
            until=lambda n=n: (
                world.contact("c4@example.com")["company"] == f"b{n}"
                and world.customer("c3@example.com")["phone"] == str(n)
            ),
        ), f"round {n}"
    assert_unspent(world)
    world.portal.faults.clear()
    pass_time(world, 120)
    assert_sound(world)


def test_without_creates_the_updates_go_on(world: World, hours: Hours) -> None:
    people(world, 10)
    world.portal.faults.add(action="status", status=503, path_contains="/batch/create", times=None)
    world.sql("insert into customer (email) select 'new' || n || '@example.com' from generate_series(1, 20) n")
    hours.let(60)
    for n in range(5):
        world.sql("update customer set company = %s where email like 'c%%'", f"b{n}")
        assert hours.let(SOON, until=lambda n=n: world.contact("c4@example.com")["company"] == f"b{n}"), f"round {n}"
    assert_unspent(world)
    world.portal.faults.clear()
    assert hours.let(SOON, until=lambda: due(world) == 0)
    assert_sound(world)


@pytest.mark.parametrize("path", ["/batch/update", "/batch/read"])
def test_a_record_that_hubspot_breaks_on_does_not_keep_the_others_from_their_turn(
    world: World, hours: Hours, path: str
) -> None:
    """HubSpot answers 500 to every call that has this record in it; ninety-nine others share its batch."""
    people(world, 100)
    contact = world.portal.contact("c7@example.com")
    fault = {"action": "status", "status": 500, "path_contains": path, "times": None}
    world.portal.faults.add(**fault, body_contains=f'"{contact.id}"')
    world.sql("update customer set company = 'b'")
    others = {f"c{n}@example.com" for n in range(100)} - {"c7@example.com"}

    def is_there() -> bool:
        done = {each.email for each in world.portal.contacts if each.get("company") == "b"}
        return others <= done

    assert hours.let(QUITE_SOON, until=is_there)
    world.portal.faults.clear()
    assert hours.let(3600, until=lambda: due(world) == 0)
    world.quiet()
    world.sql("select sync.retry('c7@example.com')")
    assert_sound(world)
