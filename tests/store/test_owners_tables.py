"""The table lies where its owner put it, with columns of the owner's, in a database with a life of its own."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from programs import program
from psycopg.conninfo import make_conninfo
from statements import rows
from test_prepared import numbered
from world import World

from reconciler.adapters.postgres import queries
from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.commands.erase import erase

ROOT = Path(__file__).parents[2]
SQL = re.sub(r"--.*", "", (ROOT / "schema.sql").read_text()) + "".join(queries.statements().values())


@pytest.fixture
def schema() -> str:
    return (ROOT / "schema.sql").read_text()


@pytest.fixture
def open_world() -> Iterator[Callable[[str], World]]:
    """Make a world on a database that the test has prepared."""
    with ExitStack() as stack:
        yield lambda dsn: stack.enter_context(World.open(dsn, Database(stack.enter_context(open_pool(dsn, size=4)))))


def live_through_a_day(world: World) -> None:
    """Everything that reads or writes customers, from both sides."""
    kai = world.insert(email="kai@example.com", firstname="Kai")
    contact = world.portal.create({"email": "there@example.com", "company": "Acme"})
    world.event(contact.id)
    world.quiet()
    world.portal.edit(contact.id, {"company": "Acme 2"})
    world.sql("update customer set company = 'here' where uuid = %s", kai)
    world.event(contact.id)
    world.quiet()
    world.sweep()
    world.assert_equal()
    world.sql("select sync.retry('kai@example.com')")
    world.sql(
        "insert into sync.conflict (uuid, property, winner, kept, lost) values (%s, 'phone', 'hubspot', '1', '2')", kai
    )
    world.sql("select sync.resolve(max(id), 'lost') from sync.conflict")
    world.quiet()
    assert world.contact("kai@example.com")["phone"] == "2"
    world.portal.delete(contact.id)
    world.event(contact.id)
    world.quiet()
    assert world.customer("there@example.com") is None
    assert erase(world.parts, "kai@example.com")
    world.quiet()
    assert world.portal.contacts == []
    assert world.sql("select linked, erased from sync.status") == [{"linked": 0, "erased": 1}]


def unprepared(dsn: str) -> dict[str, str]:
    """The statements that do not stand as they are, and why: most of these lack the types that Python gives."""
    wrong = {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, statement in queries.statements().items():
            try:
                connection.execute(f"prepare {name}_ as {numbered(statement)[0]}".encode())
            except psycopg.Error as error:
                wrong[name] = str(error)
    return wrong


def test_the_table_may_have_columns_of_any_name(empty: str, schema: str, open_world: Callable[[str], World]) -> None:
    rows(empty, schema)
    with psycopg.connect(empty) as connection:
        question = "select attname from pg_attribute where attrelid = 'customer'::regclass"
        table = {row[0] for row in connection.execute(question)}
    before = unprepared(empty)
    columns = ", ".join(f'"{name}" text' for name in sorted(set(re.findall(r"[a-z_]+", SQL)) - table))
    rows(
        empty,
        "drop table customer cascade",
        "drop schema sync cascade",
        f"create table customer (uuid uuid primary key default gen_random_uuid(), {columns})",
        schema,
    )
    assert unprepared(empty) == before
    live_through_a_day(open_world(empty))


def test_the_table_may_lie_in_another_schema(empty: str, schema: str, open_world: Callable[[str], World]) -> None:
    name = psycopg.conninfo.conninfo_to_dict(empty)["dbname"]
    rows(
        empty,
        "create schema crm",
        "create schema first",
        "create table crm.customer (uuid uuid primary key default gen_random_uuid(), email text)",
        f'alter database "{name}" set search_path = first, crm, public',
    )
    for _ in range(2):
        rows(empty, schema)
    with psycopg.connect(empty) as connection:
        where = "select relnamespace::regnamespace::text from pg_class where relname = 'customer' and relkind = 'r'"
        assert connection.execute(where).fetchall() == [("crm",)]
    live_through_a_day(open_world(empty))


def test_a_session_that_looks_elsewhere_does_not_lead_the_syncs_functions_astray(world: World) -> None:
    uuid = world.insert(email="kai@example.com")
    world.quiet()
    world.sql("create schema elsewhere")
    world.sql("create table elsewhere.customer (uuid uuid, email text, deletedat timestamptz)")
    world.sql("set search_path = elsewhere, public")
    world.sql("select sync.retry('kai@example.com')")
    assert world.sql("select subject from sync.mark") == [{"subject": f"u:{uuid}"}]
    with world.connection.transaction():
        world.sql("set local sync.own = on")
        world.sql("select sync.erase(%s)", uuid)
    assert world.sql("select email from public.customer") == [{"email": None}]


def test_a_database_that_is_not_utf8_is_refused_in_words(server: str, schema: str) -> None:
    name = f"latin_{uuid4().hex[:8]}"
    rows(server, f"create database \"{name}\" template template0 encoding 'LATIN1' locale 'C'")
    try:
        with pytest.raises(psycopg.errors.RaiseException, match="encoding of this database is LATIN1, not UTF8"):
            rows(make_conninfo(server, dbname=name), schema)
    finally:
        rows(server, f'drop database "{name}" with (force)')


def test_every_table_can_be_written_while_all_tables_are_published(world: World) -> None:
    world.sql("create publication everything for all tables")
    world.insert(email="kai@example.com")
    world.portal.create({"email": "there@example.com"})
    world.sweep()
    tables = world.sql("select tablename as name from pg_tables where schemaname = 'sync'")
    for table in tables:
        column = world.sql(
            "select attname as name from pg_attribute where attrelid = %s::regclass and attnum > 0 "
            "and attidentity = '' order by attnum limit 1",
            f"sync.{table['name']}",
        )[0]["name"]
        with world.connection.transaction(force_rollback=True):
            world.sql(f"update sync.{table['name']} set {column} = {column}")
            world.sql(f"delete from sync.{table['name']}")
    world.sql("update customer set company = 'Acme'")
    world.sql("delete from customer where email = 'there@example.com'")
    world.quiet()
    assert [each.get("company") for each in world.portal.contacts] == ["Acme"]


def tool(name: str, dsn: str, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a client program of the server's version."""
    command = [program(name, dsn), "--dbname", dsn, *arguments]
    return subprocess.run(command, env={**os.environ, **more}, capture_output=True, text=True)


