"""Webhooks: what is told of each change, how it is signed, sent, repeated, lost."""

import json
import sqlite3
import threading

import pytest

from sandbox import Sandbox, start
from sandbox.clock import steady_ms
from sandbox.routes import OBJECTS
from sandbox.signing import sign_v1, sign_v3


def idle(sandbox: Sandbox) -> None:
    assert sandbox.portal.outbox.wait_until_idle(10)


def test_a_change_by_the_api_is_told_with_the_app_as_its_source(hooked: Sandbox, receiver, caller) -> None:
    contact = caller(hooked).create(email="maria@hubspot.com", jobtitle="not subscribed")
    idle(hooked)
    (creation,) = receiver.of_type("contact.creation")
    app = hooked.portal.settings.app_id
    assert creation.pop("eventId")
    assert creation.pop("occurredAt")
    assert creation.pop("subscriptionId")
    assert creation == {
        "portalId": hooked.portal.settings.portal_id,
        "appId": app,
        "subscriptionType": "contact.creation",
        "attemptNumber": 0,
        "objectId": int(contact),
        "changeFlag": "CREATED",
        "changeSource": "INTEGRATION",
        "sourceId": str(app),
    }
    changed = {each["propertyName"]: each["propertyValue"] for each in receiver.of_type("contact.propertyChange")}
    assert changed == {"email": "maria@hubspot.com", "lifecyclestage": "lead"}


def test_a_change_by_a_person_is_told_for_what_really_changed(hooked: Sandbox, receiver) -> None:
    contact = hooked.portal.create({"firstname": "Maria"})
    idle(hooked)
    receiver.requests.clear()
    hooked.portal.edit(contact.id, {"firstname": "Ada", "lifecyclestage": "lead", "jobtitle": "x"})
    idle(hooked)
    (change,) = receiver.events
    assert (change["propertyName"], change["propertyValue"]) == ("firstname", "Ada")
    assert (change["changeSource"], change["sourceId"]) == ("CRM_UI", "userId:1")
    assert "changeFlag" not in change


def test_deletion_restore_and_erasure_are_told(hooked: Sandbox, receiver) -> None:
    contact = hooked.portal.create({"email": "maria@hubspot.com"})
    hooked.portal.delete(contact.id)
    hooked.portal.restore(contact.id)
    hooked.portal.erase(contact.id)
    idle(hooked)
    deletions = receiver.of_type("contact.deletion")
    assert len(deletions) == 2
    assert all(each["changeFlag"] == "DELETED" and "sourceId" not in each for each in deletions)
    assert len(receiver.of_type("contact.restore")) == 1
    assert len(receiver.of_type("contact.privacyDeletion")) == 1


def test_a_merge_is_told_with_the_deletion_of_what_it_absorbed(hooked: Sandbox, receiver) -> None:
    one, two = (hooked.portal.create({"firstname": name}) for name in "ab")
    idle(hooked)
    receiver.requests.clear()
    survivor = hooked.portal.merge(one.id, two.id)
    idle(hooked)
    (merge,) = receiver.of_type("contact.merge")
    assert merge["newObjectId"] == merge["objectId"] == survivor.id
    assert (merge["primaryObjectId"], merge["mergedObjectIds"]) == (one.id, [two.id])
    assert {each["objectId"] for each in receiver.of_type("contact.deletion")} == {one.id, two.id}
    assert receiver.of_type("contact.propertyChange") == []


def test_a_restore_may_go_untold_and_a_merge_without_its_id(hooked: Sandbox, receiver) -> None:
    hooked.portal.set(webhook_restore_events=False, webhook_merge_object_id=False)
    one, two = (hooked.portal.create({"firstname": name}) for name in "ab")
    hooked.portal.delete(one.id)
    hooked.portal.restore(one.id)
    hooked.portal.merge(one.id, two.id)
    idle(hooked)
    assert receiver.of_type("contact.restore") == []
    assert "objectId" not in receiver.of_type("contact.merge")[0]


def test_a_subscription_may_end_while_its_event_waits(hooked: Sandbox, receiver) -> None:
    hooked.portal.set(webhook_delay_ms=50)
    hooked.portal.create({"firstname": "Maria"})
    hooked.portal.set(webhook_properties=())
    idle(hooked)
    assert len(receiver.events) == 3


def test_a_write_that_changes_nothing_is_not_told_unless_the_portal_does(hooked: Sandbox, receiver) -> None:
    contact = hooked.portal.create({"firstname": "Maria"})
    idle(hooked)
    receiver.requests.clear()
    hooked.portal.edit(contact.id, {"firstname": "Maria"})
    idle(hooked)
    assert receiver.events == []
    hooked.portal.set(webhook_noop_events=True)
    hooked.portal.edit(contact.id, {"firstname": "Maria"})
    idle(hooked)
    assert len(receiver.events) == 1


