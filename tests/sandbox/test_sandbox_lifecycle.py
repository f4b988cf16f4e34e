"""lifecyclestage moves forward; backward only after it was cleared in an earlier request."""

import pytest

from sandbox import HubSpotError, Sandbox
from sandbox.lifecycle import ClearingRefusedError, StageRule, next_stage
from sandbox.routes import OBJECTS

ORDER = ("subscriber", "lead", "customer")


@pytest.mark.parametrize(
    ("stored", "written", "rule", "left"),
    [
        ("lead", "customer", "forward", "customer"),
        ("customer", "lead", "forward", "customer"),
        ("customer", "", "forward", ""),
        ("", "lead", "forward", "lead"),
        ("customer", "lead", "any", "lead"),
        ("customer", "lead", "no_clear", "customer"),
    ],
)
def test_a_write_leaves_the_stage_that_the_rule_says(stored: str, written: str, rule: str, left: str) -> None:
    assert next_stage(stored, written, ORDER, StageRule(rule)) == left


def test_a_portal_may_refuse_to_clear() -> None:
    with pytest.raises(ClearingRefusedError):
        next_stage("lead", "", ORDER, StageRule.NO_CLEAR)


def test_a_backward_stage_answers_success_and_changes_nothing(call, sandbox: Sandbox) -> None:
    contact = call.create(lifecyclestage="customer")
    revision = sandbox.portal.revision
    reply = call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"lifecyclestage": "lead"}})
    assert reply.status == 200
    assert reply.json["properties"]["lifecyclestage"] == "customer"
    assert sandbox.portal.revision == revision


def test_the_answer_to_a_backward_stage_may_claim_otherwise(call, sandbox: Sandbox) -> None:
    sandbox.portal.set(echo_ignored_stage=True)
    contact = call.create(lifecyclestage="customer")
    reply = call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"lifecyclestage": "lead"}})
    assert reply.json["properties"]["lifecyclestage"] == "lead"
    assert call.read(contact, "lifecyclestage")["lifecyclestage"] == "customer"


def test_a_cleared_stage_takes_any_value(call) -> None:
    contact = call.create(lifecyclestage="customer")
    call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"lifecyclestage": ""}})
    assert call.read(contact, "lifecyclestage")["lifecyclestage"] == ""
    call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"lifecyclestage": "lead"}})
    assert call.read(contact, "lifecyclestage")["lifecyclestage"] == "lead"


def test_a_portal_that_refuses_clearing_answers_400(call, sandbox: Sandbox) -> None:
    sandbox.portal.set(stage_rule="no_clear")
    contact = call.create(lifecyclestage="customer")
    assert call("PATCH", f"{OBJECTS}/{contact}", {"properties": {"lifecyclestage": ""}}).status == 400


def test_people_may_move_a_stage_back(sandbox: Sandbox) -> None:
    contact = sandbox.portal.create({"lifecyclestage": "customer"})
    assert sandbox.portal.edit(contact.id, {"lifecyclestage": "lead"}).get("lifecyclestage") == "lead"


def test_a_changed_option_list_refuses_the_old_value(sandbox: Sandbox) -> None:
    sandbox.portal.schema.set_options("lifecyclestage", ["lead", "12345"])
    assert sandbox.portal.create({"lifecyclestage": "12345"}).get("lifecyclestage") == "12345"
    with pytest.raises(HubSpotError, match="was not one of the allowed options"):
        sandbox.portal.create({"lifecyclestage": "customer"})
