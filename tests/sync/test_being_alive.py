"""Lifecycle stages that go back, being alive on both sides, customers of every kind: what was decided once."""

from dataclasses import replace
from itertools import product

import pytest
from histories import (
    ARCHIVE,
    READ,
    UPDATE,
    Caller,
    Person,
    blocks,
    calls,
    change,
    count,
    during,
    link,
    lives,
    lost,
    person,
    row,
    there,
)
from world import World


@pytest.fixture
def kai(world: World) -> Person:
    return person(world, email="kai@example.com", firstname="Kai", company="a", lifecyclestage="customer")


def _base_dead(world: World, kai: Person) -> None:
    world.portal.delete(kai[1])
    world.event(kai[1])
    world.quiet()


@pytest.mark.parametrize(("base", "here", "there_"), list(product([True, False], repeat=3)))
def test_being_alive_is_merged_three_ways(world: World, kai: Person, base: bool, here: bool, there_: bool) -> None:
    uuid, contact = kai
    if not base:
        _base_dead(world, kai)
    if here != base:
        change(world, uuid, deletedat=None if here else "2026-01-01")
    if there_ != base:
        world.portal.restore(contact) if there_ else world.portal.delete(contact)
    world.event(contact)
    world.quiet()
    is_alive = (here and there_) if base else (here or there_)
    assert (row(world, uuid)["deletedat"] is None) == is_alive
    assert len(world.portal.contacts) == is_alive
    assert count(world, "customer") == 1
    if is_alive:
        assert (link(world, uuid)["contact"] == contact) == there_
        world.assert_equal()
    world.assert_fixpoint()


def test_what_hubspot_changed_before_a_deletion_here_is_in_the_log(world: World, kai: Person) -> None:
    world.portal.edit(kai[1], {"company": "there"})
    change(world, kai[0], deletedat="2026-01-01")
    world.quiet()
    assert not lives(world, kai[1])
    assert lost(world) == {("company", "there")}


def test_what_was_changed_here_before_a_deletion_in_hubspot_is_in_the_log(world: World, kai: Person) -> None:
    change(world, kai[0], company="here")
    world.portal.delete(kai[1])
    world.event(kai[1])
    world.quiet()
    assert row(world, kai[0])["deletedat"] is not None
    assert lost(world) == {("company", "here")}


def test_a_customer_restored_here_keeps_the_id_of_its_former_contact_out(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, deletedat="2026-01-01")
    world.quiet()
    change(world, uuid, deletedat=None)
    world.quiet()
    new = link(world, uuid)["contact"]
    assert new != contact
    world.portal.set(restore_taken="drop_email")
    world.portal.restore(contact)
    world.event(contact)
    world.quiet()
    world.sweep()
    assert link(world, uuid)["contact"] == new
    assert count(world, "customer") == 1
    assert lives(world, contact)
    assert row(world, uuid)["company"] == "a"


def test_a_former_contact_that_is_restored_beside_its_successor_is_shown_as_parked(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, deletedat="2026-01-01")
    world.quiet()
    change(world, uuid, deletedat=None)
    world.quiet()
    world.portal.set(restore_taken="drop_email")
    world.portal.restore(contact)
    world.event(contact)
    world.quiet()
    assert world.sql("select count(*) from sync.parked where contact = %s", contact)[0]["count"] == 1


@pytest.mark.parametrize("how", ["hard", "soft"])
@pytest.mark.parametrize("deletes", ["inbound", "none"])
def test_a_deletion_here_that_is_not_to_be_pushed_detaches_the_pair(
    dsn: str, database: object, deletes: str, how: str
) -> None:
    with World.open(dsn, database, SYNC_DELETES=deletes) as world:
        uuid, contact = person(world, email="kai@example.com", company="a")
        world.sql("delete from customer" if how == "hard" else "update customer set deletedat = now()")
        world.quiet()
        world.portal.edit(contact, {"company": "there"})
        world.event(contact)
        world.quiet()
        world.sweep()
        assert lives(world, contact)
        assert count(world, "customer where deletedat is null") == 0
        assert link(world, uuid)["detached"]
        world.assert_fixpoint()
        if how == "soft":
            change(world, uuid, deletedat=None, phone="1")
            world.quiet()
            assert row(world, uuid)["company"] == "there"
            assert there(world, contact, "phone") == "1"
            assert not link(world, uuid)["detached"]
            world.assert_equal()
            world.assert_fixpoint()


