"""Erased stays erased under every address that the person had: former ones, secondary ones, merged ones."""

from collections.abc import Callable

import pytest
from histories import Caller, assert_erased, change, person, row
from psycopg.errors import CheckViolation
from world import World

from reconciler.commands.erase import erase

KAI, OLD = "kai@example.com", "old@example.com"


def _by_command(world: World) -> None:
    assert erase(world.parts, KAI)
    world.quiet()


def _by_hubspot(world: World) -> None:
    contact = world.portal.contact(KAI)
    assert contact is not None
    world.portal.erase(contact.id)
    world.event(contact.id, privacy=True)
    world.quiet()


ERASES: list[Callable[[World], None]] = [_by_command, _by_hubspot]
each_way = pytest.mark.parametrize("erased", ERASES)


def _assert_stays_erased(world: World, *addresses: str) -> None:
    assert_erased(world, KAI, *addresses)
    world.portal.set(blocklisted="allow")
    for address in addresses:
        with pytest.raises(CheckViolation):
            world.insert(email=f" {address.upper()}")
        status, body = Caller(world).post({"email": address})
        assert (status, body["code"]) == (409, "erased_subject")
        back = world.portal.create({"email": address, "company": "Acme"})
        world.event(back.id)
    world.quiet()
    world.sweep()
    assert not world.sql("select 1 from customer where deletedat is null and email is not null")
    assert_erased(world, "Acme", *addresses)


@each_way
def test_an_address_that_was_changed_here_stays_erased(world: World, erased: Callable[[World], None]) -> None:
    uuid, _ = person(world, email=OLD)
    change(world, uuid, email=KAI)
    world.quiet()
    erased(world)
    _assert_stays_erased(world, OLD)


@each_way
def test_an_address_that_was_changed_in_hubspot_stays_erased(world: World, erased: Callable[[World], None]) -> None:
    _, contact = person(world, email=OLD)
    world.portal.edit(contact, {"email": KAI})
    world.event(contact)
    world.quiet()
    erased(world)
    _assert_stays_erased(world, OLD)


@each_way
def test_an_address_that_was_changed_by_the_api_stays_erased(world: World, erased: Callable[[World], None]) -> None:
    person(world, email=OLD)
    assert Caller(world).put(OLD, {"email": KAI})[0] == 200
    erased(world)
    _assert_stays_erased(world, OLD)


@each_way
def test_an_address_whose_change_is_forgotten_in_the_log_stays_erased(
    world: World, erased: Callable[[World], None]
) -> None:
    uuid, _ = person(world, email=OLD)
    change(world, uuid, email=KAI)
    world.quiet()
    world.sql("update sync.history set at = now() - interval '91 days'")
    world.parts.database.run("prune")
    assert not world.sql("select 1 from sync.history")
    erased(world)
    _assert_stays_erased(world, OLD)


@each_way
def test_a_secondary_address_of_a_contact_stays_erased(world: World, erased: Callable[[World], None]) -> None:
    kai = world.portal.create({"email": KAI, "firstname": "Kai"})
    survivor = world.portal.merge(kai.id, world.portal.create({"email": OLD}).id)
    world.event(survivor.id)
    world.quiet()
    erased(world)
    _assert_stays_erased(world, OLD)


@each_way
def test_the_addresses_of_merged_customers_stay_erased(world: World, erased: Callable[[World], None]) -> None:
    _, kai = person(world, email=KAI)
    uuid, other = person(world, email=OLD)
    change(world, uuid, email="other@example.com")
    world.quiet()
    survivor = world.portal.merge(kai, other)
    world.event(kai, other, survivor.id)
    world.quiet()
    erased(world)
    _assert_stays_erased(world, OLD, "other@example.com")


def test_an_address_that_only_hubspots_history_has_stays_erased(world: World) -> None:
    contact = world.portal.create({"email": OLD})
    world.portal.edit(contact.id, {"email": KAI})
    world.event(contact.id)
    world.quiet()
    _by_command(world)
    _assert_stays_erased(world, OLD)


def test_a_contact_that_has_an_erased_address_beside_its_own_is_not_taken_in(world: World) -> None:
    person(world, email=KAI)
    _by_command(world)
    world.portal.set(blocklisted="allow")
    back = world.portal.merge(
        world.portal.create({"email": "new@example.com", "company": "Acme"}).id, world.portal.create({"email": KAI}).id
    )
    world.event(back.id)
    world.quiet()
    world.sweep()
    assert not world.sql("select 1 from customer where deletedat is null")


@each_way
def test_an_address_that_is_anothers_by_now_stays_that_persons(world: World, erased: Callable[[World], None]) -> None:
    uuid, _ = person(world, email=OLD)
    change(world, uuid, email=KAI)
    world.quiet()
    uwe, contact = person(world, email=OLD, firstname="Uwe")
    erased(world)
    assert row(world, uwe)["email"] == OLD
    change(world, uwe, company="1")
    world.quiet()
    world.portal.edit(contact, {"company": "2"})
    world.event(contact)
    world.quiet()
    assert row(world, uwe)["company"] == "2"
    world.assert_equal()
    world.assert_fixpoint()


@each_way
def test_a_deleted_row_with_a_former_address_is_erased_too(world: World, erased: Callable[[World], None]) -> None:
    """Deleted, come again under the same address, and moved to another one since."""
    first, _ = person(world, email=OLD, company="Acme")
    change(world, first, deletedat="2026-01-01")
    world.quiet()
    second, _ = person(world, email=OLD)
    change(world, second, email=KAI)
    world.quiet()
    erased(world)
    assert row(world, first)["erasedat"] is not None
    _assert_stays_erased(world, OLD)


@each_way
def test_a_former_address_in_the_conflicts_of_others_goes_too(world: World, erased: Callable[[World], None]) -> None:
    uwe, _ = person(world, email="uwe@example.com")
    uuid, _ = person(world, email=OLD)
    change(world, uuid, email=KAI)
    world.quiet()
    logged(world, uwe, kept="uwe@example.com", lost=OLD)
    erased(world)
    assert_erased(world, KAI, OLD)


@each_way
def test_what_others_lost_to_the_persons_addresses_stays(world: World, erased: Callable[[World], None]) -> None:
    uwe, _ = person(world, email="uwe@example.com")
    uuid, _ = person(world, email=OLD)
    change(world, uuid, email=KAI)
    world.quiet()
    for kept in (KAI, OLD):
        logged(world, uwe, kept=kept, lost="uwe@x.org")
    erased(world)
    assert_erased(world, KAI, OLD)
    left = world.sql("select kept, lost from sync.conflict where uuid = %s", uwe)
    assert left == [{"kept": None, "lost": "uwe@x.org"}]


@each_way
def test_an_address_that_only_a_settled_conflict_had_stays_erased(
    world: World, erased: Callable[[World], None]
) -> None:
    uuid, _ = person(world, email=KAI)
    logged(world, uuid, kept=KAI, lost=OLD)
    world.sql("update sync.conflict set resolved = now() - interval '91 days'")
    world.parts.database.run("prune")
    assert not world.sql("select 1 from sync.conflict")
    erased(world)
    _assert_stays_erased(world, OLD)


def logged(world: World, uuid: object, *, kept: str, lost: str) -> None:
    """A conflict about an address, which HubSpot won."""
    world.sql(
        "insert into sync.conflict (uuid, property, winner, kept, lost) values (%s, 'email', 'hubspot', %s, %s)",
        uuid,
        kept,
        lost,
    )
