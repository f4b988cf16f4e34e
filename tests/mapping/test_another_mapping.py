"""The mapping changes while people go on: a new field is filled, a removed one forgotten, a renamed one asked for."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from test_adoption import SCHEMA, contact
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.install import VERSION, Ambiguous, Refused, fit, install
from reconciler.core.errors import NewerDatabase
from reconciler.mapping.reading import load
from reconciler.process.account import check_home

TABLE = "create table people (id bigint primary key, mail text, first text, town text)"
FILE = """
[table]
name = "public.people"
key = "id"
[fields]
email = { column = "mail", type = "email" }
firstname = { column = "first" }
"""
TOWN = 'city = { column = "town" }\n'

Open = Callable[..., World]


@pytest.fixture
def table(empty: str) -> str:
    with psycopg.connect(empty) as connection:
        connection.execute(TABLE)
        connection.execute("insert into people values (1, 'ada@x.org', 'Ada', 'Ulm'), (2, 'bea@x.org', 'Bea', null)")
    return empty


@pytest.fixture
def opened(table: str, tmp_path: Path) -> Iterator[Open]:
    """The world of a mapping; each one after `db init` with it. HubSpot stays the same."""
    with ExitStack() as stack:
        known: list[World] = []

        def made(text: str, **renamed: str) -> World:
            file = tmp_path / f"mapping{len(known)}.toml"
            file.write_text(text)
            install(table, SCHEMA, load(str(file)), renamed)
            pool = stack.enter_context(open_pool(table, size=4))
            if known:
                known.append(World(known[0].sandbox, table, Database(pool), MAPPING_FILE=str(file)))
            else:
                known.append(stack.enter_context(World.open(table, Database(pool), MAPPING_FILE=str(file))))
            return known[-1]

        yield made
        for each in known[1:]:
            each.connection.close()


def test_a_new_field_is_filled_for_those_that_are_linked(opened: Open) -> None:
    opened(FILE).sweep()
    world = opened(FILE + TOWN)
    there = world.portal.contact("bea@x.org")
    assert there is not None
    world.portal.edit(there.id, {"city": "Bonn"})
    world.quiet()
    assert contact(world, "ada@x.org", "city") == {"city": "Ulm"}
    assert world.sql("select town from people where id = 2") == [{"town": "Bonn"}]


def test_a_field_that_is_mapped_no_more_is_forgotten(opened: Open) -> None:
    opened(FILE + TOWN).sweep()
    world = opened(FILE)
    world.sql("update people set town = 'Bonn'")
    world.quiet()
    world.sweep()
    assert contact(world, "ada@x.org", "city") == {"city": "Ulm"}
    assert world.sql("select count(*) as n from sync.link where base ? 'city'") == [{"n": 0}]


def test_a_column_with_another_property_is_asked_for(opened: Open) -> None:
    opened(FILE + TOWN).sweep()
    with pytest.raises(Ambiguous, match="--renamed city=address"):
        opened(FILE + 'address = { column = "town" }\n')
    world = opened(FILE + 'address = { column = "town" }\n', city="address")
    assert world.sql("select base ->> 'address' as a from sync.link where base ->> 'email' = 'ada@x.org'") == [
        {"a": "Ulm"}
    ]


def test_a_field_whose_column_was_renamed_goes_on_from_its_base(opened: Open) -> None:
    before = opened(FILE + TOWN)
    before.sweep()
    before.sql("alter table people rename column town to place")
    before.sql("update people set place = 'Bonn' where id = 1")
    own = before.settings.own_table
    assert own is not None
    assert fit(before.dsn, own)
    before.quiet()
    assert contact(before, "ada@x.org", "city") == {"city": "Ulm"}
    world = opened(FILE + 'city = { column = "place" }\n')
    world.quiet()
    assert contact(world, "ada@x.org", "city") == {"city": "Bonn"}
    assert world.sql("select * from sync.parked") == []


def test_a_second_run_touches_nothing(opened: Open) -> None:
    world = opened(FILE)
    state = "select (select array_agg(xmin::text order by oid) from pg_proc where oid >= 16384) as functions, "
    state += "(select array_agg(xmin::text order by oid) from pg_trigger) as triggers"
    before = world.sql(state)
    with psycopg.connect(world.dsn) as other:
        # Nothing that would wait for somebody's lock on the table, or on its rows.
        other.execute("lock table people in access exclusive mode")
        install(world.dsn, SCHEMA, world.settings.own_table)
    assert world.sql(state) == before


@pytest.mark.parametrize("program", ["reconciler", "api", "webhook"])
@pytest.mark.trial
def test_a_process_with_another_mapping_says_so_and_exits_2(opened: Open, tmp_path: Path, program: str) -> None:
    world = opened(FILE)
    environment = {
        "PATH": "",
        "DATABASE_URL": world.dsn,
        "HUBSPOT_ACCESS_TOKEN": world.sandbox.token,
        "HUBSPOT_BASE_URL": world.sandbox.url,
        "HUBSPOT_CLIENT_SECRET": "secret",
        "HUBSPOT_WEBHOOK_URL": "http://127.0.0.1/hook",
        "JWT_SECRET": "x" * 32,
    }
    other = tmp_path / "other.toml"
    other.write_text(FILE + TOWN)
    for more in ({}, {"MAPPING_FILE": str(other)}):
        ended = subprocess.run(
            [sys.executable, "-m", program], env=environment | more, capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == 2
        assert "made for another mapping" in ended.stdout + ended.stderr


def test_a_database_of_a_later_version_is_refused_with_both_numbers(opened: Open) -> None:
    world = opened(FILE)
    world.sql("create or replace function sync.version() returns integer language sql immutable return 99")
    with pytest.raises(Refused, match="version 99, this program of version 2"):
        install(world.dsn, SCHEMA, world.settings.own_table)
    with pytest.raises(NewerDatabase, match="version 99, this program of version 2"):
        check_home(world.parts.database, world.parts.mapping)


def test_the_links_are_shown_to_people_by_key(opened: Open) -> None:
    world = opened(FILE)
    world.sweep()
    shown = world.sql("select key, contactid, alive, state from sync.links order by key")
    ids = {row["contactid"] for row in shown}
    assert [(row["key"], row["alive"], row["state"]) for row in shown] == [("1", True, "linked"), ("2", True, "linked")]
    assert ids == {int(each.id) for each in world.portal.contacts}


def test_the_programs_version_is_that_of_the_schema(table: str) -> None:
    install(table, SCHEMA, None)
    with psycopg.connect(table) as connection:
        assert connection.execute("select sync.version()").fetchone() == (VERSION,)
