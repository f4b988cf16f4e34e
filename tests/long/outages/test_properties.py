"""HubSpot's schema changes under us: the one property waits, everything else goes on, and no value is lost."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from deliveries import PORTAL
from hours import Hours
from states import assert_audited, assert_sound, due, parked, people
from world import World

from reconciler.process.account import check_properties
from sandbox.errors import refusal

RECORDS = 100

CALLS = 20
"""HubSpot calls that a hundred records and one missing property may cost; one each would be a hundred."""

BACK = 900.0
"""Seconds, and then a sweep, after which a property that is back is used again."""

STAGES = ("subscriber", "lead", "customer")


def edit_everybody(world: World, value: str) -> None:
    world.sql("update customer set company = %s, phone = %s", value, value)


def has_everywhere(world: World, name: str, value: str) -> bool:
    return all(contact.get(name) == value for contact in world.portal.contacts)


def look_at_everything(world: World) -> None:
    world.event(*[contact.id for contact in world.portal.contacts])
    world.sql("select sync.mark(array_agg('u:' || uuid), 1) from customer")
    world.quiet()


@pytest.fixture(params=["missing", "read-only"])
def gone(request: pytest.FixtureRequest, world: World) -> str:
    """A property that HubSpot does not take any more: deleted, or nobody's to write."""
    people(world, RECORDS, company="a", phone="a")
    if request.param == "missing":
        world.portal.schema.archive("company")
    else:
        world.portal.schema.put(replace(world.portal.schema.get("company"), read_only=True))
    return str(request.param)


def arrives(world: World, hours: Hours, condition: Callable[[], bool]) -> bool:
    """Whether it comes true by itself, or with the next sweep at the latest."""
    if hours.let(BACK, until=condition):
        return True
    world.sweep()
    return condition()


def bring_back(world: World) -> None:
    if world.portal.schema.get("company") is None:
        world.portal.schema.restore("company")
    world.portal.schema.put(replace(world.portal.schema.get("company"), read_only=False))


def test_without_one_property_the_others_go_on(world: World, hours: Hours, gone: str) -> None:
    edit_everybody(world, "b")
    world.portal.calls.clear()
    hours.let(300, until=lambda: has_everywhere(world, "phone", "b"))
    assert has_everywhere(world, "phone", "b")
    assert has_everywhere(world, "company", "a")
    assert world.portal.calls.total <= CALLS
    assert world.sql("select distinct company from customer") == [{"company": "b"}]


def test_what_is_parked_is_the_property_and_not_each_record(world: World, hours: Hours, gone: str) -> None:
    edit_everybody(world, "b")
    hours.let(120)
    told = parked(world)
    assert [each["property"] for each in told] == ["company"], "it is shown, and nothing else is"
    assert told[0]["count"] == 1
    assert world.sql("select count(*) from sync.link where blocks <> '{}'") == [{"count": 0}]


def test_a_property_that_is_back_is_used_again(world: World, hours: Hours, gone: str) -> None:
    edit_everybody(world, "b")
    hours.let(60)
    bring_back(world)
    assert arrives(world, hours, lambda: has_everywhere(world, "company", "b"))
    assert hours.let(60, until=lambda: due(world) == 0)
    assert_sound(world)


def test_customers_are_created_without_the_property_and_get_it_later(world: World, hours: Hours, gone: str) -> None:
    world.insert(email="new@example.com", firstname="N", company="n")
    assert hours.let(120, until=lambda: world.contact("new@example.com"))
    assert world.contact("new@example.com")["firstname"] == "N"
    bring_back(world)
    assert arrives(world, hours, lambda: world.contact("new@example.com")["company"] == "n")
    assert_sound(world)


def test_a_property_that_reads_leave_out_is_unknown_and_not_empty(world: World, hours: Hours) -> None:
    people(world, 20, company="a", phone="a")
    world.portal.schema.archive("company")
    for contact in world.portal.contacts:
        world.portal.edit(contact.id, {"phone": "b"})
    hours.let(60)
    look_at_everything(world)
    world.sweep()
    check_properties(world.parts)
    assert world.sql("select distinct company, phone from customer") == [{"company": "a", "phone": "b"}]
    world.portal.schema.restore("company")
    look_at_everything(world)
    assert has_everywhere(world, "company", "a")
    assert_sound(world)


