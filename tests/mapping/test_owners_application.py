"""The owner's application goes on as before, whatever the sync makes of it; and nobody gets another's contact."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from test_adoption import SCHEMA, contact
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.install import fit, install
from reconciler.mapping.reading import load

TABLE = """
create table people (
    id integer primary key deferrable, mail text, first text, total integer, parts integer, seats integer,
    found boolean, edited boolean
);
insert into people (id, mail, first, total, parts, found, edited)
select n, 'p' || n || '@example.com', 'P' || n, 10, 2, true, true from generate_series(1, 9) n;
"""
FILE = """
[table]
name = "public.people"
key = "id"
{table}
[fields]
email = {{ column = "mail", type = "email" }}
firstname = {{ column = "first" }}
{fields}
"""

Make = Callable[..., World]


@pytest.fixture
def make(empty: str, tmp_path: Path) -> Iterator[Make]:
    with ExitStack() as stack:

        def made(*, table: str = "", fields: str = "") -> World:
            file = tmp_path / "mapping.toml"
            file.write_text(FILE.format(table=table, fields=fields))
            with psycopg.connect(empty) as connection:
                connection.execute(TABLE)
            install(empty, SCHEMA, load(str(file)))
            pool = stack.enter_context(open_pool(empty, size=4))
            world = stack.enter_context(World.open(empty, Database(pool), MAPPING_FILE=str(file)))
            world.sweep()
            return world

        yield made


def looked_at(world: World) -> int:
    """How many rows wait to be looked at, once what was noted is folded."""
    world.sql("select sync.fold()")
    return int(world.sql("select count(*) as n from sync.mark")[0]["n"])


def test_sql_of_the_file_that_fails_fails_no_write(make: Make) -> None:
    world = make(fields='share = { read = "total / parts", direction = "to_hubspot" }')
    world.sql("update people set parts = 0 where id = 1")
    world.sql("update people set parts = 0 where id < 4")
    world.sql("insert into people (id, mail, total, parts) values (20, 'new@example.com', 1, 0)")
    world.sql("delete from people where id = 2")
    assert looked_at(world) > 0


def test_a_column_of_another_type_by_now_stops_its_field(make: Make) -> None:
    world = make(fields='seats = { column = "seats", type = "number" }')
    world.sql("alter table people alter column seats type text")
    world.sql("insert into people (id, mail, first, seats) values (20, 'q@example.com', 'Q', 'five')")
    own = world.settings.own_table
    assert own is not None
    assert fit(world.dsn, own)
    world.sql("update people set first = 'Edited', seats = 'many' where id = 1")
    world.quiet()
    world.sweep()
    assert contact(world, "p1@example.com", "firstname") == {"firstname": "Edited"}
    assert contact(world, "q@example.com", "firstname") == {"firstname": "Q"}


def test_columns_may_have_the_names_of_anything(make: Make) -> None:
    world = make(table='where = "found and edited"')
    world.sql("update people set first = 'Edited' where id = 1")
    world.sql("update people set edited = false where id = 2")
    world.sql("insert into people (id, mail, first, found, edited) values (20, 'new@example.com', 'New', true, true)")
    world.quiet()
    assert contact(world, "p1@example.com", "firstname") == {"firstname": "Edited"}
    assert contact(world, "new@example.com", "firstname") == {"firstname": "New"}


def test_names_that_begin_alike_are_told_apart(make: Make) -> None:
    world = make(
        table="insert = { id = \"(random() * 1000000)::integer\", total = 'length($first || $firstname)' }",
        fields='first = { column = "parts", type = "number", direction = "to_hubspot" }',
    )
    world.portal.create({"email": "new@example.com", "firstname": "Newcomer"})
    world.sweep()
    assert world.sql("select first from people where mail = 'new@example.com'") == [{"first": "Newcomer"}]


def test_a_row_of_a_key_that_was_used_before_is_somebody_else(make: Make) -> None:
    world = make()
    world.sql("truncate people")
    world.sql("insert into people (id, mail, first) values (3, 'other@example.com', 'Other')")
    world.quiet()
    assert contact(world, "p3@example.com", "firstname") in (None, {"firstname": "P3"})
    assert contact(world, "other@example.com", "firstname") == {"firstname": "Other"}


def test_keys_may_be_used_again(make: Make) -> None:
    world = make()
    world.sql("update people set id = id + 100 where id <= 2")
    world.sql("update people set id = 1 where id = 101")
    world.sql("truncate people")
    world.sql("insert into people (id, mail) values (100, 'n@example.com')")
    world.sql("update people set id = 5 where id = 100")
    world.sql("begin; set constraints all deferred; update people set id = 6 where id = 5; commit")
    assert world.sql("select key from sync.identity where address = 'n@example.com'") == [{"key": "6"}]


def test_an_edit_of_many_is_not_lost_with_a_changed_key(make: Make) -> None:
    world = make()
    world.sql("update people set first = 'Edited' where id in (5, 6)")
    world.sql("update people set id = 500 where id = 5")
    world.quiet()
    for address in ("p5@example.com", "p6@example.com"):
        assert contact(world, address, "firstname") == {"firstname": "Edited"}


def test_a_text_that_no_address_is_as_long_as_is_taken(make: Make) -> None:
    world = make()
    long = "".join(f"{n:x}" for n in range(4000)) + "@example.com"
    world.sql("insert into people (id, mail, first) values (50, %s, 'Long')", long)
    world.sql("update people set mail = %s where id = 1", long)
    assert looked_at(world) == 2


@pytest.mark.parametrize("setting", ["rubbish", "00000000-0000-0000-0000-000000000001"])
def test_no_setting_of_the_application_names_a_uuid(make: Make, setting: str) -> None:
    world = make()
    world.sql("create role application; grant select, insert, update on people to application")
    try:
        with psycopg.connect(world.dsn, autocommit=True) as other:
            other.execute("set session authorization application")
            other.execute("select set_config('sync.uuid', %s, false)", [setting])
            other.execute("insert into people (id, mail) values (60, 'n@example.com')")
        found = world.sql("select uuid::text from sync.identity where key = '60'")
        assert len(found) == 1
        assert found[0]["uuid"] != setting
    finally:
        world.sql("drop owned by application; drop role application")


def test_a_table_that_was_made_anew_is_captured_again(make: Make) -> None:
    world = make()
    world.sql(
        "begin; create table anew (like people including all); insert into anew select * from people; "
        "drop table people; alter table anew rename to people; commit"
    )
    world.sql("update people set first = 'Unseen' where id = 1")
    own = world.settings.own_table
    assert own is not None
    assert fit(world.dsn, own)
    assert not fit(world.dsn, own)
    world.sql("update people set first = 'Seen' where id = 2")
    world.quiet()
    assert contact(world, "p2@example.com", "firstname") == {"firstname": "Seen"}
    world.sweep()
    assert contact(world, "p1@example.com", "firstname") == {"firstname": "Unseen"}
    assert len(world.portal.contacts) == 9
