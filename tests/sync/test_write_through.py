"""API writes against everything else: HubSpot's people, SQL, their own webhooks, crashes."""

import pytest
from histories import (
    ARCHIVE,
    CREATE,
    READ,
    UPDATE,
    Caller,
    Person,
    blocks,
    change,
    conflicts,
    during,
    killed,
    link,
    lives,
    lost,
    row,
    settle,
    there,
    worker,
)
from world import World


def test_what_a_put_overwrites_unseen_is_logged_as_the_loser(world: World, kai: Person, caller: Caller) -> None:
    uuid, contact = kai
    world.portal.edit(contact, {"company": "c"})
    assert caller.put("kai@example.com", {"company": "b"})[0] == 200
    world.event(contact)
    world.quiet()
    assert conflicts(world) == {("company", "postgres", "b", "c")}
    assert (row(world, uuid)["company"], there(world, contact, "company")) == ("b", "b")
    world.assert_equal()
    world.assert_fixpoint()


def test_what_a_put_overwrites_unseen_is_logged_without_any_event(world: World, kai: Person, caller: Caller) -> None:
    _, contact = kai
    world.portal.edit(contact, {"company": "c"})
    assert caller.put("kai@example.com", {"company": "b"})[0] == 200
    world.quiet()
    world.sweep()
    assert ("company", "c") in lost(world)


def test_two_puts_over_unseen_edits_log_both(world: World, kai: Person, caller: Caller) -> None:
    _, contact = kai
    world.portal.edit(contact, {"company": "c1"})
    assert caller.put("kai@example.com", {"company": "b1"})[0] == 200
    world.portal.edit(contact, {"company": "c2"})
    assert caller.put("kai@example.com", {"company": "b2"})[0] == 200
    world.event(contact)
    world.quiet()
    assert lost(world) >= {("company", "c1"), ("company", "c2")}
    assert there(world, contact, "company") == "b2"
    world.assert_equal()


def test_what_a_put_overwrites_unseen_is_logged_although_its_answer_is_lost(
    world: World, kai: Person, caller: Caller
) -> None:
    _, contact = kai
    world.portal.edit(contact, {"company": "c"})
    world.portal.faults.add(action="cut", when="after", path_contains=UPDATE)
    assert caller.put("kai@example.com", {"company": "b"})[0] == 500
    settle(world)
    assert ("company", "c") in lost(world)
    world.assert_equal()


def test_an_address_that_waited_for_somebody_elses_create_is_logged_when_a_put_overwrites_it(
    world: World, kai: Person, caller: Caller
) -> None:
    uuid, contact = kai

    def look() -> None:
        world.portal.edit(contact, {"email": "uwe@example.com"})
        world.event(contact)
        worker(world).drain()

    during(world, CREATE, look, when="before")
    assert caller.post({"email": "uwe@example.com"})[0] == 409
    assert row(world, uuid)["email"] == "kai@example.com"
    assert caller.put("kai@example.com", {"email": "mia@example.com"})[0] == 200
    world.sweep()
    assert ("email", "uwe@example.com") in lost(world)
    world.assert_equal()


def test_a_put_over_what_was_known_logs_nothing(world: World, kai: Person, caller: Caller) -> None:
    _, contact = kai
    assert caller.put("kai@example.com", {"company": "b", "phone": "1"})[0] == 200
    world.event(contact)
    world.quiet()
    assert conflicts(world) == set()
    world.assert_equal()
    world.assert_fixpoint()


def test_sql_that_commits_between_a_put_and_its_mirror_stands_and_the_put_is_logged(
    world: World, kai: Person, caller: Caller
) -> None:
    uuid, contact = kai
    during(world, UPDATE, lambda: change(world, uuid, company="c"))
    assert caller.put("kai@example.com", {"company": "b"})[0] == 200
    world.quiet()
    assert (row(world, uuid)["company"], there(world, contact, "company")) == ("c", "c")
    assert ("company", "b") in lost(world)
    world.assert_equal()
    world.assert_fixpoint()


