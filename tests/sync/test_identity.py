"""Who is whom: addresses that change hands, merges in HubSpot, deletions and restores in every order."""

import pytest
from histories import (
    CREATE,
    UPDATE,
    Caller,
    Person,
    blocks,
    change,
    count,
    expire,
    killed,
    link,
    lives,
    lost,
    person,
    row,
    settle,
    there,
    worker,
)
from world import World

from reconciler.core.ports import Subject

SWAP = (
    "update customer set email = case firstname when 'Kai' then 'uwe@example.com' else 'kai@example.com' end "
    "where email is null"
)


def _swap_here(world: World) -> None:
    with world.connection.transaction():
        world.sql("update customer set email = null")
        world.sql(SWAP)


def _swap_there(world: World, kai: Person, uwe: Person) -> None:
    world.portal.edit(kai[1], {"email": ""})
    world.portal.edit(uwe[1], {"email": "kai@example.com"})
    world.portal.edit(kai[1], {"email": "uwe@example.com"})


def _assert_swapped(world: World, kai: Person, uwe: Person) -> None:
    assert (row(world, kai[0])["email"], row(world, uwe[0])["email"]) == ("uwe@example.com", "kai@example.com")
    assert (there(world, kai[1], "email"), there(world, uwe[1], "email")) == ("uwe@example.com", "kai@example.com")
    assert lost(world) == set()
    world.assert_equal()
    world.assert_fixpoint()


def test_two_customers_that_swap_addresses_here_swap_them_there(world: World, kai: Person, uwe: Person) -> None:
    _swap_here(world)
    world.quiet()
    _assert_swapped(world, kai, uwe)


@pytest.mark.parametrize("call", [0, 1])
@pytest.mark.parametrize("when", ["before", "after", "late"])
@pytest.mark.parametrize("is_overdue", [False, True])
def test_a_crash_amid_a_swap_of_addresses_loses_neither(
    world: World, kai: Person, uwe: Person, call: int, when: str, is_overdue: bool
) -> None:
    _swap_here(world)
    with killed(world, UPDATE, when=when, skip=call):
        world.quiet()
    if is_overdue:
        expire(world)
    settle(world)
    _assert_swapped(world, kai, uwe)


@pytest.mark.parametrize("told", [(0, 1), (0,), (1,)])
def test_two_contacts_that_swap_addresses_there_swap_them_here(
    world: World, kai: Person, uwe: Person, told: tuple[int, ...]
) -> None:
    _swap_there(world, kai, uwe)
    world.event(*[(kai[1], uwe[1])[n] for n in told])
    world.quiet()
    world.sweep()
    _assert_swapped(world, kai, uwe)


def test_three_addresses_that_go_round_arrive(world: World, kai: Person, uwe: Person) -> None:
    ada = person(world, email="ada@example.com", firstname="Ada")
    before = [there(world, each[1], "email") for each in (kai, uwe, ada)]
    with world.connection.transaction():
        world.sql("update customer set email = null")
        for each, address in zip((kai, uwe, ada), before[1:] + before[:1], strict=True):
            change(world, each[0], email=address)
    world.quiet()
    assert [there(world, each[1], "email") for each in (kai, uwe, ada)] == before[1:] + before[:1]
    world.assert_equal()
    world.assert_fixpoint()


def test_a_new_customer_with_the_address_of_a_deleted_one_gets_a_contact_of_its_own(world: World, kai: Person) -> None:
    old, contact = kai
    world.sql("delete from customer")
    new = world.insert(email="kai@example.com", firstname="New")
    world.quiet()
    assert not lives(world, contact)
    assert link(world, new)["contact"] != contact
    assert row(world, new)["deletedat"] is None
    assert len(world.portal.contacts) == 1
    assert there(world, link(world, new)["contact"], "firstname") == "New"
    world.assert_equal()
    world.assert_fixpoint()


def test_a_new_customer_waits_for_the_archive_of_the_old_one_that_another_worker_has_in_hand(
    world: World, kai: Person
) -> None:
    old, contact = kai
    change(world, old, deletedat="2026-01-01")
    new = world.insert(email="kai@example.com", firstname="New")
    world.sql("select sync.fold()")
    world.parts.marks.claim(1, only=[Subject.customer(old)])
    world.parts.reconciler.drain()
    assert link(world, new)["contact"] != contact
    assert row(world, new)["deletedat"] is None
    expire(world)
    world.quiet()
    assert not lives(world, contact)
    assert row(world, new)["deletedat"] is None
    assert there(world, link(world, new)["contact"], "firstname") == "New"
    world.assert_fixpoint()