def contents(dsn: str) -> dict[str, Any]:
    found = {}
    with psycopg.connect(dsn) as connection:
        names = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('public', 'sync')"
        ).fetchall()
        for (name,) in names:
            found[name] = connection.execute(f"select t::text from {name} t order by 1").fetchall()
        found["number"] = connection.execute("select last_value from sync.number").fetchall()
    return found


@pytest.mark.parametrize("how", ["--disable-triggers", "as the sync"])
def test_data_alone_is_dumped_and_restored_into_a_database_with_the_schema(
    world: World, empty: str, schema: str, tmp_path: Path, how: str
) -> None:
    for n in range(3):
        world.insert(email=f"c{n}@example.com", firstname="C")
    world.quiet()
    assert erase(world.parts, "c0@example.com")
    world.sql("update customer set company = 'Acme'")
    rows(empty, schema)
    dump = str(tmp_path / "dump")
    assert tool("pg_dump", world.dsn, "--data-only", "--format=custom", "--file", dump).returncode == 0
    if how == "as the sync":
        done = tool("pg_restore", empty, "--data-only", "--exit-on-error", dump, PGOPTIONS="-c sync.own=on")
    else:
        done = tool("pg_restore", empty, "--data-only", "--exit-on-error", how, dump)
    assert done.returncode == 0, done.stderr
    assert contents(empty) == contents(world.dsn)
    with pytest.raises(psycopg.errors.CheckViolation, match="erased"):
        rows(empty, "insert into customer (email) values ('C0@example.com')")


def test_a_dump_restored_as_anybody_says_what_to_do(world: World, empty: str, schema: str, tmp_path: Path) -> None:
    world.insert(email="kai@example.com")
    world.quiet()
    rows(empty, schema)
    dump = str(tmp_path / "dump")
    assert tool("pg_dump", world.dsn, "--data-only", "--format=custom", "--file", dump).returncode == 0
    done = tool("pg_restore", empty, "--data-only", "--exit-on-error", dump)
    assert done.returncode == 1
    assert 'PGOPTIONS="-c sync.own=on"' in done.stderr


def test_a_whole_dump_is_restored(world: World, empty: str, tmp_path: Path) -> None:
    world.insert(email="Käi@example.com")
    world.quiet()
    dump = str(tmp_path / "dump")
    assert tool("pg_dump", world.dsn, "--format=custom", "--file", dump).returncode == 0
    done = tool("pg_restore", empty, "--exit-on-error", dump)
    assert done.returncode == 0, done.stderr
    assert contents(empty) == contents(world.dsn)
    rows(empty, (ROOT / "schema.sql").read_text(), "update customer set company = 'Acme'")
    with psycopg.connect(empty) as connection:
        assert connection.execute("select edited from sync.dirty").fetchall() == [(["company"],)]
