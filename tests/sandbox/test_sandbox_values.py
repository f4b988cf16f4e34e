"""Values of typed properties: what is taken, how it reads back, what is refused, where it is seen."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from sandbox import Sandbox, start
from sandbox.routes import OBJECTS

SEEDS = [
    {"name": "remark", "field_type": "textarea"},
    {"name": "hotline", "field_type": "phonenumber"},
    {"name": "points", "type": "number"},
    {"name": "vip", "type": "bool"},
    {"name": "born", "type": "date"},
    {"name": "met", "type": "datetime"},
    {"name": "tier", "type": "enumeration", "options": ["gold", "silver"]},
    {"name": "size", "type": "enumeration", "field_type": "radio", "options": ["s", "m"]},
    {"name": "topics", "type": "enumeration", "field_type": "checkbox", "options": ["a", "b", "c d"]},
    {"name": "rank", "type": "number", "calculated": True},
    {"name": "code", "unique": True},
]
DAY = 1_709_164_800_000  # 2024-02-29T00:00:00Z


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with start(custom_properties=SEEDS, search_per_second=0) as running:
        yield running


TAKEN = [
    ("remark", "  two\nlines ", "  two\nlines "),
    ("hotline", "+1 555-1234", "+1 555-1234"),
    ("points", "1.50", "1.50"),
    ("points", "-7", "-7"),
    ("points", "1.5e3", "1.5e3"),
    ("points", 5, "5"),
    ("vip", "true", "true"),
    ("vip", False, "false"),
    ("born", "2024-02-29", "2024-02-29"),
    ("born", str(DAY), "2024-02-29"),
    ("born", "-86400000", "1969-12-31"),
    ("met", str(DAY + 1), "2024-02-29T00:00:00.001Z"),
    ("met", "2024-02-29T02:30+02:00", "2024-02-29T00:30:00Z"),
    ("met", "2024-02-29T00:30:00.250Z", "2024-02-29T00:30:00.250Z"),
    ("tier", "gold", "gold"),
    ("size", "m", "m"),
    ("topics", "c d;a", "c d;a"),
    ("topics", "a;b;a", "a;b"),
    ("topics", ";b", "b"),
]


@pytest.mark.parametrize(("name", "sent", "stored"), TAKEN)
def test_a_value_reads_back_as_hubspot_keeps_it(call, name: str, sent: Any, stored: str) -> None:
    made = call("POST", OBJECTS, {"properties": {name: sent}}).json
    contact = call.create(firstname="Ada")
    changed = call("PATCH", f"{OBJECTS}/{contact}", {"properties": {name: sent}}).json
    for shown in (made, changed, {"properties": call.read(contact, name)}):
        assert shown["properties"][name] == stored


REFUSED = [
    ("points", "many", "INVALID_INTEGER", "many was not a valid number."),
    ("points", "1,000", "INVALID_INTEGER", "1,000 was not a valid number."),
    ("points", "+1", "INVALID_INTEGER", "+1 was not a valid number."),
    ("points", "NaN", "INVALID_INTEGER", "NaN was not a valid number."),
    ("points", "1e999", "INVALID_INTEGER", "1e999 was not a valid number."),
    ("points", "１", "INVALID_INTEGER", "１ was not a valid number."),
    ("points", " 5", "LEADING_TRAILING_WHITESPACE", '" 5" includes leading or trailing whitespace.'),
    ("points", "5\u200b", "LEADING_TRAILING_WHITESPACE", '"5\u200b" includes leading or trailing whitespace.'),
    ("vip", "yes", "INVALID_OPTION", 'yes was not one of the allowed options: [label: "true"\nvalue: "true"\n'),
    ("vip", "TRUE", "INVALID_OPTION", "TRUE was not one of"),
    ("born", "29.2.2024", "INVALID_DATE", "29.2.2024 was not a valid date."),
    ("born", "2023-02-29", "INVALID_DATE", "2023-02-29 was not a valid date."),
    ("born", "2024-2-9", "INVALID_DATE", "2024-2-9 was not a valid date."),
    ("born", "2024-02-29T00:00:00Z", "INVALID_DATE", "2024-02-29T00:00:00Z was not a valid date."),
    ("born", "1579179660000", "INVALID_DATE", "1579179660000 is at 13:1:0.0 UTC, not midnight!"),
    ("born", "2024-02-29T00:00:00.007Z", "INVALID_DATE", "2024-02-29T00:00:00.007Z is at 0:0:0.7 UTC, not midnight!"),
    ("met", "2024-02-29", "INVALID_LONG", "2024-02-29 was not a valid long."),
    ("met", "2024-02-29T10:00:00", "INVALID_LONG", "2024-02-29T10:00:00 was not a valid long."),
    ("met", "999999999999999", "INVALID_LONG", "999999999999999 was not a valid long."),
    ("tier", "Gold", "INVALID_OPTION", 'Gold was not one of the allowed options: [label: "gold"\nvalue: "gold"\n'),
    ("tier", "gold;silver", "INVALID_OPTION", "gold;silver was not one of"),
    ("topics", "a;x", "INVALID_OPTION", 'x was not one of the allowed options: [label: "a"\nvalue: "a"\n'),
    ("topics", "a;", "INVALID_OPTION", " was not one of the allowed options"),
    ("topics", "a; b", "LEADING_TRAILING_WHITESPACE", '"a; b" includes'),
    ("rank", "5", "READ_ONLY_VALUE", '"rank" is a read only property; its value cannot be set.'),
    ("nowhere", "5", "PROPERTY_DOESNT_EXIST", 'Property "nowhere" does not exist'),
]


@pytest.mark.parametrize(("name", "sent", "code", "told"), REFUSED)
def test_a_value_is_refused_in_hubspots_words(call, name: str, sent: str, code: str, told: str) -> None:
    contact = call.create(email="ada@hubspot.com", firstname="Ada")
    wrong = {"firstname": "Eve", name: sent}
    replies = [
        call("POST", OBJECTS, {"properties": wrong}),
        call("PATCH", f"{OBJECTS}/{contact}", {"properties": wrong}),
        call.batch("create", {"properties": wrong}, {"properties": {"firstname": "Kai"}}),
        call.batch("update", {"id": contact, "properties": wrong}),
        call.batch("upsert", {"id": "ada@hubspot.com", "idProperty": "email", "properties": wrong}),
    ]
    for reply in replies:
        assert (reply.status, reply.json["category"]) == (400, "VALIDATION_ERROR")
        (error,) = reply.json["errors"]
        assert (error["code"], error["context"]) == (code, {"propertyName": [name]})
        assert error["message"].startswith(told)
        (inner,) = orjson.loads(reply.message.removeprefix("Property values were not valid: "))
        assert (inner["isValid"], inner["error"], inner["name"]) == (False, code, name)
        assert inner["message"] == error["message"]
    assert call("GET", OBJECTS).json["results"][0]["properties"]["firstname"] == "Ada"
    assert len(call("GET", OBJECTS).json["results"]) == 1


def test_a_batch_create_with_trace_ids_refuses_the_bad_one_alone(call) -> None:
    reply = call.batch(
        "create",
        {"objectWriteTraceId": "good", "properties": {"points": "5"}},
        {"objectWriteTraceId": "bad", "properties": {"points": "x"}},
    )
    assert (reply.status, len(reply.json["results"])) == (207, 1)
    (error,) = reply.json["errors"]
    assert error["context"] == {"objectWriteTraceId": ["bad"]}
    assert "INVALID_INTEGER" in error["message"]


@pytest.mark.parametrize("name", [seed["name"] for seed in SEEDS if not seed.get("calculated")])
def test_every_type_is_null_before_and_empty_after(call, name: str) -> None:
    value = next((stored for each, _, stored in TAKEN if each == name), "x")
    contact = call.create(firstname="Ada")
    assert call.read(contact, name)[name] is None
    for sent in (value, ""):
        call("PATCH", f"{OBJECTS}/{contact}", {"properties": {name: sent}})
        assert call.read(contact, name)[name] == sent


def test_another_text_of_the_stored_value_changes_nothing(call, sandbox: Sandbox) -> None:
    contact = call.create(born="2024-02-29", met="2024-02-29T00:30:00Z")
    revision = sandbox.portal.revision
    same = {"born": str(DAY), "met": "2024-02-29T01:30:00.000+01:00"}
    call("PATCH", f"{OBJECTS}/{contact}", {"properties": same})
    assert sandbox.portal.revision == revision


def test_a_leading_semicolon_adds_choices(call) -> None:
    contact = call.create(topics="b")
    for sent, stored in [(";a", "b;a"), (";b;c d", "b;a;c d"), ("a;b", "a;b"), ("b;a", "b;a")]:
        call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"topics": sent}})
        assert call.read(contact, "topics")["topics"] == stored


def test_choices_are_ordered_and_numbers_plain_where_that_is_switched_on(call, sandbox: Sandbox) -> None:
    sandbox.portal.set(ordered_choices=True, plain_numbers=True)
    contact = call.create(topics="c d;a", points="1.50")
    assert call.read(contact, "topics")["topics"] == "a;c d"
    for sent, stored in [("1.50", "1.5"), ("1.5e3", "1500"), ("100", "100"), ("5.0", "5"), ("", "")]:
        call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"points": sent, "topics": ";b"}})
        read = call.read(contact, "points", "topics")
        assert (read["points"], read["topics"]) == (stored, "a;b;c d")


def test_a_unique_value_is_held_by_one_contact_and_names_it(call) -> None:
    holder = call.create(code="c1")
    reply = call("POST", OBJECTS, {"properties": {"code": "c1"}})
    assert (reply.status, reply.json["category"]) == (400, "VALIDATION_ERROR")
    assert reply.message.endswith(f"{holder} already has that value.")
    upserted = call.batch("upsert", {"id": "c1", "idProperty": "code", "properties": {"points": "7"}}).json["results"]
    assert [(each["id"], each["new"], each["properties"]["points"]) for each in upserted] == [(holder, False, "7")]


def test_a_history_has_the_values_as_they_were_stored(call) -> None:
    contact = call.create(born="2024-02-29", topics="a")
    call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"born": str(DAY + 86_400_000), "topics": ";b"}})
    read = call("GET", f"{OBJECTS}/{contact}?propertiesWithHistory=born,topics,met").json["propertiesWithHistory"]
    assert [line["value"] for line in read["born"]] == ["2024-03-01", "2024-02-29"]
    assert [line["value"] for line in read["topics"]] == ["a;b", "a"]
    assert read["met"] == []
    batch = call.batch("read", {"id": contact}, propertiesWithHistory=["born"]).json["results"][0]
    assert batch["propertiesWithHistory"]["born"] == read["born"]


@pytest.mark.parametrize(
    ("name", "operator", "operand", "found"),
    [
        ("points", "GT", {"value": "9"}, ["b"]),
        ("points", "BETWEEN", {"value": "1", "highValue": "9.5"}, ["a"]),
        ("points", "EQ", {"value": "9"}, ["a"]),
        ("vip", "EQ", {"value": "true"}, ["a"]),
        ("vip", "NEQ", {"value": "true"}, ["b"]),
        ("born", "LT", {"value": str(DAY)}, ["b"]),
        ("born", "EQ", {"value": str(DAY)}, ["a"]),
        ("born", "GTE", {"value": "2024-02-29"}, ["a"]),
        ("met", "GT", {"value": str(DAY)}, ["a"]),
        ("met", "LTE", {"value": "2024-02-29T01:00:00+01:00"}, ["b"]),
        ("tier", "IN", {"values": ["gold"]}, ["a"]),
        ("tier", "IN", {"values": ["GOLD"]}, []),
        ("tier", "HAS_PROPERTY", {}, ["a", "b"]),
        ("tier", "NOT_HAS_PROPERTY", {}, ["c"]),
        ("topics", "EQ", {"value": "b"}, ["a"]),
        ("topics", "IN", {"values": ["a", "c d"]}, ["a", "b"]),
        ("topics", "NEQ", {"value": "b"}, ["b"]),
        ("topics", "NOT_IN", {"values": ["a"]}, ["b"]),
        ("code", "EQ", {"value": "C1"}, ["a"]),
    ],
)
def test_a_search_filters_by_type(call, name: str, operator: str, operand: dict[str, Any], found: list[str]) -> None:
    values = {"vip": "true", "born": "2024-02-29", "met": str(DAY + 1), "tier": "gold", "topics": "a;b", "code": "c1"}
    call.create(firstname="a", points="9.0", **values)
    call.create(firstname="b", points="10", vip="false", born="2024-02-28", met=str(DAY), tier="silver", topics="c d")
    call.create(firstname="c")
    reply = call.search({"propertyName": name, "operator": operator, **operand}, properties=["firstname"])
    assert reply.status == 200, reply.body
    assert [each["properties"]["firstname"] for each in reply.json["results"]] == found


def test_a_search_sorts_by_type(call) -> None:
    for points in ("9", "10", "-1"):
        call.create(points=points)
    reply = call.search(sorts=[{"propertyName": "points", "direction": "DESCENDING"}], properties=["points"])
    assert [each["properties"]["points"] for each in reply.json["results"]] == ["10", "9", "-1"]


def test_a_search_refuses_an_operand_of_another_type(call) -> None:
    for name in ("points", "born", "met"):
        assert call.search({"propertyName": name, "operator": "EQ", "value": "soon"}).status == 400


def test_webhooks_tell_of_any_property_that_is_subscribed(receiver, caller) -> None:
    subscribed = ["born", "topics"]
    settings = {"webhook_url": receiver.url, "webhook_properties": subscribed, "custom_properties": SEEDS}
    with start(**settings) as sandbox:
        call = caller(sandbox)
        contact = call.create(topics="a", points="5")
        call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"born": str(DAY), "topics": ";b", "points": "6"}})
        assert sandbox.portal.outbox.wait_until_idle()
    told = receiver.of_type("contact.propertyChange")
    assert sorted((each["propertyName"], each["propertyValue"]) for each in told) == [
        ("born", "2024-02-29"),
        ("topics", "a"),
        ("topics", "a;b"),
    ]