def test_a_property_of_another_name_in_hubspot_is_the_same_as_a_missing_one(world: World, hours: Hours) -> None:
    people(world, 20, company="a", phone="a")
    world.portal.schema.archive("company")
    world.portal.add_property("company_name")
    edit_everybody(world, "b")
    hours.let(300, until=lambda: has_everywhere(world, "phone", "b"))
    assert has_everywhere(world, "phone", "b")
    assert world.sql("select distinct company from customer") == [{"company": "b"}]


def test_a_stage_that_is_no_option_any_more_parks_that_field_of_that_record(world: World, hours: Hours) -> None:
    people(world, 20, phone="a", lifecyclestage="subscriber")
    world.portal.schema.set_options("lifecyclestage", STAGES)
    world.sql("update customer set lifecyclestage = 'lead', phone = 'b'")
    world.sql("update customer set lifecyclestage = 'opportunity' where email in ('c1@example.com', 'c2@example.com')")
    assert hours.let(120, until=lambda: due(world) == 0)
    assert has_everywhere(world, "phone", "b")
    stages = {contact.email: contact.get("lifecyclestage") for contact in world.portal.contacts}
    assert {stages.pop("c1@example.com"), stages.pop("c2@example.com")} == {"subscriber"}
    assert set(stages.values()) == {"lead"}
    assert parked(world) == [{"property": "lifecyclestage", "code": "invalid_value", "count": 2}]
    assert_audited(world, parked=2)
    calls = world.portal.calls.counts["POST /crm/v3/objects/contacts/batch/update"]
    look_at_everything(world)
    assert world.portal.calls.counts["POST /crm/v3/objects/contacts/batch/update"] == calls
    world.sql("update customer set lifecyclestage = 'customer' where lifecyclestage = 'opportunity'")
    assert hours.let(120, until=lambda: due(world) == 0)
    assert_sound(world)


def test_a_stage_that_hubspot_alone_knows_arrives_here(world: World, hours: Hours) -> None:
    people(world, 3, lifecyclestage="subscriber")
    world.portal.schema.set_options("lifecyclestage", (*STAGES, "9876543"))
    world.portal.edit(world.portal.contact("c1@example.com").id, {"lifecyclestage": "9876543"})
    assert hours.let(60, until=lambda: world.customer("c1@example.com")["lifecyclestage"] == "9876543")
    assert_sound(world)


FORBIDDEN = refusal(
    403,
    f"You do not have permissions to edit property company of CONTACT in portal {PORTAL}",
    category="MISSING_SCOPES",
    errors=[{"message": "property company", "context": {"propertyName": ["company"]}}],
).body


def test_a_property_that_the_token_may_not_write_stops_only_that_property(world: World, hours: Hours) -> None:
    people(world, RECORDS, company="a", phone="a")
    edit_everybody(world, "b")
    world.sql("update customer set firstname = 'D' where email = 'c7@example.com'")
    fault = {"action": "status", "status": 403, "body": FORBIDDEN, "times": None}
    world.portal.faults.add(**fault, body_contains='"company"', path_contains="/batch/update")
    hours.let(600, until=lambda: has_everywhere(world, "phone", "b"))
    assert has_everywhere(world, "phone", "b")
    assert world.contact("c7@example.com")["firstname"] == "D"
    assert [each["property"] for each in parked(world)] == ["company"]
    world.portal.faults.clear()
    assert arrives(world, hours, lambda: has_everywhere(world, "company", "b"))
    assert_sound(world)


def test_a_token_without_any_scope_is_nobodys_fault(world: World, hours: Hours) -> None:
    people(world, 20, phone="a")
    world.sql("update customer set phone = 'b'")
    world.portal.set(missing_scopes=True)
    hours.let(300)
    assert parked(world) == []
    assert world.sql("select 1 from sync.mark where attempts > 0 or crashes > 0") == []
    world.portal.set(missing_scopes=False)
    assert hours.let(120, until=lambda: due(world) == 0)
    assert_sound(world)
