"""What would delete or blank too much is held, the rest goes on."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from typer.testing import CliRunner

from reconciler.__main__ import app
from reconciler.core.brake import Danger, Need, brake, needed
from reconciler.core.contact import ABSENT, Contact, ContactId, Customer, CustomerId, Link, Pair, Snapshot
from reconciler.core.step import Archive, Create, Delete, Insert, Merge, Rest, Step

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pair(number: int) -> Pair:
    uuid = CustomerId(UUID(int=number))
    values = {"email": f"{number}@x", "company": "Acme"}
    contact = Contact(id=ContactId(number), values=values, created_at=NOW, updated_at=NOW)
    customer = Customer(uuid=uuid, raw=values, values=values, created_at=NOW, updated_at=NOW)
    return Pair(link=Link(uuid=uuid, contact_id=contact.id), customer=customer, remote=Snapshot(contact=contact))


def without_row(both: Pair) -> Pair:
    return replace(both, customer=None, link=replace(both.link, alive=True))


def test_deletions_beyond_the_allowance_are_held_as_they_are() -> None:
    steps = [Step(pair=pair(n), action=Delete()) for n in range(3)]
    assert needed(steps) == {Need(Danger.DELETE): 3}
    braked = brake(steps, {Need(Danger.DELETE): 2})
    assert [step.action for step in braked] == [Delete(), Delete(), Rest()]
    assert braked[2].blocks["*"].reason == "held_delete"


def test_only_the_blanked_columns_of_a_record_are_held() -> None:
    step = Step(pair=pair(1), action=Merge(pull={"company": None, "phone": "1"}, push={"website": "w"}))
    (held,) = brake([step], {Need(Danger.BLANK): 0})
    assert held.pull == {"phone": "1"}
    assert held.push == {"website": "w"}
    assert held.blocks["company"].reason == "held_blank"


def test_an_update_that_only_blanks_is_not_sent() -> None:
    (held,) = brake([Step(pair=pair(1), action=Merge(push={"company": None}))], {})
    assert not held.push
    assert not held.writes


def test_harmless_steps_pass_a_closed_brake() -> None:
    step = Step(pair=pair(1), action=Merge(pull={"phone": "1"}, push={"company": "Acme"}))
    assert needed([step]) == {}
    assert brake([step], {}) == [step]


def test_a_value_that_is_written_over_is_counted_for_its_column() -> None:
    steps = [Step(pair=pair(n), action=Merge(pull={"company": "Other", "phone": "1"})) for n in range(3)]
    rewrites = Need(Danger.REWRITE, "company")
    assert needed(steps) == {rewrites: 3}
    braked = brake(steps, {rewrites: 1})
    assert [dict(step.pull) for step in braked] == [{"company": "Other", "phone": "1"}, {"phone": "1"}, {"phone": "1"}]
    assert braked[2].blocks["company"].reason == "held_rewrite"


def test_new_records_beyond_the_allowance_are_held_on_either_side() -> None:
    steps = [Step(pair=pair(1), action=Insert({"company": "a"})), Step(pair=pair(2), action=Create({}))]
    assert needed(steps) == {Need(Danger.CREATE): 2}
    assert [step.blocks["*"].reason for step in brake(steps, {})] == ["held_create", "held_create"]


def test_what_is_only_missing_is_held_whatever_it_would_lead_to() -> None:
    steps = [
        Step(pair=replace(pair(1), remote=ABSENT), action=Delete()),
        Step(pair=without_row(pair(2)), action=Archive()),
        Step(pair=replace(pair(3), remote=ABSENT), action=Create({})),
    ]
    assert needed(steps) == {Need(Danger.MISSING): 3}
    assert {step.blocks["*"].reason for step in brake(steps, {Need(Danger.DELETE): 9})} == {"held_missing"}


@pytest.mark.parametrize("count", ["0", "-5", "many"])
def test_an_allowance_is_a_number_from_one_on(count: str) -> None:
    answer = CliRunner().invoke(app, ["allow", "delete", "--", count])
    assert answer.exit_code == 2
    assert "Invalid value for 'count'" in answer.output
