"""The table's owner has rules: a row that they refuse is parked under the rule's name, its neighbours arrive."""

import hashlib
from typing import Any

import pytest
from histories import Caller, Person, count, lost, person, row, there
from structlog.testing import capture_logs
from world import World

from reconciler.commands.audit import Audit

PHONE = "123456789012345678901234567890"

FREE = "drop trigger sync_touch on customer"
"""Postgres changes no type of a column that a trigger names."""

SHORT = "alter table customer add constraint phone_is_short check (length(phone) <= 20)"
RAISING = """create function owners_check() returns trigger language plpgsql as $$
begin
    if length(new.phone) > 20 then raise exception 'phone % is too long', new.phone; end if;
    return new;
end $$;
create trigger owners_check before insert or update on customer for each row execute function owners_check()"""
SWALLOWING = RAISING.replace("raise exception 'phone % is too long', new.phone", "return null")

RULES: dict[str, tuple[str, str]] = {
    "a check": (SHORT, "phone_is_short"),
    "a domain": (
        f"{FREE}; create domain short as text constraint is_short check (length(value) <= 20);"
        "alter table customer alter column phone type short",
        "is_short",
    ),
    "a trigger that raises": (RAISING, "owners_check"),
    **{
        f"a trigger that raises {state}": (
            RAISING.replace("new.phone;", f"new.phone using errcode = '{state}';"),
            "owners_check",
        )
        for state in ("42501", "40001", "55P03", "08006", "53100", "ZZ001")
    },
    "a trigger that swallows": (SWALLOWING, "a trigger that returns no row"),
    "a deferred trigger": (
        RAISING.replace("create trigger owners_check before", "create constraint trigger owners_check after").replace(
            "for each row", "deferrable initially deferred for each row"
        ),
        "owners_check",
    ),
}


def audit(world: World) -> Audit:
    parts = world.parts
    return Audit(parts.database, parts.hubspot, parts.marks, parts.rules())


@pytest.fixture(params=RULES)
def ruled(world: World, request: pytest.FixtureRequest) -> tuple[World, str]:
    """A world whose owner refuses long phones, and the name of the rule."""
    statement, name = RULES[request.param]
    world.connection.execute(statement)
    return world, name


def parked(world: World) -> list[dict[str, Any]]:
    return world.sql("select property, code, detail from sync.parked")


def crowd(world: World) -> None:
    for n in range(21):
        phone = {"phone": PHONE} if n == 7 else {"phone": str(n)}
        world.event(world.portal.create({"email": f"c{n}@example.com", **phone}).id)


def test_one_row_that_is_refused_keeps_nobody_back(ruled: tuple[World, str]) -> None:
    world, rule = ruled
    crowd(world)
    world.quiet()
    assert count(world, "customer") == 20
    assert parked(world) == [{"property": "*", "code": "row_refused", "detail": rule}]
    assert not audit(world).run(repair=False)


def test_a_refused_row_wakes_when_its_value_changes(ruled: tuple[World, str]) -> None:
    world, _ = ruled
    crowd(world)
    world.quiet()
    calls = world.portal.calls.total
    world.quiet()
    assert world.portal.calls.total == calls
    bad = world.portal.contact("c7@example.com")
    world.portal.edit(bad.id, {"phone": "7"})
    world.event(bad.id)
    world.quiet()
    world.assert_equal()
    assert parked(world) == []


def test_a_refused_row_is_tried_once_however_often_its_contact_is_told(world: World) -> None:
    world.sql("create sequence tries")
    world.connection.execute(RAISING.replace("raise", "perform nextval('tries'); raise"))
    contact = world.portal.create({"email": "c@example.com", "phone": PHONE})
    world.event(contact.id)
    world.quiet()
    tries = world.sql("select last_value, is_called from tries")
    assert tries[0]["is_called"]
    world.event(contact.id)
    world.quiet()
    assert world.sql("select last_value, is_called from tries") == tries


def test_a_refused_value_keeps_only_its_column_back(world: World, kai: Person) -> None:
    world.sql(SHORT)
    world.portal.edit(str(kai[1]), {"phone": PHONE, "company": "there"})
    world.event(kai[1])
    world.quiet()
    assert (row(world, kai[0])["phone"], row(world, kai[0])["company"]) == (None, "there")
    assert parked(world) == [{"property": "phone", "code": "row_refused", "detail": "phone_is_short"}]
    world.portal.edit(str(kai[1]), {"phone": "1"})
    world.event(kai[1])
    world.quiet()
    world.assert_equal()


def test_a_new_contact_comes_without_what_its_column_cannot_hold(world: World) -> None:
    world.connection.execute(f"{FREE}; alter table customer alter column phone type varchar(20)")
    crowd(world)
    world.quiet()
    assert count(world, "customer") == 21
    assert parked(world) == [{"property": "phone", "code": "row_refused", "detail": "phone character varying(20)"}]
    bad = world.portal.contact("c7@example.com")
    world.portal.edit(bad.id, {"phone": "7"})
    world.event(bad.id)
    world.quiet()
    world.assert_equal()
    assert parked(world) == []


def test_a_refused_value_that_is_taken_back_is_told_no_more(world: World, kai: Person) -> None:
    world.sql(SHORT)
    for phone in (PHONE, ""):
        world.portal.edit(str(kai[1]), {"phone": phone})
        world.event(kai[1])
        world.quiet()
    world.assert_equal()
    assert parked(world) == []


