"""`db init` is killed half way: the database is as it was or as it is to be, and the next run gets there."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from running_servers import ROOT, bare
from world import World, until

OLD_TABLE = """
create table customer (
    uuid uuid primary key default gen_random_uuid(), email text not null, firstname text not null,
    lastname text not null, phone text, company text, website text, lifecyclestage text,
    createdat timestamptz not null default now(), updatedat timestamptz not null default now());
insert into customer (email, firstname, lastname) values ('kai@example.com', 'Kai', 'Bo');
"""
CATALOGUE = """
select table_schema, table_name, column_name, data_type, is_nullable from information_schema.columns
where table_schema in ('public', 'sync') order by 1, 2, 3
"""
WAITING = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"


@pytest.fixture
def old_dsn(server: str) -> Iterator[str]:
    """A database with an old customer table and a row in it, and nothing of ours."""
    name = f"old_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
        dsn = make_conninfo(server, dbname=name)
        with psycopg.connect(dsn) as fresh:
            fresh.execute(OLD_TABLE.encode())
        yield dsn
        connection.execute(f'drop database "{name}" with (force)')


def catalogue(dsn: str) -> list[Any]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(CATALOGUE.encode()).fetchall()


def initialise(dsn: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "reconciler", "db", "init"]
    return subprocess.Popen(command, cwd=ROOT, env=bare({"DATABASE_URL": dsn}), stderr=subprocess.PIPE)


def finish(dsn: str) -> None:
    process = initialise(dsn)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint


def kill_while_it_waits(dsn: str) -> None:
    process = initialise(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        until(lambda: connection.execute(WAITING.encode()).fetchone())
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stderr is not None
    process.stderr.close()


def test_an_old_table_is_whole_when_the_migration_was_killed_at_its_columns_and_at_its_indexes(
    world: World, old_dsn: str
) -> None:
    wanted = catalogue(world.dsn)
    for held in (
        "lock table customer in row exclusive mode",
        "set transaction isolation level repeatable read; select 1",
    ):
        with psycopg.connect(old_dsn) as other:
            # The migration waits for it: to add columns the first time, to build indexes the second.
            other.execute(held.encode())
            kill_while_it_waits(old_dsn)
    finish(old_dsn)
    assert catalogue(old_dsn) == wanted
    with psycopg.connect(old_dsn) as connection:
        assert connection.execute("select email, deletedat from customer").fetchall() == [("kai@example.com", None)]


@pytest.mark.parametrize("table", ["customer", "sync.slot", "sync.conflict"])
def test_a_live_database_is_as_it_was_when_the_migration_is_killed_half_way(world: World, table: str) -> None:
    world.insert(email="kai@example.com", company="a")
    world.quiet()
    before = catalogue(world.dsn)
    with psycopg.connect(world.dsn) as other:
        # The migration waits half way for whoever holds this lock.
        other.execute(f"lock table {table} in row exclusive mode".encode())
        kill_while_it_waits(world.dsn)
    assert catalogue(world.dsn) == before
    world.sql("update customer set company = 'b'")
    world.quiet()
    assert world.contact("kai@example.com")["company"] == "b"  # type: ignore[index]
    finish(world.dsn)
    assert catalogue(world.dsn) == before
    world.assert_equal()
    world.assert_fixpoint()
