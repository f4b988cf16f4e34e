"""Creates through the API: their own webhooks, rivals for the address, repeats, lost answers."""

import psycopg
from histories import (
    CREATE,
    READ,
    Caller,
    Person,
    conflicts,
    count,
    during,
    expire,
    killed,
    link,
    lost,
    row,
    settle,
    there,
    worker,
)
from world import World


def test_a_put_to_an_address_that_only_postgres_has_is_refused_and_names_its_contact(
    world: World, kai: Person, caller: Caller
) -> None:
    uuid, contact = kai
    holder = world.insert(email="vera@example.com", firstname="Vera")
    status, body = caller.put("kai@example.com", {"email": "vera@example.com"})
    assert status == 409
    assert body["message"].endswith(f"Existing ID: {link(world, holder)['contact']}")
    assert (row(world, uuid)["email"], there(world, contact, "email")) == ("kai@example.com", "kai@example.com")
    world.quiet()
    world.assert_equal()


def test_a_post_of_an_address_that_only_postgres_has_is_refused_and_names_its_contact(
    world: World, caller: Caller
) -> None:
    holder = world.insert(email="vera@example.com", firstname="Vera")
    status, body = caller.post({"email": "vera@example.com"})
    assert status == 409
    assert body["message"].endswith(f"Existing ID: {link(world, holder)['contact']}")
    world.quiet()
    assert len(world.portal.contacts) == 1
    world.assert_equal()


def test_a_post_whose_address_cannot_be_pushed_for_its_holder_is_refused_without_an_id(
    world: World, caller: Caller
) -> None:
    world.insert(email="vera@example.com", lifecyclestage="no such stage")
    world.portal.faults.add(action="status", status=400, body={"message": "no"}, path_contains=CREATE, times=None)
    status, body = caller.post({"email": "vera@example.com"})
    assert (status, body["code"]) == (409, "email_taken")
    assert "Existing ID" not in body["message"]


def test_a_customer_inserted_by_sql_while_a_post_creates_its_contact_adopts_it(world: World, caller: Caller) -> None:
    during(world, CREATE, lambda: world.insert(email="kai@example.com", firstname="Sql", company="s"))
    status, body = caller.post({"email": "kai@example.com", "company": "p"})
    settle(world)
    assert len(world.portal.contacts) == 1
    assert count(world, "customer") == 1
    assert status in (201, 409), body
    # Two different values with no base: one wins, the other is in the log.
    company = there(world, int(world.portal.contacts[0].id), "company")
    assert {company} | {value for name, value in lost(world) if name == "company"} == {"s", "p"}
    world.assert_equal()
    world.assert_fixpoint()


def test_a_post_and_its_own_webhook_make_one_customer(world: World, caller: Caller) -> None:
    def webhook() -> None:
        world.event(*[contact.id for contact in world.portal.contacts])
        worker(world).drain()

    during(world, CREATE, webhook)
    status, body = caller.post({"email": "kai@example.com", "company": "p"})
    assert status == 201
    world.quiet()
    assert count(world, "customer") == 1
    assert str(row(world, body["uuid"])["uuid"]) == body["uuid"]
    assert len(world.portal.contacts) == 1
    world.assert_equal()
    world.assert_fixpoint()


def test_a_post_whose_lease_ended_and_its_own_webhook_make_one_customer(world: World, caller: Caller) -> None:
    def webhook() -> None:
        world.sql("update sync.link set lease_until = null")
        world.event(*[contact.id for contact in world.portal.contacts])
        worker(world).drain()

    during(world, CREATE, webhook)
    status, _ = caller.post({"email": "kai@example.com", "company": "p"})
    assert status == 201
    settle(world)
    assert count(world, "customer") == 1
    assert len(world.portal.contacts) == 1
    world.assert_equal()
    world.assert_fixpoint()


def test_a_create_is_not_repeated_for_a_database_that_was_busy_just_after_hubspot_answered(world: World) -> None:
    """Nothing but its open intent says that a customer without an address may have a contact by now."""
    world.insert(firstname="Nameless")
    with psycopg.connect(world.dsn) as other:
        during(world, CREATE, lambda: other.execute("lock table sync.day, sync.outage"))
        world.parts.reconciler.drain()
        other.rollback()
    settle(world)
    assert len(world.portal.contacts) == 1
    world.assert_equal()