@pytest.mark.parametrize("when", ["after", "late"])
def test_a_delete_whose_process_dies_with_the_archive_under_way_deletes_the_customer_too(
    world: World, kai: Person, caller: Caller, when: str
) -> None:
    uuid, contact = kai
    with killed(world, ARCHIVE, when=when):
        caller.delete("kai@example.com")
    assert not lives(world, contact)
    settle(world)
    assert row(world, uuid)["deletedat"] is not None
    assert link(world, uuid)["alive"] is False
    assert world.portal.contacts == []


def test_a_delete_is_not_forgotten_when_a_worker_looks_before_the_archive_lands(
    world: World, kai: Person, caller: Caller
) -> None:
    uuid, _ = kai

    def look() -> None:
        world.sql("update sync.link set lease_until = null")
        world.sql("select sync.mark(array_agg('u:' || uuid), 1) from customer")
        worker(world).drain()

    during(world, ARCHIVE, look, when="before")
    assert caller.delete("kai@example.com")[0] == 204
    settle(world)
    assert row(world, uuid)["deletedat"] is not None
    assert world.portal.contacts == []


def test_a_delete_whose_archive_never_left_leaves_both_alive(world: World, kai: Person, caller: Caller) -> None:
    uuid, contact = kai
    with killed(world, ARCHIVE, when="before"):
        caller.delete("kai@example.com")
    settle(world)
    assert lives(world, contact)
    assert row(world, uuid)["deletedat"] is None
    world.assert_equal()
    world.assert_fixpoint()


def test_a_delete_whose_answer_is_lost_settles_as_deleted(world: World, kai: Person, caller: Caller) -> None:
    uuid, contact = kai
    world.portal.faults.add(action="cut", when="after", path_contains=ARCHIVE)
    assert caller.delete("kai@example.com")[0] == 500
    settle(world)
    assert not lives(world, contact)
    assert row(world, uuid)["deletedat"] is not None


def test_a_customer_inserted_by_sql_while_a_put_takes_its_address_is_not_lost(
    world: World, kai: Person, caller: Caller
) -> None:
    uuid, contact = kai
    during(world, UPDATE, lambda: world.insert(email="vera@example.com", firstname="Vera"))
    status, _ = caller.put("kai@example.com", {"email": "vera@example.com"})
    settle(world)
    rows = world.sql("select email from customer where deletedat is null order by email")
    assert [each["email"] for each in rows] == ["kai@example.com", "vera@example.com"]
    assert status == 200
    # The address that the PUT could not keep is known to somebody: parked or logged.
    assert blocks(world, uuid) or ("email", "vera@example.com") in lost(world)
    world.sweep()
    world.assert_fixpoint()


def test_a_put_whose_answer_is_lost_ends_the_same_on_both_sides(world: World, kai: Person, caller: Caller) -> None:
    uuid, contact = kai
    world.portal.faults.add(action="cut", when="after", path_contains=UPDATE)
    assert caller.put("kai@example.com", {"company": "b"})[0] == 500
    settle(world)
    assert row(world, uuid)["company"] == there(world, contact, "company")
    assert conflicts(world) == set()
    world.assert_equal()
    world.assert_fixpoint()


def test_a_put_waits_for_a_busy_pair_and_then_goes_ahead(world: World, kai: Person, caller: Caller) -> None:
    uuid, contact = kai
    change(world, uuid, phone="1")
    answers = []
    during(world, READ, lambda: answers.append(caller.put("kai@example.com", {"company": "b"})[0]))
    world.parts.reconciler.drain()
    assert answers == [200]
    world.quiet()
    assert (there(world, contact, "company"), there(world, contact, "phone")) == ("b", "1")
    assert conflicts(world) == set()
    world.assert_equal()
    world.assert_fixpoint()
