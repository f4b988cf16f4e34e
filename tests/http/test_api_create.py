"""POST / creates a customer on both sides, or on neither."""

import re
from typing import Any

import pytest
from systems import KAI, ApiInProcess

from reconciler.commands.erase import erase

SHAPE = [
    *("uuid", "email", "firstname", "lastname", "phone", "company", "website", "lifecyclestage"),
    *("createdat", "updatedat", "contactid", "hubspotcreatedat", "hubspotupdatedat"),
]
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
LEAST = {"email": "kai@hubspot.com", "firstname": "Kai", "lastname": "Krueger"}


def test_a_created_customer_is_answered_with_201_in_the_shape_of_the_contract(api: ApiInProcess) -> None:
    reply = api.admin("POST", "/", KAI)
    assert reply.status == 201
    assert reply.headers["content-type"] == "application/json"
    customer = reply.json
    assert list(customer) == SHAPE
    assert {field: customer[field] for field in KAI} == KAI
    assert customer["contactid"] == str(api.world.portal.contact(KAI["email"]).id)
    for name in ("createdat", "updatedat", "hubspotcreatedat", "hubspotupdatedat"):
        assert TIME.fullmatch(customer[name])
    assert api.admin("GET", "/kai@hubspot.com").json == customer
    assert api.admin("GET", "/kai@hubspot.com").headers["etag"] == reply.headers["etag"]


def test_a_created_customer_is_on_both_sides_and_needs_no_more_work(api: ApiInProcess) -> None:
    assert api.admin("POST", "/", KAI).status == 201
    api.world.assert_equal()
    api.world.assert_fixpoint()


def test_the_three_required_fields_are_enough(api: ApiInProcess) -> None:
    customer = api.admin("POST", "/", LEAST).json
    assert {name: customer[name] for name in ("phone", "company", "website")} == dict.fromkeys(
        ("phone", "company", "website")
    )
    api.world.quiet()
    api.world.assert_equal()


def test_empty_optional_fields_are_no_values(api: ApiInProcess) -> None:
    customer = api.admin("POST", "/", {**LEAST, "phone": "", "company": None}).json
    assert customer["phone"] is None
    assert customer["company"] is None
    api.world.quiet()
    api.world.assert_equal()


@pytest.mark.parametrize("missing", sorted(LEAST))
@pytest.mark.parametrize("value", [..., None, ""])
def test_a_body_without_a_required_field_is_not_valid(shared_api: ApiInProcess, missing: str, value: Any) -> None:
    body = {**LEAST, "email": "new@hubspot.com", missing: value}
    if value is ...:
        del body[missing]
    before = shared_api.state()
    reply = shared_api.admin("POST", "/", body)
    assert (reply.status, reply.json["message"], reply.json["code"]) == (400, "Invalid body", "invalid_field")
    assert [detail["field"] for detail in reply.json["details"]] == [missing]
    assert shared_api.state() == before


def test_a_contact_that_only_hubspot_has_is_named_in_the_conflict(api: ApiInProcess) -> None:
    contact = api.world.portal.create({"email": "kai@hubspot.com", "firstname": "Other"})
    reply = api.admin("POST", "/", KAI)
    assert reply.status == 409
    assert reply.json["message"] == f"HubSpot API Error (409): Contact already exists. Existing ID: {contact.id}"
    assert reply.json["code"] == "email_taken"
    assert api.world.portal.contact("kai@hubspot.com").get("firstname") == "Other"
    assert api.world.customer("kai@hubspot.com") is None
    api.world.quiet()
    api.world.assert_equal()
    assert api.world.customer("kai@hubspot.com")["firstname"] == "Other"


@pytest.mark.parametrize("address", ["kai@hubspot.com", " KAI@HubSpot.com "])
def test_a_second_customer_of_one_address_is_a_conflict(shared_api: ApiInProcess, address: str) -> None:
    holder = shared_api.world.portal.contact("kai@hubspot.com").id
    before = shared_api.state()
    reply = shared_api.admin("POST", "/", {**LEAST, "email": address})
    assert reply.status == 409
    assert reply.json["message"] == f"HubSpot API Error (409): Contact already exists. Existing ID: {holder}"
    assert set(reply.json) == {"message", "code", "request_id"}
    assert shared_api.state() == before


def test_a_customer_that_only_postgres_has_is_pushed_before_its_id_is_told(api: ApiInProcess) -> None:
    api.world.insert(email="kai@hubspot.com", firstname="Kai", lastname="Here")
    reply = api.admin("POST", "/", KAI)
    holder = api.world.portal.contact("kai@hubspot.com")
    assert reply.json["message"] == f"HubSpot API Error (409): Contact already exists. Existing ID: {holder.id}"
    assert holder.get("lastname") == "Here"