def test_a_repeated_post_after_a_crash_is_answered_with_the_customer_it_made(world: World, caller: Caller) -> None:
    with killed(world, CREATE):
        caller.post({"email": "kai@example.com", "company": "p"}, idempotency_key="k")
    status, body = caller.post({"email": "kai@example.com", "company": "p"}, idempotency_key="k")
    assert (status, body["code"]) == (409, "in_flight")
    expire(world)
    world.sql("update sync.idempotency set lease_until = now() - interval '1 s'")
    status, body = caller.post({"email": "kai@example.com", "company": "p"}, idempotency_key="k")
    assert status == 201, body
    assert (body["email"], body["company"]) == ("kai@example.com", "p")
    assert caller.post({"email": "kai@example.com", "company": "p"}, idempotency_key="k") == (201, body)
    world.quiet()
    assert len(world.portal.contacts) == count(world, "customer") == 1
    world.assert_equal()


def test_a_repeated_post_whose_first_try_never_left_is_run_again(world: World, caller: Caller) -> None:
    world.portal.faults.add(action="cut", path_contains=CREATE)
    assert caller.post({"email": "kai@example.com"}, idempotency_key="k")[0] == 500
    expire(world)
    status, _ = caller.post({"email": "kai@example.com"}, idempotency_key="k")
    settle(world)
    assert status in (201, 409)
    assert len(world.portal.contacts) == count(world, "customer") == (1 if status == 201 else 0)


def test_a_put_right_after_an_accepted_create_reaches_hubspot(world: World, caller: Caller) -> None:
    status, body = caller.post({"email": "kai@example.com", "company": "a"}, prefer="respond-async")
    assert status == 202
    assert caller.put("kai@example.com", {"company": "b", "phone": "1"})[0] == 200
    contact = world.contact("kai@example.com")
    assert contact is not None
    assert (contact["firstname"], contact["company"], contact["phone"]) == ("Kai", "b", "1")
    world.quiet()
    assert len(world.portal.contacts) == 1
    assert conflicts(world) == set()
    world.assert_equal()
    world.assert_fixpoint()


def test_a_put_right_after_an_accepted_create_takes_the_contact_that_hubspot_has(world: World, caller: Caller) -> None:
    contact = world.portal.create({"email": "kai@example.com", "website": "there"})
    assert caller.post({"email": "kai@example.com", "company": "a"}, prefer="respond-async")[0] == 202
    assert caller.put("kai@example.com", {"company": "b"})[0] == 200
    assert there(world, contact.id, "company") == "b"
    world.quiet()
    assert len(world.portal.contacts) == 1
    assert count(world, "customer") == 1
    assert there(world, contact.id, "firstname") == "Kai"
    world.assert_equal()
    world.assert_fixpoint()


def test_a_put_of_the_value_postgres_has_still_reaches_hubspot(world: World, kai: Person, caller: Caller) -> None:
    _, contact = kai
    world.portal.edit(contact, {"company": "c"})
    assert caller.put("kai@example.com", {"company": "a"})[0] == 200
    assert there(world, contact, "company") == "a"
    world.event(contact)
    world.quiet()
    assert there(world, contact, "company") == "a"
    world.assert_equal()


def test_a_post_whose_answer_is_lost_ends_with_one_contact_and_one_customer(world: World, caller: Caller) -> None:
    world.portal.faults.add(action="cut", when="after", path_contains=CREATE)
    assert caller.post({"email": "kai@example.com"})[0] == 500
    world.event(*[contact.id for contact in world.portal.contacts])
    settle(world)
    assert len(world.portal.contacts) == count(world, "customer") == 1
    world.assert_equal()


def test_what_hubspot_took_is_kept_although_it_cannot_be_asked_for_the_holder_of_another_address(world: World) -> None:
    for name in ("kai", "uwe"):
        world.insert(email=f"{name}@example.com")
    unnamed = {"status": "error", "message": "Contact already exists", "category": "CONFLICT"}
    refused = {"path_contains": CREATE, "body_contains": "uwe@example.com", "times": None}
    world.portal.faults.add(action="status", status=409, body=unnamed, **refused)

    def uwe_signs_up() -> None:
        world.portal.create({"email": "uwe@example.com"})
        world.portal.faults.add(action="status", status=503, path_contains=READ, times=None)

    during(world, CREATE, uwe_signs_up)
    world.parts.reconciler.drain()
    assert count(world, "customer where email = 'kai@example.com' and contactid is not null") == 1
    world.portal.faults.clear()
    world.sweep()
    world.assert_equal()
