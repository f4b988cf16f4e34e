"""What changes in HubSpot or in the API between our read and our write of the same pair."""

import pytest
from histories import (
    CREATE,
    READ,
    UPDATE,
    Caller,
    Person,
    blocks,
    calls,
    change,
    conflicts,
    count,
    during,
    expire,
    killed,
    link,
    lives,
    lost,
    person,
    row,
    settle,
    there,
    traces,
    worker,
)
from world import World


@pytest.mark.parametrize("is_expired", [True, False])
def test_a_put_of_a_customer_that_is_just_being_created_makes_no_second_contact(world: World, is_expired: bool) -> None:
    uuid, answers = world.insert(email="kai@example.com", firstname="Kai", company="a"), []

    def put() -> None:
        if is_expired:
            expire(world)
        answers.append(Caller(world).put("kai@example.com", {"company": "b"})[0])

    during(world, CREATE, put)
    world.parts.reconciler.drain()
    # While the worker's create has not answered nobody can tell whose contact it is: come again.
    assert answers == [200 if is_expired else 503]
    assert Caller(world).put("kai@example.com", {"company": "b"})[0] == 200
    settle(world)
    assert len(world.portal.contacts) == count(world, "customer") == 1
    assert there(world, link(world, uuid)["contact"], "company") == "b"
    assert conflicts(world) == set()
    world.assert_equal()
    world.assert_fixpoint()


def test_a_put_beside_a_put_that_is_just_creating_the_contact_makes_no_second_one(world: World) -> None:
    """Were it to create the contact, and a third renamed that, HubSpot would not see what the first one repeats."""
    world.insert(email="kai@example.com", firstname="Kai")
    answers = []

    def puts() -> None:
        world.sql("update sync.link set lease_until = now() - interval '1 s'")
        answers.append(Caller(world).put("kai@example.com", {"company": "b"})[0])
        answers.append(Caller(world).put("kai@example.com", {"email": "uwe@example.com"})[0])

    during(world, CREATE, puts, when="before")
    answers.append(Caller(world).put("kai@example.com", {"phone": "1"})[0])
    assert answers == [503, 503, 200]
    settle(world)
    assert len(world.portal.contacts) == count(world, "customer") == 1
    world.assert_equal()
    world.assert_fixpoint()


@pytest.mark.parametrize("is_expired", [True, False])
def test_a_delete_of_a_customer_that_is_just_being_created_takes_the_contact_too(
    world: World, is_expired: bool
) -> None:
    world.insert(email="kai@example.com", firstname="Kai")
    answers = []

    def delete() -> None:
        if is_expired:
            expire(world)
        answers.append(Caller(world).delete("kai@example.com")[0])

    during(world, CREATE, delete)
    world.parts.reconciler.drain()
    assert answers == [204]
    settle(world)
    assert count(world, "customer where deletedat is null") == 0
    assert world.portal.contacts == []


def test_a_push_to_a_contact_that_is_merged_away_meanwhile_reaches_the_survivor(world: World, kai: Person) -> None:
    uuid, contact = kai
    other, second = person(world, email="uwe@example.com")
    change(world, uuid, company="b")
    during(world, UPDATE, lambda: world.portal.merge(contact, second), when="before")
    world.parts.reconciler.drain()
    settle(world)
    world.sweep()
    (survivor,) = world.portal.contacts
    assert survivor.get("company") == "b"
    assert link(world, uuid)["contact"] == int(survivor.id)
    assert str(row(world, other)["mergedinto"]) == str(uuid)
    world.assert_equal()
    world.assert_fixpoint()


@pytest.mark.parametrize("how", ["reconciler", "put"])
def test_a_push_to_a_contact_that_is_deleted_meanwhile_deletes_the_customer_and_logs_the_edit(
    world: World, kai: Person, how: str
) -> None:
    uuid, contact = kai
    during(world, UPDATE, lambda: world.portal.delete(contact), when="before")
    if how == "put":
        assert Caller(world).put("kai@example.com", {"company": "b"})[0] == 404
    else:
        change(world, uuid, company="b")
    world.quiet()
    settle(world)
    assert row(world, uuid)["deletedat"] is not None
    assert lost(world) == ({("company", "b")} if how == "reconciler" else set())
    assert world.portal.contacts == []


def test_a_push_to_a_contact_that_is_erased_meanwhile_erases_the_customer(world: World, kai: Person) -> None:
    uuid, contact = kai
    person(world, email="uwe@example.com")
    change(world, uuid, company="Acme")

    def erased() -> None:
        world.portal.erase(contact)
        world.event(contact, privacy=True)

    during(world, UPDATE, erased, when="before")
    world.quiet()
    settle(world)
    assert row(world, uuid)["erasedat"] is not None
    assert traces(world, "kai@example.com") == traces(world, "Acme") == []
    assert len(world.portal.contacts) == 1


@pytest.mark.parametrize("is_told", [True, False])
def test_an_address_that_an_unknown_contact_has_is_parked_and_everything_else_goes(
    world: World, kai: Person, is_told: bool
) -> None:
    uuid, contact = kai
    other = world.portal.create({"email": "uwe@example.com", "company": "there"})
    change(world, uuid, email="uwe@example.com", phone="1")
    if is_told:
        world.event(other.id)
    world.quiet()
    world.sweep()
    assert there(world, contact, "phone") == "1"
    assert (there(world, contact, "email"), there(world, other.id, "email")) == ("kai@example.com", "uwe@example.com")
    assert blocks(world, uuid) == {"email": "address_taken"}
    world.assert_fixpoint()
    world.portal.edit(other.id, {"email": "vera@example.com"})
    world.event(other.id)
    world.quiet()
    world.sql("select sync.retry(%s)", str(uuid))
    world.quiet()
    world.sweep()
    assert there(world, contact, "email") == "uwe@example.com"
    assert world.customer("vera@example.com") is not None
    world.assert_equal()
    world.assert_fixpoint()