@pytest.mark.parametrize("deletes", ["outbound", "none"])
def test_a_deletion_in_hubspot_that_is_not_to_be_pulled_detaches_the_pair(
    dsn: str, database: object, deletes: str
) -> None:
    with World.open(dsn, database, SYNC_DELETES=deletes) as world:
        uuid, contact = person(world, email="kai@example.com", company="a")
        person(world, email="uwe@example.com")
        world.portal.delete(contact)
        world.event(contact)
        world.quiet()
        change(world, uuid, company="here")
        world.quiet()
        world.sweep()
        assert row(world, uuid)["deletedat"] is None
        assert len(world.portal.contacts) == 1
        assert link(world, uuid)["detached"]
        world.assert_fixpoint()
        world.portal.restore(contact)
        world.event(contact)
        world.quiet()
        assert there(world, contact, "company") == "here"
        assert not link(world, uuid)["detached"]
        world.assert_equal()
        world.assert_fixpoint()


def test_what_was_on_both_sides_before_they_met_is_joined(world: World) -> None:
    contact = world.portal.create({"email": "KAI@example.com", "firstname": "There", "phone": "1"})
    uuid = world.insert(email=" Kai@Example.com", firstname="Here", company="b")
    world.quiet()
    world.event(contact.id)
    world.quiet()
    assert link(world, uuid)["contact"] == int(contact.id)
    mine = row(world, uuid)
    assert (mine["phone"], mine["company"], mine["lifecyclestage"]) == ("1", "b", "lead")
    winner = there(world, contact.id, "firstname")
    assert {winner} | {value for _, value in lost(world)} == {"Here", "There"}
    assert count(world, "customer") == len(world.portal.contacts) == 1


def test_a_customer_deleted_for_good_comes_back_with_its_contact(world: World, kai: Person) -> None:
    uuid, contact = kai
    world.sql("delete from customer")
    world.quiet()
    assert not lives(world, contact)
    assert count(world, "customer") == 0
    world.portal.restore(contact)
    world.event(contact)
    world.quiet()
    assert row(world, uuid)["company"] == "a"
    world.assert_equal()
    world.assert_fixpoint()


def test_an_edit_of_a_row_that_was_deleted_for_good_meanwhile_brings_it_not_back(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="b")
    during(world, UPDATE, lambda: world.sql("delete from customer"))
    world.quiet()
    assert count(world, "customer") == 0
    assert not lives(world, contact)
    assert calls(world, ARCHIVE) == 1


def test_a_pull_into_a_row_that_was_deleted_for_good_meanwhile_brings_it_not_back(world: World, kai: Person) -> None:
    world.portal.edit(kai[1], {"company": "there"})
    world.event(kai[1])
    during(world, READ, lambda: world.sql("delete from customer"))
    world.quiet()
    assert count(world, "customer") == 0
    assert not lives(world, kai[1])


def test_two_contacts_with_one_address_in_two_spellings_are_one_customer_and_a_duplicate(
    world: World, kai: Person
) -> None:
    uuid, contact = kai
    other = world.portal.create({"email": "other@example.com", "company": "other"})
    # Older portals hold such pairs; no call of today makes one.
    with world.portal.ledger.session():
        world.portal.ledger.put(replace(other, values={**other.values, "email": "Kai@Example.com"}))
    world.event(other.id)
    world.quiet()
    assert link(world, uuid)["contact"] == contact
    assert count(world, "customer") == 1
    assert world.sql("select contact, code from sync.parked") == [{"contact": int(other.id), "code": "duplicate"}]
    revision = world.portal.revision
    world.event(other.id, contact)
    world.quiet()
    world.sweep()
    assert world.portal.revision == revision
    assert count(world, "customer") == 1


