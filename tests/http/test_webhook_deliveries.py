"""A signed delivery says who to look at: every id in it is marked and committed before it is answered."""

import itertools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deliveries import APP, PORTAL, event, signed
from systems import Hook

PAYLOADS = Path(__file__).parents[1] / "reference" / "recordings" / "webhooks" / "webhook-payloads.json"


def recorded() -> list[Any]:
    return [pytest.param(each["body"], id=each["id"]) for each in json.loads(PAYLOADS.read_text())]


def ids_in(body: Any) -> set[int]:
    """Every contact a recorded body names, by the documentation of its fields."""
    found: set[int] = set()
    for each in body:
        kind = each.get("subscriptionType") or each.get("eventType") or ""
        if kind.startswith("contact.") or (kind.startswith("object.") and each.get("objectTypeId") == "0-1"):
            names = ("objectId", "primaryObjectId", "newObjectId", "fromObjectId")
            found |= {int(each[name]) for name in names if each.get(name) is not None}
            found |= {int(one) for one in each.get("mergedObjectIds", ())}
    return found


def test_a_delivery_is_answered_with_204_after_its_contacts_are_marked(hook: Hook) -> None:
    reply = hook.call("POST", "/", **signed([event(101), event(102, "contact.creation"), event(101)]))
    assert (reply.status, reply.body) == (204, b"")
    assert hook.marks() == {"c:101": False, "c:102": False}
    assert hook.counts() == {"propertyChange": 2, "creation": 1}
    assert hook.woken == 1


def test_the_same_delivery_again_adds_no_row(hook: Hook) -> None:
    delivery = signed([event(101)])
    assert [hook.call("POST", "/", **delivery).status for _ in range(10)] == [204] * 10
    assert hook.marks() == {"c:101": False}


def test_a_second_delivery_renews_the_mark_so_that_none_is_lost(hook: Hook) -> None:
    generations = []
    for _ in range(2):
        hook.call("POST", "/", **signed([event(101)]))
        generations.append(hook.connection.execute("select generation from sync.mark").fetchone()[0])
    assert generations[1] > generations[0]


@pytest.mark.parametrize("body", recorded())
def test_a_recorded_delivery_marks_every_contact_it_names(make_hook: Callable[..., Hook], body: Any) -> None:
    hook = make_hook(portal_id=lambda: None, app_id=None)
    assert hook.call("POST", "/", **signed(body)).status == 204
    assert set(hook.marks()) == {f"c:{each}" for each in ids_in(body)}
    assert sum(hook.counts().values()) == len(body)
    assert hook.quarantined() == []


@pytest.mark.parametrize("body", recorded())
def test_a_recorded_delivery_of_another_account_is_counted_and_ignored(hook: Hook, body: Any) -> None:
    assert hook.call("POST", "/", **signed(body)).status == 204
    assert hook.marks() == {}
    assert hook.counts() == {"foreign": len(body)}
    assert hook.woken == 0


@pytest.mark.parametrize(
    "change", [{"portalId": 1}, {"appId": 1}, {"portalId": "x"}, {"portalId": str(PORTAL + 1)}, {"appId": -1}], ids=repr
)
def test_only_the_foreign_events_of_a_delivery_are_ignored(hook: Hook, change: dict[str, Any]) -> None:
    assert hook.call("POST", "/", **signed([event(101, **change), event(102)])).status == 204
    assert set(hook.marks()) == {"c:102"}
    assert hook.counts() == {"foreign": 1, "propertyChange": 1}


def test_an_account_that_is_written_as_text_is_ours_too(hook: Hook) -> None:
    hook.call("POST", "/", **signed([event(101, portalId=str(PORTAL), appId=str(APP))]))
    assert set(hook.marks()) == {"c:101"}


def test_before_the_account_is_known_events_are_taken(make_hook: Callable[..., Hook]) -> None:
    hook = make_hook(portal_id=lambda: None, app_id=None)
    hook.call("POST", "/", **signed([event(101, portalId=5)]))
    assert set(hook.marks()) == {"c:101"}


@pytest.mark.parametrize(
    "kind", ["creation", "propertyChange", "deletion", "privacyDeletion", "merge", "restore", "associationChange"]
)
@pytest.mark.parametrize("form", ["contact", "object"])
@pytest.mark.parametrize("key", ["subscriptionType", "eventType"])
def test_every_kind_of_event_is_known_in_both_forms(hook: Hook, kind: str, form: str, key: str) -> None:
    body = {**event(101, ""), "objectTypeId": "0-1"}
    del body["subscriptionType"]
    assert hook.call("POST", "/", **signed([{**body, key: f"{form}.{kind}"}])).status == 204
    assert hook.marks() == {"c:101": kind == "privacyDeletion"}
    assert hook.counts() == {kind: 1}


@pytest.mark.parametrize(
    ("order", "first"),
    [(order, order[0]) for order in itertools.permutations(["privacyDeletion", "deletion", "creation"])],
)
def test_the_privacy_bit_sticks_in_any_order(hook: Hook, order: tuple[str, ...], first: str) -> None:
    for kind in order:
        hook.call("POST", "/", **signed([event(101, f"contact.{kind}")]))
    assert hook.marks() == {"c:101": True}


