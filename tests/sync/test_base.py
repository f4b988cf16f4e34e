"""The base moves with what it describes: no edit is reverted, no crash looks like a person, no zombie wins."""

import pytest
from histories import (
    ARCHIVE,
    CREATE,
    READ,
    UPDATE,
    Caller,
    Person,
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
from world import World

OF_KAI = {"phone": "1"}


def test_an_edit_in_hubspot_survives_an_edit_of_another_column_here_between_read_and_write(
    world: World, kai: Person
) -> None:
    uuid, contact = kai
    world.portal.edit(contact, {"company": "b"})
    world.event(contact)
    during(world, READ, lambda: change(world, uuid, phone="2"))
    world.quiet()
    assert (row(world, uuid)["company"], row(world, uuid)["phone"]) == ("b", "2")
    assert (there(world, contact, "company"), there(world, contact, "phone")) == ("b", "2")
    assert conflicts(world) == set()
    world.assert_equal()
    world.assert_fixpoint()


def test_an_edit_of_the_same_column_between_read_and_write_is_a_conflict_and_not_a_local_change(
    dsn: str, database: object
) -> None:
    with World.open(dsn, database, SYNC_POLICIES="company=hubspot") as world:
        uuid, contact = person(world, email="kai@example.com", company="a")
        world.portal.edit(contact, {"company": "b"})
        world.event(contact)
        during(world, READ, lambda: change(world, uuid, company="c"))
        world.quiet()
        assert row(world, uuid)["company"] == "b"
        assert conflicts(world) == {("company", "hubspot", "b", "c")}
        world.assert_equal()
        world.assert_fixpoint()


@pytest.mark.parametrize("stage", ["customer", "subscriber", None])
def test_what_hubspot_adds_to_a_create_is_never_cleared_although_the_row_changed_meanwhile(
    world: World, stage: str | None
) -> None:
    uuid = world.insert(email="kai@example.com", firstname="Kai")
    during(world, CREATE, lambda: change(world, uuid, phone="2", lifecyclestage=stage))
    world.quiet()
    contact = link(world, uuid)["contact"]
    assert there(world, contact, "lifecyclestage") in (stage, "lead")
    assert there(world, contact, "lifecyclestage") is not None
    assert there(world, contact, "phone") == "2"
    assert len(world.portal.contacts) == 1
    world.assert_equal()
    world.assert_fixpoint()


def test_a_row_deleted_while_its_contact_is_created_takes_the_contact_with_it(world: World) -> None:
    world.insert(email="kai@example.com", firstname="Kai")
    during(world, CREATE, lambda: world.sql("delete from customer"))
    world.quiet()
    settle(world)
    assert world.portal.contacts == []
    assert count(world, "customer") == 0
    world.event(*[each["contact"] for each in world.sql("select contact from sync.link where contact is not null")])
    world.quiet()
    assert count(world, "customer") == 0


@pytest.mark.parametrize("policy", ["hubspot", "newest"])
@pytest.mark.parametrize("is_overdue", [False, True])
def test_what_we_sent_before_a_crash_is_no_persons_edit(
    dsn: str, database: object, policy: str, is_overdue: bool
) -> None:
    with World.open(dsn, database, SYNC_POLICIES=f"company={policy}") as world:
        uuid, contact = person(world, email="kai@example.com", company="a")
        change(world, uuid, company="b")
        with killed(world, UPDATE):
            world.quiet()
        assert there(world, contact, "company") == "b"
        change(world, uuid, company="c")
        if is_overdue:
            expire(world)
        settle(world)
        assert there(world, contact, "company") == "c"
        assert row(world, uuid)["company"] == "c"
        assert conflicts(world) == set()
        world.assert_equal()
        world.assert_fixpoint()


@pytest.mark.parametrize("policy", ["hubspot", "newest"])
def test_what_we_sent_before_a_lost_answer_is_no_persons_edit(dsn: str, database: object, policy: str) -> None:
    with World.open(dsn, database, SYNC_POLICIES=f"company={policy}") as world:
        uuid, contact = person(world, email="kai@example.com", company="a")
        change(world, uuid, company="b")
        world.portal.faults.add(action="cut", when="after", path_contains=UPDATE)
        world.parts.reconciler.drain()
        change(world, uuid, company="c")
        settle(world)
        assert there(world, contact, "company") == "c"
        assert conflicts(world) == set()
        world.assert_equal()
        world.assert_fixpoint()


def test_what_we_sent_before_a_crash_and_took_back_here_meanwhile_is_taken_back_there(
    world: World, kai: Person
) -> None:
    uuid, contact = kai
    change(world, uuid, company="b")
    with killed(world, UPDATE):
        world.quiet()
    change(world, uuid, company="a")
    settle(world)
    assert there(world, contact, "company") == "a"
    world.assert_equal()
    world.assert_fixpoint()


def test_a_persons_edit_over_what_we_sent_before_a_crash_wins_over_it(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, company="b")
    with killed(world, UPDATE):
        world.quiet()
    world.portal.edit(contact, {"company": "person"})
    settle(world)
    assert row(world, uuid)["company"] == "person"
    world.assert_equal()
    world.assert_fixpoint()


def test_a_loser_is_in_the_log_before_it_is_overwritten(world: World, kai: Person) -> None:
    uuid, contact = kai
    world.portal.edit(contact, {"company": "theirs"})
    change(world, uuid, company="mine")
    world.sql("update sync.dirty set at = at + interval '5 s'")
    with killed(world, UPDATE):
        world.quiet()
    assert there(world, contact, "company") == "mine"
    assert conflicts(world) == {("company", "postgres", "mine", "theirs")}
    settle(world)
    assert conflicts(world) == {("company", "postgres", "mine", "theirs")}
    world.assert_equal()


def _overtaken(world: World, uuid: object) -> None:
    """A second worker sends a newer value while the first one's call is on its way."""
    expire(world)
    change(world, uuid, company="c")
    worker(world).drain()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("is_told", [True, False])
def test_a_worker_that_wakes_after_its_lease_does_not_bring_its_old_value_back(
    world: World, kai: Person, when: str, is_told: bool
) -> None:
    uuid, contact = kai
    change(world, uuid, company="b")
    during(world, UPDATE, lambda: _overtaken(world, uuid), when=when)
    world.parts.reconciler.drain()
    if is_told:
        world.event(contact)
    world.quiet()
    settle(world)
    world.sweep()
    assert row(world, uuid)["company"] == "c"
    assert there(world, contact, "company") == "c"
    assert conflicts(world) == set()
    world.assert_equal()
    world.assert_fixpoint()


@pytest.mark.parametrize("is_told", [True, False])
def test_a_push_that_an_api_write_overtook_does_not_bring_its_old_value_back(
    world: World, kai: Person, is_told: bool
) -> None:
    uuid, contact = kai
    caller, answers = Caller(world), []

    def put() -> None:
        expire(world)
        answers.append(caller.put("kai@example.com", {"company": "d"})[0])

    change(world, uuid, company="b")
    during(world, UPDATE, put, when="before")
    world.parts.reconciler.drain()
    assert answers == [200]
    if is_told:
        world.event(contact)
    world.quiet()
    settle(world)
    world.sweep()
    assert row(world, uuid)["company"] == "d"
    assert there(world, contact, "company") == "d"
    world.assert_equal()
    world.assert_fixpoint()


def test_an_archive_and_an_update_of_a_batch_are_committed_although_its_create_fails(world: World) -> None:
    gone, archived = person(world, email="gone@example.com", company="a")
    kai, contact = person(world, email="kai@example.com", company="a")
    world.sql("delete from customer where uuid = %s", gone)
    change(world, kai, company="b")
    new = world.insert(email="new@example.com")
    world.portal.faults.add(action="status", status=401, path_contains=CREATE)
    world.parts.reconciler.drain()
    assert link(world, gone)["alive"] is False
    assert link(world, kai)["base"]["company"] == "b"
    assert link(world, new)["contact"] is None
    assert there(world, contact, "company") == "b"
    world.portal.calls.clear()
    world.quiet()
    assert world.portal.calls.counts.get("POST /crm/v3/objects/contacts/batch/archive") is None
    assert world.contact("new@example.com") is not None
    world.assert_equal()
    assert lost(world) == set()
    assert archived not in {int(each.id) for each in world.portal.contacts}


@pytest.mark.parametrize("path", [UPDATE, CREATE, ARCHIVE])
@pytest.mark.parametrize("when", ["before", "after", "late"])
def test_a_process_that_dies_at_any_call_costs_nothing_but_time(world: World, path: str, when: str) -> None:
    gone, _ = person(world, email="gone@example.com", company="a")
    kai, _ = person(world, email="kai@example.com", company="a")
    world.sql("delete from customer where uuid = %s", gone)
    change(world, kai, company="b")
    world.insert(email="new@example.com", company="n")
    with killed(world, path, when=when):
        world.quiet()
    settle(world)
    assert sorted(each.email for each in world.portal.contacts) == ["kai@example.com", "new@example.com"]
    assert conflicts(world) == set()
    world.assert_equal()
    world.assert_fixpoint()
