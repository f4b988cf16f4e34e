"""Lists, histories, definitions, the account, and the front door: credentials, limits, bad requests."""

import http.client

import pytest

from sandbox import Sandbox, start
from sandbox.routes import OBJECTS, PROPERTIES

USAGE = "/account-info/v3/api-usage/daily/private-apps"


def test_a_list_is_walked_by_the_next_id(call, sandbox: Sandbox) -> None:
    sandbox.portal.load(7, "p")
    found, after = [], "0"
    while after:
        page = call("GET", f"{OBJECTS}?limit=3&after={after}&properties=email,firstname").json
        found += page["results"]
        link = page.get("paging", {}).get("next", {"after": "", "link": ""})
        after = link["after"]
        if after:
            assert after == str(int(page["results"][-1]["id"]) + 1)
            assert link["link"] == f"{sandbox.url}{OBJECTS}?limit=3&properties=email,firstname&after={after}"
    assert [each["properties"]["email"] for each in found] == [f"p{n}@example.com" for n in range(1, 8)]


def test_a_list_has_no_next_page_when_it_ends_exactly(call, sandbox: Sandbox) -> None:
    sandbox.portal.load(3, "p")
    assert "paging" not in call("GET", f"{OBJECTS}?limit=3").json


def test_the_bin_is_a_list_of_its_own(call, sandbox: Sandbox) -> None:
    live, dead = call.create(firstname="a"), call.create(firstname="b")
    sandbox.portal.delete(dead)
    assert [each["id"] for each in call("GET", OBJECTS).json["results"]] == [live]
    assert [each["id"] for each in call("GET", f"{OBJECTS}?archived=true").json["results"]] == [dead]


@pytest.mark.parametrize(
    "query", ["limit=101", "limit=0", "limit=x", "after=x", "limit=51&propertiesWithHistory=email"]
)
def test_a_list_beyond_the_limits_is_refused(call, query: str) -> None:
    assert call("GET", f"{OBJECTS}?{query}").status == 400


def test_default_properties_and_asked_for_ones(call) -> None:
    contact = call.create(email="maria@hubspot.com", phone="1")
    default = call("GET", f"{OBJECTS}/{contact}").json["properties"]
    assert list(default) == [
        "createdate",
        "email",
        "firstname",
        "hs_object_id",
        "lastmodifieddate",
        "lastname",
    ]
    asked = call("GET", f"{OBJECTS}/{contact}?properties=phone&properties=company,nope").json["properties"]
    assert list(asked) == ["company", "createdate", "hs_object_id", "lastmodifieddate", "phone"]


def test_a_history_says_who_wrote_what_newest_first(call, sandbox: Sandbox) -> None:
    contact = call.create(firstname="Maria")
    sandbox.portal.edit(contact, {"firstname": "Ada"})
    reply = call("GET", f"{OBJECTS}/{contact}?propertiesWithHistory=firstname").json
    newest, oldest = reply["propertiesWithHistory"]["firstname"]
    assert (newest["value"], newest["sourceType"], newest["sourceId"]) == ("Ada", "CRM_UI", "userId:1")
    assert newest["updatedByUserId"] == 1
    app = str(sandbox.portal.settings.app_id)
    assert (oldest["value"], oldest["sourceType"], oldest["sourceId"]) == ("Maria", "INTEGRATION", app)
    assert newest["timestamp"] >= oldest["timestamp"]


def test_property_definitions_and_their_options(call, sandbox: Sandbox) -> None:
    listed = {each["name"]: each for each in call("GET", PROPERTIES).json["results"]}
    assert listed["email"]["hasUniqueValue"] is True
    assert listed["createdate"]["modificationMetadata"]["readOnlyValue"] is True
    stage = call("GET", f"{PROPERTIES}/lifecyclestage").json
    assert [option["value"] for option in stage["options"]][:2] == ["subscriber", "lead"]
    assert stage["externalOptions"] is True
    assert call("GET", f"{PROPERTIES}/nope").status == 404


