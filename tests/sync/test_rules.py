"""Rules that nothing else would notice to be broken."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import orjson
import psycopg
import pytest
from histories import (
    CREATE,
    READ,
    UPDATE,
    Caller,
    Person,
    calls,
    change,
    conflicts,
    count,
    during,
    expire,
    killed,
    link,
    person,
    row,
    settle,
    there,
    worker,
)
from world import World, until

from reconciler.adapters.postgres.budget import PostgresSlots
from reconciler.core.contact import IntentKind
from reconciler.core.errors import Transient
from reconciler.core.ports import Ending, Lane, Write
from reconciler.sync.sender import Sender
from sandbox import start
from sandbox.clock import system_ms
from webhook.events import read


@contextmanager
def apart(dsn: str, database: Any, minutes: float) -> Iterator[tuple[World, list[float]]]:
    """A world whose HubSpot is so many minutes ahead; they can be changed."""
    ahead = [minutes]
    with start(clock=lambda: system_ms() + int(ahead[0] * 60_000), rate_per_10s=0, search_per_second=0) as sandbox:
        world = World(sandbox, dsn, database)
        try:
            yield world, ahead
        finally:
            world.connection.close()


def test_an_edit_here_while_hubspot_stores_a_value_otherwise_is_pushed_over_it(dsn: str, database: Any) -> None:
    with World.open(dsn, database, SYNC_POLICIES="phone=hubspot") as world:
        uuid, contact = person(world, email="kai@example.com", firstname="Kai")
        schema = world.portal.schema
        schema.put(replace(schema.get("phone"), type="number"))
        change(world, uuid, phone=" 5 ")
        during(world, UPDATE, lambda: change(world, uuid, phone="6"))
        world.quiet()
        assert (row(world, uuid)["phone"], there(world, contact, "phone")) == ("6", "6")
        world.assert_equal()


def test_an_address_in_other_letters_is_the_same_and_is_left_as_it_was_written(world: World) -> None:
    world.portal.create({"email": "KAI@example.com", "firstname": "Kai"})
    uuid = world.insert(email=" Kai@Example.com", firstname="Kai")
    world.sweep()
    assert len(world.portal.contacts) == count(world, "customer") == 1
    revision = world.portal.revision
    assert row(world, uuid)["email"] == " Kai@Example.com"
    assert link(world, uuid)["base"]["email"] == "kai@example.com"
    change(world, uuid, email="kai@EXAMPLE.com")
    world.quiet()
    assert world.portal.revision == revision
    world.assert_fixpoint()


@pytest.mark.parametrize("minutes", [-5, 5])
def test_the_newest_edit_wins_although_the_clocks_differ(dsn: str, database: Any, minutes: int) -> None:
    with apart(dsn, database, minutes) as (world, _):
        uuid, contact = person(world, email="kai@example.com", company="a", phone="1")
        change(world, uuid, company="here, last", phone="here, first")
        # The skew is known from a clock that HubSpot shows to the second: minutes lie between the edits.
        world.sql("select sync.fold()")
        later, earlier = "now() + interval '1 min'", "now() - interval '1 min'"
        times = f"jsonb_build_object('company', {later}, 'phone', {earlier})"
        world.sql(f"update sync.link set edited = edited || {times}")
        world.portal.edit(contact, {"company": "there, first", "phone": "there, last"})
        world.event(contact)
        world.quiet()
        assert (row(world, uuid)["company"], row(world, uuid)["phone"]) == ("here, last", "there, last")


def test_a_stage_that_was_sent_before_a_crash_is_no_persons_choice(dsn: str, database: Any) -> None:
    with World.open(dsn, database, SYNC_POLICIES="lifecyclestage=hubspot") as world:
        uuid, contact = person(world, email="kai@example.com", lifecyclestage="lead")
        change(world, uuid, lifecyclestage="opportunity")
        with killed(world, READ, skip=1):
            world.parts.reconciler.drain()
        assert there(world, contact, "lifecyclestage") == "opportunity"
        change(world, uuid, lifecyclestage="customer")
        settle(world)
        assert row(world, uuid)["lifecyclestage"] == there(world, contact, "lifecyclestage") == "customer"
        assert conflicts(world) == set()
        world.assert_equal()


def test_a_write_whose_time_is_over_is_not_sent(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="b")
    world.sql("select sync.fold()")
    claims = world.parts.marks.claim(1)
    (pair,) = world.parts.pairs.load(claims)
    late = Sender(world.parts.outbox, world.parts.hubspot, lambda: time.monotonic() - 60)
    world.portal.calls.clear()
    with pytest.raises(Transient):
        late.update([Write(pair=pair, kind=IntentKind.UPDATE, values={"company": "b"})])
    assert calls(world, UPDATE) == 0
    assert there(world, contact, "company") == "a"
    assert count(world, "sync.intent") == 0


@pytest.mark.parametrize("again", [None, 60.0])
def test_who_has_lost_his_claim_does_nothing_to_the_marks(world: World, kai: Person, again: float | None) -> None:
    world.portal.edit(kai[1], {"company": "b"})
    world.event(kai[1])
    sleeper = world.parts.marks.claim(1)
    expire(world)
    world.sql("update sync.mark set due = now()")
    owner = world.parts.marks.claim(1)
    assert owner[0].marks == sleeper[0].marks
    before = world.sql("select * from sync.mark")
    world.parts.marks.finish([Ending(claim=claim, again=again, spend=again is not None) for claim in sleeper])
    assert world.sql("select * from sync.mark") == before
    assert link(world, kai[0])["lease_until"] is not None


def test_what_is_captured_while_marks_are_folded_is_not_lost(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="b")
    with psycopg.connect(world.dsn) as operator:
        operator.execute("select from sync.link for update")
        folding = threading.Thread(target=worker(world).drain)
        folding.start()
        until(lambda: world.sql("select pid from pg_locks where not granted"))
        other = world.insert(email="uwe@example.com")
        change(world, uuid, phone="2")
    folding.join()
    world.quiet()
    assert there(world, contact, "company") == "b"
    assert there(world, contact, "phone") == "2"
    assert link(world, other)["contact"] is not None
    world.assert_equal()


def test_what_the_sync_writes_itself_is_no_news(world: World, kai: Person) -> None:
    world.portal.edit(kai[1], {"company": "there"})
    world.portal.create({"email": "uwe@example.com"})
    world.event(*[contact.id for contact in world.portal.contacts])
    world.parts.reconciler.drain()
    world.portal.delete(kai[1])
    world.event(kai[1])
    world.parts.reconciler.drain_once(tuple(Lane))
    assert count(world, "customer where deletedat is not null") == 1
    assert count(world, "sync.dirty") == 0
    assert link(world, kai[0])["edited"].keys() == {"email", "firstname", "company"}


@pytest.mark.parametrize("minutes", [-10, 10])
def test_the_poll_goes_by_the_clock_of_hubspot(dsn: str, database: Any, minutes: int) -> None:
    with apart(dsn, database, minutes) as (world, _):
        uuid, contact = person(world, email="kai@example.com")
        world.parts.poll.recent()
        for company in ("b", "c"):
            world.portal.edit(contact, {"company": company})
            world.parts.poll.recent()
            world.quiet()
            assert row(world, uuid)["company"] == company


def test_what_a_page_could_not_mark_is_found_by_the_next_poll(dsn: str, database: Any) -> None:
    with apart(dsn, database, 0) as (world, ahead):
        uuid, contact = person(world, email="kai@example.com")
        _, other = person(world, email="uwe@example.com")
        world.parts.poll.recent()
        world.quiet()
        for each in (contact, other):
            world.portal.edit(each, {"company": "there"})
            ahead[0] += 10
        world.sql("alter table sync.mark add constraint broken check (lane < 0) not valid")
        with pytest.raises(psycopg.Error):
            world.parts.poll.recent()
        world.sql("alter table sync.mark drop constraint broken")
        world.parts.poll.recent()
        world.quiet()
        assert row(world, uuid)["company"] == "there"


def test_every_page_of_a_window_is_walked_however_the_times_lie(world: World) -> None:
    world.parts.poll.recent()
    contacts = [world.portal.create({"email": f"p{n}@example.com"}).id for n in range(250)]
    for contact in contacts[:50]:
        world.portal.edit(contact, {"company": "later"})
    found = sum(world.parts.poll.recent() for _ in range(2))
    assert found >= 250
    assert count(world, "sync.mark where left(subject, 2) = 'c:'") == 250


def test_a_create_is_not_repeated_under_another_address_while_the_first_is_open(world: World) -> None:
    uuid = world.insert(email="kai@example.com", firstname="Kai")
    with killed(world, CREATE):
        world.parts.reconciler.drain()
    change(world, uuid, email="kim@example.com")
    world.sql("update sync.link set lease_until = null")
    world.sql("update sync.mark set due = now()")
    worker(world).drain()
    assert len(world.portal.contacts) == 1
    settle(world)
    assert len(world.portal.contacts) == 1
    assert there(world, link(world, uuid)["contact"], "email") == "kim@example.com"
    world.assert_equal()


@pytest.fixture
def detached(dsn: str, database: Any) -> Iterator[tuple[World, Any, int]]:
    """A world that pushes no deletions, and a deleted customer in it whose contact lives and is in a worker's hand."""
    with World.open(dsn, database, SYNC_DELETES="none") as world:
        old, contact = person(world, email="kai@example.com", firstname="Kai")
        change(world, old, deletedat="2026-01-01")
        world.quiet()
        world.event(contact)
        assert world.parts.marks.claim(1)[0].uuid == old
        yield world, old, contact