def test_events_may_come_in_the_other_forms(hooked: Sandbox, receiver) -> None:
    hooked.portal.set(webhook_form="object", webhook_type_key="eventType", webhook_whole_seconds=True)
    hooked.portal.create({"firstname": "Maria"})
    idle(hooked)
    assert {each["eventType"] for each in receiver.events} == {"object.creation", "object.propertyChange"}
    assert all(each["objectTypeId"] == "0-1" and each["occurredAt"] % 1000 == 0 for each in receiver.events)


def test_requests_carry_both_signatures(hooked: Sandbox, receiver) -> None:
    hooked.portal.create({"firstname": "Zoë"})
    idle(hooked)
    headers, body = receiver.requests[0]
    stamp = int(headers["X-HubSpot-Request-Timestamp"])
    secret = hooked.client_secret
    assert headers["X-HubSpot-Signature-v3"] == sign_v3(secret, "POST", receiver.url, body, stamp)
    assert headers["X-HubSpot-Signature"] == sign_v1(secret, body)
    assert headers["X-HubSpot-Signature-Version"] == "v1"
    assert headers["Content-Type"] == "application/json"


def test_the_signature_vectors_hold(reference) -> None:
    vectors = json.loads(reference("recordings/webhooks/signature-vectors.json").read_text())["vectors"]
    checked = 0
    for each in vectors:
        body = each["body"].encode()
        if each["version"] == "v1":
            assert sign_v1(each["secret"], body) == each["expected"], each["name"]
        elif each["version"] == "v3":
            signed = sign_v3(each["secret"], each["method"], each["uri"], body, each["timestamp_ms"])
            assert signed == each["expected"], each["name"]
        checked += each["version"] != "v2"
    assert checked >= 4


def test_only_the_named_codes_of_a_uri_are_decoded_before_signing() -> None:
    coded = sign_v3("s", "POST", "https://h/a%3Fb%20c", b"", 1)
    assert coded == sign_v3("s", "POST", "https://h/a?b%20c", b"", 1)
    assert coded != sign_v3("s", "POST", "https://h/a?b c", b"", 1)


def test_every_recorded_payload_has_the_keys_that_are_sent(hooked: Sandbox, receiver, reference) -> None:
    recorded = json.loads(reference("recordings/webhooks/webhook-payloads.json").read_text())
    one, two = (hooked.portal.create({"email": f"{name}@hubspot.com"}, by=hooked.portal.app) for name in "ab")
    three = hooked.portal.merge(one.id, two.id)
    hooked.portal.erase(three.id)
    idle(hooked)
    keys = {each["subscriptionType"]: set(each) for each in receiver.events}
    for each in recorded:
        for event in each["body"]:
            kind = event.get("subscriptionType", "")
            if each["id"].startswith(("real-2025", "real-2026", "constructed")) and kind in keys:
                assert keys[kind] == set(event), each["id"]


@pytest.mark.parametrize("answer", [400, 404, 500, 302])
def test_a_refused_request_is_repeated_with_its_attempt(hooked: Sandbox, receiver, answer: int) -> None:
    receiver.answers = [answer, answer]
    hooked.portal.set(webhook_properties=())
    hooked.portal.create({"firstname": "Maria"})
    idle(hooked)
    assert [each["attemptNumber"] for each in receiver.events] == [0, 1, 2]
    assert len({(each["eventId"], each["occurredAt"]) for each in receiver.events}) == 1
    (delivery,) = hooked.portal.outbox.deliveries
    assert (delivery.state, delivery.answer) == ("delivered", 204)


def test_after_the_last_attempt_the_event_is_gone(hooked: Sandbox, receiver) -> None:
    receiver.answers = [500] * 50
    hooked.portal.set(webhook_properties=())
    hooked.portal.create({"firstname": "Maria"})
    idle(hooked)
    assert [each["attemptNumber"] for each in receiver.events] == list(range(11))
    assert hooked.portal.outbox.deliveries[0].state == "failed"


def test_no_answer_in_time_is_a_failure(receiver) -> None:
    receiver.hold = threading.Event()
    with start(webhook_url=receiver.url, webhook_timeout_ms=30, webhook_attempts=2, webhook_retry_ms=1) as sandbox:
        sandbox.portal.create({"firstname": "Maria"})
        idle(sandbox)
        assert {each.state for each in sandbox.portal.outbox.deliveries} == {"failed"}
        assert {each.answer for each in sandbox.portal.outbox.deliveries} == {0}


def test_nobody_listening_is_a_failure() -> None:
    with start(webhook_url="http://127.0.0.1:9/", webhook_attempts=1) as sandbox:
        sandbox.portal.create({"firstname": "Maria"})
        idle(sandbox)
        assert {each.state for each in sandbox.portal.outbox.deliveries} == {"failed"}