def test_a_merge_marks_everybody_it_speaks_of(hook: Hook) -> None:
    merge = event(900, "contact.merge", primaryObjectId=700, mergedObjectIds=[800, "801"], newObjectId=900)
    hook.call("POST", "/", **signed([merge]))
    assert set(hook.marks()) == {"c:700", "c:800", "c:801", "c:900"}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("contact.newKind", {}),
        ("company.creation", {}),
        ("deal.propertyChange", {}),
        ("object.creation", {"objectTypeId": "0-2"}),
        ("object.creation", {}),
        ("contact", {}),
        ("", {}),
        (None, {}),
        (7, {}),
        (["contact.creation"], {}),
        ("contact.creation.x", {}),
        ("Contact.creation", {}),
    ],
)
def test_an_unknown_kind_is_counted_and_marks_nobody(hook: Hook, kind: Any, more: dict[str, Any]) -> None:
    assert hook.call("POST", "/", **signed([event(101, kind, **more), event(102)])).status == 204
    assert set(hook.marks()) == {"c:102"}
    assert hook.counts() == {"unknown": 1, "propertyChange": 1}


@pytest.mark.parametrize("thing", [None, 7, "x", [], True, 1.5, [[]], ["contact.creation"]], ids=repr)
def test_what_is_no_event_is_counted_and_harms_no_other(hook: Hook, thing: Any) -> None:
    assert hook.call("POST", "/", **signed([thing, event(102), thing])).status == 204
    assert set(hook.marks()) == {"c:102"}
    assert hook.counts() == {"malformed": 2, "propertyChange": 1}


@pytest.mark.parametrize(
    "object_id",
    [
        None,
        0,
        -1,
        2**63,
        2**200,
        "x",
        "",
        "-5",
        "1e3",
        "٣",
        " 7",
        1.5,
        True,
        [],
        {},
        "9" * 5000,
        "0x10",
        "\u0000",
        "c:1",
    ],
    ids=lambda value: repr(value)[:20],
)
def test_an_id_that_can_be_none_is_skipped_and_harms_no_other(hook: Hook, object_id: Any) -> None:
    body = json.dumps([event(object_id), event(102)]).encode()
    assert hook.call("POST", "/", **signed(body)).status == 204
    assert set(hook.marks()) == {"c:102"}
    assert hook.quarantined() == []


@pytest.mark.parametrize(("object_id", "subject"), [("101", "c:101"), (2**63 - 1, f"c:{2**63 - 1}"), (1, "c:1")])
def test_an_id_may_be_text_and_as_large_as_ids_get(hook: Hook, object_id: Any, subject: str) -> None:
    hook.call("POST", "/", **signed([event(object_id)]))
    assert set(hook.marks()) == {subject}


@pytest.mark.parametrize(
    "value",
    ["\\u0000", "\\ud800", "\\udc00\\ud800", "\\uffff", "1e400", "9" * 5000],
)
def test_a_value_that_cannot_be_stored_is_never_read(hook: Hook, value: str) -> None:
    text = f'"{value}"' if value.startswith("\\") else value
    body = json.dumps([event(101, propertyName="company"), event(102)]).replace(
        '"company"', f'"company","propertyValue":{text}'
    )
    assert hook.call("POST", "/", **signed(body.encode())).status == 204
    assert set(hook.marks()) == {"c:101", "c:102"}


def test_nothing_that_is_stored_holds_a_value(hook: Hook) -> None:
    delivery = signed([event(101, propertyName="email", propertyValue="canary@hubspot.com")])
    assert hook.call("POST", "/", **delivery).status == 204
    assert "canary" not in repr(hook.stored())


def test_an_empty_delivery_is_taken_and_wakes_nobody(hook: Hook) -> None:
    assert hook.call("POST", "/", **signed([])).status == 204
    assert hook.stored() == ({}, {}, [], 0)


def test_more_events_than_hubspot_ever_sends_are_taken(hook: Hook) -> None:
    assert hook.call("POST", "/", **signed([event(n) for n in range(1, 10_001)])).status == 204
    assert len(hook.marks()) == 10_000


def test_a_hundred_events_of_the_longest_values_are_taken(hook: Hook) -> None:
    delivery = signed([event(n, propertyName="company", propertyValue="x" * 65_536) for n in range(1, 101)])
    assert len(delivery["data"]) > 6_500_000
    assert hook.call("POST", "/", **delivery).status == 204
    assert len(hook.marks()) == 100


def test_ten_deliveries_at_once_about_the_same_contacts_do_not_disturb_each_other(hook: Hook) -> None:
    statuses: list[int] = []

    def deliver(n: int) -> None:
        ids = range(1, 101) if n % 2 else range(100, 0, -1)
        statuses.append(hook.call("POST", "/", **signed([event(each) for each in ids])).status)

    threads = [threading.Thread(target=deliver, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [204] * 20
    assert len(hook.marks()) == 100
    assert hook.counts() == {"propertyChange": 2000}
