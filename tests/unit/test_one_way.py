"""Fields that go one way, and emptyings that are not carried over: in the merge, and in what is decided of a pair."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.contact import GONE, Contact, ContactId, Customer, CustomerId, Entry, Link, Pair, Snapshot
from reconciler.core.context import Context, Rules
from reconciler.core.fields import Field, Fields, Policy
from reconciler.core.kinds import Direction, Kind, WhenEmpty
from reconciler.core.merge import Merged, Verdict, merge
from reconciler.core.plan import decide
from reconciler.core.step import Create, Insert, Merge, Revive, Step
from reconciler.core.values import Value, Values

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADA, SEVEN = CustomerId(UUID(int=1)), ContactId(7)
OUT, IN = Direction.TO_HUBSPOT, Direction.TO_POSTGRES
EMAIL = Field("email", kind=Kind.EMAIL)
ADDRESS = {"email": "ada@x.org"}

VERDICTS = {
    Policy.HUBSPOT: Verdict.REMOTE,
    Policy.POSTGRES: Verdict.LOCAL,
    Policy.MANUAL: Verdict.NEITHER,
    Policy.NEWEST: Verdict.HISTORY,
}
VALUES = st.sampled_from([None, "a", "b", "c"])
SENT = st.frozensets(VALUES, max_size=2)
FIELDS = Fields.of(
    *(
        Field(f"{direction}-{when_empty}-{policy}", direction=direction, when_empty=when_empty, policy=policy)
        for direction, when_empty, policy in product(Direction, WhenEmpty, Policy)
    )
)


def one(direction: Direction = Direction.BOTH, when_empty: WhenEmpty = WhenEmpty.CLEAR) -> Fields:
    return Fields.of(EMAIL, Field("plan", direction=direction, when_empty=when_empty))


KEPT = one(when_empty=WhenEmpty.KEEP)


def merged(fields: Fields, base: Value, local: Value, remote: Value, *ours: Value) -> Merged:
    return merge(
        fields,
        base={"plan": base},
        local={"plan": local},
        remote={"plan": remote},
        ours={"plan": ours},
        ahead={},
        judge=lambda *_: Verdict.HISTORY,
    )


def step(
    fields: Fields,
    *,
    base: Values | None,
    local: Value,
    remote: Value,
    alive: bool = True,
    is_deleted: bool = False,
    first: Policy = Policy.NEWEST,
) -> Step:
    """What is decided of a pair; without a base both meet for the first time, the row being the younger one."""
    has, theirs = {**ADDRESS, "plan": local}, {**ADDRESS, "plan": remote}
    history = {"plan": (Entry(value=remote, at=NOW),)}
    customer = Customer(
        uuid=ADA, raw=has, values=has, created_at=NOW, updated_at=NOW + timedelta(hours=1), is_deleted=is_deleted
    )
    contact = Contact(id=SEVEN, values=theirs, created_at=NOW, updated_at=NOW, history=history)
    link = Link(uuid=ADA, contact_id=SEVEN, base=base or {}, alive=None if base is None else alive)
    pair = Pair(link=link, customer=customer, remote=Snapshot(contact=contact))
    return decide(pair, Context(), Rules(fields=fields, first_link=first))


def test_the_blocked_sides_edit_is_neither_taken_over_nor_reverted_and_no_conflict() -> None:
    assert merged(one(OUT), "a", "a", "b") == Merged()
    assert merged(one(OUT), "a", "a", None) == Merged()
    assert merged(one(IN), "a", "b", "a") == Merged()
    assert merged(one(IN), "a", None, "a") == Merged()


def test_the_open_sides_later_edit_goes_over_the_blocked_sides() -> None:
    assert merged(one(OUT), "a", "c", "b") == Merged(push={"plan": "c"})
    assert merged(one(OUT), "a", None, "b") == Merged(push={"plan": None})
    assert merged(one(IN), "a", "b", "c") == Merged(pull={"plan": "c"})
    assert merged(one(IN), "a", "b", None) == Merged(pull={"plan": None})


@pytest.mark.parametrize("direction", [OUT, IN])
def test_sides_that_are_equal_after_all_agree(direction: Direction) -> None:
    assert merged(one(direction), "a", "b", "b") == Merged(agree={"plan": "b"})


def test_what_we_sent_is_agreed_where_edits_go_out_and_taken_where_they_do_not() -> None:
    assert merged(one(OUT), "a", "c", "b", "b") == Merged(agree={"plan": "b"}, push={"plan": "c"})
    assert merged(one(IN), "a", "c", "b", "b") == Merged(pull={"plan": "b"})


@pytest.mark.parametrize("side", ["local", "remote"])
def test_an_emptying_is_not_carried_over_and_both_stay(side: str) -> None:
    sides = {"local": "a", "remote": "a", side: None}
    assert merged(KEPT, "a", sides["local"], sides["remote"]) == Merged()


def test_a_later_value_fills_what_was_emptied() -> None:
    assert merged(KEPT, "a", None, "b") == Merged(pull={"plan": "b"})
    assert merged(KEPT, "a", "b", None) == Merged(push={"plan": "b"})
    assert merged(KEPT, "a", None, None) == Merged(agree={"plan": None})


def test_a_row_that_was_emptied_while_its_value_was_sent_pushes_nothing() -> None:
    assert merged(KEPT, "a", None, "b", "b") == Merged(agree={"plan": "b"})


@pytest.mark.parametrize("first", [Policy.NEWEST, Policy.HUBSPOT, Policy.POSTGRES])
def test_at_the_first_link_a_one_way_field_takes_the_open_sides_value(first: Policy) -> None:
    agreed = dict(ADDRESS)
    out = step(one(OUT), base=None, local="a", remote="b", first=first)
    assert (out.action, out.conflicts) == (Merge(push={"plan": "a"}, agree=agreed), ())
    back = step(one(IN), base=None, local="a", remote="b", first=first)
    assert (back.action, back.conflicts) == (Merge(pull={"plan": "b"}, agree=agreed), ())


@pytest.mark.parametrize("first", [Policy.NEWEST, Policy.HUBSPOT, Policy.POSTGRES, Policy.MANUAL])
@pytest.mark.parametrize("when_empty", WhenEmpty)
def test_at_the_first_link_an_empty_side_never_wins(first: Policy, when_empty: WhenEmpty) -> None:
    both = one(when_empty=when_empty)
    filled = step(both, base=None, local=None, remote="b", first=first)
    assert (filled.pull, filled.push) == ({"plan": "b"}, {})
    sent = step(both, base=None, local="a", remote=None, first=first)
    assert (sent.pull, sent.push) == ({}, {"plan": "a"})
    for direction, local, remote in ((OUT, None, "b"), (IN, "a", None)):
        stays = step(one(direction, when_empty), base=None, local=local, remote=remote, first=first)
        assert (stays.pull, stays.push) == ({}, {})


def test_the_blocked_sides_value_of_a_new_record_stays_where_it_is() -> None:
    has = {**ADDRESS, "plan": "a"}
    customer = Customer(uuid=ADA, raw=has, values=has, created_at=NOW, updated_at=NOW)
    contact = Contact(id=SEVEN, values=has, created_at=NOW, updated_at=NOW)
    row = Pair(link=Link(uuid=ADA), customer=customer)
    read = Pair(link=Link(uuid=ADA, contact_id=SEVEN), remote=Snapshot(contact=contact))
    assert decide(row, Context(), Rules(fields=one(IN))).action == Create(ADDRESS)
    assert decide(read, Context(), Rules(fields=one(OUT))).action == Insert(ADDRESS)


def test_a_blocked_edit_is_no_loss_when_its_record_goes() -> None:
    base = {**ADDRESS, "plan": "a"}
    dying = step(one(OUT), base=base, local="a", remote="b", is_deleted=True)
    assert dying.conflicts == ()
    pair = replace(step(one(IN), base=base, local="b", remote="a").pair, remote=GONE)
    assert decide(pair, Context(), Rules(fields=one(IN))).conflicts == ()


def test_a_customer_that_lives_again_keeps_what_does_not_come_in() -> None:
    base = {**ADDRESS, "plan": "a"}
    out = step(one(OUT), base=base, local="c", remote="b", alive=False, is_deleted=True)
    assert (out.action, out.conflicts) == (Revive(ADDRESS), ())
    kept = step(KEPT, base=base, local="c", remote=None, alive=False, is_deleted=True)
    assert (kept.action, kept.conflicts) == (Revive(ADDRESS), ())


def applied(first: Merged, base: Values, local: Values, remote: Values) -> tuple[Values, Values, Values]:
    return (
        {**base, **first.agree, **first.pull, **first.push},
        {**local, **first.pull},
        {**remote, **first.push},
    )


@given(data=st.data())
def test_merging_again_after_applying_writes_nothing(data: st.DataObject) -> None:
    """For every direction, `when_empty` and policy, whatever is under way."""
    base, local, remote = (data.draw(st.fixed_dictionaries(dict.fromkeys(FIELDS.names, VALUES))) for _ in range(3))
    ours = data.draw(st.fixed_dictionaries(dict.fromkeys(FIELDS.names, SENT)))
    ahead = {name: data.draw(st.sampled_from([(), tuple(sent)])) for name, sent in ours.items()}

    def judge(field: str, *_: Value) -> Verdict:
        return VERDICTS[FIELDS[field].policy]

    first = merge(FIELDS, base=base, local=local, remote=remote, ours=ours, ahead=ahead, judge=judge)
    base, local, remote = applied(first, base, local, remote)
    second = merge(FIELDS, base=base, local=local, remote=remote, ours={}, ahead={}, judge=judge)
    assert (second.pull, second.push, second.agree) == ({}, {}, {})
    assert {each.field for each in second.conflicts} == {each.field for each in first.conflicts if not each.winner}
    assert second.undecided == first.undecided