@pytest.mark.parametrize("when", ["before", "after", "late"])
def test_an_address_given_away_here_goes_to_the_new_customer_in_spite_of_a_crash(
    world: World, kai: Person, when: str
) -> None:
    uuid, contact = kai
    change(world, uuid, email="kay@example.com")
    new = world.insert(email="kai@example.com", firstname="New")
    with killed(world, UPDATE, when=when):
        world.quiet()
    settle(world)
    assert there(world, contact, "email") == "kay@example.com"
    assert there(world, link(world, new)["contact"], "email") == "kai@example.com"
    assert len(world.portal.contacts) == 2
    assert conflicts(world) == set()
    world.assert_equal()
    world.assert_fixpoint()


def test_the_new_customer_of_an_address_that_is_given_away_waits_for_the_old_ones_worker(
    world: World, kai: Person
) -> None:
    uuid, contact = kai
    change(world, uuid, email="kay@example.com")
    fresh = []

    def insert() -> None:
        fresh.append(world.insert(email="kai@example.com", firstname="New"))
        worker(world).drain()

    during(world, UPDATE, insert, when="before")
    world.quiet()
    assert there(world, link(world, fresh[0])["contact"], "firstname") == "New"
    assert link(world, uuid)["contact"] == contact
    assert blocks(world, fresh[0]) == {}
    world.assert_equal()
    world.assert_fixpoint()


def test_a_contact_that_two_workers_read_is_inserted_once(world: World) -> None:
    contact = world.portal.create({"email": "kai@example.com", "company": "a"})
    world.event(contact.id)

    def again() -> None:
        expire(world)
        world.event(contact.id)
        worker(world).drain()

    during(world, READ, again)
    world.quiet()
    assert count(world, "customer") == 1
    world.assert_equal()
    world.assert_fixpoint()


def test_a_contact_whose_address_a_new_customer_takes_meanwhile_becomes_that_customers(world: World) -> None:
    contact = world.portal.create({"email": "kai@example.com", "company": "there"})
    world.event(contact.id)
    fresh = []
    during(world, READ, lambda: fresh.append(world.insert(email="kai@example.com", phone="1")))
    world.quiet()
    world.sweep()
    assert link(world, fresh[0])["contact"] == int(contact.id)
    assert (row(world, fresh[0])["company"], there(world, contact.id, "phone")) == ("there", "1")
    assert count(world, "customer") == 1
    assert lives(world, int(contact.id))
    world.assert_equal()
    world.assert_fixpoint()


@pytest.mark.parametrize("is_told", [True, False])
def test_a_contact_created_there_while_ours_is_created_is_adopted(world: World, is_told: bool) -> None:
    uuid = world.insert(email="kai@example.com", firstname="Here")

    def created() -> None:
        contact = world.portal.create({"email": "kai@example.com", "company": "there"})
        if is_told:
            world.event(contact.id)
            worker(world).drain()

    during(world, CREATE, created, when="before")
    world.quiet()
    settle(world)
    world.sweep()
    assert count(world, "customer") == len(world.portal.contacts) == 1
    assert row(world, uuid)["company"] == "there"
    assert there(world, link(world, uuid)["contact"], "firstname") == "Here"
    world.assert_equal()
    world.assert_fixpoint()


@pytest.mark.parametrize("is_soft", [True, False])
def test_a_row_deleted_and_restored_while_nothing_ran_is_as_it_was(world: World, kai: Person, is_soft: bool) -> None:
    uuid, contact = kai
    if is_soft:
        change(world, uuid, deletedat="2026-01-01")
        change(world, uuid, deletedat=None)
    else:
        world.sql("delete from customer")
        world.sql("insert into customer (uuid, email, company) values (%s, 'kai@example.com', 'b')", uuid)
    world.quiet()
    assert link(world, uuid)["contact"] == contact
    assert lives(world, contact)
    assert row(world, uuid)["deletedat"] is None
    assert there(world, contact, "company") == ("a" if is_soft else "b")
    world.assert_equal()
    world.assert_fixpoint()


def test_a_lease_outlasts_the_call_that_is_made_under_it(world: World, kai: Person) -> None:
    uuid, _ = kai
    change(world, uuid, company="b")
    world.sql("select sync.fold()")
    claims = world.parts.marks.claim(1)
    world.sql("update sync.link set lease_until = now() + interval '1 s'")
    seconds = []
    left = "select extract(epoch from lease_until - now()) as left from sync.link"
    during(world, UPDATE, lambda: seconds.append(world.sql(left)[0]["left"]), when="before")
    world.parts.reconciler.reconcile(claims)
    assert seconds[0] > 30


def test_a_worker_whose_claim_is_another_ones_sends_nothing(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="b")
    world.sql("select sync.fold()")
    old = world.parts.marks.claim(1)
    expire(world)
    change(world, uuid, company="c")
    worker(world).drain()
    world.portal.calls.clear()
    world.parts.reconciler.reconcile(old)
    assert calls(world, UPDATE) == 0
    world.quiet()
    assert there(world, contact, "company") == "c"
    world.assert_equal()
