"""Tables of owners, as public schemas have them: adopted by a mapping file, kept equal, and otherwise left alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.install import install
from reconciler.commands.audit import Audit, Finding
from reconciler.commands.backfill import Backfill
from reconciler.mapping.reading import load

HERE = Path(__file__).parent
SCHEMA = (HERE.parents[1] / "schema.sql").read_text()

CATALOGUE = """
select 'column', table_name::text, column_name::text, data_type || is_nullable || coalesce(column_default, '')
from information_schema.columns where table_schema = 'public'
union all
select 'index', tablename, indexname, indexdef from pg_indexes where schemaname = 'public'
union all
select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
where connamespace = 'public'::regnamespace
union all
select 'trigger', tgrelid::regclass::text, tgname, '' from pg_trigger where not tgisinternal
"""


@dataclass(frozen=True)
class Owner:
    """What the application does, in its own SQL; `one`: the address of a row, `dies` and `is_dead` about that row."""

    name: str
    table: str
    key: str
    rows: int
    properties: tuple[dict[str, Any], ...]
    insert: str
    edit: str
    edited: tuple[str, str]
    dies: str
    is_dead: str
    joined: tuple[str, ...] = ()


FIRST = "first1@example.com"
OWNERS = [
    Owner(
        name="01_pagila",
        table="customer",
        key="customer_id",
        rows=400,
        properties=(),
        insert="insert into customer (store_id, first_name, last_name, email, address_id) "
        "values (1, 'New', 'Person', 'new@example.com', 1)",
        edit="update customer set first_name = 'Edited' where email = 'FIRST1.LAST1@sakilacustomer.org'",
        edited=("first1.last1@sakilacustomer.org", "firstname"),
        dies="update customer set activebool = false where email = 'new@example.com'",
        is_dead="select not activebool as dead from customer where email = %s",
    ),
    Owner(
        name="02_chinook",
        table="customer",
        key="customer_id",
        rows=300,
        properties=({"name": "rep", "type": "number"},),
        insert="insert into customer (first_name, last_name, email) values ('New', 'Person', 'new@example.com')",
        edit="update customer set first_name = 'Edited' where email = 'first1.last1@example.com'",
        edited=("first1.last1@example.com", "firstname"),
        dies="delete from customer where email = 'new@example.com'",
        is_dead="",
    ),
    Owner(
        name="03_medusa",
        table="customer",
        key="id",
        rows=300,
        properties=(),
        insert="insert into customer (id, first_name, email, has_account) "
        "values ('cus_n', 'New', 'new@example.com', true)",
        edit=f"update customer set first_name = 'Edited' where email = '{FIRST}' and has_account",
        edited=(FIRST, "firstname"),
        dies="update customer set deleted_at = now() where email = 'new@example.com'",
        is_dead="select deleted_at is not null as dead from customer where email = %s",
    ),
    Owner(
        name="06_chatwoot",
        table="contacts",
        key="id",
        rows=200,
        properties=({"name": "is_blocked", "type": "bool"}, {"name": "seen", "type": "datetime"}),
        insert="insert into contacts (name, email, account_id, created_at, updated_at) "
        "values ('New', 'new@example.com', 1, now(), now())",
        edit=f"update contacts set name = 'Edited', blocked = true where email = '{FIRST}' and account_id = 1",
        edited=(FIRST, "firstname"),
        dies="delete from contacts where email = 'new@example.com'",
        is_dead="select count(*) = 0 as dead from contacts where email = %s",
    ),
    Owner(
        name="07_calcom",
        table="users",
        key="id",
        rows=300,
        properties=(),
        insert="insert into users (name, email) values ('New Person', 'new@example.com')",
        edit=f"update users set name = 'Edited Last1' where email = '{FIRST}'",
        edited=(FIRST, "firstname"),
        dies="update users set locked = true where email = 'new@example.com'",
        is_dead="select locked as dead from users where email = %s",
    ),
    Owner(
        name="10_discourse",
        table="users",
        key="id",
        rows=300,
        properties=({"name": "born", "type": "date"},),
        insert="with made as (insert into users (username, username_lower, name, created_at, updated_at, active, "
        "trust_level) values ('new', 'new', 'New Person', now(), now(), true, 1) returning id) "
        'insert into user_emails (user_id, email, "primary", created_at, updated_at) '
        "select id, 'new@example.com', true, now(), now() from made",
        edit="update users set name = 'Edited Last1' where username = 'User1'",
        edited=(FIRST, "firstname"),
        dies="update users set active = false where username = 'new'",
        is_dead="select not active as dead from users join user_emails on user_id = users.id where email = %s",
        joined=("user_emails",),
    ),
    Owner(
        name="12_django",
        table="auth_user",
        key="id",
        rows=305,
        properties=(),
        insert="insert into auth_user (password, is_superuser, username, first_name, last_name, email, is_staff, "
        "is_active, date_joined) values ('!', false, 'new', 'New', 'Person', 'new@example.com', false, true, now())",
        edit="update auth_user set first_name = 'Edited' where email = 'first11@example.com'",
        edited=("first11@example.com", "firstname"),
        dies="update auth_user set is_active = false where email = 'new@example.com'",
        is_dead="select not is_active as dead from auth_user where email = %s",
    ),
]


@pytest.fixture(params=OWNERS, ids=lambda owner: owner.name)
def owner(request: pytest.FixtureRequest) -> Owner:
    found: Owner = request.param
    return found


@pytest.fixture
def adopted(empty: str, owner: Owner) -> Iterator[World]:
    """The owner's table with its rows, adopted; and HubSpot with the properties it needs."""
    with psycopg.connect(empty) as connection:
        connection.execute((HERE / "schemas" / f"{owner.name}.sql").read_bytes())
    with world_of(empty, owner) as world:
        yield world


