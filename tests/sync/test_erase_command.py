"""Erased stays erased: by command, through crashes, after a restored backup."""

from pathlib import Path

import pytest
from histories import (
    CREATE,
    UPDATE,
    Person,
    assert_erased,
    change,
    expire,
    killed,
    person,
    settle,
    traces,
)
from psycopg.errors import CheckViolation
from world import World

from reconciler.adapters.postgres.tombstones import restore_tombstones
from reconciler.commands.erase import StillDue, erase
from reconciler.core.ports import Subject

OF_KAI = {"company": "Acme"}


def test_a_person_who_consents_again_is_welcome(world: World, kai: Person) -> None:
    _, contact = kai
    world.portal.erase(contact)
    world.event(contact, privacy=True)
    world.quiet()
    world.portal.set(blocklisted="allow")
    assert world.sql("select sync.forget_tombstone('KAI@example.com ') as done")[0]["done"]
    assert not world.sql("select sync.forget_tombstone('kai@example.com') as done")[0]["done"]
    assert traces(world, "kai@example.com") == []
    world.insert(email="kai@example.com", firstname="Kai")
    world.quiet()
    world.assert_equal()


TABLES = (
    "public.customer",
    "sync.link",
    "sync.alias",
    "sync.history",
    "sync.conflict",
    "sync.tombstone",
    "sync.setting",
)


def _backup(world: World) -> None:
    world.sql("create schema backup")
    for name in TABLES:
        world.sql(f"create table backup.{name.split('.')[1]} as table {name}")


def _restore(world: World) -> None:
    with world.connection.transaction():
        world.sql("select set_config('sync.own', 'on', true)")
        for name in (*TABLES, "sync.mark", "sync.intent", "sync.dirty"):
            world.sql(f"delete from {name}")
        for name in TABLES:
            world.sql(f"insert into {name} overriding system value select * from backup.{name.split('.')[1]}")
    world.sql("drop schema backup cascade")


@pytest.mark.parametrize("is_gone_here", [False, True])
def test_a_restored_backup_does_not_bring_an_erased_person_back(
    dsn: str, database: object, tmp_path: Path, is_gone_here: bool
) -> None:
    file = tmp_path / "tombstones"
    with World.open(dsn, database, TOMBSTONE_FILE=str(file)) as world:
        uuid, contact = person(world, email="kai@example.com", company="Acme")
        person(world, email="uwe@example.com")
        if is_gone_here:
            world.sql("delete from customer where uuid = %s", uuid)
        _backup(world)
        stale = world.parts.marks
        world.event(contact)
        old = stale.claim(1, only=[Subject.contact(contact)])
        world.quiet()
        world.portal.erase(contact)
        world.event(contact, privacy=True)
        world.quiet()
        assert b"kai" not in file.read_bytes()
        _restore(world)
        assert restore_tombstones(file, world.parts.database) >= 2
        assert_erased(world)
        world.parts.reconciler.reconcile(old)
        world.event(contact)
        world.quiet()
        world.sweep()
        assert_erased(world)
        assert [each.email for each in world.portal.contacts] == ["uwe@example.com"]
        with pytest.raises(CheckViolation):
            world.insert(email="kai@example.com")


def test_a_person_erased_by_command_is_gone_on_both_sides(world: World, kai: Person) -> None:
    assert erase(world.parts, " KAI@example.com")
    assert not erase(world.parts, "kai@example.com")
    assert world.portal.contacts == []
    world.quiet()
    world.sweep()
    assert_erased(world)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_erase_by_command_that_dies_at_hubspot_is_finished_later(world: World, kai: Person, when: str) -> None:
    uuid, contact = kai
    with killed(world, "/gdpr-delete", when=when):
        erase(world.parts, "kai@example.com")
    expire(world)
    if when == "before":
        assert erase(world.parts, "kai@example.com")
    world.quiet()
    assert_erased(world)
    assert world.portal.contact(str(contact)) is None


def test_an_erase_takes_what_was_about_to_be_sent(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="Acme 2")
    with killed(world, UPDATE):
        world.quiet()
    expire(world)
    assert erase(world.parts, "kai@example.com")
    world.quiet()
    assert_erased(world)


def test_an_erase_of_a_customer_whose_create_is_open_takes_the_contact_too(world: World) -> None:
    world.insert(email="kai@example.com", company="Acme")
    with killed(world, CREATE):
        world.quiet()
    expire(world)
    assert erase(world.parts, "kai@example.com")
    settle(world)
    world.sweep()
    assert_erased(world)
    assert world.portal.contacts == []


def test_an_erase_while_hubspot_is_away_is_noted_and_done_when_it_is_back(world: World, kai: Person) -> None:
    world.parts = world.rebuilt()  # that has not asked yet whose account it is
    world.portal.faults.add(action="status", status=503, path_contains="/", times=None)
    with pytest.raises(StillDue):
        erase(world.parts, "kai@example.com", patience=0)
    world.portal.faults.clear()
    world.sql("update sync.outage set failures = 0, since = null")
    world.quiet()
    assert_erased(world)


def test_an_erase_that_hubspot_does_not_confirm_is_tried_less_and_less_often(world: World, kai: Person) -> None:
    world.portal.faults.add(action="status", status=500, path_contains="gdpr-delete", times=None)
    naps: list[float] = []
    with pytest.raises(StillDue):
        erase(world.parts, "kai@example.com", patience=20, nap=naps.append, clock=lambda: sum(naps))
    assert naps == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
