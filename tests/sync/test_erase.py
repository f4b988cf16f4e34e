"""Erased stays erased: by whatever way it was told, wherever a trace stood, whatever was under way."""

import pytest
from histories import (
    CREATE,
    READ,
    Caller,
    Person,
    assert_erased,
    blocks,
    change,
    count,
    during,
    expire,
    killed,
    link,
    lives,
    person,
    row,
    traces,
    worker,
)
from psycopg.errors import CheckViolation
from world import World

from reconciler.adapters.postgres.database import to_json
from reconciler.commands.erase import erase

OF_KAI = {"company": "Acme"}


@pytest.mark.parametrize("order", ["privacy", "deletion, privacy", "privacy, deletion", "both"])
def test_a_privacy_deletion_erases_in_whatever_order_it_is_told(world: World, kai: Person, order: str) -> None:
    uuid, contact = kai
    world.portal.erase(contact)
    for each in order.split(", "):
        world.event(contact, privacy=each != "deletion")
        if each == "both":
            world.event(contact)
        world.quiet()
    assert row(world, uuid)["erasedat"] is not None
    assert_erased(world)
    world.sweep()
    assert_erased(world)
    assert world.portal.contacts == []


def test_the_announcement_of_a_privacy_deletion_alone_erases_nobody(world: World, kai: Person) -> None:
    uuid, contact = kai
    world.event(contact, privacy=True)
    world.quiet()
    assert row(world, uuid)["erasedat"] is None
    world.portal.delete(contact)
    world.event(contact, privacy=True)
    world.quiet()
    assert row(world, uuid)["erasedat"] is None
    assert row(world, uuid)["deletedat"] is not None
    assert row(world, uuid)["company"] == "Acme"


def test_a_privacy_deletion_that_is_told_while_the_contact_is_looked_at_is_not_forgotten(
    world: World, kai: Person
) -> None:
    uuid, contact = kai
    world.event(contact)

    def erased() -> None:
        world.portal.erase(contact)
        world.event(contact, privacy=True)

    during(world, READ, erased)
    world.quiet()
    assert row(world, uuid)["erasedat"] is not None
    assert_erased(world)


def test_a_contact_that_is_gone_without_a_privacy_deletion_is_parked_and_never_made_again(
    world: World, kai: Person
) -> None:
    uuid, contact = kai
    person(world, email="uwe@example.com")
    world.portal.erase(contact)
    world.event(contact)
    world.quiet()
    assert row(world, uuid)["deletedat"] is not None
    assert row(world, uuid)["erasedat"] is None
    assert blocks(world, uuid) == {"*": "contact_gone"}
    world.event(contact)
    world.quiet()
    world.sweep()
    assert len(world.portal.contacts) == 1
    world.assert_fixpoint()
    # When the announcement comes at last it is still honoured.
    world.event(contact, privacy=True)
    world.quiet()
    assert_erased(world)


def test_a_create_whose_contact_turned_out_to_be_an_erased_persons_is_made_anew(world: World, kai: Person) -> None:
    other, _ = kai
    with killed(world, CREATE):
        uuid = world.insert(email="uwe@example.com", firstname="Uwe")
        worker(world).drain()
    made = world.contact("uwe@example.com")
    assert made is not None
    # Before anybody knows whose contact that is, it is merged into one whose address is erased.
    world.portal.merge(world.portal.create({"email": "vera@example.com"}).id, int(made["id"]))
    change(world, other, email="vera@example.com")
    assert erase(world.parts, "vera@example.com")
    world.event(*[each.id for each in world.portal.contacts])
    worker(world).drain()
    change(world, uuid, email="mia@example.com")
    expire(world)
    world.quiet()
    contact = world.contact("mia@example.com")
    assert contact is not None
    assert blocks(world, uuid) == {}
    assert row(world, uuid)["contactid"] == link(world, uuid)["contact"] == int(contact["id"])


def test_a_contact_merged_into_an_erased_persons_is_not_shown_as_that(world: World, kai: Person) -> None:
    other, _ = kai
    uuid, contact = person(world, email="uwe@example.com", firstname="Uwe")
    theirs = world.portal.create({"email": "vera@example.com"}).id
    change(world, other, email="vera@example.com")
    assert erase(world.parts, "vera@example.com")
    world.portal.merge(theirs, contact)
    world.event(*[each.id for each in world.portal.contacts])
    world.quiet()
    world.event(contact)
    world.quiet()
    assert blocks(world, uuid) == {"*": "erased_subject"}
    assert row(world, uuid)["contactid"] == link(world, uuid)["contact"] == contact


