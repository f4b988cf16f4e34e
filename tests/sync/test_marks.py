"""Marks, claims and looks: nothing is lost, nothing runs for ever, nobody waits for somebody else's record."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
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
    lost,
    person,
    row,
    settle,
    there,
    worker,
)
from world import World, until

from reconciler.core.ports import Ending, Lane, Subject
from reconciler.core.reasons import Reason


@pytest.mark.parametrize("finder", ["poll", "sweep"])
def test_an_edit_behind_our_own_write_is_found_without_its_event(world: World, kai: Person, finder: str) -> None:
    uuid, contact = kai
    world.parts.poll.recent()
    world.portal.edit(contact, {"phone": "there"})
    assert Caller(world).put("kai@example.com", {"company": "b"})[0] == 200
    if finder == "poll":
        world.parts.poll.recent()
        world.quiet()
    else:
        world.sweep()
    assert row(world, uuid)["phone"] == "there"
    world.assert_equal()
    world.assert_fixpoint()


def test_an_edit_between_our_read_and_our_write_is_found_without_its_event(world: World, kai: Person) -> None:
    uuid, contact = kai
    world.parts.poll.recent()
    change(world, uuid, company="b")
    during(world, READ, lambda: world.portal.edit(contact, {"phone": "there"}))
    world.quiet()
    world.parts.poll.recent()
    world.quiet()
    assert row(world, uuid)["phone"] == "there"
    assert there(world, contact, "company") == "b"
    world.assert_equal()


def test_what_people_write_is_folded_where_all_tables_are_published(world: World, kai: Person) -> None:
    uuid, contact = kai
    world.sql("create publication everything for all tables")
    change(world, uuid, company="b")
    world.quiet()
    assert there(world, contact, "company") == "b"


def test_a_customer_without_an_address_is_never_created_twice(world: World) -> None:
    uuid = world.insert(firstname="Nameless")
    with killed(world, CREATE):
        world.quiet()
    settle(world)
    world.sweep()
    assert len(world.portal.contacts) == 1
    assert blocks(world, uuid) == {"*": "create_outcome_unknown"}
    world.event(*[contact.id for contact in world.portal.contacts])
    world.quiet()
    assert len(world.portal.contacts) == 1
    world.assert_fixpoint()


def test_a_customer_without_an_address_who_comes_back_is_not_created_twice_either(world: World) -> None:
    uuid = world.insert(firstname="Nameless")
    with killed(world, CREATE):
        world.quiet()
    change(world, uuid, deletedat="2026-01-01")
    settle(world)
    change(world, uuid, deletedat=None)
    settle(world)
    assert len(world.portal.contacts) == 1
    assert blocks(world, uuid) == {"*": "create_outcome_unknown"}


def test_an_api_write_does_not_create_a_customer_again_who_may_have_a_contact(world: World, caller: Caller) -> None:
    uuid = world.insert(firstname="Nameless")
    with killed(world, CREATE):
        world.quiet()
    settle(world)
    change(world, uuid, email="kai@example.com")
    status, body = caller.put("kai@example.com", {"company": "b"})
    assert (status, body["code"]) == (409, "create_outcome_unknown")
    assert len(world.portal.contacts) == 1
    # Somebody has looked: HubSpot's contact is another one.
    world.sql("select sync.retry(%s)", str(uuid))
    assert caller.put("kai@example.com", {"company": "b"})[0] == 200
    assert link(world, uuid)["contact"] is not None


def test_a_create_without_an_address_whose_answer_is_lost_is_not_repeated(world: World) -> None:
    world.insert(firstname="Nameless")
    world.portal.faults.add(action="cut", when="after", path_contains=CREATE)
    world.parts.reconciler.drain()
    settle(world)
    world.sweep()
    assert len(world.portal.contacts) == 1


def test_the_webhook_of_a_create_without_an_address_makes_no_second_customer(world: World) -> None:
    uuid = world.insert(firstname="Nameless")

    def webhook() -> None:
        world.event(*[contact.id for contact in world.portal.contacts])
        worker(world).drain()

    during(world, CREATE, webhook)
    world.quiet()
    settle(world)
    assert count(world, "customer") == 1
    assert len(world.portal.contacts) == 1
    assert link(world, uuid)["contact"] == int(world.portal.contacts[0].id)
    world.assert_equal()
    world.assert_fixpoint()


def test_a_mark_made_after_a_second_worker_cleared_the_first_ones_survives_the_first(world: World, kai: Person) -> None:
    _, contact = kai
    marks, only = world.parts.marks, [Subject.contact(contact)]
    world.event(contact)
    (first,) = marks.claim(1, only=only)
    expire(world)
    (second,) = marks.claim(1, only=only)
    marks.finish([Ending(claim=second)])
    assert count(world, "sync.mark") == 0
    world.event(contact)
    marks.finish([Ending(claim=first)])
    assert count(world, "sync.mark") == 1
    assert first.fence != second.fence


def test_a_mark_made_while_its_subject_is_worked_on_survives(world: World, kai: Person) -> None:
    uuid, contact = kai
    world.event(contact)

    def edited() -> None:
        world.portal.edit(contact, {"company": "late"})
        world.event(contact)

    during(world, READ, edited)
    world.quiet()
    assert row(world, uuid)["company"] == "late"
    world.assert_equal()


def test_two_marks_of_one_pair_are_one_claim(world: World, kai: Person) -> None:
    uuid, contact = kai
    world.event(contact)
    change(world, uuid, phone="1")
    world.sql("select sync.fold()")
    claims = world.parts.marks.claim(10)
    assert [claim.uuid for claim in claims] == [uuid]
    assert len(claims[0].marks) == 2
    world.sql("select sync.mark(array[%s, %s], 1)", f"u:{uuid}", f"c:{contact}")
    assert world.parts.marks.claim(10) == []
    world.parts.reconciler.reconcile(claims)
    world.quiet()
    assert there(world, contact, "phone") == "1"
    assert 400 not in world.portal.calls.statuses
    world.assert_equal()


@pytest.mark.parametrize("first", ["contact", "customer"])
def test_the_second_mark_of_a_pair_waits_for_the_first_ones_worker(world: World, kai: Person, first: str) -> None:
    uuid, contact = kai
    subjects = {"contact": Subject.contact(contact), "customer": Subject.customer(uuid)}
    world.parts.marks.mark(list(subjects.values()), lane=Lane.FRESH)
    (claim,) = world.parts.marks.claim(1, only=[subjects.pop(first)])
    assert world.parts.marks.claim(1, only=list(subjects.values())) == []
    world.parts.marks.finish([Ending(claim=claim)])
    world.quiet()
    assert count(world, "sync.mark") == 0


def test_an_older_answer_does_not_turn_the_base_back(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="b")

    def overtaken() -> None:
        expire(world)
        change(world, uuid, company="c")
        worker(world).drain()

    during(world, UPDATE, overtaken)
    world.parts.reconciler.drain()
    assert link(world, uuid)["base"]["company"] == "c"
    world.portal.edit(contact, {"company": "e"})
    world.event(contact)
    world.quiet()
    assert row(world, uuid)["company"] == "e"
    assert conflicts(world) == set()
    world.assert_equal()


def test_a_contact_that_always_reads_older_than_it_was_seen_is_believed_at_last(world: World, kai: Person) -> None:
    uuid, contact = kai
    world.portal.edit(contact, {"company": "b"})
    world.sql("update sync.link set newest_seen = now() + interval '1 hour'")
    world.event(contact)
    world.parts.reconciler.drain()
    assert row(world, uuid)["company"] == "a"
    world.quiet()
    assert row(world, uuid)["company"] == "b"
    assert count(world, "sync.link where newest_seen < now()") == 1
    world.portal.edit(contact, {"company": "c"})
    world.event(contact)
    world.parts.reconciler.drain()
    assert row(world, uuid)["company"] == "c"
    world.assert_equal()
    world.assert_fixpoint()


def test_a_snapshot_that_grew_old_between_read_and_write_is_not_written(world: World, kai: Person) -> None:
    uuid, contact = kai
    caller = Caller(world)
    world.portal.edit(contact, {"phone": "there", "company": "b"})
    world.event(contact)

    def put() -> None:
        expire(world)
        assert caller.put("kai@example.com", {"phone": ""})[0] == 200

    during(world, READ, put)
    world.parts.reconciler.drain()
    assert row(world, uuid)["phone"] is None
    world.quiet()
    assert (row(world, uuid)["phone"], there(world, contact, "phone")) == (None, None)
    assert row(world, uuid)["company"] == "b"
    world.assert_equal()
    world.assert_fixpoint()


def _numbers(world: World) -> None:
    """HubSpot stores what it is sent for this property without needless zeros."""
    from dataclasses import replace

    world.portal.set(plain_numbers=True)
    schema = world.portal.schema
    schema.put(replace(schema.get("phone"), type="number"))


def test_a_value_that_hubspot_stores_otherwise_is_taken_as_it_stores_it(world: World, kai: Person) -> None:
    uuid, contact = kai
    _numbers(world)
    change(world, uuid, phone="5.0")
    world.quiet()
    assert (row(world, uuid)["phone"], there(world, contact, "phone")) == ("5", "5")
    assert lost(world) == {("phone", "5.0")}
    world.assert_equal()
    world.assert_fixpoint()


def test_a_value_that_each_side_turns_into_its_own_form_is_parked(world: World, kai: Person) -> None:
    uuid, _ = kai
    _numbers(world)
    world.sql(
        "create function turn_back() returns trigger language plpgsql as "
        "$$ begin new.phone := split_part(new.phone, '.', 1) || '.0'; return new; end $$"
    )
    world.sql("create trigger zz before update on customer for each row execute function turn_back()")
    change(world, uuid, phone="5", company="b")
    world.quiet()
    world.sweep()
    assert blocks(world, uuid) == {"phone": "coerced"}
    assert there(world, link(world, uuid)["contact"], "company") == "b"
    world.portal.calls.clear()
    world.sweep()
    assert calls(world, UPDATE) == 0


@pytest.fixture
def waiting(world: World) -> list[Person]:
    """People whose phone waits, for HubSpot lets nobody write it."""
    people = [person(world, email=f"p{n}@example.com") for n in range(5)]
    world.parts.gates.suspend(["phone"], Reason.FORBIDDEN)
    world.sql("update customer set phone = '1'")
    world.quiet()
    assert [there(world, contact, "phone") for _, contact in people] == [None] * 5
    return people


def test_pairs_that_waited_for_a_property_are_woken_in_portions(world: World, waiting: list[Person]) -> None:
    world.parts.gates.resume(["phone"])
    for marked in (2, 4):
        world.sql("select sync.wake(2)")
        assert count(world, "sync.mark") == marked
    assert count(world, "sync.parked") == 0
    # Whoever drains next goes on.
    world.quiet()
    assert [there(world, contact, "phone") for _, contact in waiting] == ["1"] * 5
    assert count(world, "sync.suspended") == 0
    world.assert_fixpoint()


def test_a_property_that_is_gone_again_while_pairs_are_woken_waits_as_before(
    world: World, waiting: list[Person]
) -> None:
    world.parts.gates.resume(["phone"])
    world.sql("select sync.wake(2)")
    world.parts.gates.suspend(["phone"], Reason.FORBIDDEN)
    world.quiet()
    assert [there(world, contact, "phone") for _, contact in waiting] == [None] * 5
    world.parts.gates.resume(["phone"])
    world.quiet()
    assert [there(world, contact, "phone") for _, contact in waiting] == ["1"] * 5
    world.assert_fixpoint()


def test_a_parked_value_is_not_sent_again_until_it_changes(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, lifecyclestage="no such stage", company="b")
    world.quiet()
    assert blocks(world, uuid) == {"lifecyclestage": "invalid_value"}
    assert there(world, contact, "company") == "b"
    assert row(world, uuid)["lifecyclestage"] == "no such stage"
    world.portal.calls.clear()
    world.event(contact)
    world.sql("select sync.mark(array_agg('u:' || uuid), 1) from customer")
    world.quiet()
    world.sweep()
    world.parts.poll.recent()
    world.quiet()
    assert calls(world, UPDATE) == 0
    change(world, uuid, phone="1")
    world.quiet()
    assert there(world, contact, "phone") == "1"
    assert blocks(world, uuid) == {"lifecyclestage": "invalid_value"}
    change(world, uuid, lifecyclestage="customer")
    world.quiet()
    assert blocks(world, uuid) == {}
    assert there(world, contact, "lifecyclestage") == "customer"
    world.assert_equal()
    world.assert_fixpoint()


def test_a_parked_create_is_not_sent_again_until_it_changes(world: World) -> None:
    uuid = world.insert(email="not an address", firstname="Kai")
    world.quiet()
    assert blocks(world, uuid) == {"email": "invalid_value"}
    world.portal.calls.clear()
    world.sql("select sync.mark(array_agg('u:' || uuid), 1) from customer")
    world.quiet()
    world.sweep()
    assert calls(world, CREATE) == 0
    change(world, uuid, email="kai@example.com")
    world.quiet()
    assert blocks(world, uuid) == {}
    world.assert_equal()


def test_a_mark_of_a_contact_whose_link_is_gone_goes_away(world: World) -> None:
    world.sql("insert into sync.alias (contact, uuid, kind) values (7, gen_random_uuid(), 'merged')")
    world.event(7)
    world.parts.reconciler.drain()
    assert world.sql("select * from sync.mark") == []


def test_the_time_of_an_edit_never_goes_back_whatever_is_folded_last(world: World, kai: Person) -> None:
    note = "insert into sync.dirty (uuid, edited, at) values (%s, array[%s], now() + %s * interval '1 minute')"
    for company, phone in ((0, 0), (-1, 1)):
        for field, minutes in (("company", company), ("phone", phone)):
            world.sql(note, kai[0], field, minutes)
        world.sql("select sync.fold()")
    times = world.sql(
        "select ((edited ->> 'phone')::timestamptz - (edited ->> 'company')::timestamptz) > interval '59 s' as later, "
        "(edited ->> 'company')::timestamptz > now() - interval '50 s' as stays from sync.link where uuid = %s",
        kai[0],
    )
    assert times == [{"later": True, "stays": True}]


def test_a_second_mass_change_does_not_put_the_first_ones_marks_before_a_persons(world: World) -> None:
    world.sql("insert into customer (email) select n || '@x.org' from generate_series(1, 501) n")
    for company in ("one", "two"):
        world.sql("select sync.fold()")
        world.sql("update customer set company = %s", company)
    world.sql("select sync.fold()")
    assert world.sql("select distinct lane from sync.mark") == [{"lane": 2}]


def test_a_row_that_is_there_again_before_its_deletion_was_folded_was_not_deleted(world: World) -> None:
    uuid = world.insert(email="kai@example.com")
    world.sql("delete from customer where uuid = %s", uuid)
    world.sql("insert into customer (uuid, email) values (%s, 'kai@example.com')", uuid)
    world.sql("select sync.fold()")
    assert not link(world, uuid)["deleted"]


def test_a_mark_made_while_the_end_of_a_claim_waits_counts_no_crash(world: World, kai: Person) -> None:
    uuid, _ = kai
    world.parts.marks.mark([Subject.customer(uuid)], lane=Lane.FRESH)
    (claim,) = world.parts.marks.claim(1, only=[Subject.customer(uuid)])
    with psycopg.connect(world.dsn) as other:
        other.execute("update sync.link set edited = edited where uuid = %s", [uuid])
        with ThreadPoolExecutor(1) as threads:
            ending = threads.submit(world.parts.marks.finish, [Ending(claim=claim)])
            until(lambda: world.sql("select 1 from pg_stat_activity where wait_event_type = 'Lock'"))
            other.execute("select sync.mark(array[sync.of_customer(%s)], 1)", [uuid])
            other.commit()
            ending.result()
    assert world.sql("select subject, crashes from sync.mark") == [{"subject": f"u:{uuid}", "crashes": 0}]
