"""Absence needs proof: what is not there was deleted only if that was seen, on either side; the rest is missing."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from histories import READ, UPDATE, Caller, Person, change, count, during, lost, person, row, settle
from psycopg.conninfo import make_conninfo
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.commands.audit import Audit, Finding
from reconciler.commands.erase import StillDue, erase
from reconciler.core.brake import Danger
from reconciler.core.errors import EmptyRead, Unavailable
from reconciler.process.account import check_portal, check_properties

UNROUTED = "<html><head><title>404</title></head><body>That page is nowhere to be found</body></html>"
REASON = "HubSpot does not know this path"


def unrouted(world: World, path: str = "/crm/") -> None:
    """HubSpot does not route these paths any more: its web page, without the header of a missing record."""
    world.portal.faults.add(action="status", status=404, body=UNROUTED, path_contains=path, times=None)


def edit_all(world: World, company: str = "there") -> None:
    for contact in list(world.portal.contacts):
        world.portal.edit(contact.id, {"company": company})
        world.event(contact.id)


def causes(world: World) -> set[str]:
    return {each["cause"] for each in world.sql("select cause from sync.causes")}


def held(world: World) -> int:
    return count(world, "sync.parked where code = 'held_missing'")


def wake(world: World) -> None:
    world.sql("update sync.mark set due = now()")
    world.sql("update sync.outage set probe = now()")


@pytest.fixture
def ten(world: World) -> World:
    for n in range(10):
        person(world, email=f"c{n}@example.com", company="here")
    return world


def test_a_path_that_hubspot_does_not_know_deletes_nobody(ten: World) -> None:
    unrouted(ten)
    edit_all(ten)
    for _ in range(20):
        wake(ten)
        ten.parts.reconciler.drain()
    assert count(ten, "customer where deletedat is null") == 10
    assert count(ten, "sync.mark where attempts > 0 or delays > 0") == 0
    assert ten.sql("select cause, reason from sync.causes") == [{"cause": "path_unknown", "reason": REASON}]
    ten.portal.faults.clear()
    ten.quiet()
    ten.assert_equal()
    assert not causes(ten)


@pytest.mark.parametrize("status", [400, 403, 405, 409, 410, 414])
def test_a_refused_read_is_no_deletion(ten: World, status: int) -> None:
    ten.portal.faults.add(action="status", status=status, body=UNROUTED, path_contains="/contacts", times=None)
    edit_all(ten)
    for _ in range(5):
        wake(ten)
        ten.parts.reconciler.drain()
    assert count(ten, "customer where deletedat is null") == 10
    ten.portal.faults.clear()
    ten.quiet()
    ten.assert_equal()


def test_an_object_type_that_hubspot_does_not_know_deletes_nobody(ten: World) -> None:
    body = {"status": "error", "message": "Unable to infer object type from: contacts"}
    ten.portal.faults.add(action="status", status=400, body=body, path_contains="/contacts", times=None)
    edit_all(ten)
    ten.parts.reconciler.drain()
    assert count(ten, "customer where deletedat is null") == 10
    assert causes(ten) == {"path_unknown"}


def test_only_the_single_read_is_unrouted_and_nobody_is_deleted(ten: World) -> None:
    gone = ten.portal.contacts[0]
    ten.portal.erase(gone.id)
    unrouted(ten, f"/contacts/{gone.id}")
    ten.event(gone.id)
    ten.parts.reconciler.drain()
    assert count(ten, "customer where deletedat is null") == 10
    ten.portal.faults.clear()
    ten.quiet()
    assert count(ten, "customer where deletedat is null") == 9


def test_a_create_waits_while_hubspot_does_not_know_its_path(ten: World) -> None:
    unrouted(ten, "/batch/create")
    before = ten.portal.calls.counts["POST /crm/v3/objects/contacts/batch/create"]
    ten.insert(email="new@example.com")
    for _ in range(20):
        wake(ten)
        ten.parts.reconciler.drain()
    assert ten.portal.calls.counts["POST /crm/v3/objects/contacts/batch/create"] == before + 1
    assert causes(ten) == {"path_unknown"}
    ten.portal.faults.clear()
    ten.parts = ten.rebuilt()
    ten.quiet()
    assert len(ten.portal.contacts) == 11
    ten.assert_equal()


def test_customers_who_are_new_do_not_hide_that_hubspot_reads_again(ten: World) -> None:
    """A create reads nothing, so it cannot tell whether reads are answered again."""
    unrouted(ten, "/batch/read")
    edit_all(ten)
    wake(ten)
    ten.parts.reconciler.drain()
    assert causes(ten) == {"path_unknown"}
    ten.sql("update sync.mark set due = now() + interval '1 minute'")
    ten.insert(email="new@example.com")
    ten.portal.faults.clear()
    ten.sql("update sync.outage set probe = now()")
    ten.parts.reconciler.drain()
    assert ten.contact("new@example.com")
    assert not causes(ten)


def test_a_path_that_is_there_again_is_no_cause_any_more_for_a_process_that_comes_later(ten: World) -> None:
    unrouted(ten, "/batch/create")
    ten.insert(email="new@example.com")
    ten.parts.reconciler.drain()
    assert causes(ten) == {"path_unknown"}
    ten.portal.faults.clear()
    ten.parts = ten.rebuilt()
    wake(ten)
    ten.quiet()
    assert ten.contact("new@example.com")
    assert not causes(ten)


def test_a_poll_does_not_use_up_the_look_whether_hubspot_reads_again(ten: World) -> None:
    unrouted(ten, "/batch/read")
    edit_all(ten)
    ten.parts.reconciler.drain()
    assert causes(ten) == {"path_unknown"}
    ten.portal.faults.clear()
    wake(ten)
    ten.parts.poll.recent()
    ten.parts.reconciler.drain()
    assert not causes(ten)


def test_an_erase_that_hubspot_did_not_confirm_stays_due(ten: World) -> None:
    unrouted(ten, "/gdpr-delete")
    with pytest.raises(StillDue, match=REASON):
        erase(ten.parts, "c1@example.com", patience=0)
    assert ten.contact("c1@example.com") is not None
    assert ten.customer("c1@example.com") is not None
    ten.portal.faults.clear()
    ten.parts = ten.rebuilt()
    ten.quiet()
    assert ten.contact("c1@example.com") is None
    assert ten.customer("c1@example.com") is None


@pytest.mark.parametrize("body", [{"results": []}, {}, []])
def test_a_listing_of_no_properties_holds_none_back(ten: World, body: object) -> None:
    ten.portal.faults.add(action="status", status=200, body=body, path_contains="/properties/", times=None)
    with pytest.raises(Unavailable):
        check_properties(ten.parts)
    assert count(ten, "sync.suspended") == 0


def test_a_token_of_another_account_deletes_nobody(ten: World) -> None:
    """There, none of our contacts exists, and HubSpot says so in its own form."""
    with World.open(ten.dsn, ten.parts.database) as other:
        other.sql("update sync.setting set value = '1' where name = 'portal'")
        other.event(*[contact.id for contact in ten.portal.contacts])
        other.parts.reconciler.drain()
        assert count(ten, "customer where deletedat is null") == 10
        other.sql("update sync.setting set value = %s where name = 'portal'", str(ten.portal.settings.portal_id))
    ten.quiet()
    ten.assert_equal()


def test_a_token_of_another_account_between_two_reads_of_a_contact_deletes_nobody(ten: World, kai: Person) -> None:
    """The second read, for the history of what both sides changed, is another account's already."""
    check_portal(ten.parts)
    ten.portal.edit(kai[1], {"company": "there"})
    ten.sql("update customer set company = 'here' where uuid = %s", kai[0])
    ten.parts = ten.rebuilt()  # that has not asked yet whose account it is
    details = {"portalId": 1, "timeZone": "UTC", "accountType": "STANDARD"}
    error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "gone", "context": {"ids": [str(kai[1])]}}
    gone = {"status": "COMPLETE", "results": [], "errors": [error], "numErrors": 1}

    def replace_token() -> None:
        ten.portal.faults.add(action="status", status=207, body=gone, path_contains=READ, times=None)
        ten.portal.faults.add(action="status", status=404, body=error, path_contains=f"/contacts/{kai[1]}", times=None)
        ten.portal.faults.add(action="status", status=200, body=details, path_contains="/account-info", times=None)

    during(ten, READ, replace_token)
    ten.event(kai[1])
    ten.parts.reconciler.drain()
    assert row(ten, kai[0])["deletedat"] is None
    ten.portal.faults.clear()
    ten.quiet()
    ten.assert_equal()


