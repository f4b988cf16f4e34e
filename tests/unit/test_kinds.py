"""Kinds of value: one canonical text each, JSON that reads back as the same, and no surprise from outside."""

import json
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.core.kinds import Kind, Unfit, canonical, from_json, to_json

CANONICAL = [
    (Kind.TEXT, " Ada ", " Ada "),
    (Kind.TEXT, "a\x00b", "a�b"),
    (Kind.EMAIL, " Ada@Example.COM ", "ada@example.com"),
    (Kind.NUMBER, "1", "1"),
    (Kind.NUMBER, " +01.50 ", "1.5"),
    (Kind.NUMBER, ".5", "0.5"),
    (Kind.NUMBER, "5.", "5"),
    (Kind.NUMBER, "100", "100"),
    (Kind.NUMBER, "1.2E3", "1200"),
    (Kind.NUMBER, "1e-7", "0.0000001"),
    (Kind.NUMBER, "-0", "0"),
    (Kind.NUMBER, "-0.000", "0"),
    (Kind.NUMBER, "0e999999", "0"),
    (Kind.NUMBER, "0.1234567890123456789012345678901234567890", "0.123456789012345678901234567890123456789"),
    (Kind.BOOLEAN, "TRUE", "true"),
    (Kind.BOOLEAN, "False", "false"),
    (Kind.DATE, "2024-05-01", "2024-05-01"),
    (Kind.DATE, "1714521600000", "2024-05-01"),
    (Kind.DATE, "0", "1970-01-01"),
    (Kind.DATE, "-86400000", "1969-12-31"),
    (Kind.DATE, "2024-05-01T00:00:00Z", "2024-05-01"),
    (Kind.DATE, "2024-05-01T02:00:00.000+02:00", "2024-05-01"),
    (Kind.DATETIME, "2024-05-01T10:00:00Z", "2024-05-01T10:00:00.000Z"),
    (Kind.DATETIME, "2024-05-01T10:00Z", "2024-05-01T10:00:00.000Z"),
    (Kind.DATETIME, "2024-05-01T12:00:00.5+02:00", "2024-05-01T10:00:00.500Z"),
    (Kind.DATETIME, "2024-05-01 12:00:00.5+02", "2024-05-01T10:00:00.500Z"),
    (Kind.DATETIME, "2024-05-01t04:30:00-0530", "2024-05-01T10:00:00.000Z"),
    (Kind.DATETIME, "2024-05-01T10:00:00.999999z", "2024-05-01T10:00:00.999Z"),
    (Kind.DATETIME, "1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999Z"),
    (Kind.DATETIME, "1714557600123", "2024-05-01T10:00:00.123Z"),
    (Kind.DATETIME, "-1", "1969-12-31T23:59:59.999Z"),
    (Kind.DATETIME, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
    (Kind.ENUM, "Professional", "Professional"),
    (Kind.SET, "b;a;;b", "a;b"),
    (Kind.SET, ";", None),
]

UNFIT = [
    *((Kind.NUMBER, text) for text in ("NaN", "-Infinity", "inf", "1,5", "1_000", "0x1", "٣", "1e", "one", "1 2")),
    *((Kind.NUMBER, text) for text in ("1e999999", "-1e-999999", "1e99999999999999999999", "1e1000", "9" * 1001)),
    (Kind.NUMBER, "0." + "1" * 1001),
    *((Kind.BOOLEAN, text) for text in ("1", "yes", "wahr")),
    *((Kind.DATE, text) for text in ("2024-02-30", "0000-01-01", "2024-5-1", "20240501", "1714521600001", "9" * 15)),
    *((Kind.DATE, text) for text in ("2024-05-01T10:00:00Z", "2024-05-01T00:00:00.0005Z", "2024-05-01T00:00:00")),
    *((Kind.DATETIME, text) for text in ("2024-05-01", "2024-05-01T10:00:00", "2024-05-01T24:00:01Z", "9" * 15)),
    *((Kind.DATETIME, text) for text in ("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00")),
    *((Kind.DATETIME, text) for text in ("2024-05-01T10:00:00+25:00", "2024-05-01T10:00.5Z", "9" * 16)),
]

JSON = [
    (Kind.TEXT, "5", "5"),
    (Kind.NUMBER, "5", 5),
    (Kind.NUMBER, "-5.25", -5.25),
    (Kind.NUMBER, str(2**63 - 1), 2**63 - 1),
    (Kind.NUMBER, "1" + "0" * 300, "1" + "0" * 300),
    (Kind.NUMBER, "0.10000000000000000001", "0.10000000000000000001"),
    (Kind.BOOLEAN, "true", True),
    (Kind.BOOLEAN, "false", False),
    (Kind.DATE, "2024-05-01", "2024-05-01"),
    (Kind.SET, "a;b", ["a", "b"]),
    *((kind, None, None) for kind in Kind),
]

UNFIT_JSON = [
    *((kind, value) for kind in Kind if kind is not Kind.NUMBER for value in (1, 1.5, 0)),
    *((kind, value) for kind in Kind if kind is not Kind.BOOLEAN for value in (True, False)),
    *((kind, value) for kind in Kind if kind is not Kind.SET for value in (["a"], [])),
    *((kind, {}) for kind in Kind),
    *((Kind.NUMBER, value) for value in (float("nan"), float("inf"), "one")),
    pytest.param(Kind.NUMBER, 10**5000, id="number-of 5001 digits"),
    *((Kind.BOOLEAN, value) for value in ("true", "false")),
    *((Kind.SET, value) for value in ("a", ["a;b"], ["a", 1], ["a", None])),
]

texts = st.one_of(
    st.none(),
    st.text(),
    st.floats().map(repr),
    st.decimals().map(str),
    st.integers().map(str),
    st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()),
    st.dates().map(str),
    st.lists(st.text(max_size=3)).map(";".join),
    st.sampled_from(["True", "FALSE"]),
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]*)?)?(Z|[+-][0-9:]{2,8})?"),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)
kinds = st.sampled_from(Kind)


