"""The three-way merge, row by row of its table and as properties."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.merge import Merged, Verdict, merge
from reconciler.core.values import Value, normalise_email
from simulation.mapped import FIELDS, MAPPED, normalised

VALUES = st.sampled_from([None, "a", "b", "c"])
SIDES = st.dictionaries(st.sampled_from(FIELDS), VALUES)


def merged(base: Value, local: Value, remote: Value, *ours: Value, verdict: Verdict = Verdict.REMOTE) -> Merged:
    return merge(
        MAPPED,
        base={"company": base},
        local={"company": local},
        remote={"company": remote},
        ours={"company": ours},
        ahead={},
        judge=lambda field, mine, theirs: verdict,
    )


def test_equal_sides_move_only_the_base() -> None:
    assert merged("a", "b", "b") == Merged(agree={"company": "b"})
    assert merged("b", "b", "b") == Merged()


def test_a_change_on_one_side_goes_to_the_other() -> None:
    assert merged("a", "b", "a") == Merged(push={"company": "b"})
    assert merged("a", "a", "b") == Merged(pull={"company": "b"})
    assert merged("a", None, "a") == Merged(push={"company": None})
    assert merged("a", "a", None) == Merged(pull={"company": None})


def test_without_a_base_a_value_beats_nothing() -> None:
    assert merged(None, "a", None) == Merged(push={"company": "a"})
    assert merged(None, None, "a") == Merged(pull={"company": "a"})


def test_a_value_of_our_own_open_intent_is_nobodys_edit() -> None:
    assert merged("a", "c", "b", "b") == Merged(push={"company": "c"}, agree={"company": "b"})


def test_a_conflict_keeps_its_loser() -> None:
    remote = merged("a", "b", "c", verdict=Verdict.REMOTE)
    assert remote.pull == {"company": "c"}
    assert [(conflict.kept, conflict.lost) for conflict in remote.conflicts] == [("c", "b")]
    local = merged("a", "b", "c", verdict=Verdict.LOCAL)
    assert local.push == {"company": "b"}
    assert [(conflict.kept, conflict.lost) for conflict in local.conflicts] == [("b", "c")]
    nobody = merged("a", "b", "c", verdict=Verdict.NEITHER)
    assert (nobody.pull, nobody.push) == ({}, {})
    assert [conflict.winner for conflict in nobody.conflicts] == [None]
    assert merged("a", "b", "c", verdict=Verdict.HISTORY).undecided == {"company"}


@given(base=SIDES, local=SIDES, remote=SIDES)
def test_what_was_not_answered_is_not_touched(
    base: dict[str, Value], local: dict[str, Value], remote: dict[str, Value]
) -> None:
    found = merge(MAPPED, base=base, local=local, remote=remote, ours={}, ahead={}, judge=lambda *_: Verdict.REMOTE)
    assert found.pull.keys() | found.push.keys() | found.agree.keys() <= remote.keys()


@given(base=SIDES, local=SIDES, remote=SIDES)
def test_merging_again_after_applying_changes_nothing(
    base: dict[str, Value], local: dict[str, Value], remote: dict[str, Value]
) -> None:
    first = merge(MAPPED, base=base, local=local, remote=remote, ours={}, ahead={}, judge=lambda *_: Verdict.LOCAL)
    settled = {**base, **first.agree, **first.pull, **first.push}
    second = merge(
        MAPPED,
        base=settled,
        local={**local, **first.pull},
        remote={**remote, **first.push},
        ours={},
        ahead={},
        judge=lambda *_: Verdict.LOCAL,
    )
    assert second == Merged()


@given(base=SIDES, local=SIDES, remote=SIDES)
def test_the_merge_is_symmetric(base: dict[str, Value], local: dict[str, Value], remote: dict[str, Value]) -> None:
    whole = dict.fromkeys(FIELDS)
    one = merge(
        MAPPED,
        base=base,
        local={**whole, **local},
        remote={**whole, **remote},
        ours={},
        ahead={},
        judge=_both_ways(False),
    )
    other = merge(
        MAPPED,
        base=base,
        local={**whole, **remote},
        remote={**whole, **local},
        ours={},
        ahead={},
        judge=_both_ways(True),
    )
    assert (one.pull, one.push, one.agree) == (other.push, other.pull, other.agree)


def _both_ways(swapped: bool):  # type: ignore[no-untyped-def]
    return lambda field, mine, theirs: Verdict.LOCAL if swapped else Verdict.REMOTE


@given(st.text())
def test_normalising_is_idempotent(text: str) -> None:
    once = normalise_email(text)
    assert normalise_email(once) == once
    values = normalised(dict.fromkeys(FIELDS, text))
    assert normalised(values) == values