@contextmanager
def world_of(dsn: str, owner: Owner) -> Iterator[World]:
    file = HERE / "files" / f"{owner.name}.toml"
    install(dsn, SCHEMA, load(str(file)))
    with (
        open_pool(dsn, size=8) as pool,
        World.open(dsn, Database(pool), MAPPING_FILE=str(file), BRAKE_CREATE="100000", BRAKE_DELETE="1000") as world,
    ):
        for each in owner.properties:
            world.portal.add_property(**each)
        yield world


def audit(world: World) -> Audit:
    parts = world.parts
    return Audit(parts.database, parts.hubspot, parts.marks, parts.rules())


def assert_equal(world: World) -> None:
    """Nothing differs, but rows whose address another one has."""
    compared = audit(world)
    compared.run(repair=False)
    doubles = world.sql("select count(*) as n from sync.parked where code in ('address_taken', 'duplicate')")[0]["n"]
    order = {Finding.EQUAL, Finding.IN_FLIGHT, Finding.POLICY}
    others = {finding: n for finding, n in compared.counts.items() if n and finding not in order}
    assert others == ({Finding.PARKED: doubles} if doubles else {}), list(compared.lines())


def contact(world: World, address: str, *properties: str) -> dict[str, str | None] | None:
    found = world.portal.contact(address)
    return None if found is None or found.archived else {name: found.get(name) or None for name in properties}


def test_nothing_is_added_to_the_table_but_three_triggers(empty: str, owner: Owner) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute((HERE / "schemas" / f"{owner.name}.sql").read_bytes())
        before = set(connection.execute(CATALOGUE).fetchall())
        rows = connection.execute(f"select t::text, xmin::text from {owner.table} t order by 1").fetchall()
        install(empty, SCHEMA, load(str(HERE / "files" / f"{owner.name}.toml")))
        after = set(connection.execute(CATALOGUE).fetchall())
        tables, events = (owner.table, *owner.joined), ("insert", "update", "delete")
        assert after - before == {("trigger", table, f"sync_{event}", "") for table in tables for event in events}
        assert before <= after
        assert connection.execute(f"select t::text, xmin::text from {owner.table} t order by 1").fetchall() == rows


