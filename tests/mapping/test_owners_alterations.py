"""The owner goes on altering his table after its adoption; and may have it back as it was."""

from collections.abc import Iterator

import psycopg
import pytest
from test_adoption import HERE, OWNERS, SCHEMA, Owner, assert_equal, contact, world_of
from world import World

from reconciler.adapters.postgres.install import fit, install, remove
from reconciler.commands.backfill import Backfill
from reconciler.mapping.reading import load

CHINOOK = next(owner for owner in OWNERS if owner.name == "02_chinook")
ADDRESS = "first2.last2@example.com"


@pytest.fixture
def adopted(empty: str) -> Iterator[World]:
    with psycopg.connect(empty) as connection:
        connection.execute((HERE / "schemas" / "02_chinook.sql").read_bytes())
    with world_of(empty, CHINOOK) as world:
        Backfill(world.parts).run()
        world.quiet()
        yield world


def fitted(world: World) -> bool:
    """What the reconciler does every twenty seconds."""
    own = world.settings.own_table
    assert own is not None
    return fit(world.dsn, own)


ALTERATIONS = {
    "a wider text": "alter table customer alter column first_name type varchar(400)",
    "a text": "alter table customer alter column phone type text",
    "a wider number": "alter table customer alter column support_rep_id type bigint",
    "a wider key": "alter table customer alter column customer_id type bigint",
    "another column": "alter table customer add column tier integer not null default 3",
    "a column less": "alter table customer drop column fax",
    "a new name for a column": "alter table customer rename column city to town",
    "a default": "alter table customer alter column company set default 'none'",
    "nothing needed": "alter table customer alter column last_name drop not null",
    "a constraint": "alter table customer add constraint known check (length(first_name) < 100)",
    "an index": "create index on customer (lower(email))",
}


@pytest.mark.parametrize("how", ALTERATIONS)
def test_the_owner_alters_the_table_and_the_sync_goes_on(adopted: World, how: str) -> None:
    adopted.sql(ALTERATIONS[how])
    adopted.sql("update customer set first_name = 'Edited' where email = %s", ADDRESS)
    fitted(adopted)
    adopted.quiet()
    assert contact(adopted, ADDRESS, "firstname") == {"firstname": "Edited"}
    assert_equal(adopted)


@pytest.mark.parametrize("how", ["drop column company", "rename column company to firm"])
def test_a_column_that_is_gone_stops_its_field_and_nothing_else(adopted: World, how: str) -> None:
    before = contact(adopted, "first5.last5@example.com", "company")
    assert before == {"company": "Company 5"}
    adopted.sql(f"alter table customer {how}")
    # The application's write passes, whatever the capture makes of it.
    adopted.sql("update customer set first_name = 'Edited' where email = 'first5.last5@example.com'")
    assert fitted(adopted)
    assert not fitted(adopted)
    adopted.quiet()
    assert contact(adopted, "first5.last5@example.com", "firstname", "company") == {
        "firstname": "Edited",
        "company": "Company 5",
    }
    parked = adopted.sql("select property, code from sync.parked")
    assert parked == [{"property": "company", "code": "unfit_value"}]
    assert_equal(adopted)


def test_a_column_that_is_back_lets_its_field_go_again(adopted: World) -> None:
    adopted.sql("alter table customer rename column company to firm")
    assert fitted(adopted)
    adopted.sql("update customer set firm = 'New' where email = 'first5.last5@example.com'")
    adopted.quiet()
    adopted.sql("alter table customer rename column firm to company")
    assert fitted(adopted)
    adopted.sweep()
    assert contact(adopted, "first5.last5@example.com", "company") == {"company": "New"}
    assert_equal(adopted)
    assert adopted.sql("select property from sync.parked") == []


def test_a_column_that_is_back_as_it_was_blocks_nothing(adopted: World) -> None:
    adopted.sql("alter table customer rename column company to firm")
    assert fitted(adopted)
    adopted.sweep()
    assert adopted.sql("select distinct property from sync.parked") == [{"property": "company"}]
    adopted.sql("alter table customer rename column firm to company")
    assert fitted(adopted)
    adopted.quiet()
    assert adopted.sql("select property from sync.parked") == []


def test_a_changed_key_is_the_same_row_still(adopted: World) -> None:
    uuid = adopted.sql("select uuid from sync.customers() where address = %s", ADDRESS)
    adopted.sql("update customer set customer_id = 900, first_name = 'Edited' where email = %s", ADDRESS)
    adopted.quiet()
    assert adopted.sql("select uuid from sync.customers() where address = %s", ADDRESS) == uuid
    assert contact(adopted, ADDRESS, "firstname") == {"firstname": "Edited"}
    assert_equal(adopted)


def test_keys_that_change_in_many_rows_at_once_are_the_same_people(adopted: World) -> None:
    contacts = len(adopted.portal.contacts)
    adopted.sql("update customer set customer_id = customer_id + 1000")
    adopted.quiet()
    adopted.sweep()
    assert len(adopted.portal.contacts) == contacts
    assert_equal(adopted)


@pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: owner.name)
def test_a_removed_sync_leaves_the_database_as_it_was(empty: str, owner: Owner) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute((HERE / "schemas" / f"{owner.name}.sql").read_bytes())
        before = everything(connection)
        own = load(str(HERE / "files" / f"{owner.name}.toml"))
        install(empty, SCHEMA, own)
        assert everything(connection) != before
        remove(empty)
        assert everything(connection) == before


EVERYTHING = """
select 'relation', c.oid::regclass::text, c.relkind::text, c.relacl::text from pg_class c
where c.oid >= 16384 and c.relnamespace <> 'pg_toast'::regnamespace
union all
select 'function', oid::regprocedure::text, md5(prosrc), proacl::text from pg_proc where oid >= 16384
union all
select 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod) || attnotnull from pg_attribute
where attrelid >= 16384 and attnum > 0 and attrelid::regclass::text not like 'pg_toast%'
union all
select 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) from pg_trigger
union all
select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint where oid >= 16384
union all
select 'schema', nspname, nspacl::text, '' from pg_namespace where nspname !~ 'temp'
"""


def everything(connection: "psycopg.Connection[tuple[object, ...]]") -> set[tuple[object, ...]]:
    """The catalogue, whole."""
    return set(connection.execute(EVERYTHING).fetchall())