def test_contacts_without_names_or_addresses_are_customers_too(world: World) -> None:
    world.portal.create({"company": "nameless"})
    world.portal.create({"firstname": "Only"})
    world.sweep()
    assert count(world, "customer where email is null") == 2
    world.assert_equal()
    world.assert_fixpoint()


def test_a_create_that_was_accepted_and_refused_later_keeps_its_value_and_shows_it(world: World) -> None:
    caller = Caller(world)
    body = {"email": "kai@example.com", "lifecyclestage": "no such stage"}
    assert caller.post(body, prefer="respond-async")[0] == 202
    world.quiet()
    (uuid,) = [each["uuid"] for each in world.sql("select uuid from customer")]
    assert blocks(world, uuid) == {"lifecyclestage": "invalid_value"}
    assert row(world, uuid)["lifecyclestage"] == "no such stage"
    assert len(world.portal.contacts) == 1
    assert world.sql("select property from sync.parked") == [{"property": "lifecyclestage"}]
    assert caller.put("kai@example.com", {"lifecyclestage": "customer"})[0] == 200
    world.quiet()
    assert blocks(world, uuid) == {}
    world.assert_equal()
    world.assert_fixpoint()


def test_bookkeeping_changes_no_entity_tag(world: World, kai: Person) -> None:
    caller = Caller(world)
    caller("GET", "/kai@example.com")
    tag = caller.headers["etag"]
    updated = row(world, kai[0])["updatedat"]
    world.portal.edit(kai[1], {"company": "b"})
    world.portal.edit(kai[1], {"company": "a"})
    world.event(kai[1])
    world.quiet()
    assert row(world, kai[0])["updatedat"] == updated
    assert caller.put("kai@example.com", {"company": "b"}, if_match=tag)[0] == 200
    assert caller.put("kai@example.com", {"company": "c"}, if_match=tag)[0] == 412
    assert there(world, kai[1], "company") == "b"


def test_a_batch_that_names_one_customer_often_runs_in_order(world: World) -> None:
    caller = Caller(world)
    items = [
        {"op": "create", "email": "kai@example.com", "firstname": "Kai", "lastname": "Bo"},
        {"op": "update", "email": "kai@example.com", "company": "a"},
        {"op": "update", "email": "kai@example.com", "new_email": "kay@example.com"},
        {"op": "create", "email": "kai@example.com", "firstname": "New", "lastname": "Bo"},
        {"op": "upsert", "email": "kay@example.com", "company": "b"},
        {"op": "delete", "email": "kai@example.com"},
        {"op": "read", "email": "kai@example.com"},
        {"op": "read", "email": "kay@example.com"},
    ]
    status, results = caller("POST", "/batch", items)
    assert status == 207
    assert [each["status"] for each in results] == [201, 200, 200, 201, 200, 204, 404, 200]
    assert results[-1]["customer"]["company"] == "b"
    world.quiet()
    assert [each.email for each in world.portal.contacts] == ["kay@example.com"]
    world.assert_equal()
    world.assert_fixpoint()


def test_a_customer_from_hubspot_deleted_in_sql_comes_back_as_itself(world: World) -> None:
    contact = int(world.portal.create({"email": "kai@example.com", "firstname": "Kai"}).id)
    world.event(contact)
    world.quiet()
    before = world.sql("select uuid from customer")
    world.sql("delete from customer")
    world.quiet()
    world.portal.restore(contact)
    world.event(contact)
    world.quiet()
    assert world.sql("select uuid from customer") == before