def test_a_contact_is_not_handed_over_while_a_worker_is_at_it(detached: tuple[World, Any, int]) -> None:
    world, old, contact = detached
    new = world.insert(email="kai@example.com", firstname="Kai")
    world.parts.reconciler.drain()
    assert (link(world, old)["contact"], link(world, new)["contact"]) == (contact, None)


def test_a_contact_is_handed_over_when_its_worker_is_done(detached: tuple[World, Any, int]) -> None:
    world, old, contact = detached
    new = world.insert(email="kai@example.com", firstname="Kai")
    world.parts.reconciler.drain()
    world.sql("update sync.link set lease_until = null")
    world.sweep()
    assert (link(world, old)["contact"], link(world, new)["contact"]) == (None, contact)


def test_an_erase_does_not_pass_an_insert_under_way(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, deletedat="2026-01-01")
    world.quiet()
    world.portal.erase(contact)
    world.event(contact, privacy=True)
    with psycopg.connect(world.dsn) as application:
        application.execute("insert into customer (email) values ('kai@example.com')")
        world.parts.reconciler.drain()
        application.commit()
    world.quiet()
    assert row(world, uuid)["erasedat"] is not None
    assert count(world, "customer where email is not null") == 0


def test_a_429_stops_every_process(world: World) -> None:
    slots = PostgresSlots(world.parts.database)
    assert slots.take("all", lane=Lane.INTERACTIVE, calls=1, window=10.0)
    world.parts.budget.block(30.0)
    assert slots.take("all", lane=Lane.INTERACTIVE, calls=1, window=10.0) == []
    assert 25 < slots.next_free("all", window=10.0) <= 30