@pytest.mark.trial
def test_a_table_is_adopted_and_kept_equal(adopted: World, owner: Owner) -> None:
    """One life of a table: it fills HubSpot once, and then each step has to leave both sides equal."""
    rows = adopted.sql(f"select t::text as row, xmin::text from {owner.table} t order by 1")
    Backfill(adopted.parts).run()
    adopted.quiet()
    # Rows are read, and not written.
    assert adopted.sql(f"select t::text as row, xmin::text from {owner.table} t order by 1") == rows
    for step in (
        _the_applications_writes_go_over,
        _hubspots_edits_go_over,
        _a_new_contact_becomes_a_row_and_its_archive_marks_it_dead,
        _rows_that_no_trigger_saw_come_are_found_by_the_sweep,
        _an_erase_leaves_no_value_of_the_person,
    ):
        step(adopted, owner)
        assert_equal(adopted)


def _the_applications_writes_go_over(adopted: World, owner: Owner) -> None:
    adopted.sql(owner.edit)
    adopted.sql(owner.insert)
    adopted.quiet()
    address, field = owner.edited
    assert contact(adopted, address, field) == {field: "Edited"}
    assert contact(adopted, "new@example.com", "firstname") == {"firstname": "New"}
    assert_equal(adopted)
    adopted.sql(owner.dies)
    adopted.quiet()
    # Where rows never die, a deleted one only lets go of its contact.
    assert (contact(adopted, "new@example.com") is None) == bool(owner.is_dead)


def _hubspots_edits_go_over(adopted: World, owner: Owner) -> None:
    address, _ = owner.edited
    known = adopted.portal.contact(address)
    assert known is not None
    adopted.portal.edit(known.id, {"lastname": "Changed"})
    adopted.event(known.id)
    adopted.quiet()
    held = adopted.sql("select canonical from sync.customers() where address = %s", address)
    assert [row["canonical"]["lastname"] for row in held] == ["Changed"]


def _a_new_contact_becomes_a_row_and_its_archive_marks_it_dead(adopted: World, owner: Owner) -> None:
    made = adopted.portal.create({"email": "eva@example.com", "firstname": "Eva", "lastname": "Ems"})
    adopted.event(made.id)
    adopted.quiet()
    held = adopted.sql("select canonical, contactid from sync.customers() where address = 'eva@example.com'")
    assert [(row["canonical"]["firstname"], row["canonical"]["lastname"]) for row in held] == [("Eva", "Ems")]
    assert held[0]["contactid"] == int(made.id)
    assert_equal(adopted)
    adopted.portal.delete(made.id)
    adopted.event(made.id)
    adopted.quiet()
    if owner.is_dead:
        assert adopted.sql(owner.is_dead, "eva@example.com") == [{"dead": True}]


def _rows_that_no_trigger_saw_come_are_found_by_the_sweep(adopted: World, owner: Owner) -> None:
    adopted.sql(f"alter table {owner.table} disable trigger sync_insert")
    adopted.sql(owner.insert.replace("new@", "unseen@").replace("'new'", "'unseen'").replace("cus_n", "cus_u"))
    adopted.sweep()
    assert contact(adopted, "unseen@example.com", "firstname") == {"firstname": "New"}
    adopted.sql(f"alter table {owner.table} enable trigger sync_insert")


def _an_erase_leaves_no_value_of_the_person(adopted: World, owner: Owner) -> None:
    address, _ = owner.edited
    adopted.parts.database.rows("request_erasure", address=address)
    adopted.sql("select sync.mark(array(select sync.of_customer(uuid) from sync.link where erase_due), 0)")
    adopted.quiet()
    assert adopted.portal.contact(address) is None
    assert adopted.sql("select uuid from sync.customers() where address = %s", address) == []
    everywhere = "select (select count(*) from sync.history where changes::text ilike %s) as n"
    assert adopted.sql(everywhere, f"%{address}%") == [{"n": 0}]
    # Rows out of scope are nobody the sync knows.
    scope = load(str(HERE / "files" / f"{owner.name}.toml")).table.where or "true"
    rows = adopted.sql(f"select t::text as row from {owner.table} t where {scope}")
    assert not [row for row in rows if address in row["row"]]
