"""Bad weather and bad neighbours: causes that are no record's own, busy rows, brakes, lanes, a lagging index."""

import psycopg
import pytest
from histories import (
    ARCHIVE,
    READ,
    UPDATE,
    Person,
    blocks,
    calls,
    change,
    conflicts,
    count,
    during,
    killed,
    link,
    lives,
    person,
    row,
    settle,
    there,
)
from world import World, until

from reconciler.adapters.postgres.budget import PostgresSlots
from reconciler.adapters.postgres.database import Database
from reconciler.core.brake import Danger
from reconciler.core.errors import EmptyRead
from reconciler.core.ports import Lane


def _bring_forward(world: World, rounds: int) -> None:
    for _ in range(rounds):
        world.sql("update sync.mark set due = now()")
        world.sql("update sync.outage set probe = now()")
        world.parts.reconciler.drain()


def test_a_token_that_is_refused_spends_no_records_attempts(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="b")
    token = world.sandbox.token
    world.portal.set(access_token="another")
    _bring_forward(world, 12)
    assert blocks(world, uuid) == {}
    assert world.sql("select attempts, crashes from sync.mark") == [{"attempts": 0, "crashes": 0}]
    world.portal.set(access_token=token)
    world.quiet()
    assert there(world, contact, "company") == "b"
    world.assert_equal()


@pytest.mark.parametrize("path", [READ, UPDATE])
@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 502}, {"action": "cut"}, {"action": "html200"}])
def test_a_hubspot_in_bad_weather_spends_no_records_attempts(
    world: World, kai: Person, path: str, fault: dict[str, object]
) -> None:
    uuid, contact = kai
    change(world, uuid, company="b")
    world.portal.faults.add(**{"action": "status", **fault}, path_contains=path, times=4)
    _bring_forward(world, 4)
    assert blocks(world, uuid) == {}
    world.portal.faults.clear()
    settle(world)
    assert there(world, contact, "company") == "b"
    assert conflicts(world) == set()
    world.assert_equal()


def test_a_spent_day_spends_no_records_attempts(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="b")
    world.portal.faults.add(action="429", policy="DAILY", path_contains=READ)
    world.parts.reconciler.drain()
    assert blocks(world, uuid) == {}
    assert world.sql("select attempts, crashes from sync.mark") == [{"attempts": 0, "crashes": 0}]
    world.sql("update sync.slot set at = '-infinity'")
    world.quiet()
    assert there(world, contact, "company") == "b"
    world.assert_equal()


def test_a_record_that_kills_its_workers_does_not_keep_the_others_from_their_turn(world: World, kai: Person) -> None:
    uuid, contact = kai
    other = world.insert(email="uwe@example.com")
    change(world, uuid, company="b")
    world.sql("select sync.fold()")
    world.sql("update sync.mark set crashes = 2, due = now() - interval '1 hour' where subject = %s", f"u:{uuid}")
    (claim,) = world.parts.marks.claim(10)
    assert claim.uuid == other
    world.parts.reconciler.reconcile([claim])
    world.quiet()
    assert there(world, contact, "company") == "b"


def test_an_application_with_an_open_transaction_is_neither_waited_for_nor_broken(world: World, kai: Person) -> None:
    uwe, other = person(world, email="uwe@example.com", company="a")
    kai_uuid, contact = kai
    for each in (contact, other):
        world.portal.edit(each, {"phone": "there"})
    world.event(contact, other)
    with psycopg.connect(world.dsn) as app:
        app.execute("update customer set company = 'app' where uuid = %s", (kai_uuid,))
        world.event(contact)
        world.parts.reconciler.drain()
        assert row(world, uwe)["phone"] == "there"
        assert row(world, kai_uuid)["phone"] is None
        app.execute("update customer set company = 'app' where uuid = %s", (uwe,))
    world.quiet()
    assert row(world, kai_uuid)["phone"] == "there"
    assert (there(world, contact, "company"), there(world, other, "company")) == ("app", "app")
    world.assert_equal()
    world.assert_fixpoint()


def test_two_applications_that_edit_the_same_rows_wait_for_nobody_in_the_trigger(world: World, kai: Person) -> None:
    uwe, _ = person(world, email="uwe@example.com", company="a")
    with psycopg.connect(world.dsn) as one, psycopg.connect(world.dsn) as two:
        one.execute("update customer set company = 'one' where uuid = %s", (kai[0],))
        two.execute("set lock_timeout = '1s'")
        two.execute("update customer set company = 'two' where uuid = %s", (uwe,))
        world.parts.reconciler.drain()
    world.quiet()
    assert (row(world, kai[0])["company"], row(world, uwe)["company"]) == ("one", "two")
    world.assert_equal()


@pytest.mark.parametrize("how", ["insert", "update", "soft"])
def test_what_no_trigger_saw_is_found_by_the_sweep(world: World, kai: Person, how: str) -> None:
    person(world, email="uwe@example.com")
    with world.connection.transaction():
        world.sql("set local session_replication_role = replica")
        if how == "insert":
            world.sql("insert into customer (email, company) values ('new@example.com', 'n')")
        elif how == "update":
            change(world, kai[0], company="b", email="new@example.com")
        else:
            change(world, kai[0], deletedat="2026-01-01")
    world.quiet()
    world.sweep()
    assert lives(world, kai[1]) == (how in ("insert", "update"))
    world.assert_equal()
    world.assert_fixpoint()


