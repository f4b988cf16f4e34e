"""The named expressions of schema.sql about links: what is pushed without a read, and which answers still count."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

SINCE = "2026-01-05T09:00:00+00:00"
EARLIER = "2026-01-05T08:00:00+00:00"


@pytest.fixture
def connection(dsn: str) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set time zone 'UTC'")
        yield connection


def linked(connection: "psycopg.Connection[tuple[Any, ...]]", **fields: Any) -> None:
    has = {"base": {}, "base_at": {}, "blind_pushes": {}, "blocks": {}, **fields}
    connection.execute(
        "insert into sync.link (uuid, base, base_at, blind_pushes, blocks, merged_through) "
        "values (gen_random_uuid(), %s, %s, %s, %s, %s)",
        [*(json.dumps(has[name]) for name in ("base", "base_at", "blind_pushes", "blocks")), has.get("merged_through")],
    )


def asked(connection: "psycopg.Connection[tuple[Any, ...]]", call: str, *values: Any) -> Any:
    given = [json.dumps(value) if isinstance(value, dict) else value for value in values]
    row = connection.execute(f"select {call} from sync.link l", given).fetchone()
    assert row is not None
    return row[0]


def test_an_answer_counts_where_none_later_is_known(connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
    linked(connection, base_at={"phone": 10, "company": 20})
    answer = {"phone": "1", "company": "A", "website": "w"}
    assert asked(connection, "sync.not_outdated(l, %s, %s)", answer, 15) == {"phone": "1", "website": "w"}


def test_a_blind_push_is_noted_with_its_base_and_what_is_ours(
    connection: "psycopg.Connection[tuple[Any, ...]]",
) -> None:
    linked(connection, base={"phone": "0"}, merged_through=SINCE)
    connection.execute(
        "insert into sync.intent (uuid, kind, vals, deadline) "
        """select uuid, 'update', '{"phone": "9"}', now() from sync.link"""
    )
    noted = asked(connection, "sync.with_push(l, %s, true)", {"phone": "1"})
    assert noted == {"phone": {"since": SINCE, "base": "0", "sent": ["1", "9"]}}


def test_of_what_is_blocked_no_read_counts(connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
    linked(connection, merged_through=SINCE, blocks={"phone": {"reason": "invalid_value", "fingerprint": "f"}})
    noted = asked(connection, "sync.with_push(l, %s, true)", {"phone": "1"})
    assert noted == {"phone": {"since": None, "base": None, "sent": ["1"]}}


def test_a_push_after_a_read_is_noted_only_beside_a_blind_one(
    connection: "psycopg.Connection[tuple[Any, ...]]",
) -> None:
    linked(connection, blind_pushes={"phone": {"since": SINCE, "base": "0", "sent": ["1"]}})
    noted = asked(connection, "sync.with_push(l, %s, false)", {"phone": "2", "company": "A"})
    assert noted == {"phone": {"since": SINCE, "base": "0", "sent": ["1", "2"]}}


def test_what_hubspot_makes_of_a_blind_push_is_ours_too(connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
    linked(connection, blind_pushes={"phone": {"since": SINCE, "base": "0", "sent": ["one"]}})
    for answer, sent in (({"phone": "1", "company": "A"}, ["one", "1"]), ({"phone": "one"}, ["one"])):
        noted = asked(connection, "sync.with_answer(l, %s)", answer)
        assert noted == {"phone": {"since": SINCE, "base": "0", "sent": sent}}


@pytest.mark.parametrize(("theirs", "first"), [(EARLIER, EARLIER), (None, None)])
def test_of_what_both_have_pushed_the_earlier_time_counts(
    connection: "psycopg.Connection[tuple[Any, ...]]", theirs: str | None, first: str | None
) -> None:
    linked(connection)
    one = {"phone": {"since": SINCE, "base": "0", "sent": ["1"]}, "company": {"since": SINCE, "base": "A", "sent": []}}
    other = {"phone": {"since": theirs, "base": "9", "sent": ["2"]}}
    joined = asked(connection, "sync.pushes_of_both(%s, %s)", one, other)
    assert joined == {"phone": {"since": first, "base": "0", "sent": ["1", "2"]}, "company": one["company"]}


def test_a_customer_holds_its_values_in_canonical_form(connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
    connection.execute("insert into customer (email, firstname, phone) values ('Kai@X.org ', 'Kai', '')")
    row = connection.execute("select canonical from sync.customers()").fetchone()
    assert row == ({"email": "kai@x.org", "firstname": "Kai"},)