def test_an_edit_here_of_a_contact_that_is_gone_does_not_make_it_again(world: World, kai: Person) -> None:
    uuid, contact = kai
    world.portal.erase(contact)
    change(world, uuid, company="late")
    world.quiet()
    assert world.portal.contacts == []
    assert row(world, uuid)["deletedat"] is not None


def test_an_erase_takes_every_row_and_every_log_with_the_person(world: World, kai: Person) -> None:
    first, _ = kai
    world.sql("delete from customer")
    world.quiet()
    second, contact = person(world, email="kai@example.com", firstname="Kai", company="Acme")
    change(world, second, company="Acme 2")
    world.portal.edit(contact, {"company": "Acme 3"})
    world.event(contact)
    world.quiet()
    change(world, second, email="kai2@example.com", lifecyclestage="no such stage")
    world.quiet()
    change(world, second, deletedat="2026-01-01")
    world.quiet()
    third, contact = person(world, email="kai@example.com", firstname="Kai", company="Acme 4")
    Caller(world).post({"email": "kai@example.com", "company": "Acme"}, idempotency_key="k")
    change(world, third, company="Acme 5")
    world.portal.erase(contact)
    world.event(contact, privacy=True)
    world.quiet()
    assert_erased(world, "kai@example.com")
    world.sweep()
    assert_erased(world, "kai@example.com")
    # Who only had the address once is somebody else by now.
    assert row(world, second)["email"] == "kai2@example.com"
    assert row(world, third)["erasedat"] is not None
    assert world.portal.contacts == []
    assert first != second


def test_an_erase_takes_what_an_idempotency_key_remembers(world: World) -> None:
    caller = Caller(world)
    caller.post({"email": "kai@example.com", "company": "Acme"}, idempotency_key="made")
    caller.post({"email": "kai@example.com", "company": "Acme"}, idempotency_key="refused")
    caller.put("kai@example.com", {"company": "Acme 2"}, idempotency_key="put")
    caller("POST", "/batch", [{"op": "update", "email": "kai@example.com", "company": "Acme 3"}], idempotency_key="b")
    assert erase(world.parts, "kai@example.com")
    world.quiet()
    assert_erased(world)


def test_an_erase_takes_the_losers_of_merges_and_secondary_addresses(world: World, kai: Person) -> None:
    uuid, contact = kai
    uwe, other = person(world, email="uwe@example.com", firstname="Uwe", company="Acme")
    survivor = int(world.portal.merge(contact, other).id)
    world.event(contact, other, survivor)
    world.quiet()
    world.portal.erase(survivor)
    world.event(survivor, privacy=True)
    world.quiet()
    assert_erased(world, "kai@example.com", "uwe@example.com", "acme")
    assert row(world, uwe)["erasedat"] is not None
    assert row(world, uuid)["erasedat"] is not None
    with pytest.raises(CheckViolation):
        world.insert(email="uwe@example.com")


def test_an_erase_told_of_an_absorbed_contact_takes_the_survivor_only_when_that_is_gone(
    world: World, kai: Person
) -> None:
    uuid, contact = kai
    _, other = person(world, email="uwe@example.com")
    survivor = int(world.portal.merge(contact, other).id)
    world.event(other, privacy=True)
    world.quiet()
    world.sweep()
    assert lives(world, survivor)
    assert row(world, uuid)["erasedat"] is None
    world.assert_equal()


def test_a_pull_under_way_does_not_bring_an_erased_person_back(world: World, kai: Person) -> None:
    uuid, old = kai
    change(world, uuid, deletedat="2026-01-01")
    world.quiet()
    new = world.portal.create({"email": "kai@example.com", "company": "Acme"})
    world.event(new.id)

    def erased() -> None:
        world.portal.erase(old)
        world.event(old, privacy=True)
        worker(world).drain()

    during(world, READ, erased)
    world.quiet()
    assert row(world, uuid)["erasedat"] is not None
    assert count(world, "customer where deletedat is null") == 0
    assert_erased(world)
    world.assert_fixpoint()
    assert world.sql("select ignored from sync.status")[0]["ignored"] >= 1