def test_a_portal_that_shows_none_of_its_contacts_is_not_believed(ten: World) -> None:
    ids = [contact.id for contact in ten.portal.contacts]
    for each in ids:
        ten.portal.erase(each)
    ten.event(*ids)
    ten.quiet()
    assert count(ten, "customer where deletedat is null") == 10
    assert held(ten) == 10
    ten.parts.records.allow(Danger.MISSING, 4)
    ten.quiet()
    assert count(ten, "customer where deletedat is null") == 6


def test_a_contact_that_is_purged_while_others_live_is_believed(ten: World) -> None:
    gone = ten.portal.contacts[0]
    ten.portal.erase(gone.id)
    ten.event(gone.id)
    ten.quiet()
    assert count(ten, "customer where deletedat is null") == 9
    assert held(ten) == 0


def test_the_only_living_contact_is_believed_gone_beside_one_that_went_before(
    world: World, kai: Person, uwe: Person
) -> None:
    world.portal.erase(uwe[1])
    world.event(uwe[1])
    world.quiet()
    world.parts = world.rebuilt()  # that has seen no contact live
    world.portal.erase(kai[1])
    world.event(kai[1], uwe[1])
    world.quiet()
    assert held(world) == 0
    assert row(world, kai[0])["deletedat"] is not None
    world.assert_fixpoint()


