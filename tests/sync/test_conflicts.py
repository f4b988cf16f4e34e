"""Who wins a conflict, and the poll over a lagging index."""

import psycopg
import pytest
from histories import (
    READ,
    Person,
    change,
    conflicts,
    during,
    link,
    lost,
    person,
    row,
    there,
)
from world import World


def test_each_property_has_its_own_clock(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="old here")
    world.sql("update sync.dirty set at = at - interval '1 minute'")
    world.portal.edit(contact, {"company": "newer there", "phone": "older there"})
    change(world, uuid, phone="new here")
    world.sql("update sync.dirty set at = at + interval '1 minute' where 'phone' = any(edited)")
    world.event(contact)
    world.quiet()
    assert (row(world, uuid)["company"], row(world, uuid)["phone"]) == ("newer there", "new here")
    assert conflicts(world) == {
        ("company", "hubspot", "newer there", "old here"),
        ("phone", "postgres", "new here", "older there"),
    }
    world.assert_equal()
    world.assert_fixpoint()


def test_the_newest_edit_is_judged_by_the_history_that_was_read_last(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="here")
    world.sql("update sync.dirty set at = at - interval '1 minute'")
    world.portal.edit(contact, {"company": "there"})
    world.event(contact)
    during(world, READ, lambda: world.portal.edit(contact, {"company": "there, later"}))
    world.quiet()
    assert row(world, uuid)["company"] == "there, later"
    assert lost(world) == {("company", "here")}
    world.assert_equal()


def test_a_conflict_left_to_people_is_logged_once_and_moves_nothing(dsn: str, database: object) -> None:
    with World.open(dsn, database, SYNC_POLICIES="company=manual") as world:
        uuid, contact = person(world, email="kai@example.com", company="a")
        change(world, uuid, company="here", phone="1")
        world.portal.edit(contact, {"company": "there"})
        for _ in range(3):
            world.event(contact)
            world.quiet()
            world.sweep()
        assert conflicts(world) == {("company", None, "here", "there")}
        assert (row(world, uuid)["company"], there(world, contact, "company")) == ("here", "there")
        assert there(world, contact, "phone") == "1"
        world.sql("select sync.resolve(id, 'lost') from sync.conflicts")
        world.quiet()
        assert (row(world, uuid)["company"], there(world, contact, "company")) == ("there", "there")
        world.assert_equal()


def test_a_loser_can_be_brought_back(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="here")
    world.sql("update sync.dirty set at = at - interval '1 minute'")
    world.portal.edit(contact, {"company": "there"})
    world.event(contact)
    world.quiet()
    world.sql("select sync.resolve(id, 'lost') from sync.conflicts")
    world.quiet()
    assert (row(world, uuid)["company"], there(world, contact, "company")) == ("here", "here")
    world.assert_equal()


@pytest.mark.parametrize("new", [True, False])
def test_a_contact_that_the_index_shows_late_is_found_by_a_later_look(world: World, kai: Person, new: bool) -> None:
    for _ in range(2):
        world.parts.poll.recent()
        world.quiet()
    world.portal.set(index_lag_ms=10_000_000)
    if new:
        world.portal.create({"email": "late@example.com"})
    else:
        world.portal.edit(kai[1], {"company": "late"})
    # A hit of the stale index shows fresh values: a known contact may be found at once, a new one cannot.
    early = world.parts.poll.recent()
    assert not (new and early)
    world.portal.refresh_index()
    assert early or world.parts.poll.recent() == 1
    world.quiet()
    world.assert_equal()


def test_a_contact_that_the_index_shows_very_late_is_found_by_the_second_look(world: World, kai: Person) -> None:
    world.parts.poll.recent()
    world.parts.poll.again()
    world.portal.set(index_lag_ms=10_000_000)
    world.portal.edit(kai[1], {"company": "late"})
    # Two hours go by: the first look has long passed over that time.
    world.sql(
        "update sync.cursor set value = value || jsonb_build_object('high', (now() + interval '2 hours')::text) "
        "where name = 'poll'"
    )
    world.portal.refresh_index()
    assert world.parts.poll.recent() == 0
    assert world.parts.poll.again() == 1
    world.quiet()
    world.assert_equal()


def test_a_page_whose_marks_were_not_stored_is_walked_again(world: World, kai: Person) -> None:
    world.parts.poll.recent()
    before = world.parts.records.cursor("poll")
    world.portal.edit(kai[1], {"company": "there"})
    world.sql("alter table sync.mark add constraint broken check (lane < 0) not valid")
    with pytest.raises(psycopg.Error):
        world.parts.poll.recent()
    assert world.parts.records.cursor("poll") == before
    world.sql("alter table sync.mark drop constraint broken")
    assert world.parts.poll.recent() == 1
    world.quiet()
    world.assert_equal()


def test_a_conflict_is_resolved_once(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="here")
    world.portal.edit(contact, {"company": "there"})
    world.event(contact)
    world.quiet()
    world.sql("select sync.resolve(id, 'lost') from sync.conflicts")
    with pytest.raises(psycopg.Error, match="resolved already"):
        world.sql("select sync.resolve(id, 'kept') from sync.conflict")


def test_an_empty_loser_leaves_the_base_without_the_property(world: World, kai: Person) -> None:
    """Absent is how the base says empty: anything else would differ from the row at each sweep."""
    uuid, _ = kai
    world.sql("insert into sync.conflict (uuid, property, kept) values (%s, 'company', 'Acme')", uuid)
    world.sql("select sync.resolve(id, 'lost') from sync.conflicts")
    assert "company" not in link(world, uuid)["base"]
