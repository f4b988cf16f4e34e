"""An upsert of an address that only HubSpot has: the contact is linked and updated."""

from typing import Any

import pytest
from systems import KAI, ApiInProcess, api_in_process
from test_api_batch import person, statuses
from world import World

from reconciler.adapters.postgres.database import Database
from reconciler.commands.erase import erase

ADDRESS = "kai@hubspot.com"


def upsert(api: ApiInProcess, **values: Any) -> dict[str, Any]:
    """The outcome of one upsert."""
    (outcome,) = api.admin("POST", "/batch", [{"op": "upsert", "email": ADDRESS, **values}]).json
    assert isinstance(outcome, dict)
    return outcome


@pytest.mark.parametrize("is_marked", [False, True])
def test_a_contact_that_only_hubspot_has_is_linked_and_updated(api: ApiInProcess, is_marked: bool) -> None:
    contact = api.world.portal.create({"email": "Kai@HubSpot.com", "firstname": "Kai", "company": "Acme", "phone": "1"})
    if is_marked:
        api.world.event(contact.id)
    outcome = upsert(api, phone="2", company="")
    assert outcome["status"] == 200
    shown = outcome["customer"]
    assert (shown["contactid"], shown["firstname"]) == (str(contact.id), "Kai")
    assert (shown["phone"], shown["company"]) == ("2", None)
    assert api.user("GET", f"/{ADDRESS}").json == shown
    api.world.quiet()
    assert api.world.sql("select 1 from sync.conflicts") == []
    api.world.assert_equal()
    api.world.assert_fixpoint()


def test_an_upsert_without_a_value_links_the_contact(api: ApiInProcess) -> None:
    contact = api.world.portal.create({"email": ADDRESS, "firstname": "Kai"})
    outcome = upsert(api)
    assert (outcome["status"], outcome["customer"]["contactid"]) == (200, str(contact.id))


def test_a_value_that_hubspot_refuses_links_the_contact_and_leaves_it_as_it_is(api: ApiInProcess) -> None:
    api.world.portal.create({"email": ADDRESS, "firstname": "Kai"})
    assert upsert(api, lifecyclestage="no-such-stage")["status"] == 400
    api.world.quiet()
    api.world.assert_equal()


def test_many_of_them_and_new_ones_are_few_calls(api: ApiInProcess) -> None:
    for n in range(0, 100, 2):
        api.world.portal.create({"email": f"person{n}@hubspot.com"})
    api.world.portal.calls.clear()
    reply = api.admin("POST", "/batch", [{"op": "upsert", **person(n)} for n in range(100)])
    assert statuses(reply) == [200, 201] * 50
    assert api.world.portal.calls.total <= 4
    assert len(api.world.portal.contacts) == 100
    api.world.quiet()
    api.world.assert_equal()


def test_a_create_of_it_is_still_refused(api: ApiInProcess) -> None:
    contact = api.world.portal.create({"email": ADDRESS})
    (outcome,) = api.admin("POST", "/batch", [{"op": "create", **KAI}]).json
    assert (outcome["status"], outcome["message"]) == (
        409,
        f"HubSpot API Error (409): Contact already exists. Existing ID: {contact.id}",
    )


def test_a_secondary_address_of_a_contact_becomes_its_primary_one(api: ApiInProcess) -> None:
    contact = api.world.portal.create({"email": "main@hubspot.com", "firstname": "Kai"})
    other = api.world.portal.create({"email": ADDRESS})
    survivor = api.world.portal.merge(contact.id, other.id)
    outcome = upsert(api, phone="2")
    assert (outcome["status"], outcome["customer"]["contactid"]) == (200, str(survivor.id))
    assert outcome["customer"]["email"] == ADDRESS
    assert api.user("GET", f"/{ADDRESS}").json["phone"] == "2"
    api.world.quiet()
    api.world.assert_equal()


def test_two_addresses_of_one_contact_in_one_batch_are_not_written_at_once(api: ApiInProcess) -> None:
    contact = api.world.portal.create({"email": "main@hubspot.com", "firstname": "Kai"})
    api.world.portal.merge(contact.id, api.world.portal.create({"email": ADDRESS}).id)
    items = [{"op": "upsert", "email": email, "phone": email} for email in ("main@hubspot.com", ADDRESS)]
    assert statuses(api.admin("POST", "/batch", items)) == [200, 409]
    api.world.quiet()
    api.world.assert_equal()