def test_a_row_deleted_where_no_trigger_saw_it_is_missing_and_held(ten: World, kai: Person) -> None:
    # His contact is no news to anybody: only the links say that there is one.
    ten.sweep()
    with ten.connection.transaction():
        ten.sql("set local session_replication_role = replica")
        ten.sql("delete from customer where uuid = %s", kai[0])
    ten.sweep()
    assert ten.contact("kai@example.com") is not None
    assert ten.sql("select uuid, code from sync.parked") == [{"uuid": kai[0], "code": "held_missing"}]
    ten.sweep()
    assert held(ten) == 1
    ten.parts.records.allow(Danger.MISSING, 1)
    ten.quiet()
    assert ten.contact("kai@example.com") is None
    ten.assert_equal()


def test_a_row_that_is_there_again_is_not_missing_any_more(ten: World, kai: Person) -> None:
    kept = row(ten, kai[0])
    for statement in ("delete from customer where uuid = %s", None):
        with ten.connection.transaction():
            ten.sql("set local session_replication_role = replica")
            if statement:
                ten.sql(statement, kai[0])
            else:
                fields = ", ".join(kept)
                ten.sql(f"insert into customer ({fields}) values ({', '.join(['%s'] * len(kept))})", *kept.values())
        ten.sweep()
    assert held(ten) == 0
    ten.assert_equal()
    ten.assert_fixpoint()


def test_a_row_that_was_deleted_with_the_trigger_and_came_back_is_missed_when_it_goes_unseen(ten: World) -> None:
    uuid, _ = person(ten, email="uwe@example.com")
    ten.sql("delete from customer where uuid = %s", uuid)
    ten.insert(uuid=uuid, email="uwe@example.com")
    ten.quiet()
    with ten.connection.transaction():
        ten.sql("set local session_replication_role = replica")
        ten.sql("delete from customer where uuid = %s", uuid)
    ten.sweep()
    assert held(ten) == 1


@pytest.fixture
def narrow(ten: World, syncer: str) -> Iterator[World]:
    """A sync whose role is not the table's owner, as row level security is switched on."""
    with open_pool(make_conninfo(ten.dsn, user=syncer), size=4) as pool:
        ten.parts = ten.rebuilt(Database(pool))
        yield ten


