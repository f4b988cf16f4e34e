"""HubSpot may want a property that nobody maps: its words are kept, and what has nothing to do with it goes."""

from typing import Any

import pytest
from histories import Person, person
from world import World

JOB = "jobtitle is required because of a conditional property rule based on [lifecyclestage]"
WANTED = "jobtitle is required when the phone is set"


def refusing(world: World, words: str, *, holding: str, path: str = "/batch/update") -> None:
    """HubSpot asks for a job title of every record that holds this text."""
    error = {
        "code": "MISSING_CONDITIONAL_REQUIRED_PROPERTY",
        "message": words,
        "context": {"propertyName": ["jobtitle"]},
    }
    body = {"category": "VALIDATION_ERROR", "errors": [error]}
    world.portal.faults.add(
        action="status", status=400, body=body, path_contains=path, body_contains=holding, times=None
    )


def parked(world: World) -> list[dict[str, Any]]:
    return world.sql("select property, code, detail from sync.parked order by property")


@pytest.mark.parametrize("words", [JOB, "jobtitle must have a value"])
def test_the_other_fields_go_and_the_words_are_kept(world: World, kai: Person, words: str) -> None:
    refusing(world, words, holding="opportunity")
    world.sql("update customer set lifecyclestage = 'opportunity', phone = '1', company = 'b'")
    person(world, email="uwe@example.com", company="x")
    contact = world.contact("kai@example.com")
    assert (contact["phone"], contact["company"]) == ("1", "b")
    detail = f"jobtitle: {words}"
    assert parked(world) == [{"property": "lifecyclestage", "code": "property_required", "detail": detail}]
    world.portal.faults.clear()
    world.sql("update customer set lifecyclestage = 'evangelist' where email = 'kai@example.com'")
    world.quiet()
    world.assert_equal()


def test_a_create_that_lacks_a_property_is_parked_with_hubspots_words(world: World) -> None:
    refusing(world, WANTED, holding="uwe@", path="/batch/create")
    for name in ("ada", "uwe", "zoe"):
        world.insert(email=f"{name}@example.com", phone="1")
    world.quiet()
    assert sorted(contact.email for contact in world.portal.contacts) == ["ada@example.com", "zoe@example.com"]
    detail = f"jobtitle: {WANTED}"
    why = [(each["property"], each["code"], each["detail"]) for each in parked(world)]
    assert why == [("*", "property_required", detail), ("phone", "property_required", detail)]


def test_no_value_stands_in_what_is_kept(world: World, kai: Person) -> None:
    error = {"code": "INVALID_PHONE", "message": "0815-secret is no phone", "context": {"propertyName": ["phone"]}}
    body = {"category": "VALIDATION_ERROR", "message": "0815-secret", "errors": [error]}
    world.portal.faults.add(
        action="status", status=400, body=body, path_contains="/batch/update", body_contains="0815", times=None
    )
    world.sql("update customer set phone = '0815-secret'")
    world.quiet()
    assert parked(world) == [{"property": "phone", "code": "invalid_value", "detail": None}]
