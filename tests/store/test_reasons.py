"""Why something does not move is told in Python and in SQL by the same words."""

from collections.abc import Iterator

import psycopg
import pytest

from reconciler.core.reasons import ABOUT, Reason, Wake


@pytest.fixture
def connection(dsn: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def test_python_and_sql_have_the_same_reasons(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    there = connection.execute("select code, fault, wake, sentence from sync.reason").fetchall()
    assert sorted(there) == sorted((reason.value, *ABOUT[reason]) for reason in Reason)


@pytest.mark.parametrize("wake", Wake)
def test_blocks_are_found_by_what_ends_them(connection: "psycopg.Connection[tuple[object, ...]]", wake: Wake) -> None:
    blocks = psycopg.types.json.Jsonb({reason.value: {"reason": reason.value} for reason in Reason})
    row = connection.execute("select sync.ended_by(%s, %s)", [blocks, wake.value]).fetchone()
    assert row is not None
    assert set(row[0]) == {reason.value for reason in Reason if reason.wake is wake}