def test_no_window_has_more_calls_than_the_budget(world: World) -> None:
    slots = PostgresSlots(world.parts.database)
    slots.shape({"all": 3})
    assert len(slots.take("all", lane=Lane.FRESH, calls=2, window=10.0)) == 2
    assert len(slots.take("all", lane=Lane.FRESH, calls=2, window=10.0)) == 1
    assert slots.take("all", lane=Lane.FRESH, calls=2, window=10.0) == []


def test_a_window_begins_with_the_call_and_not_with_its_reservation(world: World) -> None:
    with world.parts.budget.reserve(Lane.FRESH, 1):
        time.sleep(0.3)
        called = world.sql("select clock_timestamp() as at")[0]["at"]
        world.parts.budget.spend()
    assert world.sql("select max(at) as at from sync.slot where kind = 'all'")[0]["at"] >= called


def test_two_events_with_one_id_are_two_events() -> None:
    events = [
        {"eventId": 1, "subscriptionType": "contact.propertyChange", "objectId": 101},
        {"eventId": 1, "subscriptionType": "contact.propertyChange", "objectId": 102},
        {"eventId": 1, "subscriptionType": "contact.privacyDeletion", "objectId": 101},
    ]
    delivery = read(orjson.dumps(events), portal_id=None, app_id=None)
    assert (delivery.contacts, delivery.private) == ({101, 102}, {101})


def test_an_address_that_is_taken_meanwhile_harms_nobody_else_of_its_batch(world: World, kai: Person) -> None:
    other, second = person(world, email="uwe@example.com")
    world.portal.edit(kai[1], {"email": "kim@example.com"})
    world.portal.edit(second, {"company": "there"})
    world.event(kai[1], second)
    during(world, READ, lambda: world.insert(email="kim@example.com"))
    world.parts.reconciler.drain_once(tuple(Lane))
    assert row(world, other)["company"] == "there"
    assert row(world, kai[0])["email"] == "kai@example.com"


def test_a_worker_who_loses_his_claim_between_merge_and_call_sends_nothing(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="b")
    world.sql("select sync.fold()")
    (pair,) = world.parts.pairs.load(world.parts.marks.claim(1))
    expire(world)
    change(world, uuid, company="c")
    worker(world).drain()
    world.event(contact)
    assert world.parts.marks.claim(1)[0].fence > pair.fence
    world.portal.calls.clear()
    late = Sender(world.parts.outbox, world.parts.hubspot)
    assert late.update([Write(pair=pair, kind=IntentKind.UPDATE, values={"company": "b"})]) == []
    assert calls(world, UPDATE) == 0
    assert there(world, contact, "company") == "c"


def test_a_snapshot_that_a_put_without_a_claim_overtook_is_not_written(world: World, kai: Person) -> None:
    uuid, contact = kai
    world.portal.edit(contact, {"phone": "there"})
    world.event(contact)
    claims = world.parts.marks.claim(1)
    answers: list[int] = []
    during(world, READ, lambda: answers.append(Caller(world).put("kai@example.com", {"phone": ""})[0]))
    world.parts.reconciler.reconcile(claims)
    assert answers == [200]
    assert row(world, uuid)["phone"] is None
    world.quiet()
    assert (row(world, uuid)["phone"], there(world, contact, "phone")) == (None, None)
    world.assert_equal()