def test_an_address_that_another_contact_holds_as_a_further_one_is_a_conflict(api: ApiInProcess) -> None:
    contact = api.world.portal.create({"email": "first@hubspot.com"})
    api.world.portal.add_address(contact.id, "kai@hubspot.com")
    reply = api.admin("POST", "/", KAI)
    assert reply.json["message"] == f"HubSpot API Error (409): Contact already exists. Existing ID: {contact.id}"
    api.world.quiet()
    api.world.assert_equal()


def test_the_address_of_an_erased_person_stays_refused(api: ApiInProcess) -> None:
    assert api.admin("POST", "/", KAI).status == 201
    assert erase(api.world.parts, "kai@hubspot.com")
    before = api.state()
    for prefer in (None, "respond-async"):
        reply = api.admin("POST", "/", KAI, Prefer=prefer)
        assert (reply.status, reply.json["code"]) == (409, "erased_subject")
        assert "kai@hubspot.com" not in reply.text
    assert api.state() == before


def test_an_unknown_lifecyclestage_is_an_invalid_body_without_the_text_of_hubspot(api: ApiInProcess) -> None:
    reply = api.admin("POST", "/", {**KAI, "lifecyclestage": "no-such-stage"})
    assert (reply.status, reply.json["message"]) == (400, "Invalid body")
    assert [detail["field"] for detail in reply.json["details"]] == ["lifecyclestage"]
    assert "no-such-stage" not in reply.text
    assert api.world.customer("kai@hubspot.com") is None
    assert api.world.contact("kai@hubspot.com") is None


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "status", "status": 500},
        {"action": "status", "status": 503},
        {"action": "status", "status": 401},
        {"action": "status", "status": 403},
        {"action": "html200"},
        {"action": "cut"},
        {"action": "truncate", "when": "after"},
        {"action": "empty", "when": "after"},
        {"action": "redirect"},
        {"action": "429", "policy": "DAILY"},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
def test_a_failure_of_hubspot_is_told_and_settles_to_both_or_neither(api: ApiInProcess, fault: dict[str, Any]) -> None:
    api.world.portal.faults.add(**fault, method="POST", times=None)
    reply = api.admin("POST", "/", KAI)
    assert (reply.status, reply.json["message"]) == (500, "Error creating customer")
    api.world.portal.faults.clear()
    api.world.sql("update sync.intent set deadline = now() - interval '1 second'")
    api.world.sql("update sync.slot set at = '-infinity'")
    api.world.quiet()
    api.world.assert_equal()
    assert len(api.world.portal.contacts) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "=cmd|' /C calc'!A0",
        "'; drop table customer; --",
        "{{7*7}}${7*7}<%= 7*7 %>",
        "<script>alert(1)</script>",
        "Ünïcödé \U0001f600 שלום e\u0301",
        "line one\nline two\ttab",
        "  spaces around  ",
        "%s %(uuid)s {0} \\u0000",
        "x" * 65_000,
    ],
    ids=lambda text: text[:10].encode("unicode_escape").decode(),
)
def test_text_of_any_kind_comes_back_byte_for_byte(api: ApiInProcess, text: str) -> None:
    reply = api.admin("POST", "/", {**LEAST, "company": text})
    assert reply.status == 201
    assert reply.json["company"] == text
    assert api.admin("GET", "/kai@hubspot.com").json["company"] == text
    assert api.world.contact("kai@hubspot.com")["company"] == text


def test_respond_async_stores_here_and_lets_the_reconciler_push(api: ApiInProcess) -> None:
    calls = api.world.portal.calls.total
    reply = api.admin("POST", "/", KAI, Prefer="respond-async, wait=1")
    assert reply.status == 202
    assert reply.headers["preference-applied"] == "respond-async"
    assert list(reply.json) == SHAPE
    assert reply.json["contactid"] is None
    assert api.world.portal.calls.total == calls
    api.world.quiet()
    api.world.assert_equal()
    contact = api.world.portal.contact("kai@hubspot.com")
    assert api.admin("GET", "/kai@hubspot.com").json["contactid"] == str(contact.id)


def test_respond_async_refuses_a_taken_address_too(shared_api: ApiInProcess) -> None:
    holder = shared_api.world.portal.contact("kai@hubspot.com").id
    before = shared_api.state()
    reply = shared_api.admin("POST", "/", LEAST, Prefer="respond-async")
    assert reply.status == 409
    assert reply.json["message"] == f"HubSpot API Error (409): Contact already exists. Existing ID: {holder}"
    assert shared_api.state() == before