def test_what_a_trigger_of_the_application_does_to_our_own_writes_is_found(world: World, kai: Person) -> None:
    uuid, contact = kai
    world.sql(
        "create function shout() returns trigger language plpgsql as "
        "$$ begin new.company := upper(new.company); return new; end $$"
    )
    world.sql("create trigger zz before update on customer for each row execute function shout()")
    world.portal.edit(contact, {"company": "there"})
    world.event(contact)
    world.quiet()
    world.sweep()
    assert (row(world, uuid)["company"], there(world, contact, "company")) == ("THERE", "THERE")
    world.assert_equal()
    world.assert_fixpoint()


def test_a_row_restored_while_its_contact_is_archived_gets_a_new_contact(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, deletedat="2026-01-01")
    during(world, ARCHIVE, lambda: change(world, uuid, deletedat=None))
    world.quiet()
    assert row(world, uuid)["deletedat"] is None
    assert link(world, uuid)["contact"] != contact
    assert len(world.portal.contacts) == 1
    world.assert_equal()
    world.assert_fixpoint()


@pytest.mark.parametrize("when", ["after", "late"])
def test_a_row_restored_after_a_crash_that_left_its_contact_archived_gets_a_new_contact(
    world: World, kai: Person, when: str
) -> None:
    uuid, contact = kai
    change(world, uuid, deletedat="2026-01-01")
    with killed(world, ARCHIVE, when=when):
        world.quiet()
    change(world, uuid, deletedat=None)
    settle(world)
    assert row(world, uuid)["deletedat"] is None
    assert link(world, uuid)["contact"] != contact
    assert len(world.portal.contacts) == 1
    world.assert_equal()
    world.assert_fixpoint()


def test_a_restore_that_nobody_told_of_is_found_by_the_sweep(world: World, kai: Person) -> None:
    uuid, contact = kai
    world.portal.delete(contact)
    world.event(contact)
    world.quiet()
    world.portal.restore(contact)
    world.sql("update sync.link set newest_seen = now(), merged_through = now()")
    world.sweep()
    assert row(world, uuid)["deletedat"] is None
    world.assert_equal()


def test_what_exceeds_the_brake_is_held_and_the_rest_goes_on(world: World) -> None:
    world.sql(
        "insert into customer (email, company) select 'c' || n || '@example.com', 'a' from generate_series(1, 130) n"
    )
    world.quiet()
    world.sql("delete from customer where email <> 'c1@example.com'")
    world.sql("update customer set company = 'b'")
    world.insert(email="new@example.com")
    world.quiet()
    assert len(world.portal.contacts) == 131 - 100
    assert world.sql("select held from sync.status")[0]["held"] == 29
    assert world.contact("c1@example.com")["company"] == "b"
    assert world.contact("new@example.com") is not None
    calls = world.portal.calls.counts["POST /crm/v3/objects/contacts/batch/archive"]
    world.sweep()
    assert world.portal.calls.counts["POST /crm/v3/objects/contacts/batch/archive"] == calls
    assert world.parts.records.allow(Danger.DELETE, 10) == (10, 29)
    world.quiet()
    assert len(world.portal.contacts) == 31 - 10
    world.parts.records.allow(Danger.DELETE, 100)
    world.quiet()
    assert sorted(each.email for each in world.portal.contacts) == ["c1@example.com", "new@example.com"]
    world.assert_equal()


def test_an_empty_listing_is_no_deletion(world: World, kai: Person) -> None:
    world.portal.faults.add(action="status", status=200, body={"results": []}, method="GET", path_contains="/contacts?")
    with pytest.raises(EmptyRead):
        world.parts.sweep.run()
    world.quiet()
    assert row(world, kai[0])["deletedat"] is None


def test_the_lowest_lane_has_a_floor_under_constant_load(world: World) -> None:
    world.sql("insert into sync.lane (lane, wanted) values (0, now() + interval '1 hour')")
    rows = PostgresSlots(world.parts.database).take("all", lane=Lane.AUDIT, calls=10_000, window=10.1)
    total = count(world, "sync.slot where kind = 'all'")
    assert len(rows) == total // 20


def test_one_row_that_cannot_be_written_does_not_undo_the_rest_of_its_batch(world: World, kai: Person) -> None:
    people = [person(world, email=f"c{n}@example.com") for n in range(3)]
    for _, contact in people:
        world.portal.edit(contact, {"company": "there"})
    world.portal.edit(kai[1], {"email": "taken@example.com", "company": "there"})
    world.event(kai[1], *[contact for _, contact in people])
    during(world, READ, lambda: world.insert(email="taken@example.com"))
    world.parts.reconciler.drain()
    assert [row(world, uuid)["company"] for uuid, _ in people] == ["there"] * 3
    assert row(world, kai[0])["company"] == "there"
    world.quiet()
    assert blocks(world, kai[0]) == {"email": "address_taken"}


def test_an_import_is_read_once_and_not_at_every_poll(dsn: str, database: Database) -> None:
    with World.open(dsn, database, POLL_OVERLAP="0.2") as world:
        world.parts.poll.recent()
        world.portal.load(500, "import")

        def calls_of_a_poll() -> int:
            before = calls(world, "/search")
            world.parts.poll.recent()
            return calls(world, "/search") - before

        assert calls_of_a_poll() == 3
        until(lambda: calls_of_a_poll() == 1)