def test_what_a_rule_refused_goes_when_the_rule_goes(world: World, kai: Person) -> None:
    world.sql(SHORT)
    world.parts.gates.lift_refused(only_if_rules_changed=True)
    world.portal.edit(str(kai[1]), {"phone": PHONE})
    world.event(kai[1])
    world.quiet()
    world.parts = world.rebuilt()
    world.parts.gates.lift_refused(only_if_rules_changed=True)
    world.quiet()
    assert parked(world)
    world.sql("alter table customer drop constraint phone_is_short")
    world.parts = world.rebuilt()
    world.parts.gates.lift_refused(only_if_rules_changed=True)
    world.quiet()
    world.assert_equal()


def test_a_second_holder_of_a_unique_phone_is_parked_and_not_asked_about_for_ever(world: World) -> None:
    world.sql("create unique index one_phone on customer (phone)")
    for name in ("ada", "bob"):
        world.event(world.portal.create({"email": f"{name}@example.com", "phone": "1"}).id)
    world.quiet()
    assert count(world, "customer") == 1
    assert parked(world) == [{"property": "*", "code": "row_refused", "detail": "one_phone"}]
    second = next(c for c in world.portal.contacts if world.customer(c.email) is None)
    world.portal.edit(second.id, {"phone": "2"})
    world.event(second.id)
    world.quiet()
    world.assert_equal()


def test_a_value_too_large_for_an_index_keeps_only_its_column_back(world: World, kai: Person) -> None:
    world.sql("create index on customer (website)")
    noise = "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(900))
    world.portal.edit(str(kai[1]), {"website": noise})
    world.event(kai[1])
    world.event(world.portal.create({"email": "new@example.com"}).id)
    world.quiet()
    assert world.customer("new@example.com") is not None
    assert [each["code"] for each in parked(world)] == ["row_refused"]
    world.portal.edit(str(kai[1]), {"website": "w"})
    world.event(kai[1])
    world.quiet()
    world.assert_equal()


def test_a_deletion_that_the_owner_refuses_is_parked(world: World, kai: Person) -> None:
    world.sql("alter table customer add constraint stays check (deletedat is null)")
    world.portal.delete(str(kai[1]))
    world.event(kai[1])
    world.quiet()
    assert row(world, kai[0])["deletedat"] is None
    assert parked(world) == [{"property": "*", "code": "row_refused", "detail": "stays"}]


def test_what_a_trigger_makes_of_a_value_goes_to_hubspot(world: World, kai: Person) -> None:
    world.connection.execute(
        "create function tidy() returns trigger language plpgsql as "
        "$$ begin new.phone := regexp_replace(new.phone, '\\D', '', 'g'); return new; end $$;"
        "create trigger tidy before insert or update on customer for each row execute function tidy()"
    )
    world.parts = world.rebuilt()
    world.portal.edit(str(kai[1]), {"phone": "+49 (30) 1"})
    world.event(kai[1])
    world.event(world.portal.create({"email": "new@example.com", "phone": "0-0"}).id)
    world.quiet()
    assert row(world, kai[0])["phone"] == "49301"
    assert world.contact("new@example.com")["phone"] == "00"
    world.assert_equal()
    world.assert_fixpoint()


def test_a_create_whose_answer_the_owner_refuses_is_linked_and_told(world: World) -> None:
    """HubSpot sets a stage of its own; the row may not have it."""
    world.sql("alter table customer add constraint no_lead check (lifecyclestage is distinct from 'lead')")
    world.insert(email="new@example.com")
    world.quiet()
    assert len(world.portal.contacts) == 1
    assert parked(world) == [{"property": "lifecyclestage", "code": "row_refused", "detail": "no_lead"}]


def test_no_line_of_the_log_claims_a_write_that_did_not_happen(world: World, kai: Person) -> None:
    world.sql(SHORT)
    world.portal.edit(str(kai[1]), {"phone": PHONE})
    world.event(kai[1])
    world.sql("update customer set lifecyclestage = 'no such stage'")
    with capture_logs() as said:
        world.quiet()
    assert {"row.refused", "hubspot.refused"} <= {each["event"] for each in said}
    assert not [each for each in said if "did" in each]
    assert PHONE not in repr(said)


@pytest.mark.parametrize("at", ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC"])
def test_a_row_whose_times_lie_beyond_every_calendar_is_kept_equal(world: World, at: str) -> None:
    _, contact = person(world, email="kai@example.com", company="here")
    world.sql("update customer set company = 'new', createdat = %s, updatedat = %s", at, at)
    world.quiet()
    assert there(world, contact, "company") == "new"
    world.portal.edit(str(contact), {"company": "theirs"})
    world.event(contact)
    world.quiet()
    assert world.sql("select company, createdat = %s as stands from customer", at) == [
        {"company": "theirs", "stands": True}
    ]
    assert parked(world) == []
    assert audit(world).run(repair=False)


def test_a_parked_value_that_an_api_write_overwrites_is_logged(world: World, kai: Person) -> None:
    world.sql(SHORT)
    world.portal.edit(str(kai[1]), {"phone": PHONE})
    world.event(kai[1])
    world.quiet()
    assert parked(world)
    world.portal.edit(str(kai[1]), {"company": "later"})  # so that the parked value is older than the last read
    world.event(kai[1])
    world.quiet()
    assert Caller(world).put("kai@example.com", {"phone": "2"})[0] == 200
    world.event(kai[1])
    world.quiet()
    assert ("phone", PHONE) in lost(world)
    world.assert_equal()
