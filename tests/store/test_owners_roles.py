"""The owner's other roles write customers with plain rights, and with none on what is the sync's."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from world import World

from reconciler.commands.erase import erase

PLAIN = "select, insert, update, delete"


@pytest.fixture
def role(world: World) -> Iterator[str]:
    """A role with plain rights on the table, and none else."""
    name = f"app_{uuid4().hex[:8]}"
    world.sql(f"create role {name} login")
    world.sql(f"grant {PLAIN} on customer to {name}")
    yield name
    world.sql(f"drop owned by {name}")
    world.sql(f"drop role {name}")


@pytest.fixture
def app(world: World, role: str) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
    with psycopg.connect(make_conninfo(world.dsn, user=role), autocommit=True) as connection:
        yield connection


@pytest.fixture
def preparing(world: World) -> World:
    """A world whose server lets transactions be prepared."""
    if world.sql("show max_prepared_transactions") == [{"max_prepared_transactions": "0"}]:
        pytest.skip("this server prepares no transactions")
    return world


def edited(world: World) -> list[str]:
    found = [field for row in world.sql("select edited from sync.dirty") for field in row["edited"]]
    world.sql("delete from sync.dirty")
    return found


def test_another_role_writes_and_what_it_writes_goes_over(world: World, app: Any) -> None:
    app.execute("insert into customer (email, firstname) values ('KÄI@example.com\t', 'Kai'), ('uwe@example.com', 'U')")
    app.execute("update customer set company = 'Acme' where firstname = 'Kai'")
    app.execute("delete from customer where firstname = 'U'")
    world.quiet()
    assert [(each.get("email"), each.get("company")) for each in world.portal.contacts] == [("käi@example.com", "Acme")]
    world.assert_fixpoint()


def test_another_role_writes_after_somebody_was_erased_and_not_the_erased_address(world: World, app: Any) -> None:
    world.insert(email="kai@example.com")
    world.quiet()
    assert erase(world.parts, "kai@example.com")
    app.execute("insert into customer (email) values ('uwe@example.com')")
    app.execute("update customer set email = 'u@example.com' where email = 'uwe@example.com'")
    with pytest.raises(psycopg.errors.CheckViolation, match="this address was erased"):
        app.execute("insert into customer (email) values ('KAI@example.com ')")
    with pytest.raises(psycopg.errors.CheckViolation, match="this address was erased"):
        app.execute("update customer set email = 'kai@example.com\r' where email = 'u@example.com'")
    app.execute("delete from customer where email = 'u@example.com'")
    world.quiet()
    assert world.portal.contacts == []


@pytest.mark.parametrize("way", ["session", "local", "option"])
def test_another_role_does_not_escape_by_calling_itself_the_sync(world: World, role: str, app: Any, way: str) -> None:
    with psycopg.connect(make_conninfo(world.dsn, user=role, options="-c sync.own=on")) as connection:
        writer = connection if way == "option" else app
        with writer.transaction():
            if way != "option":
                writer.execute(f"set {way} sync.own = on")
            writer.execute("insert into customer (email) values ('kai@example.com')")
            assert edited(world) == []
            writer.execute("update customer set company = 'Acme'")
    assert edited(world) == ["email", "company"]
    app.execute("set sync.own = on")
    with pytest.raises(psycopg.errors.CheckViolation, match="written by the sync only"):
        app.execute("update customer set contactid = 7")


@pytest.mark.parametrize(
    "statement",
    [
        "select value from sync.setting",
        "select sync.hash_of('kai@example.com')",
        "select sync.erase(gen_random_uuid())",
        "select sync.forget_tombstone('kai@example.com')",
        "insert into sync.dirty (uuid) values (gen_random_uuid())",
    ],
)
def test_another_role_reaches_nothing_of_the_syncs(app: Any, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement)


def test_the_salt_is_nobodys_even_where_the_schema_may_be_read(world: World, role: str, app: Any) -> None:
    world.sql(f"grant usage on schema sync to {role}")
    world.sql(f"grant select on all tables in schema sync to {role}")
    world.sql(f"grant execute on function sync.retry(text) to {role}")
    world.sql_file("schema.sql")
    assert app.execute("select count(*) from sync.tombstone").fetchone() == (0,)
    for statement in ("select value from sync.setting", "select sync.hash_of('kai@example.com')"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(statement)


def test_no_search_path_of_a_role_leads_the_triggers_astray(world: World, role: str, app: Any) -> None:
    world.sql(f"create schema authorization {role}")
    app.execute("create table dirty (uuid uuid, edited text[])")
    app.execute("create function num_nonnulls(variadic anyarray) returns integer language sql as 'select 0'")
    app.execute("create function hashtext(text) returns integer language plpgsql as $$ begin raise 'mine'; end $$")
    app.execute(
        "create function clock_timestamp() returns timestamptz language plpgsql as $$ begin raise 'mine'; end $$"
    )
    app.execute("create temp table dirty (uuid uuid, edited text[])")
    app.execute(f"set search_path = pg_temp, {role}, public, pg_catalog")
    app.execute("insert into customer (email) values ('kai@example.com')")
    app.execute("update customer set company = 'Acme'")
    with pytest.raises(psycopg.errors.CheckViolation, match="written by the sync only"):
        app.execute("insert into customer (email, contactid) values ('uwe@example.com', 7)")
    assert edited(world) == ["email", "company"]


@pytest.mark.parametrize(
    "statement",
    [
        "insert into customer (email) values ('uwe@example.com')",
        "update customer set company = 'Acme'",
        "delete from customer",
    ],
)
def test_a_write_can_be_prepared_and_is_seen_when_it_is_committed(preparing: World, statement: str) -> None:
    world = preparing
    world.insert(email="kai@example.com")
    assert edited(world) == ["email"]
    world.sql("begin")
    world.sql(statement)
    world.sql("prepare transaction 'waiting'")
    assert world.sql("select uuid from sync.dirty") == []
    world.sql("commit prepared 'waiting'")
    assert len(world.sql("select uuid from sync.dirty")) == 1


@pytest.mark.parametrize("names", [["kai"], ["kai", "uwe", "vera"]])
def test_what_is_the_syncs_is_refused_and_what_changed_is_noted_in_one_row_or_many(
    world: World, names: list[str]
) -> None:
    for name in names:
        world.insert(email=f"{name}@example.com", firstname=name)
    world.sql("delete from sync.dirty")
    for forbidden in ("contactid = 7", "uuid = gen_random_uuid()", "erasedat = now()", "mergedinto = uuid"):
        with pytest.raises(psycopg.errors.CheckViolation, match="written by the sync only"):
            world.sql(f"update customer set {forbidden}")
    world.sql("update customer set company = company, updatedat = now()")
    world.sql("update customer set company = 'a' where false")
    assert world.sql("select uuid from sync.dirty") == []
    world.sql("update customer set company = 'a', phone = '1'")
    world.sql("update customer set deletedat = now()")
    noted = world.sql("select edited, count(*) as n from sync.dirty group by 1 order by 1")
    assert noted == [{"edited": [], "n": len(names)}, {"edited": ["phone", "company"], "n": len(names)}]


VIEWS = ("status", "budget", "today", "pending", "conflicts", "parked", "causes", "reason")


def test_a_role_that_may_read_the_views_reads_them_all_and_no_untrue_cause(
    world: World, role: str, app: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    world.sql(f"grant usage on schema sync to {role}")
    world.sql("; ".join(f"grant select on sync.{view} to {role}" for view in VIEWS))
    world.sql(f"revoke all on customer from {role}")
    for view in VIEWS:
        app.execute(f"select * from sync.{view}")
    assert app.execute("select * from sync.causes").fetchall() == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("select * from sync.setting")


def test_execute_is_all_that_a_role_needs_for_the_functions_for_people(
    world: World, role: str, app: "psycopg.Connection[tuple[Any, ...]]"
) -> None:
    uuid = world.insert(email="kai@example.com")
    world.quiet()
    world.sql(
        "insert into sync.conflict (uuid, property, winner, kept, lost) values (%s, 'phone', 'hubspot', null, '1')",
        uuid,
    )
    (conflict,) = world.sql("select id from sync.conflicts")
    world.sql(f"grant usage on schema sync to {role}")
    for function in ("retry(text)", "resolve(bigint, text)", "forget_tombstone(text)"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(f"select sync.{function.partition('(')[0]}({'1, null' if ',' in function else 'null'})")
        world.sql(f"grant execute on function sync.{function} to {role}")
    app.execute("select sync.retry('kai@example.com')")
    app.execute("select sync.resolve(%s, 'lost')", [conflict["id"]])
    app.execute("select sync.forget_tombstone('uwe@example.com')")
    assert world.sql("select phone from customer") == [{"phone": "1"}]
    world.quiet()
    world.assert_fixpoint()
