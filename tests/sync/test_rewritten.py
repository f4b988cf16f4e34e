"""What HubSpot makes into another form as it stores it is no person's edit: both sides end with HubSpot's form."""

from typing import Any

import pytest
from histories import UPDATE, Caller, Person, blocks, calls, change, lost, person, row, there
from world import World

RAW = {"phone": "(555) 555-5555", "company": " Acme "}
FORM = {"phone": "+15555555555", "company": "Acme"}


@pytest.fixture
def kai(world: World) -> Person:
    world.portal.set(rewrite_phones=True, trim_texts=True)
    return person(world, email="kai@example.com", firstname="Kai")


def _assert_form(world: World, kai: Person, form: dict[str, Any] = FORM) -> None:
    assert {name: row(world, kai[0])[name] for name in form} == form
    assert {name: there(world, kai[1], name) for name in form} == form
    assert world.sql("select * from sync.conflicts") == []
    assert blocks(world, kai[0]) == {}
    world.assert_equal()
    world.assert_fixpoint()


@pytest.mark.parametrize("is_told", [False, True])
def test_a_put_of_a_value_that_hubspot_rewrites_is_no_conflict(world: World, kai: Person, is_told: bool) -> None:
    caller = Caller(world)
    for values in (RAW, {"phone": "+1 555 555 5555"}, {**RAW, "company": "  Acme"}, RAW):
        assert caller.put("kai@example.com", values)[0] == 200
        if is_told:
            world.event(kai[1])
            world.quiet()
    world.event(kai[1])
    world.quiet()
    _assert_form(world, kai)


def test_the_same_put_again_and_again_logs_nothing_more(world: World, kai: Person) -> None:
    caller = Caller(world)
    for _ in range(3):
        assert caller.put("kai@example.com", RAW)[0] == 200
        world.event(kai[1])
        world.quiet()
        assert len(world.sql("select 1 from sync.conflict")) <= 2
    assert lost(world) <= set(RAW.items())
    _assert_form(world, kai)


def test_the_same_edit_here_again_and_again_ends_in_hubspots_form(world: World, kai: Person) -> None:
    for _ in range(3):
        change(world, kai[0], **RAW)
        world.quiet()
        _assert_form(world, kai)
    assert len(world.sql("select 1 from sync.conflict")) <= 2


def test_a_customer_that_is_created_with_it_is_no_conflict(world: World, kai: Person) -> None:
    status, shown = Caller(world).post({"email": "uwe@example.com", **RAW})
    assert (status, shown["phone"], shown["company"]) == (201, FORM["phone"], FORM["company"])
    person(world, email="mia@example.com", **RAW)
    world.quiet()
    assert world.sql("select * from sync.conflicts") == []
    world.assert_equal()
    world.assert_fixpoint()


def test_a_value_of_blanks_is_an_empty_one(world: World, kai: Person) -> None:
    change(world, kai[0], company="Acme")
    world.quiet()
    change(world, kai[0], company="   ")
    world.quiet()
    _assert_form(world, kai, {"company": None})


def test_what_a_person_wrote_before_is_still_logged(world: World, kai: Person) -> None:
    world.portal.edit(kai[1], {"phone": "+49301234567"})
    assert Caller(world).put("kai@example.com", RAW)[0] == 200
    world.event(kai[1])
    world.quiet()
    assert [tuple(each.values()) for each in world.sql("select property, kept, lost from sync.conflicts")] == [
        ("phone", FORM["phone"], "+49301234567")
    ]


def test_a_row_that_takes_the_form_and_turns_it_back_is_parked_at_once(world: World, kai: Person) -> None:
    world.sql(
        "create function turn_back() returns trigger language plpgsql as "
        "$$ begin new.company := ' ' || btrim(new.company) || ' '; return new; end $$"
    )
    world.sql("create trigger zz before update on customer for each row execute function turn_back()")
    change(world, kai[0], company="Acme")
    world.quiet()
    assert blocks(world, kai[0]) == {"company": "coerced"}
    world.portal.calls.clear()
    world.sweep()
    assert calls(world, UPDATE) == 0
    world.sql("drop trigger zz on customer")
    change(world, kai[0], company=" Acme 2")
    world.quiet()
    _assert_form(world, kai, {"company": "Acme 2"})
