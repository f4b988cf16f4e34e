"""Statements are prepared where Postgres itself answers, with plans that stay right when the tables grow."""

import re
from collections.abc import Iterator

import psycopg
import pytest

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.queries import statements
from reconciler.core.errors import Busy


@pytest.fixture
def database(dsn: str) -> Iterator[Database]:
    """One connection to this test's database."""
    with open_pool(dsn, size=1) as pool:
        yield Database(pool)


def prepared(database: Database) -> list[str]:
    with database._pool.connection() as connection:
        return [row["statement"] for row in connection.execute("select statement from pg_prepared_statements")]


def read(database: Database) -> None:
    for _ in range(3):
        database.rows("customers_by_address", addresses=["kai@example.com"])


def test_a_statement_that_comes_again_is_prepared(database: Database) -> None:
    read(database)
    assert any("c.address" in statement for statement in prepared(database))


def test_no_statement_is_compiled(database: Database) -> None:
    """A plan without its seq scan looks dear enough for it, and compiling takes longer than the statement."""
    with database._pool.connection() as connection:
        assert connection.execute("select current_setting('jit') as jit").fetchone() == {"jit": "off"}


EVERY_MOMENT = """
    lease load holders owners set_apart join intend lock_steps lock_customers release_addresses write_customers
    insert_customers move_links links_now move_pushed mark_overtaken close_intents answer_intents
    end_claims settle_marks audit_customers mark_changed mark_missing mark_drifted customers_by_address
    customers_by_uuid receive log_rewritten log_unsent
    """


@pytest.mark.parametrize("name", EVERY_MOMENT.split())
def test_a_plan_made_for_empty_tables_reads_by_key(database: Database, name: str) -> None:
    """It is kept until the connection ends, and a first import fills the tables meanwhile."""
    statement, arguments = numbered(statements()[name])
    with database._pool.connection() as connection:
        connection.execute(f"prepare looked_at as {statement}".encode())
        nothing = ", ".join(["null"] * arguments)
        lines = connection.execute(f"explain execute looked_at({nothing})".encode()).fetchall()
    plan = "\n".join(line["QUERY PLAN"] for line in lines)
    assert re.findall(r"Seq Scan on (customer|link|mark|intent|alias|conflict)|Hash Join|Merge Join", plan) == []


def numbered(statement: str) -> tuple[str, int]:
    """Return a statement with its arguments as PREPARE has them, and how many they are."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    for n, name in enumerate(names, 1):
        statement = statement.replace(f"%({name})s", f"${n}")
    return statement.replace("%%", "%"), len(names)


def test_a_plan_that_no_longer_fits_is_made_anew(dsn: str, database: Database) -> None:
    for _ in range(3):
        database.row("status")
    with psycopg.connect(dsn, autocommit=True) as operator:
        operator.execute("drop view sync.status")
        operator.execute("create view sync.status as select 'another' as kind")
    with pytest.raises(Busy):
        database.row("status")
    assert database.row("status") == {"kind": "another"}
