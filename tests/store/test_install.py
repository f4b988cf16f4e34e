"""`db init` on a table at work: online, with what stands in the way said in words."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from statements import rows
from world import until

from reconciler.adapters.postgres.install import Refused, install

ROOT = Path(__file__).parents[2]
SCHEMA = (ROOT / "schema.sql").read_text()
OLD = "create table customer (id bigint generated always as identity primary key, email text not null, company text)"
WAITING = "select query from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
BROKEN = "select indexrelid::regclass::text from pg_index where not indisvalid"


@pytest.fixture
def old(empty: str) -> str:
    """A database with a table of the owner's that knows nothing of the sync."""
    rows(empty, OLD, "insert into customer (email) select 'c' || n || '@example.com' from generate_series(1, 20000) n")
    return empty


@pytest.fixture
def role(empty: str) -> Iterator[str]:
    """The connection string of a role without rights."""
    name = f"sync_{uuid4().hex[:8]}"
    rows(empty, f"create role {name} login")
    yield make_conninfo(empty, user=name)
    rows(empty, f"reassign owned by {name} to current_user", f"drop owned by {name}", f"drop role {name}")


@contextmanager
def work(dsn: str) -> Iterator[list[int]]:
    """Statements that read and write all the while, none of which waits for longer than a second."""
    stop, done = threading.Event(), [0, 0]

    def go(n: int, statement: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("set lock_timeout = '1s'")
            while not stop.wait(0.01):
                connection.execute(statement.encode())
                done[n] += 1

    with ThreadPoolExecutor(2) as threads:
        at_work = [
            threads.submit(go, 0, "select count(*) from customer where id < 10"),
            threads.submit(go, 1, "update customer set company = company where id = 7"),
        ]
        try:
            yield done
        finally:
            stop.set()
        for each in at_work:
            each.result()


def test_a_table_at_work_takes_the_schema_without_keeping_anybody_waiting(old: str) -> None:
    with work(old) as done, ThreadPoolExecutor(1) as threads:
        with psycopg.connect(old) as other, psycopg.connect(old, autocommit=True) as watcher:
            other.execute("update customer set company = 'held' where id = 8")
            under_way = threads.submit(install, old, SCHEMA)
            # One transaction of the owner's stays open: everybody else goes on beside the migration that waits for it.
            for _ in range(3):
                until(lambda: watcher.execute(WAITING.encode()).fetchall())
                before = list(done)
                until(lambda before=before: all(now > then + 3 for now, then in zip(done, before, strict=True)))
            assert not under_way.done()
        under_way.result()
    assert rows(old, BROKEN) == []
    assert rows(old, "select count(*), count(distinct uuid) from customer") == [(20000, 20000)]


def test_a_row_that_moves_to_where_keys_were_given_already_gets_one_too(empty: str) -> None:
    rows(
        empty,
        OLD,
        "alter table customer alter company set storage plain, set (autovacuum_enabled = off)",
        "insert into customer (email, company) select n, repeat('-', 960) from generate_series(1, 400) n",
        "delete from customer where id <= 240",
        "vacuum customer",
        "create function wait() returns trigger language plpgsql as "
        "'begin perform pg_advisory_xact_lock(1); return new; end'",
        "create trigger waits before update on customer for each row when (old.id = 300) execute function wait()",
        "alter table customer enable always trigger waits",
    )
    with ThreadPoolExecutor(1) as threads, psycopg.connect(empty) as other:
        other.execute("select pg_advisory_xact_lock(1)")
        under_way = threads.submit(install, empty, SCHEMA)
        until(lambda: rows(empty, WAITING))
        rows(empty, "update customer set company = company where id = 390")
        ((block, key),) = rows(empty, "select (ctid::text::point)[0], uuid from customer where id = 390")
        assert (block < 30, key) == (True, None)
        other.commit()
        under_way.result()
    assert rows(empty, "select count(*), count(distinct uuid) from customer") == [(160, 160)]


def test_indexes_are_built_beside_work_however_long_they_wait_for_an_old_transaction(old: str) -> None:
    with psycopg.connect(old) as other, ThreadPoolExecutor(1) as threads:
        other.execute("set transaction isolation level repeatable read; select 1")
        under_way = threads.submit(install, old, SCHEMA)
        until(lambda: any("index concurrently" in query for (query,) in rows(old, WAITING)))
        rows(old, "set lock_timeout = '1s'", "insert into customer (email) values ('new@example.com')")
        other.commit()
        under_way.result()
    assert rows(old, BROKEN) == []


def test_old_rows_are_of_unknown_age_and_new_ones_are_not(old: str) -> None:
    install(old, SCHEMA)
    rows(old, "insert into customer (email) values ('new@example.com')")
    found = rows(old, "select updatedat = 'epoch', count(*) from customer group by 1 order by 1")
    assert found == [(False, 1), (True, 20000)]
    rows(old, "update customer set company = 'edited' where id = 1")
    assert rows(old, "select updatedat > now() - interval '1 hour' from customer where id = 1") == [(True,)]


def test_what_an_interrupted_build_left_is_made_anew(old: str) -> None:
    install(old, SCHEMA)
    rows(old, "insert into customer (email) values ('kai@example.com')")
    rows(old, "drop index customer_address_is_unique_among_live")
    with pytest.raises(psycopg.errors.UniqueViolation):
        rows(
            old,
            "insert into customer (email) values (' KAI@example.com')",
            "create unique index concurrently customer_address_is_unique_among_live on customer (sync.address(email)) "
            "where deletedat is null",
        )
    assert rows(old, BROKEN) == [("customer_address_is_unique_among_live",)]
    rows(old, "delete from customer where email = ' KAI@example.com'")
    install(old, SCHEMA)
    assert rows(old, BROKEN) == []


def test_the_hint_about_doubles_runs_on_the_table_that_it_speaks_of(empty: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(empty)["dbname"]
    rows(
        empty,
        'create schema "C R M"',
        f'alter database "{name}" set search_path = "C R M"',
        'create table "C R M".customer (email text)',
        "insert into \"C R M\".customer values ('kai@example.com'), (E'KAI@example.com\\r'), ('uwe@example.com')",
        "create table public.customer (email text, deletedat timestamptz)",
    )
    with pytest.raises(Refused) as refused:
        install(empty, SCHEMA)
    statement = str(refused.value).split("find them with: ")[1]
    assert rows(empty, "set search_path = public", statement) == [("kai@example.com", 2)]
    assert rows(empty, BROKEN) == []
    rows(empty, "delete from \"C R M\".customer where email = 'kai@example.com'")
    install(empty, SCHEMA)


@pytest.mark.parametrize(
    ("unique", "remedy"),
    [
        ("alter table customer add constraint one_email unique (email)", "drop constraint one_email"),
        ("create unique index one_email on customer (lower(email))", "drop index one_email"),
        ("create unique index one_email on customer (email) where company is null", "drop index one_email"),
    ],
)
def test_a_unique_address_that_covers_deleted_customers_is_refused(old: str, unique: str, remedy: str) -> None:
    rows(old, unique)
    with pytest.raises(Refused, match=remedy):
        install(old, SCHEMA)
    assert rows(old, "select to_regnamespace('sync')") == [(None,)]
    rows(old, f"alter table customer {remedy}" if "constraint" in remedy else remedy)
    install(old, SCHEMA)
    rows(
        old,
        "alter table customer add column tenant text",
        "create unique index per_tenant on customer (tenant, email)",
        "create unique index live on customer (lower(email)) where deletedat is null",
    )
    install(old, SCHEMA)


def test_missing_privileges_are_named_with_the_grants_that_mend_them(old: str, role: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(role)["user"]
    with pytest.raises(Refused) as refused:
        install(role, SCHEMA)
    said = str(refused.value)
    assert f"grant select, insert, update, delete, trigger on public.customer to {name}" in said
    assert f"grant postgres to {name}" in said
    assert "grant create on database" in said
    assert rows(old, "select to_regnamespace('sync')") == [(None,)]
    database = psycopg.conninfo.conninfo_to_dict(old)["dbname"]
    rows(
        old,
        f'grant create on database "{database}" to {name}',
        f"alter table customer owner to {name}",
        f"grant create on schema public to {name}",
    )
    install(role, SCHEMA)
    assert rows(role, "select linked from sync.status") == [(0,)]


def test_a_new_database_takes_the_schema_whole_and_again(empty: str) -> None:
    for _ in range(2):
        install(empty, SCHEMA)
    assert rows(empty, "insert into customer (email) values ('kai@example.com') returning updatedat > 'epoch'") == [
        (True,)
    ]


def test_several_customers_with_one_uuid_are_told_as_that(empty: str) -> None:
    rows(
        empty,
        f"{OLD}; alter table customer add uuid uuid",
        "insert into customer (email, uuid) select n, md5('same')::uuid from generate_series(1, 2) n",
    )
    with pytest.raises(Refused, match="several customers have one uuid") as refused:
        install(empty, SCHEMA)
    assert rows(empty, str(refused.value).split("find them with: ")[1])[0][1] == 2


def test_an_index_that_only_includes_the_uuid_is_no_key(empty: str) -> None:
    rows(
        empty,
        f"{OLD}; alter table customer add uuid uuid not null default gen_random_uuid()",
        "create unique index by_id on customer (id) include (uuid)",
    )
    install(empty, SCHEMA)
    with pytest.raises(psycopg.errors.UniqueViolation):
        rows(empty, "insert into customer (email, uuid) select n, md5('same')::uuid from generate_series(1, 2) n")


def test_rows_that_get_a_key_are_not_edited_in_the_eyes_of_the_owners_triggers(empty: str) -> None:
    rows(
        empty,
        f"{OLD}; alter table customer add changed timestamptz not null default '2020-01-01'",
        "insert into customer (email) select n from generate_series(1, 100) n",
        "create function stamp() returns trigger language plpgsql as 'begin new.changed := now(); return new; end'",
        "create trigger stamps before update on customer for each row execute function stamp()",
    )
    install(empty, SCHEMA)
    assert rows(empty, "select count(uuid), min(changed) = max(changed), max(changed)::date::text from customer") == [
        (100, True, "2020-01-01")
    ]


@pytest.mark.parametrize("other", ["customer_of_old () inherits (customer)", "person (like customer)"])
def test_a_table_whose_rows_change_through_another_one_is_refused(empty: str, other: str) -> None:
    rows(empty, OLD, f"create table {other}")
    if other.startswith("person"):
        rows(empty, "alter table customer inherit person")
    with pytest.raises(Refused, match="parent, child or partition"):
        install(empty, SCHEMA)
