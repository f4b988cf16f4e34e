"""The control side: acting as people do, switching, looking."""

import pytest

from sandbox import Sandbox
from sandbox.routes import OBJECTS


def test_people_work_on_contacts(call, sandbox: Sandbox) -> None:
    made = call("POST", "/sandbox/contacts", {"properties": {"email": "maria@hubspot.com"}})
    assert (made.status, made.json["source"]) == (201, "CRM_UI")
    path = f"/sandbox/contacts/{made.json['id']}"
    assert call("PATCH", path, {"properties": {"firstname": "Ada"}}).json["properties"]["firstname"] == "Ada"
    assert call("POST", f"{path}/addresses", {"email": "m@hubspot.com"}).json["secondary"] == ["m@hubspot.com"]
    assert call("DELETE", path).status == 204
    assert call("GET", "/sandbox/contacts?archived=true").json["total"] == 1
    assert call("POST", f"{path}/restore").json["archived"] is False
    assert call("GET", path).status == 200
    assert call("POST", f"{path}/erase").status == 204
    assert call("GET", path).status == 404
    assert sandbox.portal.contacts == []
    assert sandbox.portal.calls.total == 0


def test_refusals_are_hubspots(call) -> None:
    reply = call("POST", "/sandbox/contacts", {"properties": {"email": "nonsense"}})
    assert (reply.status, reply.json["category"]) == (400, "VALIDATION_ERROR")
    assert call("DELETE", "/sandbox/contacts/5").status == 404


def test_contacts_are_listed_and_looked_for(call) -> None:
    assert call("POST", "/sandbox/import", {"count": 25, "prefix": "p"}).json == {"count": 25}
    first = call("GET", "/sandbox/contacts?limit=20").json
    second = call("GET", f"/sandbox/contacts?limit=20&after={first['after']}").json
    assert (len(first["contacts"]), len(second["contacts"]), first["total"]) == (20, 5, 25)
    found = call("GET", "/sandbox/contacts?q=P13@EX").json["contacts"]
    assert [each["properties"]["email"] for each in found] == ["p13@example.com"]


def test_two_contacts_are_merged(call) -> None:
    one, two = (call("POST", "/sandbox/contacts", {"properties": {"firstname": n}}).json["id"] for n in "ab")
    merged = call("POST", "/sandbox/merge", {"primaryObjectId": one, "objectIdToMerge": two}).json
    assert merged["merged"] == [one, two]


def test_settings_change_while_running(call, sandbox: Sandbox) -> None:
    before = call("GET", "/sandbox/settings").json
    assert before["index_lag_ms"] == 0
    assert call("PATCH", "/sandbox/settings", {"index_lag_ms": 50, "stage_rule": "any"}).status == 200
    assert sandbox.portal.settings.index_lag_ms == 50
    assert sandbox.portal.settings.stage_rule == "any"


@pytest.mark.parametrize(
    ("change", "text"),
    [({"port": 1}, "fixed while running: port"), ({"nope": 1}, "nope"), ({"fail_429": 2}, "fail_429")],
)
def test_settings_that_make_no_sense_are_refused(call, change: dict[str, object], text: str) -> None:
    reply = call("PATCH", "/sandbox/settings", change)
    assert reply.status == 400
    assert text in reply.message


def test_faults_are_put_in_force_listed_and_dropped(call) -> None:
    number = call("POST", "/sandbox/faults", {"action": "status", "status": 503, "times": None}).json["number"]
    assert call("GET", OBJECTS).status == 503
    (listed,) = call("GET", "/sandbox/faults").json["faults"]
    assert (listed["number"], listed["struck"], listed["action"]) == (number, 1, "status")
    assert call("DELETE", f"/sandbox/faults/{number}").status == 204
    assert call("GET", OBJECTS).status == 200
    call("POST", "/sandbox/faults", {"action": "cut"})
    assert call("DELETE", "/sandbox/faults").status == 204
    assert call("GET", OBJECTS).status == 200
    assert call("POST", "/sandbox/faults", {"action": "explode"}).status == 400


def test_calls_are_counted_by_endpoint_and_kept(call) -> None:
    contact = call.create(email="maria@hubspot.com")
    call.read(contact, "email")
    call.batch("read", {"id": contact})
    log = call("GET", "/sandbox/calls").json
    assert log["counts"] == {
        f"POST {OBJECTS}": 1,
        f"GET {OBJECTS}/{{id}}": 1,
        f"POST {OBJECTS}/batch/read": 1,
    }
    assert log["recent"][0]["path"] == f"{OBJECTS}/batch/read"
    assert (log["recent"][0]["status"], log["total"]) == (200, 3)
    call("DELETE", "/sandbox/calls")
    assert call("GET", "/sandbox/calls").json["total"] == 0


def test_events_are_shown_with_how_they_fare_and_sent_again(caller, hooked: Sandbox, receiver) -> None:
    call = caller(hooked)
    call("POST", "/sandbox/contacts", {"properties": {"firstname": "Maria"}})
    assert hooked.portal.outbox.wait_until_idle()
    shown = call("GET", "/sandbox/events").json
    assert {each["state"] for each in shown["events"]} == {"delivered"}
    count = len(receiver.events)
    assert call("POST", "/sandbox/events/redeliver").json == {"events": count}
    assert hooked.portal.outbox.wait_until_idle()
    assert len(receiver.events) == 2 * count


def test_property_definitions_change(call, sandbox: Sandbox) -> None:
    def change(name: str, **body: object) -> int:
        return call("POST", f"/sandbox/properties/{name}", body).status

    assert change("company", action="delete") == 204
    assert sandbox.portal.schema.get("company") is None
    assert change("company", action="restore") == 204
    assert change("lifecyclestage", action="options", options=["lead"]) == 204
    assert change("customer_id", action="create", unique=True) == 204
    assert "customer_id" in sandbox.portal.schema.unique_names()
    assert change("nope", action="delete") == 400
    assert change("company", action="explode") == 400


def test_a_reset_forgets_everything_but_the_settings(call, sandbox: Sandbox) -> None:
    call("PATCH", "/sandbox/settings", {"latency_ms": 1})
    call.create(email="maria@hubspot.com")
    call("POST", "/sandbox/faults", {"action": "cut"})
    assert call("POST", "/sandbox/reset").status == 204
    assert call("GET", OBJECTS).json == {"results": []}
    assert call.search().json["total"] == 0
    assert sandbox.portal.settings.latency_ms == 1
    assert call.create(email="maria@hubspot.com")


def test_unknown_control_paths_are_refused(call) -> None:
    assert call("GET", "/sandbox/nope").status == 404
    assert call("PUT", "/sandbox/contacts").status == 404


def test_the_page_is_served_and_loads_nothing_from_elsewhere(call) -> None:
    page = call("GET", "/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    text = page.body.decode()
    assert "local stand-in for HubSpot" in text
    assert "http" not in text.replace("http-equiv", "")
    assert "innerHTML" not in text
