"""The first run: an existing portal and an existing table become one."""

import psycopg
import pytest
from histories import count, person
from world import World

from reconciler.adapters.postgres.database import Database
from reconciler.commands.backfill import Backfill
from reconciler.core.brake import Danger
from reconciler.core.errors import Busy
from reconciler.core.ports import Lane


def both_sides(world: World) -> None:
    """Two people on both sides (one with another phone), one only here, two only there."""
    world.sql("alter table customer disable trigger user")
    world.insert(email="same@example.com", firstname="Same")
    world.insert(email="other@example.com", firstname="Other", phone="here")
    world.insert(email="here@example.com", firstname="Here")
    world.sql("alter table customer enable trigger user")
    world.portal.create({"email": "Same@example.com", "firstname": "Same"})
    world.portal.create({"email": "other@example.com", "firstname": "Other", "company": "There"})
    world.portal.create({"email": "there@example.com"})
    world.portal.create({"firstname": "Nobody"})


def test_a_backfill_links_by_address_and_gives_each_side_what_it_lacks(world: World) -> None:
    both_sides(world)
    Backfill(world.parts).run()
    world.quiet()
    assert len(world.portal.contacts) == 5
    other = world.customer("other@example.com")
    assert other is not None
    assert (other["phone"], other["company"]) == ("here", "There")
    world.assert_equal()
    world.assert_fixpoint()


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    both_sides(world)
    revision = world.portal.revision
    preview = Backfill(world.parts).preview()
    assert preview.counts == {
        "pairs to link, values to be merged": 2,
        "customers to insert": 2,
        "customers to create in HubSpot": 1,
    }
    assert "2  customers to insert" in capsys.readouterr().out
    assert world.portal.revision == revision
    assert world.sql("select (select count(*) from sync.link) + (select count(*) from sync.mark) as n")[0]["n"] == 0


def test_a_dry_run_promises_no_contact_to_a_customer_that_is_blocked(world: World) -> None:
    world.insert(email="kai@example.com")
    world.insert(email="no address")
    world.quiet()
    assert world.sql("select property, code from sync.parked") == [{"property": "email", "code": "invalid_value"}]
    assert Backfill(world.parts).preview().counts["customers to create in HubSpot"] == 0


def test_a_dry_run_counts_whom_no_page_met(world: World) -> None:
    world.portal.load(250, "many")
    addresses = [contact.get("email") for contact in world.portal.contacts]
    person(world, email=addresses[0].upper())
    person(world, email="linked@example.com")
    here = [*addresses[1:], *(f"only.here.{n}@example.com" for n in range(30)), None, None]
    world.sql("insert into customer (email) select unnest(%s::text[])", here)
    world.sql("insert into customer (email, deletedat) values ('dead@example.com', now()), (%s, now())", addresses[1])
    counts = Backfill(world.parts).preview().counts
    assert counts["customers to create in HubSpot"] == 32
    assert counts["contacts linked already"] == 2


def test_a_backfill_that_was_killed_goes_on_at_its_page(world: World) -> None:
    world.portal.load(350, "many")
    world.portal.faults.add(action="cut", path_contains="/objects/contacts?", skip=2, times=3)
    with pytest.raises(Exception, match="did not arrive"):
        Backfill(world.parts).run()
    assert world.sql("select count(*) from customer")[0]["count"] == 200
    world.portal.calls.clear()
    world.sql("update sync.outage set probe = now()")
    Backfill(world.parts).run()
    assert world.portal.calls.counts["GET /crm/v3/objects/contacts"] == 2
    world.quiet()
    assert world.sql("select count(*) from customer")[0]["count"] == 350
    world.assert_equal()


def test_a_backfill_reads_each_contact_once_in_pages_of_a_hundred(world: World) -> None:
    world.portal.load(1000, "many")
    world.portal.calls.clear()
    Backfill(world.parts).run()
    assert world.portal.calls.total <= 13
    assert world.sql("select count(*) from customer")[0]["count"] == 1000


def test_a_backfill_uses_up_neither_the_hours_allowance_nor_what_an_operator_allowed(world: World) -> None:
    world.sql("insert into customer (email) select n || '@example.com' from generate_series(1, 30) n")
    world.parts.records.allow(Danger.CREATE, 7)
    Backfill(world.parts).run()
    world.assert_equal()
    assert count(world, "sync.danger") == 0
    assert world.sql("select kind, count from sync.allowance") == [{"kind": "create", "count": 7}]


def test_a_page_that_could_not_be_worked_off_is_read_by_the_next_walk(world: World) -> None:
    world.portal.load(5000, "many")
    ids = sorted(int(contact.id) for contact in world.portal.contacts)
    world.parts.records.allow(Danger.CREATE, 5000)
    with psycopg.connect(world.dsn) as other:
        other.execute("insert into sync.link (uuid, contact) values (gen_random_uuid(), %s)", [ids[50]])
        with pytest.raises(Busy):
            world.parts.sweep.run(Lane.BULK)
        other.rollback()
    assert 0 < count(world, "customer") < 5000
    world.parts.sweep.run(Lane.BULK)
    world.quiet()
    assert count(world, "customer") == 5000


def test_a_listing_that_is_empty_although_contacts_are_linked_is_an_error(world: World, database: Database) -> None:
    world.insert(email="kai@example.com")
    world.quiet()
    empty = b'{"results":[]}'
    world.portal.faults.add(
        action="status", status=200, body=empty.decode(), path_contains="/objects/contacts?", times=None
    )
    with pytest.raises(Exception, match="lists no contact"):
        world.parts.sweep.run()
    assert world.customer("kai@example.com") is not None


def test_a_backfill_is_held_back_by_nothing_but_deletions_and_says_what_it_left_out(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.sql("alter table customer add constraint short check (length(phone) <= 20)")
    world.portal.load(1200, "many")
    world.portal.create({"email": "bad@example.com", "phone": "1" * 30})
    assert not Backfill(world.parts).run()
    assert count(world, "customer") == 1200
    assert "1200 pairs linked, 1 records or properties left out\n        1  row_refused  *" in capsys.readouterr().out
    world.sql("alter table customer drop constraint short")
    assert Backfill(world.rebuilt()).run()
    assert count(world, "customer") == 1201


@pytest.mark.parametrize(("prefer", "winner"), [("newest", "there"), ("hubspot", "there"), ("postgres", "here")])
def test_an_old_row_is_not_newer_than_an_edit_in_hubspot(
    dsn: str, database: Database, prefer: str, winner: str
) -> None:
    """The table had no time of its own when the sync came: nobody knows when its rows were edited."""
    with World.open(dsn, database, SYNC_FIRST_LINK=prefer) as world:
        world.sql("alter table customer disable trigger user")
        world.insert(email="kai@example.com", company="here", updatedat="1970-01-01")
        world.sql("alter table customer enable trigger user")
        world.portal.create({"email": "kai@example.com", "company": "there"})
        side = {"there": "HubSpot", "here": "Postgres"}[winner]
        assert Backfill(world.parts).preview().counts[f"company differs, {side} wins"] == 1
        assert Backfill(world.parts).run()
        world.quiet()
        assert world.customer("kai@example.com")["company"] == winner
        world.assert_equal()