@pytest.mark.parametrize("deletes", ["inbound", "none"])
def test_a_new_customer_takes_the_contact_over_where_deletions_are_not_pushed(
    dsn: str, database: object, deletes: str
) -> None:
    with World.open(dsn, database, SYNC_DELETES=deletes) as world:
        old, contact = person(world, email="kai@example.com", firstname="Old")
        change(world, old, deletedat="2026-01-01")
        new = world.insert(email="kai@example.com", firstname="New")
        world.quiet()
        assert lives(world, contact)
        assert link(world, new)["contact"] == contact
        assert there(world, contact, "firstname") == "New"
        world.assert_equal()
        world.assert_fixpoint()


def test_two_customers_and_one_contact_park_the_address_and_nothing_else(world: World, kai: Person) -> None:
    uuid, contact = kai
    uwe = world.insert(email="uwe@example.com", firstname="Uwe")
    world.portal.edit(contact, {"email": "uwe@example.com", "company": "there"})
    world.event(contact)
    change(world, uuid, phone="here")
    world.quiet()
    assert blocks(world, uuid)["email"] == "address_taken"
    assert "email" in blocks(world, uwe)
    assert (row(world, uuid)["email"], row(world, uuid)["company"]) == ("kai@example.com", "there")
    assert there(world, contact, "phone") == "here"
    assert len(world.portal.contacts) == 1
    world.assert_fixpoint()
    change(world, uwe, email="vera@example.com")
    world.quiet()
    world.sweep()
    assert row(world, uuid)["email"] == "uwe@example.com"
    world.assert_equal()
    world.assert_fixpoint()


def test_a_customer_whose_address_is_a_secondary_one_of_a_linked_contact_is_parked(world: World, kai: Person) -> None:
    _, contact = kai
    world.portal.add_address(contact, "uwe@example.com")
    world.event(contact)
    world.quiet()
    uwe = world.insert(email="uwe@example.com", firstname="Uwe")
    world.quiet()
    assert blocks(world, uwe) == {"email": "address_taken"}
    assert link(world, uwe)["contact"] is None
    assert len(world.portal.contacts) == 1
    world.assert_fixpoint()


def test_a_customer_whose_contact_was_made_by_a_worker_that_died_adopts_it_and_no_second_one(world: World) -> None:
    uuid = world.insert(email="kai@example.com", firstname="Kai")
    with killed(world, CREATE):
        world.quiet()
    world.event(*[contact.id for contact in world.portal.contacts])
    worker(world).drain()
    change(world, uuid, firstname="Kay")
    settle(world)
    assert len(world.portal.contacts) == count(world, "customer") == 1
    assert there(world, link(world, uuid)["contact"], "firstname") == "Kay"
    assert lost(world) == set()
    world.assert_equal()
    world.assert_fixpoint()


def test_a_lost_create_whose_contact_somebody_else_has_by_now_is_no_hot_loop(world: World) -> None:
    uuid = world.insert(email="kai@example.com", firstname="Kai")
    with killed(world, CREATE):
        world.quiet()
    change(world, uuid, email="kay@example.com")
    other = world.insert(email="kai@example.com", firstname="Other")
    world.parts.reconciler.drain()
    settle(world)
    assert {link(world, uuid)["contact"], link(world, other)["contact"]} == {
        int(contact.id) for contact in world.portal.contacts
    }
    assert len(world.portal.contacts) == 2
    world.assert_equal()
    world.assert_fixpoint()


@pytest.mark.parametrize("how", ["api", "soft", "hard"])
@pytest.mark.parametrize("is_told", [True, False])
def test_a_customer_deleted_while_its_create_is_open_does_not_come_back(world: World, how: str, is_told: bool) -> None:
    world.insert(email="kai@example.com", firstname="Kai")
    with killed(world, CREATE):
        world.quiet()
    contact = int(world.portal.contacts[0].id)
    if how == "api":
        world.sql("update sync.link set lease_until = null")
        assert Caller(world).delete("kai@example.com")[0] == 204
    else:
        world.sql("delete from customer" if how == "hard" else "update customer set deletedat = now()")
    if is_told:
        world.event(contact)
    settle(world)
    world.event(contact)
    world.quiet()
    world.sweep()
    assert count(world, "customer where deletedat is null") == 0
    assert not lives(world, contact)