@pytest.mark.parametrize(("kind", "raw", "expected"), CANONICAL)
def test_a_value_has_one_canonical_text(kind: Kind, raw: str, expected: str | None) -> None:
    assert canonical(kind, raw) == expected


@pytest.mark.parametrize("kind", Kind)
def test_there_is_one_empty_value(kind: Kind) -> None:
    assert canonical(kind, None) is canonical(kind, "") is from_json(kind, None) is from_json(kind, "") is None


@pytest.mark.parametrize(("kind", "raw"), UNFIT)
def test_what_a_kind_does_not_hold_is_refused_without_being_told(kind: Kind, raw: str) -> None:
    with pytest.raises(Unfit) as refused:
        canonical(kind, raw)
    assert raw not in str(refused.value)


def test_an_absurd_exponent_costs_no_memory() -> None:
    tracemalloc.start()
    with pytest.raises(Unfit):
        canonical(Kind.NUMBER, "1e999999")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize(("kind", "value", "shown"), JSON)
def test_the_api_shows_a_value_in_its_json_type(kind: Kind, value: str | None, shown: object) -> None:
    assert to_json(kind, value) == shown
    assert type(to_json(kind, value)) is type(shown)
    assert from_json(kind, shown) == value


@pytest.mark.parametrize(("kind", "value"), UNFIT_JSON)
def test_the_wrong_json_type_is_refused(kind: Kind, value: object) -> None:
    with pytest.raises(Unfit):
        from_json(kind, value)


def test_a_list_without_elements_is_the_empty_set() -> None:
    assert from_json(Kind.SET, []) is from_json(Kind.SET, ["", ""]) is None


@given(kinds, texts)
@example(Kind.NUMBER, "1" * 1000 + "." + "1" * 1000)
@example(Kind.NUMBER, "0." + "0" * 999 + "1")
def test_a_canonical_text_is_its_own_and_its_json_reads_back(kind: Kind, raw: str | None) -> None:
    try:
        value = canonical(kind, raw)
    except Unfit:
        return
    assert canonical(kind, value) == value
    assert from_json(kind, to_json(kind, value)) == value
    assert from_json(kind, json.loads(json.dumps(to_json(kind, value)))) == value


@given(kinds, values)
def test_whatever_the_api_is_given_is_a_canonical_value_or_refused(kind: Kind, given_value: object) -> None:
    try:
        value = from_json(kind, given_value)
    except Unfit:
        return
    assert value is None or canonical(kind, value) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_loses_nothing(number: float) -> None:
    shown = to_json(Kind.NUMBER, from_json(Kind.NUMBER, number))
    assert isinstance(shown, int | float | str)
    assert float(shown) == number


@given(st.sets(st.text(st.characters(exclude_characters=";\x00"), min_size=1), min_size=1))
def test_order_and_duplicates_of_a_set_are_no_difference(elements: set[str]) -> None:
    listed = list(elements)
    assert canonical(Kind.SET, ";".join(listed + listed)) == from_json(Kind.SET, listed[::-1])
