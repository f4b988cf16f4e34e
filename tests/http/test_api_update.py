"""PUT /:email changes a customer on both sides, or on neither."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from systems import KAI, ApiInProcess

NO_PROPERTIES = "HubSpot API Error (400): No properties found to update, please provide at least one."
COMMITTED_SINCE = (
    "select 1 from pg_stat_activity where query = 'COMMIT' and query_start > %s and pid <> pg_backend_pid()"
)


@pytest.fixture
def kai(api: ApiInProcess) -> ApiInProcess:
    """An API with Kai on both sides."""
    assert api.admin("POST", "/", KAI).status == 201
    return api


def test_an_update_is_answered_with_an_empty_200_and_both_sides_have_it(kai: ApiInProcess) -> None:
    reply = kai.admin("PUT", "/kai@hubspot.com", {"firstname": "Christa", "phone": "1"})
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "0")
    assert kai.world.customer("kai@hubspot.com")["firstname"] == "Christa"
    assert kai.world.contact("kai@hubspot.com")["phone"] == "1"
    assert reply.headers["etag"] == kai.user("GET", "/kai@hubspot.com").headers["etag"]
    kai.world.quiet()
    kai.world.assert_equal()
    kai.world.assert_fixpoint()


@pytest.mark.parametrize("field", sorted(KAI.keys() - {"email", "lifecyclestage"}))
@pytest.mark.parametrize("empty", [None, ""])
def test_every_field_can_be_emptied(kai: ApiInProcess, field: str, empty: str | None) -> None:
    assert kai.admin("PUT", "/kai@hubspot.com", {field: empty}).status == 200
    assert kai.user("GET", "/kai@hubspot.com").json[field] is None
    assert kai.world.contact("kai@hubspot.com")[field] is None
    kai.world.quiet()
    kai.world.assert_equal()


def test_an_address_can_be_changed(kai: ApiInProcess) -> None:
    uuid = kai.user("GET", "/kai@hubspot.com").json["uuid"]
    assert kai.admin("PUT", "/kai@hubspot.com", {"email": " New@HubSpot.com"}).status == 200
    assert kai.user("GET", "/kai@hubspot.com").status == 404
    assert kai.user("GET", "/new@hubspot.com").json["uuid"] == uuid
    assert kai.world.contact("new@hubspot.com")
    kai.world.quiet()
    kai.world.assert_equal()


def test_a_body_without_a_field_is_answered_in_the_words_of_hubspot(shared_api: ApiInProcess) -> None:
    before = shared_api.state()
    reply = shared_api.admin("PUT", "/kai@hubspot.com", {})
    assert (reply.status, reply.json["message"]) == (400, NO_PROPERTIES)
    assert shared_api.state() == before


def test_a_value_that_hubspot_refuses_is_answered_with_its_own_text(kai: ApiInProcess) -> None:
    before = kai.state()
    reply = kai.admin("PUT", "/kai@hubspot.com", {"lifecyclestage": "no-such-stage", "phone": "1"})
    assert reply.status == 400
    assert reply.json["message"].startswith("HubSpot API Error (400): Property values were not valid: [")
    assert "no-such-stage was not one of the allowed options" in reply.json["message"]
    assert kai.world.customer("kai@hubspot.com")["phone"] == KAI["phone"]
    kai.world.quiet()
    assert kai.state() == before


@pytest.mark.parametrize("body", [{"phone": "1"}, {"email": "x@hubspot.com"}])
def test_an_unknown_address_is_not_found(shared_api: ApiInProcess, body: dict[str, str]) -> None:
    before = shared_api.state()
    reply = shared_api.admin("PUT", "/nobody@hubspot.com", body)
    assert reply.status == 404
    assert reply.json["error"] == "Customer with email nobody@hubspot.com not found"
    assert shared_api.state() == before


@pytest.mark.parametrize("prefer", [None, "respond-async"])
def test_an_address_that_another_customer_has_is_a_conflict(kai: ApiInProcess, prefer: str | None) -> None:
    other = kai.admin("POST", "/", {**KAI, "email": "other@hubspot.com"}).json["contactid"]
    before = kai.state()
    reply = kai.admin("PUT", "/kai@hubspot.com", {"email": "Other@hubspot.com", "phone": "1"}, Prefer=prefer)
    assert reply.status == 409
    assert reply.json["message"] == f"HubSpot API Error (409): Contact already exists. Existing ID: {other}"
    assert kai.state() == before


def test_an_address_that_only_another_contact_has_is_a_conflict(kai: ApiInProcess) -> None:
    other = kai.world.portal.create({"email": "other@hubspot.com"}).id
    reply = kai.admin("PUT", "/kai@hubspot.com", {"email": "other@hubspot.com"})
    assert reply.json["message"] == f"HubSpot API Error (409): Contact already exists. Existing ID: {other}"
    kai.world.sweep()
    kai.world.assert_equal()


def test_the_own_address_is_no_conflict(kai: ApiInProcess) -> None:
    assert kai.admin("PUT", "/kai@hubspot.com", {"email": "KAI@hubspot.com"}).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_stale_entity_tag_changes_nothing(kai: ApiInProcess, method: str) -> None:
    body = {"json": {"phone": "1"}} if method == "PUT" else {}
    before = kai.state()
    for tag in ('"other"', '"one", "two"', "nonsense", 'W/"other"'):
        reply = kai.admin(method, "/kai@hubspot.com", **body, If_Match=tag)
        assert (reply.status, reply.json["code"]) == (412, "precondition_failed")
    assert kai.state() == before


@pytest.mark.parametrize("form", ["{}", '"other", {}', "*"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_the_current_entity_tag_lets_a_change_through(kai: ApiInProcess, method: str, form: str) -> None:
    tag = kai.user("GET", "/kai@hubspot.com").headers["etag"]
    body = {"json": {"phone": "1"}} if method == "PUT" else {}
    assert kai.admin(method, "/kai@hubspot.com", **body, If_Match=form.format(tag)).status in (200, 204)


def test_two_changes_under_one_entity_tag_are_one_change(kai: ApiInProcess) -> None:
    tag = kai.user("GET", "/kai@hubspot.com").headers["etag"]
    statuses = [kai.admin("PUT", "/kai@hubspot.com", {"phone": n}, If_Match=tag).status for n in ("1", "2")]
    assert statuses == [200, 412]


def test_two_changes_at_once_under_one_entity_tag_are_one_change(kai: ApiInProcess, until: Callable[..., Any]) -> None:
    tag = kai.user("GET", "/kai@hubspot.com").headers["etag"]
    statuses: list[int] = []

    def put(phone: str) -> None:
        statuses.append(kai.admin("PUT", "/kai@hubspot.com", {"phone": phone}, If_Match=tag).status)

    def wait_for_the_second() -> None:
        """Hold the first at HubSpot until the second has looked at the customer and asks for the pair."""
        began = kai.world.sql("select clock_timestamp() as now")[0]["now"]
        second.start()
        until(lambda: kai.world.sql(COMMITTED_SINCE, began) or not second.is_alive())

    second = threading.Thread(target=put, args=("2",))
    kai.world.portal.faults.add(action="run", path_contains="/batch/update", run=wait_for_the_second)
    put("1")
    second.join()
    assert sorted(statuses) == [200, 412]


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "status", "status": 500},
        {"action": "cut"},
        {"action": "truncate", "when": "after"},
        {"action": "html200"},
    ],
    ids=lambda fault: fault["action"],
)
def test_a_failure_of_hubspot_is_told_and_settles_to_both_or_neither(kai: ApiInProcess, fault: dict[str, Any]) -> None:
    kai.world.portal.faults.add(**fault, method="POST", path_contains="/batch/update", times=None)
    reply = kai.admin("PUT", "/kai@hubspot.com", {"phone": "1"})
    assert (reply.status, reply.json["message"]) == (500, "Error updating customer")
    kai.world.portal.faults.clear()
    kai.world.sql("update sync.intent set deadline = now() - interval '1 second'")
    kai.world.quiet()
    kai.world.assert_equal()


def test_a_customer_that_hubspot_does_not_have_yet_is_created_there_by_an_update(api: ApiInProcess) -> None:
    api.world.insert(email="kai@hubspot.com", firstname="Kai")
    assert api.admin("PUT", "/kai@hubspot.com", {"phone": "1"}).status == 200
    assert api.world.contact("kai@hubspot.com")["firstname"] == "Kai"
    assert api.world.contact("kai@hubspot.com")["phone"] == "1"
    api.world.quiet()
    api.world.assert_equal()


def test_an_update_right_after_a_stored_create_reaches_hubspot_once(api: ApiInProcess) -> None:
    assert api.admin("POST", "/", KAI, Prefer="respond-async").status == 202
    assert api.admin("PUT", "/kai@hubspot.com", {"phone": "1"}).status == 200
    api.world.quiet()
    assert len(api.world.portal.contacts) == 1
    api.world.assert_equal()


def test_a_value_equal_to_ours_still_reaches_hubspot(kai: ApiInProcess) -> None:
    kai.world.portal.edit(kai.world.portal.contact("kai@hubspot.com").id, {"phone": "unread"})
    assert kai.admin("PUT", "/kai@hubspot.com", {"phone": KAI["phone"]}).status == 200
    assert kai.world.contact("kai@hubspot.com")["phone"] == KAI["phone"]
    kai.world.quiet()
    kai.world.assert_equal()


def test_respond_async_stores_the_change_here_first(kai: ApiInProcess) -> None:
    reply = kai.admin("PUT", "/kai@hubspot.com", {"phone": "1"}, Prefer="respond-async")
    assert (reply.status, reply.body, reply.headers["preference-applied"]) == (202, b"", "respond-async")
    assert kai.world.contact("kai@hubspot.com")["phone"] == KAI["phone"]
    kai.world.quiet()
    kai.world.assert_equal()
    assert kai.world.contact("kai@hubspot.com")["phone"] == "1"


def test_a_contact_that_hubspot_has_deleted_is_not_created_again(kai: ApiInProcess) -> None:
    kai.world.portal.delete(kai.world.portal.contact("kai@hubspot.com").id)
    assert kai.admin("PUT", "/kai@hubspot.com", {"phone": "1"}).status == 404
    kai.world.quiet()
    assert kai.world.portal.contacts == []
    kai.world.assert_equal()
