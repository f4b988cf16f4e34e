"""A database of a released version becomes one of today in place, with its data."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

ROOT = Path(__file__).parents[2]
RELEASED = Path(__file__).parent / "released"


def rows(dsn: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def applied(dsn: str, schema: Path) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(schema.read_bytes())


@pytest.fixture
def released(empty: str) -> str:
    """A database of 0.1.0 with a customer that is linked, and work that is under way."""
    applied(empty, RELEASED / "0.1.0.sql")
    rows(empty, "insert into customer (email, firstname) values (%s, 'Kai')", "Kai@example.com\r")
    rows(empty, "select sync.fold()")
    rows(empty, "update sync.link set contact = 7, alive = true, base = %s::jsonb", r'{"email": "kai@example.com\r"}')
    rows(
        empty,
        "insert into sync.intent (uuid, kind, vals, deadline, reserved) select uuid, 'create', %s::jsonb, now(), %s "
        "from customer",
        r'{"email": "uwe@example.com\t"}',
        "uwe@example.com\t",
    )
    rows(empty, "select sync.retry('Vera@example.com' || chr(160))")
    return empty


def test_addresses_take_their_new_form_in_place(released: str) -> None:
    before = rows(released, "select * from customer")
    for _ in range(2):
        applied(released, ROOT / "schema.sql")
        assert rows(released, "select * from customer") == before
        assert rows(released, "select base, contact, alive from sync.link") == [({"email": "kai@example.com"}, 7, True)]
        assert rows(released, "select vals, reserved from sync.intent") == [
            ({"email": "uwe@example.com"}, "uwe@example.com")
        ]
        assert rows(released, "select subject from sync.mark where subject like 'e:%%'") == [("e:vera@example.com",)]
        with pytest.raises(psycopg.errors.UniqueViolation):
            rows(released, "insert into customer (email) values ('kai@example.com')")
        assert not rows(released, "select from pg_indexes where indexdef like '%%lower(btrim(%%'")