def test_rows_that_this_role_may_not_see_are_not_deleted(narrow: World) -> None:
    narrow.sql("alter table customer enable row level security")
    edit_all(narrow)
    calls = narrow.portal.calls.total
    narrow.parts.reconciler.drain()
    wake(narrow)
    narrow.parts.reconciler.drain()
    narrow.parts.sweep.run()
    assert len(narrow.portal.contacts) == 10
    assert count(narrow, "sync.mark where attempts > 0 or delays > 0") == 0
    assert count(narrow, "sync.link where blocks <> '{}'") == 0
    assert narrow.portal.calls.total - calls < 10
    shown = {row["cause"] for row in narrow.parts.database.rows("causes")}
    assert shown == {"rows_hidden"}
    narrow.sql("alter table customer disable row level security")
    narrow.quiet()
    assert len(narrow.portal.contacts) == 10
    narrow.assert_equal()


def test_an_api_write_whose_row_is_hidden_meanwhile_is_followed_when_it_shows(narrow: World) -> None:
    ada = narrow.customer("c1@example.com")
    assert ada is not None
    change(narrow, ada["uuid"], company="mine")
    during(narrow, UPDATE, lambda: narrow.sql("alter table customer enable row level security"))
    assert Caller(narrow).put("c1@example.com", {"company": "theirs"})[1]["code"] == "customer_held"
    narrow.parts.reconciler.drain()
    narrow.sql("alter table customer disable row level security")
    settle(narrow)
    assert row(narrow, ada["uuid"])["company"] == "theirs"
    assert ("company", "mine") in lost(narrow)
    narrow.assert_equal()
    narrow.assert_fixpoint()


def test_a_customer_whose_row_is_hidden_is_not_said_to_be_missing(narrow: World) -> None:
    narrow.sql("alter table customer enable row level security")
    caller = Caller(narrow)
    assert caller("GET", "/c1@example.com")[0] == 503
    assert caller.put("c1@example.com", {"company": "theirs"})[0] == 503
    assert caller("GET", "/unknown@example.com")[0] == 404
    link = narrow.sql("select uuid, contact from sync.link where base ->> 'email' = 'c1@example.com'")[0]
    assert [caller("GET", f"/{how}")[0] for how in (f"uuid/{link['uuid']}", f"contact/{link['contact']}")] == [503, 503]
    assert [caller("GET", f"/{how}")[0] for how in (f"uuid/{uuid4()}", "contact/1")] == [404, 404]
    narrow.sql("insert into sync.alias values (2, %s, 'merged')", link["uuid"])
    narrow.sql("update sync.link set former = '{old@example.com}' where uuid = %s", link["uuid"])
    assert [caller("GET", f"/{how}")[0] for how in ("contact/2", "old@example.com", "")] == [503, 503, 503]


def test_a_policy_that_shows_every_row_is_no_hindrance(narrow: World) -> None:
    narrow.sql("alter table customer enable row level security")
    narrow.sql("create policy everything on customer using (true)")
    edit_all(narrow)
    narrow.quiet()
    narrow.assert_equal()
    assert len(Caller(narrow)("GET", "/")[1]["results"]) == 10


def test_the_audit_tells_missing_rows_from_equal_ones(ten: World, kai: Person) -> None:
    with psycopg.connect(ten.dsn, autocommit=True) as other:
        other.execute("set session_replication_role = replica")
        other.execute("delete from customer where uuid = %s", (kai[0],))
    ten.sweep()
    audit = Audit(ten.parts.database, ten.parts.hubspot, ten.parts.marks, ten.parts.rules())
    assert not audit.run(repair=False)
    assert audit.counts[Finding.HELD] == 1


def test_of_the_last_two_that_went_at_once_neither_stays_held(world: World, kai: Person, uwe: Person) -> None:
    """One is agreed to be gone by its row, and so the other is the only one that is believed to live."""
    world.parts = world.rebuilt()  # that has seen no contact live
    for each in (kai, uwe):
        world.portal.erase(each[1])
    world.sql("update customer set deletedat = now() where uuid = %s", uwe[0])
    world.event(kai[1], uwe[1])
    world.quiet()
    assert held(world) == 1
    with pytest.raises(EmptyRead):
        world.sweep()
    world.quiet()
    assert held(world) == 0
    assert row(world, kai[0])["deletedat"] is not None