def test_a_request_holds_a_hundred_events_at_most_and_ten_are_in_flight(receiver, eventually) -> None:
    receiver.hold = threading.Event()
    with start(webhook_url=receiver.url) as sandbox:
        sandbox.portal.load(500, "p")
        eventually(lambda: len(receiver.requests) == 10)
        assert sandbox.portal.outbox.waiting > 1000
        assert len(receiver.requests) == 10
        receiver.hold.set()
        idle(sandbox)
    assert max(len(json.loads(body)) for _, body in receiver.requests) == 100
    assert len(receiver.events) == 500 * 7


def test_dropped_and_muted_events_are_never_sent(hooked: Sandbox, receiver) -> None:
    hooked.portal.set(webhook_drop=1)
    hooked.portal.create({"firstname": "Maria"})
    hooked.portal.set(webhook_drop=0, webhook_mute=True)
    hooked.portal.create({"firstname": "Ada"})
    hooked.portal.set(webhook_mute=False)
    idle(hooked)
    assert receiver.events == []
    assert {each.state for each in hooked.portal.outbox.deliveries} == {"dropped", "muted"}


def test_doubled_events_come_twice(hooked: Sandbox, receiver) -> None:
    hooked.portal.set(webhook_duplicate=1, webhook_properties=())
    hooked.portal.create({"firstname": "Maria"})
    idle(hooked)
    assert len(receiver.events) == 2
    assert receiver.events[0] == receiver.events[1]


def test_reordered_events_all_come(receiver) -> None:
    with start(webhook_url=receiver.url, webhook_reorder=True, webhook_delay_ms=50, webhook_concurrency=1) as sandbox:
        sandbox.portal.load(20, "p")
        idle(sandbox)
    numbers = [each["eventId"] for each in receiver.events]
    assert numbers != sorted(numbers)
    assert len(set(numbers)) == len(numbers) == 140


def test_delayed_events_wait(hooked: Sandbox, receiver) -> None:
    hooked.portal.set(webhook_delay_ms=60, webhook_delay_max_ms=80)
    started = steady_ms()
    hooked.portal.create({"firstname": "Maria"})
    idle(hooked)
    assert steady_ms() - started >= 60


def test_an_event_id_may_be_used_twice(hooked: Sandbox, receiver) -> None:
    hooked.portal.set(webhook_same_event_id=1)
    hooked.portal.create({"firstname": "Maria"})
    idle(hooked)
    assert len({each["eventId"] for each in receiver.events}) == 1
    assert len(receiver.events) > 1


def test_everything_can_be_delivered_again(hooked: Sandbox, receiver) -> None:
    hooked.portal.load(30, "p")
    idle(hooked)
    first = sorted(json.dumps(each) for each in receiver.events)
    receiver.requests.clear()
    assert hooked.portal.outbox.redeliver() == len(first)
    idle(hooked)
    assert sorted(json.dumps(each) for each in receiver.events) == first


def test_the_memory_of_events_is_bounded(sandbox: Sandbox) -> None:
    sandbox.portal.set(events_kept=5)
    sandbox.portal.load(10, "p")
    assert len(sandbox.portal.outbox.deliveries) == 5


def test_a_target_named_later_gets_what_happens_from_then_on(sandbox: Sandbox, receiver) -> None:
    sandbox.portal.create({"firstname": "Maria"})
    sandbox.portal.set(webhook_url=receiver.url)
    contact = sandbox.portal.create({"firstname": "Ada"})
    idle(sandbox)
    assert {each["objectId"] for each in receiver.events} == {contact.id}


def test_events_that_were_not_delivered_survive_a_restart(tmp_path, receiver) -> None:
    state = str(tmp_path / "state.db")
    with start(state=state, webhook_url="http://127.0.0.1:9/", webhook_retry_ms=600_000) as sandbox:
        contact = sandbox.portal.create({"firstname": "Maria"})
    with start(state=state, webhook_url=receiver.url) as sandbox:
        idle(sandbox)
        assert {each["objectId"] for each in receiver.events} == {contact.id}
    with sqlite3.connect(state) as database:
        assert database.execute("select count(*) from event").fetchone() == (0,)
    database.close()


def test_a_stop_does_not_wait_for_a_slow_receiver(receiver, eventually) -> None:
    receiver.hold = threading.Event()
    with start(webhook_url=receiver.url) as sandbox:
        sandbox.portal.create({"firstname": "Maria"})
        eventually(lambda: receiver.requests)
    assert not receiver.hold.is_set()


def test_a_change_over_http_is_told_too(hooked: Sandbox, receiver, caller) -> None:
    call = caller(hooked)
    contact = call.create(firstname="Maria")
    call("DELETE", f"{OBJECTS}/{contact}")
    idle(hooked)
    (deletion,) = receiver.of_type("contact.deletion")
    assert deletion["changeSource"] == "INTEGRATION"
