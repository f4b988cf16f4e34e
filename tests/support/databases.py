"""Databases for tests, cloned from a template. One that comes back as it was lent, but for its rows, is emptied and
lent again, with its connections: they know every statement, and a new one costs what a small test does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool
from world import until

from reconciler.adapters.postgres.database import open_pool

LENT = "lent"
"""How the connections of a pool that is lent are known in Postgres."""

LARGEST = 64 << 20
"""Bytes of a database beyond which it is not emptied but dropped."""

SHAPE = """
select (select sum(hashtext((oid, xmin)::text)) from pg_class where oid >= 16384),
    (select sum(hashtext((attrelid, attnum, xmin)::text)) from pg_attribute where attrelid >= 16384),
    (select sum(hashtext((oid, xmin)::text)) from pg_proc where oid >= 16384),
    (select sum(hashtext((oid, xmin)::text)) from pg_type where oid >= 16384),
    (select sum(hashtext((oid, xmin)::text)) from pg_trigger),
    (select sum(hashtext((oid, xmin)::text)) from pg_constraint where oid >= 16384),
    (select sum(hashtext((oid, xmin)::text)) from pg_namespace),
    (select count(*) from pg_policy), (select count(*) from pg_event_trigger), (select count(*) from pg_publication),
    (select count(*) from pg_default_acl), (select count(*) from pg_extension),
    (select count(*) from pg_prepared_xacts where database = current_database()),
    (select count(*) from pg_db_role_setting where setdatabase = pg_my_database.oid)
from pg_database pg_my_database where datname = current_database()
"""
"""What tests alter in a database, or leave in it, beside rows."""

OTHERS = f"""
select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
and application_name <> '{LENT}'
"""


@dataclass(frozen=True, slots=True)
class Lent:
    """A database that is lent; `keeper` is a connection for who empties it."""

    name: str
    dsn: str
    pool: ConnectionPool[Any]
    keeper: "psycopg.Connection[tuple[Any, ...]]"
    shape: tuple[Any, ...] | None


class Databases:
    """Makes databases, and lends again those that are as they were."""

    def __init__(self, server: str, template: str, admin: "psycopg.Connection[tuple[Any, ...]]") -> None:
        self._server, self._template, self._admin = server, template, admin
        self._free: list[Lent] = []

    @classmethod
    @contextmanager
    def open(cls, server: str, template: str) -> Iterator["Databases"]:
        with psycopg.connect(server, autocommit=True) as admin:
            databases = cls(server, template, admin)
            yield databases
            for lent in databases._free:
                databases._end(lent)

    @contextmanager
    def lend(self) -> Iterator[Lent]:
        """Lend a database without a row."""
        lent = self._free.pop() if self._free else self._made()
        threads = set(threading.enumerate())
        try:
            yield lent
        finally:
            if _emptied(lent, threads):
                self._free.append(lent)
            else:
                self._end(lent)

    @contextmanager
    def own(self) -> Iterator[str]:
        """Make a database that nobody else is connected to."""
        name = self._clone()
        try:
            yield self._dsn(name)
        finally:
            self._drop(name)

    def _made(self) -> Lent:
        name = self._clone()
        dsn = self._dsn(name)
        pool = open_pool(make_conninfo(dsn, application_name=LENT), size=8)
        pool.open(wait=True)
        keeper = psycopg.connect(dsn, autocommit=True)
        keeper.execute("set lock_timeout = '2s'; set session_replication_role = replica")
        return Lent(name, dsn, pool, keeper, keeper.execute(SHAPE).fetchone())

    def _end(self, lent: Lent) -> None:
        lent.pool.close()
        lent.keeper.close()
        self._drop(lent.name)

    def _clone(self) -> str:
        name = f"test_{uuid4().hex[:12]}"
        self._admin.execute(f'create database "{name}" template "{self._template}" strategy file_copy')
        return name

    def _dsn(self, name: str) -> str:
        return make_conninfo(self._server, dbname=name)

    def _drop(self, name: str) -> None:
        """End a database, whoever is connected to it."""
        self._admin.execute(f'drop database "{name}" with (force)')


def _left(threads: set[threading.Thread]) -> list[threading.Thread]:
    """Return the threads that a test has left behind: they may still write."""
    return [each for each in threading.enumerate() if each not in threads]


def _emptied(lent: Lent, threads: set[threading.Thread]) -> bool:
    """Empty a database; return whether it is as it was made, and nobody works on it."""
    try:
        until(lambda: not _left(threads) and not lent.keeper.execute(OTHERS).fetchall(), seconds=0.5)
        if lent.keeper.execute(SHAPE).fetchone() != lent.shape:
            return False
        size = lent.keeper.execute("select pg_database_size(current_database())").fetchone()
        if size is None or size[0] > LARGEST:
            return False
        tables = lent.keeper.execute("select tablename from pg_tables where schemaname = 'sync'").fetchall()
        emptied = ["customer", *(f"sync.{name}" for (name,) in tables if name != "slot")]
        lent.keeper.execute(";".join(f"delete from {each}" for each in emptied))
        lent.keeper.execute("update sync.slot set at = '-infinity' where at > '-infinity'")
        lent.pool.check()
    except (AssertionError, psycopg.Error):
        return False
    return True
