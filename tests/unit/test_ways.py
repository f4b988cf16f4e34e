"""Which changes go over: fields that go one way, and emptyings that stay."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from reconciler.core.contact import (
    Contact,
    ContactId,
    Customer,
    CustomerId,
    Intent,
    IntentId,
    IntentKind,
    Link,
    Pair,
    Snapshot,
)
from reconciler.core.context import Context, Rules
from reconciler.core.fields import Field, Fields
from reconciler.core.kinds import Direction, Kind, WhenEmpty
from reconciler.core.merge import Merged, Verdict, merge
from reconciler.core.mirror import Accepted
from reconciler.core.plan import decide
from reconciler.core.ports import Sent, Write
from reconciler.core.step import Insert, Revive, Step
from reconciler.core.values import Value, Values

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADA, SEVEN = CustomerId(UUID(int=1)), ContactId(7)
FIELDS = Fields.of(
    Field("email", Kind.EMAIL),
    Field("seats", Kind.NUMBER, direction=Direction.TO_HUBSPOT),
    Field("plan", Kind.ENUM, direction=Direction.TO_POSTGRES),
    Field("phone", when_empty=WhenEmpty.KEEP),
)


def merged(field: str, base: Value, local: Value, remote: Value, *ahead: Value) -> Merged:
    sides: tuple[Values, ...] = ({field: base}, {field: local}, {field: remote})
    ours = {field: ahead}
    return merge(
        FIELDS, base=sides[0], local=sides[1], remote=sides[2], ours=ours, ahead=ours, judge=lambda *_: Verdict.NEITHER
    )


def test_a_blocked_edit_is_neither_taken_over_nor_reverted() -> None:
    assert merged("seats", "1", "1", "2") == Merged()
    assert merged("plan", "free", "pro", "free") == Merged()


def test_the_open_sides_later_edit_goes_over_a_blocked_one_and_is_no_conflict() -> None:
    assert merged("seats", "1", "3", "2") == Merged(push={"seats": "3"})
    assert merged("plan", "free", "pro", "team") == Merged(pull={"plan": "team"})


def test_an_emptying_stays_and_a_later_value_goes_over_it() -> None:
    assert merged("phone", "1", None, "1") == Merged()
    assert merged("phone", "1", "1", None) == Merged()
    assert merged("phone", "1", None, "2") == Merged(pull={"phone": "2"})
    assert merged("phone", "1", "2", None) == Merged(push={"phone": "2"})
    assert merged("phone", "1", None, None) == Merged(agree={"phone": None})


def test_the_row_follows_an_api_write_that_empties() -> None:
    assert merged("phone", "1", "1", None, None) == Merged(pull={"phone": None})


def customer(**values: Value) -> Customer:
    return Customer(uuid=ADA, raw=values, values=values, created_at=NOW, updated_at=NOW, is_deleted=True)


def restored(row: Customer | None, *intents: Intent, base: Values, **values: Value) -> Step:
    contact = Contact(id=SEVEN, values=values, created_at=NOW, updated_at=NOW)
    link = Link(uuid=ADA, contact_id=SEVEN, base=base, alive=False, newest_seen=NOW, is_deletion_seen=True)
    pair = Pair(link=link, customer=row, remote=Snapshot(contact=contact), intents=intents)
    return decide(pair, Context(), Rules(fields=FIELDS))


def test_a_restored_contact_goes_over_its_row_but_for_what_stays() -> None:
    row = customer(email="a@x.org", seats="2", plan="pro", phone="1")
    step = restored(
        row,
        base={"email": "a@x.org", "seats": "1", "plan": "free", "phone": "1"},
        email="a@x.org",
        seats="1",
        plan="free",
        phone=None,
    )
    assert (step.action, step.conflicts, step.again) == (Revive({"email": "a@x.org"}), (), 0)


def test_a_new_row_begins_without_what_does_not_come_in() -> None:
    step = restored(None, base={"seats": "1", "plan": "free"}, email="a@x.org", seats="2", plan="pro", phone=None)
    assert step.action == Insert({"email": "a@x.org", "plan": "pro"})
    assert step.agree == {"seats": None}


def test_a_new_row_has_what_an_api_write_was_to_give_it() -> None:
    post = Intent(
        id=IntentId(1),
        kind=IntentKind.CREATE,
        values={"email": "a@x.org", "seats": "2"},
        at=NOW,
        is_overdue=True,
        hubspot_first=True,
        reserved=True,
    )
    step = restored(None, post, base={}, email="a@x.org", seats="2")
    assert step.action == Insert({"email": "a@x.org", "seats": "2"})


def test_what_hubspot_has_beside_an_edit_here_is_looked_at_again_or_agreed() -> None:
    row = customer(email="a@x.org", plan="pro")
    pair = Pair(link=Link(uuid=ADA), customer=row)
    write = Write(pair=pair, kind=IntentKind.CREATE, values={"email": "a@x.org"})
    contact = Contact(id=SEVEN, values={"email": "a@x.org", "plan": "free"}, created_at=NOW, updated_at=NOW)
    answered = Accepted(Sent(intent=IntentId(1), write=write), contact)
    assert (answered.carried["plan"], answered.pushed, answered.fields) == ("free", {"email": "a@x.org"}, {})
    same = replace(contact, values={"email": "a@x.org", "plan": "pro"})
    assert replace(answered, contact=same).pushed == {"email": "a@x.org", "plan": "pro"}
