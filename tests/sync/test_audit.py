"""The audit says where the two sides differ, and why that may be right."""

import pytest
from world import World

from reconciler.commands.audit import Audit, Finding
from reconciler.core.brake import Danger


def audited(world: World, *, repair: bool = False) -> tuple[bool, dict[Finding, int]]:
    audit = Audit(world.parts.database, world.parts.hubspot, world.parts.marks, world.parts.rules())
    return audit.run(repair=repair), {finding: n for finding, n in audit.counts.items() if n}


@pytest.fixture
def three(world: World) -> World:
    for name in ("ada", "bob", "cid"):
        world.insert(email=f"{name}@example.com", firstname=name)
    world.quiet()
    return world


def test_equal_sides_are_equal(three: World) -> None:
    assert audited(three) == (True, {Finding.EQUAL: 3})


def test_a_change_that_nobody_was_told_of_is_drift_and_is_repaired(three: World) -> None:
    ada = three.contact("ada@example.com")
    assert ada is not None
    three.portal.edit(str(ada["id"]), {"company": "There"})
    assert audited(three) == (False, {Finding.EQUAL: 2, Finding.DRIFT: 1})
    assert audited(three, repair=True)[0] is False
    three.quiet()
    assert audited(three) == (True, {Finding.EQUAL: 3})


def test_a_change_under_way_is_no_drift(three: World) -> None:
    three.sql("update customer set company = 'Here' where email = 'bob@example.com'")
    assert audited(three) == (True, {Finding.EQUAL: 2, Finding.IN_FLIGHT: 1})


def test_a_refused_value_is_parked_and_the_sides_are_not_equal(three: World) -> None:
    three.sql("update customer set lifecyclestage = 'no such stage' where email = 'bob@example.com'")
    three.quiet()
    assert audited(three) == (False, {Finding.EQUAL: 2, Finding.PARKED: 1})


def test_a_contact_and_a_customer_that_nobody_knows_are_unmatched_and_repaired(three: World) -> None:
    three.portal.create({"email": "new@example.com"})
    three.sql("alter table customer disable trigger user")
    three.insert(email="here@example.com")
    three.sql("alter table customer enable trigger user")
    assert audited(three) == (False, {Finding.EQUAL: 3, Finding.UNMATCHED: 2})
    audited(three, repair=True)
    three.quiet()
    assert audited(three) == (True, {Finding.EQUAL: 5})


def test_a_customer_whose_contact_was_deleted_behind_our_back_is_unmatched(three: World) -> None:
    ada = three.contact("ada@example.com")
    assert ada is not None
    three.portal.delete(str(ada["id"]))
    assert audited(three) == (False, {Finding.EQUAL: 2, Finding.UNMATCHED: 1})
    audited(three, repair=True)
    three.quiet()
    assert audited(three) == (True, {Finding.EQUAL: 2})


def test_a_row_that_went_without_a_word_is_drift_and_then_held(three: World) -> None:
    three.sql("alter table customer disable trigger user")
    three.sql("delete from customer where email = 'cid@example.com'")
    three.sql("alter table customer enable trigger user")
    assert audited(three) == (False, {Finding.EQUAL: 2, Finding.DRIFT: 1})
    audited(three, repair=True)
    three.quiet()
    assert three.contact("cid@example.com") is not None
    assert audited(three) == (False, {Finding.EQUAL: 2, Finding.HELD: 1})
    three.parts.records.allow(Danger.MISSING, 1)
    three.quiet()
    assert three.contact("cid@example.com") is None
    assert audited(three) == (True, {Finding.EQUAL: 2})


def test_the_samples_name_nobody(three: World) -> None:
    ada = three.contact("ada@example.com")
    assert ada is not None
    three.portal.edit(str(ada["id"]), {"company": "There"})
    audit = Audit(three.parts.database, three.parts.hubspot, three.parts.marks, three.parts.rules())
    audit.run(repair=False)
    text = "\n".join(audit.lines())
    assert f"c:{ada['id']}  company" in text
    assert "example.com" not in text
    assert "There" not in text


def test_a_row_that_was_just_deleted_is_no_drift(three: World) -> None:
    three.sql("delete from customer where email = 'bob@example.com'")
    assert audited(three) == (True, {Finding.EQUAL: 2, Finding.IN_FLIGHT: 1})