def test_the_contact_of_another_customer_is_not_taken(api: ApiInProcess) -> None:
    contact = api.world.portal.create({"email": "main@hubspot.com", "firstname": "Kai"})
    survivor = api.world.portal.merge(contact.id, api.world.portal.create({"email": ADDRESS}).id)
    api.world.event(survivor.id)
    api.world.quiet()
    before = api.user("GET", "/main@hubspot.com").json
    outcome = upsert(api, phone="2")
    assert (outcome["status"], outcome["code"]) == (409, "email_taken")
    assert outcome["message"].endswith(f"Existing ID: {survivor.id}")
    assert api.user("GET", "/main@hubspot.com").json == before


def test_the_contact_of_an_erased_person_is_not_taken(api: ApiInProcess) -> None:
    assert api.admin("POST", "/", KAI).status == 201
    assert erase(api.world.parts, ADDRESS)
    api.world.portal.set(blocklisted="allow")
    contact = api.world.portal.create({"email": ADDRESS, "phone": "1"})
    outcome = upsert(api, phone="2")
    assert (outcome["status"], outcome["code"]) == (409, "erased_subject")
    found = api.world.portal.contact(contact.id)
    assert found is not None
    assert found.get("phone") == "1"


def test_the_contact_of_a_deleted_customer_comes_alive_again(api: ApiInProcess) -> None:
    """Deleted here, made again in HubSpot: the new contact is nobody's yet."""
    assert api.admin("POST", "/", KAI).status == 201
    assert api.admin("DELETE", f"/{ADDRESS}").status == 204
    contact = api.world.portal.create({"email": ADDRESS, "company": "Acme"})
    outcome = upsert(api, phone="2")
    assert (outcome["status"], outcome["customer"]["contactid"]) == (200, str(contact.id))
    assert (outcome["customer"]["company"], outcome["customer"]["phone"]) == ("Acme", "2")
    api.world.quiet()
    api.world.assert_equal()


@pytest.mark.parametrize("is_row_gone", [False, True])
def test_the_contact_that_a_deleted_customer_left_alive_is_handed_over(
    dsn: str, database: Database, is_row_gone: bool
) -> None:
    with World.open(dsn, database, SYNC_DELETES="none") as world:
        api = api_in_process(world, database, SYNC_DELETES="none")
        first = api.admin("POST", "/", KAI).json
        api.admin("DELETE", f"/{ADDRESS}")
        if is_row_gone:
            world.sql("delete from customer")
        world.quiet()
        outcome = upsert(api, phone="2")
        assert outcome["status"] == 200
        shown = outcome["customer"]
        assert (shown["contactid"], shown["company"], shown["phone"]) == (first["contactid"], "HubSpot", "2")
        assert shown["uuid"] != first["uuid"]
        world.quiet()
        world.assert_equal()
        assert api.admin("PUT", f"/{ADDRESS}", {"phone": "3"}).status == 200


def test_a_contact_that_is_about_to_be_archived_is_left_alone(api: ApiInProcess) -> None:
    assert api.admin("POST", "/", KAI).status == 201
    api.world.sql("update customer set deletedat = now()")
    outcome = upsert(api, phone="2")
    assert (outcome["status"], outcome["code"]) == (503, "in_progress")
    api.world.quiet()
    assert upsert(api, phone="2")["status"] == 201
    api.world.quiet()
    api.world.assert_equal()


def test_a_contact_that_another_worker_is_looking_at_is_waited_for(api: ApiInProcess) -> None:
    contact = api.world.portal.create({"email": ADDRESS, "phone": "1"})
    api.world.event(contact.id)
    during: list[dict[str, Any]] = []
    api.world.portal.faults.add(
        action="run", path_contains="/batch/read", run=lambda: during.append(upsert(api, phone="2"))
    )
    api.world.parts.reconciler.drain()
    assert (during[0]["status"], during[0]["code"]) == (503, "in_progress")
    assert upsert(api, phone="2")["status"] == 200
    api.world.quiet()
    api.world.assert_equal()


@pytest.mark.parametrize("path", ["/batch/read", "/batch/update"])
def test_a_failure_of_hubspot_is_told_and_may_be_repeated(api: ApiInProcess, path: str) -> None:
    api.world.portal.create({"email": ADDRESS, "phone": "1"})
    api.world.portal.faults.add(action="status", status=500, path_contains=path, times=None)
    assert upsert(api, phone="2")["status"] == 500
    api.world.portal.faults.clear()
    api.world.sql("update sync.intent set deadline = now() - interval '1 second'")
    api.world.quiet()
    assert upsert(api, phone="2")["status"] == 200
    api.world.quiet()
    api.world.assert_equal()