def test_a_deleted_property_is_ignored_in_reads_and_refused_in_writes(call, sandbox: Sandbox) -> None:
    contact = call.create(company="ACME")
    sandbox.portal.schema.archive("company")
    assert "company" not in call.read(contact, "company")
    reply = call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"company": "x"}})
    assert reply.json["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"
    assert [each["name"] for each in call("GET", f"{PROPERTIES}?archived=true").json["results"]] == ["company"]
    sandbox.portal.schema.restore("company")
    assert call.read(contact, "company")["company"] == "ACME"


def test_the_account_and_the_token(call, sandbox: Sandbox) -> None:
    details = call("GET", "/account-info/v3/details").json
    assert (details["portalId"], details["accountType"]) == (
        sandbox.portal.settings.portal_id,
        "DEVELOPER_TEST",
    )
    info = call("POST", "/oauth/v2/private-apps/get/access-token-info", {"tokenKey": sandbox.token}).json
    assert (info["hubId"], info["appId"]) == (
        sandbox.portal.settings.portal_id,
        sandbox.portal.settings.app_id,
    )
    assert call("GET", USAGE).json["results"][0]["currentUsage"] == 3


def test_credentials_are_asked_for_first(call, sandbox: Sandbox, caller) -> None:
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"))
    connection.request("GET", f"{OBJECTS}/1")
    answer = connection.getresponse()
    assert (answer.status, b"INVALID_AUTHENTICATION" in answer.read()) == (401, True)
    connection.close()
    stranger = caller(sandbox, "pat-other")
    assert stranger("GET", "/no/such/path").status == 401
    sandbox.portal.set(access_token="pat-other")
    assert stranger("GET", OBJECTS).status == 200
    assert call("GET", OBJECTS).status == 200


def test_missing_scopes_answer_403_without_limit_headers(call, sandbox: Sandbox) -> None:
    sandbox.portal.set(missing_scopes=True)
    contacts = call("GET", f"{OBJECTS}/1")
    assert (contacts.status, contacts.json["category"]) == (403, "MISSING_SCOPES")
    assert "X-HubSpot-RateLimit-Max" not in contacts.headers
    definitions = call("GET", PROPERTIES)
    assert definitions.status == 403
    assert "category" not in definitions.json
    assert "requires one of [contacts-read]" in definitions.message


def test_an_unknown_path_is_not_a_missing_record(call, sandbox: Sandbox) -> None:
    reply = call("GET", "/crm/v3/objects/nothing")
    assert reply.status == 404
    assert "X-HubSpot-NotFound" not in reply.headers
    assert call("PUT", f"{OBJECTS}/1").status == 404
    sandbox.portal.set(unknown_path_form="json", not_found_form="json")
    assert call("GET", "/crm/v3/objects/nothing").message == "resource not found"
    assert call("GET", f"{OBJECTS}/5").message == "resource not found"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"", b"\xff", b'{"properties": []}', b'{"properties": {"firstname": {}}}']
)
def test_a_body_that_cannot_be_read_is_refused(call, body: bytes) -> None:
    reply = call("POST", OBJECTS, body)
    assert reply.status == 400
    assert reply.message.startswith("Invalid input JSON on line 1")


def test_a_request_line_that_is_too_long_is_refused(call) -> None:
    assert call("GET", f"{OBJECTS}?properties={'a' * 17_000}").status == 414


def test_ten_seconds_take_so_many_calls_and_say_so(caller) -> None:
    with start(rate_per_10s=3) as sandbox:
        call = caller(sandbox)
        replies = [call("GET", OBJECTS) for _ in range(4)]
    assert [reply.headers["X-HubSpot-RateLimit-Remaining"] for reply in replies[:3]] == ["2", "1", "0"]
    refused = replies[3]
    assert refused.status == 429
    assert refused.json["policyName"] == "TEN_SECONDLY_ROLLING"
    assert refused.message == "You have reached your ten_secondly_rolling limit."
    assert refused.json["errorType"] == "RATE_LIMIT"
    assert "Retry-After" not in refused.headers


def test_searches_have_a_limit_and_headers_of_their_own(caller) -> None:
    with start(search_per_second=2, rate_per_10s=1, retry_after="1") as sandbox:
        call = caller(sandbox)
        replies = [call.search() for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert replies[2].json["policyName"] == "SECONDLY"
    assert replies[2].headers["Retry-After"] == "1"
    assert "X-HubSpot-RateLimit-Remaining" not in replies[0].headers
    assert replies[0].headers["X-HubSpot-RateLimit-Daily"] == "250000"


def test_a_day_takes_so_many_calls_and_ends(caller) -> None:
    now = [1_700_000_000_000]
    with start(daily_limit=1, clock=lambda: now[0]) as sandbox:
        call = caller(sandbox)
        assert call("GET", OBJECTS).status == 200
        refused = call("GET", OBJECTS)
        assert (refused.status, refused.json["policyName"]) == (429, "DAILY")
        now[0] += 86_400_000
        assert call("GET", OBJECTS).status == 200


def test_answers_are_dated_by_hubspots_clock(caller) -> None:
    with start(clock=lambda: 1_700_000_000_000) as sandbox:
        assert caller(sandbox)("GET", OBJECTS).headers["Date"] == "Tue, 14 Nov 2023 22:13:20 GMT"


def test_one_connection_carries_many_calls(sandbox: Sandbox) -> None:
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"))
    for _ in range(3):
        connection.request("GET", OBJECTS, headers={"Authorization": f"Bearer {sandbox.token}"})
        first = connection.sock
        connection.getresponse().read()
        assert connection.sock is first
    connection.close()
