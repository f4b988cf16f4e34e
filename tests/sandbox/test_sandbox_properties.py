"""Custom properties: how they are made, which are refused, and where they can be found again."""

from pathlib import Path
from typing import Any

import pydantic
import pytest

from sandbox import HubSpotError, Sandbox, start
from sandbox.definitions import PAIRS
from sandbox.routes import OBJECTS, PROPERTIES

COLOURS = [
    {"label": "Red", "value": "red", "hidden": False, "description": "like fire", "displayOrder": 3},
    {"label": "Blue", "value": "blue", "hidden": True},
]
YES_NO = [{"label": "Yes", "value": "true", "hidden": False}, {"label": "No", "value": "false", "hidden": False}]
FAVOURITE = {
    "name": "favourite_colour",
    "label": "Favourite colour",
    "type": "enumeration",
    "fieldType": "radio",
    "groupName": "contactinformation",
    "options": COLOURS,
}


def options_of(kind: str, field_type: str) -> list[dict[str, Any]]:
    if field_type == "booleancheckbox":
        return YES_NO
    return COLOURS if kind == "enumeration" else []


@pytest.mark.parametrize(("kind", "field_type"), [(kind, each) for kind, allowed in PAIRS.items() for each in allowed])
def test_a_property_of_every_type_is_made_and_listed(call, kind: str, field_type: str) -> None:
    options = options_of(kind, field_type)
    made = call("POST", PROPERTIES, FAVOURITE | {"type": kind, "fieldType": field_type, "options": options})
    assert made.status == 201, made.body
    assert (made.json["type"], made.json["fieldType"]) == (kind, field_type)
    assert call("GET", f"{PROPERTIES}/favourite_colour").json == made.json
    assert made.json in call("GET", PROPERTIES).json["results"]


def test_a_new_property_answers_its_whole_definition(call) -> None:
    made = call("POST", PROPERTIES, FAVOURITE | {"description": "the one", "displayOrder": 2, "formField": True}).json
    assert made["options"] == [
        {"label": "Red", "value": "red", "hidden": False, "description": "like fire", "displayOrder": 3},
        {"label": "Blue", "value": "blue", "hidden": True, "description": "", "displayOrder": 1},
    ]
    assert made["modificationMetadata"] == {"archivable": True, "readOnlyDefinition": False, "readOnlyValue": False}
    assert made["createdAt"] == made["updatedAt"]
    del made["options"], made["modificationMetadata"], made["createdAt"], made["updatedAt"]
    assert made == {key: value for key, value in FAVOURITE.items() if key != "options"} | {
        "description": "the one",
        "displayOrder": 2,
        "formField": True,
        "calculated": False,
        "externalOptions": False,
        "hasUniqueValue": False,
        "hidden": False,
        "hubspotDefined": False,
        "archived": False,
        "dataSensitivity": "non_sensitive",
    }


@pytest.mark.parametrize("name", ["favourite_colour", "email"])
def test_a_name_is_given_once(call, name: str) -> None:
    call("POST", PROPERTIES, FAVOURITE)
    again = call("POST", PROPERTIES, FAVOURITE | {"name": name, "label": "Another"})
    assert (again.status, again.json["category"]) == (409, "OBJECT_ALREADY_EXISTS")
    assert call("GET", f"{PROPERTIES}/{name}").json["label"] != "Another"


@pytest.mark.parametrize("field", ["name", "label", "type", "fieldType", "groupName"])
def test_what_a_definition_needs_is_asked_for(call, field: str) -> None:
    for body in ({key: FAVOURITE[key] for key in FAVOURITE if key != field}, FAVOURITE | {field: 5}):
        reply = call("POST", PROPERTIES, body)
        assert (reply.status, reply.json["category"]) == (400, "VALIDATION_ERROR")
        assert f"Some required fields were not set: [{field}]" in reply.message