def test_a_revival_under_way_does_not_bring_an_erased_person_back(world: World, kai: Person) -> None:
    uuid, contact = kai
    world.portal.delete(contact)
    world.event(contact)
    world.quiet()
    world.portal.restore(contact)
    world.event(contact)

    def erased() -> None:
        world.sql("update sync.link set lease_until = null")
        world.portal.erase(contact)
        world.event(contact, privacy=True)
        worker(world).drain()

    during(world, READ, erased)
    world.quiet()
    assert row(world, uuid)["erasedat"] is not None
    assert_erased(world)


def test_an_address_that_was_erased_does_not_come_back_as_somebody_elses(world: World, kai: Person) -> None:
    uuid, contact = kai
    uwe, other = person(world, email="uwe@example.com", firstname="Uwe")
    world.portal.erase(contact)
    world.event(contact, privacy=True)
    world.quiet()
    world.portal.set(blocklisted="allow")
    world.portal.edit(other, {"email": "kai@example.com", "firstname": "U"})
    world.event(other)
    world.quiet()
    assert row(world, uwe)["firstname"] == "U"
    assert traces(world, "kai@example.com") == []
    world.assert_fixpoint()


def test_an_erased_address_that_returns_in_hubspot_is_ignored_once_and_for_all(world: World, kai: Person) -> None:
    _, contact = kai
    world.portal.erase(contact)
    world.event(contact, privacy=True)
    world.quiet()
    world.portal.set(blocklisted="allow")
    world.parts.poll.recent()
    back = world.portal.create({"email": "Kai@Example.com", "company": "Acme"})
    world.event(back.id)
    world.quiet()
    assert_erased(world)
    assert world.sql("select ignored from sync.status")[0]["ignored"] == 2
    world.portal.calls.clear()
    assert world.parts.poll.recent() == 0
    world.event(back.id)
    world.quiet()
    world.sweep()
    assert "POST /crm/v3/objects/contacts/batch/read" not in world.portal.calls.counts
    with pytest.raises(CheckViolation):
        world.insert(email=" KAI@example.com ")
    uwe = world.insert(email="uwe@example.com")
    with pytest.raises(CheckViolation):
        change(world, uwe, email="kai@example.com")
    assert Caller(world).post({"email": "kai@example.com"})[0] == 409


@pytest.mark.parametrize(
    ("address", "other"),
    [
        ("kai_bo@example.com", "kaixbo@example.com"),
        ("kai%bo@example.com", "kaiandbo@example.com"),
        ("kai\\bo@example.com", "kaibo@example.com"),
        ('"kai"@example.com', "kai@example.com"),
        ("kaï@example.com", "kai@example.com"),
        ("kai", "kai@example.com"),
    ],
)
def test_an_erase_takes_what_names_the_address_in_others_logs_and_nothing_like_it(
    world: World, address: str, other: str
) -> None:
    uuid = world.insert(email=address)
    for text in (address, address.upper(), other):
        told = to_json({"email": text})
        world.sql(
            "insert into sync.history (uuid, side, action, changes) "
            "values (gen_random_uuid(), 'hubspot', 'update', %s::jsonb)",
            told,
        )
        for key, body in ((f"one {text}", told), (f"many {text}", f"[{told}]")):
            world.sql(
                "insert into sync.idempotency (key, caller, request, status, body, lease_until) "
                "values (%s, 'somebody', '', 200, %s::json, now())",
                key,
                body,
            )
    with world.parts.database.own() as work:
        work.rows("erase", uuid=uuid)
    assert [each["changes"] for each in world.sql("select changes from sync.history")] == [{"email": other}]
    left = {each["key"]: each["body"] for each in world.sql("select key, body from sync.idempotency")}
    assert left.pop(f"one {other}") == {"email": other}
    assert left.pop(f"many {other}") == [{"email": other}]
    assert left.keys() == {f"many {address}", f"many {address.upper()}"}
    assert [each["code"] for body in left.values() for each in body] == ["erased_subject"] * 2


TABLES = (
    "public.customer",
    "sync.link",
    "sync.alias",
    "sync.history",
    "sync.conflict",
    "sync.tombstone",
    "sync.setting",
)
