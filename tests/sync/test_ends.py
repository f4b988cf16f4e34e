"""How things end: refusals change nothing, marks are not lost, nothing spins, nothing is left behind."""

from pathlib import Path

import psycopg
import pytest
from histories import Caller, expire
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.commands.erase import StillDue, erase
from reconciler.core.errors import Transient
from reconciler.core.ports import Ending, Lane, Subject

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kai(world: World) -> int:
    world.insert(email="kai@example.com", firstname="Kai")
    world.quiet()
    contact = world.contact("kai@example.com")
    assert contact is not None
    return int(contact["id"])


def test_a_delete_that_hubspot_refuses_is_answered_so_and_leaves_both_alive(world: World, kai: int) -> None:
    world.portal.faults.add(action="status", status=400, path_contains="/batch/archive", times=None)
    assert Caller(world).delete("kai@example.com")[0] == 400
    assert world.customer("kai@example.com") is not None
    assert world.contact("kai@example.com") is not None
    world.portal.faults.clear()
    world.assert_fixpoint()


def test_an_archive_that_hubspot_refuses_is_shown_as_parked(world: World, kai: int) -> None:
    world.portal.faults.add(action="status", status=400, path_contains="/batch/archive", times=None)
    world.sql("update customer set deletedat = now()")
    world.quiet()
    assert world.sql("select code from sync.parked") == [{"code": "refused"}]


def test_a_privacy_deletion_told_while_the_contact_still_reads_is_not_forgotten(world: World, kai: int) -> None:
    world.event(kai, privacy=True)
    world.quiet()
    assert world.customer("kai@example.com") is not None
    world.portal.erase(kai)
    world.event(kai)
    world.quiet()
    assert world.sql("select email, erasedat is not null as erased from customer") == [{"email": None, "erased": True}]


def test_a_mark_of_an_address_survives_an_outage(world: World) -> None:
    contact = world.portal.create({"email": "uwe@example.com"})
    world.sql("select sync.retry('uwe@example.com')")
    world.portal.faults.add(action="status", status=503, path_contains="/batch/read", times=None)
    with pytest.raises(Transient):
        world.parts.reconciler.drain()
    world.portal.faults.clear()
    world.quiet()
    customer = world.customer("uwe@example.com")
    assert customer is not None
    assert customer["contactid"] == int(contact.id)


def test_marks_made_again_during_a_look_are_no_crashes(world: World, kai: int) -> None:
    for _ in range(5):
        claims = world.parts.marks.claim(10) or _claimed(world, kai)
        world.event(kai)
        world.parts.reconciler.reconcile(claims)
    assert world.sql("select crashes from sync.mark") == [{"crashes": 0}]


def _claimed(world: World, contact: int) -> list:  # type: ignore[type-arg]
    world.event(contact)
    return world.parts.marks.claim(10)


def test_a_create_that_was_certainly_not_sent_leaves_nothing_behind(world: World) -> None:
    world.portal.faults.add(action="status", status=423, path_contains="/batch/create", times=None)
    status, _ = Caller(world).post({"email": "kai@example.com", "firstname": "K", "lastname": "D"})
    assert status == 500
    assert world.sql("select (select count(*) from sync.link) + (select count(*) from sync.intent) as n") == [{"n": 0}]


def test_a_detached_pair_with_an_unanswered_write_does_not_spin(dsn: str, database: Database) -> None:
    with World.open(dsn, database, SYNC_DELETES="none") as world:
        world.insert(email="kai@example.com", firstname="Kai")
        world.quiet()
        world.portal.faults.add(action="cut", when="after", path_contains="/batch/update")
        world.sql("update customer set company = 'a'")
        world.parts.reconciler.drain()
        world.sql("update customer set deletedat = now()")
        expire(world)
        world.quiet()
        assert world.sql("select 1 from sync.intent") == []


def test_an_erase_reaches_a_customer_that_was_deleted_before(world: World, kai: int) -> None:
    world.sql("update customer set deletedat = now()")
    world.quiet()
    assert erase(world.parts, "Kai@example.com")
    assert world.sql("select email from customer") == [{"email": None}]


def test_an_erase_of_a_busy_customer_waits_for_it_and_says_what_came_of_it(world: World, kai: int) -> None:
    world.event(kai)
    (claim,) = world.parts.marks.claim(1)
    with pytest.raises(StillDue, match="under way"):
        erase(world.parts, "kai@example.com", patience=0)

    def done(_: float) -> None:
        world.parts.marks.finish([Ending(claim=claim)])

    assert erase(world.parts, "kai@example.com", nap=done)
    assert world.portal.contacts == []


def test_the_least_urgent_lane_gets_its_turn_under_constant_load(world: World, kai: int) -> None:
    world.parts.marks.mark([Subject.contact(int(world.portal.create({"email": "a@example.com"}).id))], lane=Lane.AUDIT)
    for _ in range(20):
        world.event(kai)
        world.parts.reconciler.drain_once(tuple(Lane))
    assert world.customer("a@example.com") is not None


PREDECESSOR = """create table customer (uuid uuid primary key default gen_random_uuid(), email text unique not null,
    firstname text not null, lastname text not null, phone text, company text, website text, lifecyclestage text,
    createdat timestamptz not null default now(), updatedat timestamptz not null default now())"""
ANYBODYS = "create table customer (id serial primary key, email varchar(80) not null, firstname text, lastname text)"


@pytest.mark.parametrize("table", [PREDECESSOR, ANYBODYS])
def test_a_table_that_was_there_before_gets_what_it_lacks(empty: str, table: str) -> None:
    with open_pool(empty, size=8) as pool:
        with psycopg.connect(empty) as old:
            old.execute(table)
            old.execute("insert into customer (email, firstname, lastname) values ('kai@example.com', 'Kai', 'Doe')")
            for _ in range(2):
                old.execute((ROOT / "schema.sql").read_bytes())
        with World.open(empty, Database(pool)) as world:
            world.sweep()
            kai = world.contact("kai@example.com")
            assert kai is not None
            assert world.sql("select email, contactid from customer") == [
                {"email": "kai@example.com", "contactid": kai["id"]}
            ]
            world.portal.edit(kai["id"], {"phone": "1"})
            world.event(int(kai["id"]))
            world.quiet()
            assert world.sql("select phone from customer") == [{"phone": "1"}]


def test_a_table_whose_uuid_is_something_else_is_refused_in_a_sentence(empty: str) -> None:
    with psycopg.connect(empty) as old:
        old.execute("create table customer (uuid text primary key)")
        with pytest.raises(psycopg.errors.RaiseException, match="rename that column"):
            old.execute((ROOT / "schema.sql").read_bytes())


def test_a_worker_that_wakes_after_its_claim_went_to_another_writes_no_row(world: World, kai: int) -> None:
    world.portal.edit(str(kai), {"company": "there"})
    world.event(kai)
    sleeper = world.parts.marks.claim(1)
    expire(world)
    world.event(kai)
    owner = world.parts.marks.claim(1)
    assert owner[0].fence > sleeper[0].fence
    before = world.customer("kai@example.com")
    world.parts.reconciler.reconcile(sleeper)
    assert world.customer("kai@example.com") == before
    world.parts.reconciler.reconcile(owner)
    customer = world.customer("kai@example.com")
    assert customer is not None
    assert customer["company"] == "there"
    world.assert_fixpoint()