TEXT = {"type": "string", "fieldType": "text", "options": []}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "Favourite"}, "lowercase"),
        ({"name": "1st"}, "lowercase"),
        ({"name": "a-b"}, "lowercase"),
        ({"name": "a" * 101}, "100 at most"),
        ({"name": "hs_colour"}, "reserved"),
        ({"type": "text"}, "Property type 'text' is not one of"),
        ({"type": "phone_number", "fieldType": "phonenumber"}, "Property type 'phone_number' is not one of"),
        ({"fieldType": "number"}, "does not fit"),
        ({"type": "datetime", "fieldType": "datetime", "options": []}, "does not fit"),
        ({"groupName": "nowhere"}, "Property group 'nowhere' does not exist"),
        ({"options": []}, "needs options"),
        ({"options": [*COLOURS, COLOURS[0] | {"label": "Crimson"}]}, "distinct"),
        ({"options": [*COLOURS, COLOURS[0] | {"value": "crimson"}]}, "distinct"),
        ({"options": [{"label": "Red", "value": "a;b", "hidden": False}]}, "cannot hold ';'"),
        ({"options": [{"label": "Red", "value": " red", "hidden": False}]}, "blanks"),
        ({"options": [{"label": "Red", "value": "red"}]}, "not set: [hidden]"),
        ({"options": "red"}, "Invalid input JSON"),
        ({"options": COLOURS, "type": "string", "fieldType": "text"}, "has no options"),
        ({"type": "bool", "fieldType": "booleancheckbox"}, "must be 'true' and 'false'"),
        ({"type": "bool", "fieldType": "booleancheckbox", "options": []}, "must be 'true' and 'false'"),
        ({"hasUniqueValue": True}, "cannot be unique"),
        (TEXT | {"hasUniqueValue": "true"}, "Invalid input JSON"),
        (TEXT | {"externalOptions": True}, "owners"),
        (TEXT | {"calculationFormula": "1"}, "calculation_equation"),
        (TEXT | {"dataSensitivity": "sensitive"}, "sensitive"),
    ],
)
def test_what_hubspot_does_not_have_is_refused(call, change: dict[str, Any], told: str) -> None:
    reply = call("POST", PROPERTIES, FAVOURITE | change)
    assert (reply.status, reply.json["category"]) == (400, "VALIDATION_ERROR")
    assert told in reply.message
    assert call("GET", f"{PROPERTIES}/{(FAVOURITE | change)['name']}").status == 404


def test_ten_properties_may_be_unique(call) -> None:
    made = [call("POST", PROPERTIES, FAVOURITE | TEXT | {"name": f"n{n}", "hasUniqueValue": True}) for n in range(11)]
    assert [reply.status for reply in made] == [201] * 10 + [400]
    assert made[0].json["hasUniqueValue"] is True


def test_a_seed_is_checked_like_a_definition_and_may_be_read_only(call, sandbox: Sandbox) -> None:
    sandbox.portal.add_property("tier", type="enumeration", options=["gold", "silver"], read_only=True)
    sandbox.portal.add_property("score", type="number", calculated=True)
    tier, score = (call("GET", f"{PROPERTIES}/{name}").json for name in ("tier", "score"))
    assert (tier["fieldType"], [each["value"] for each in tier["options"]]) == ("select", ["gold", "silver"])
    assert (tier["calculated"], tier["modificationMetadata"]["readOnlyValue"]) == (False, True)
    assert (score["calculated"], score["modificationMetadata"]["readOnlyValue"]) == (True, True)
    with pytest.raises(pydantic.ValidationError, match="needs options"):
        sandbox.portal.add_property("rank", type="enumeration")
    with pytest.raises(HubSpotError, match="409"):
        sandbox.portal.add_property("tier")


def test_the_control_side_makes_typed_properties(call) -> None:
    made = call("POST", "/sandbox/properties/topics", {
        "action": "create", "type": "enumeration", "field_type": "checkbox", "options": ["a", "b"], "label": "Topics"
    })  # fmt: skip
    assert made.status == 204
    assert call("GET", f"{PROPERTIES}/topics").json["label"] == "Topics"
    refused = call("POST", "/sandbox/properties/more", {"action": "create", "type": "text"})
    assert (refused.status, "is not one of" in refused.message) == (400, True)
    assert call("POST", "/sandbox/properties/topics", {"action": "create"}).status == 409


def test_a_portal_starts_with_the_properties_of_its_settings(caller) -> None:
    with start(custom_properties=[{"name": "born", "type": "date"}]) as sandbox:
        assert caller(sandbox)("GET", f"{PROPERTIES}/born").json["type"] == "date"
        with pytest.raises(ValueError, match="fixed while running"):
            sandbox.portal.set(custom_properties=[])
    with pytest.raises(pydantic.ValidationError, match="Property type 'day' is not one of"):
        start(custom_properties=[{"name": "born", "type": "day"}]).__enter__()


def test_a_property_outlives_a_restart_with_its_values(tmp_path: Path, caller) -> None:
    state = str(tmp_path / "state")
    with start(state=state) as sandbox:
        call = caller(sandbox)
        made = call("POST", PROPERTIES, FAVOURITE)
        unique = call("POST", PROPERTIES, FAVOURITE | TEXT | {"name": "customer_id", "hasUniqueValue": True})
        call.create(favourite_colour="red", customer_id="c1")
    with start(state=state, custom_properties=[{"name": "customer_id"}]) as sandbox:
        call = caller(sandbox)
        assert call("GET", f"{PROPERTIES}/favourite_colour").json == made.json
        assert call("GET", f"{PROPERTIES}/customer_id").json == unique.json
        read = call("GET", f"{OBJECTS}/c1?idProperty=customer_id&properties=favourite_colour").json
        assert read["properties"]["favourite_colour"] == "red"
        sandbox.portal.reset()
        assert call("GET", f"{PROPERTIES}/favourite_colour").status == 200
