"""Which rows and contacts are kept equal: what is out of scope is left alone on either side, and loops nowhere."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from test_adoption import SCHEMA, contact
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.install import install
from reconciler.commands.audit import Audit, Finding
from reconciler.commands.backfill import Backfill
from reconciler.mapping.reading import load

TABLE = """
create table people (
    id bigint generated always as identity primary key, mail text, first text, note text not null default 'none',
    kind text not null default 'customer', tier integer, edited timestamptz
)
"""
FILE = """
[table]
name = "public.people"
key = "id"
updated = "edited"
where = "kind = 'customer'"
{table}

[contacts]
{contacts}

[fields]
email = {{ column = "mail", type = "email" }}
firstname = {{ column = "first" }}
{fields}
"""

Make = Callable[..., World]


@pytest.fixture
def make(empty: str, tmp_path: Path) -> Iterator[Make]:
    """Adopt the table with this in its parts of the file."""
    with ExitStack() as stack:

        def made(*, table: str = "", contacts: str = "", fields: str = "", rows: str = "") -> World:
            file = tmp_path / "mapping.toml"
            file.write_text(FILE.format(table=table, contacts=contacts, fields=fields))
            with psycopg.connect(empty) as connection:
                connection.execute(TABLE)
                if rows:
                    connection.execute(f"insert into people (mail, first, kind, tier) values {rows}".encode())
            install(empty, SCHEMA, load(str(file)))
            pool = stack.enter_context(open_pool(empty, size=4))
            world = stack.enter_context(World.open(empty, Database(pool), MAPPING_FILE=str(file)))
            world.portal.add_property("tier", type="number")
            return world

        yield made


def assert_at_rest(world: World) -> None:
    """Nothing differs that is to be equal, and another look at all of it writes nothing."""
    parts, rules = world.parts, world.parts.rules()
    audit = Audit(parts.database, parts.hubspot, parts.marks, rules)
    audit.run(repair=False)
    wrong = {finding for finding, n in audit.counts.items() if n} - {Finding.EQUAL, Finding.POLICY}
    assert not wrong, list(audit.lines())
    revision, rows = world.portal.revision, world.sql("select *, xmin::text from people order by id")
    world.event(*[each.id for each in world.portal.contacts])
    world.sql("select sync.mark(array(select sync.of_customer(uuid) from sync.identity), 1)")
    world.quiet()
    world.sweep()
    assert world.portal.revision == revision
    assert world.sql("select *, xmin::text from people order by id") == rows


def people(world: World) -> list[tuple[object, object]]:
    return [(row["mail"], row["first"]) for row in world.sql("select mail, first from people order by id")]


def test_a_contact_without_what_is_required_gets_no_row(make: Make) -> None:
    world = make(contacts='requires = ["email", "firstname"]')
    world.portal.create({"email": "ada@x.org"})
    known = world.portal.create({"email": "bea@x.org", "firstname": "Bea"})
    world.sweep()
    assert people(world) == [("bea@x.org", "Bea")]
    world.portal.edit(known.id, {"firstname": ""})
    world.event(known.id)
    world.quiet()
    # One that is linked stays linked.
    assert people(world) == [("bea@x.org", None)]
    assert_at_rest(world)


def test_a_contact_becomes_a_row_once_it_is_wanted(make: Make) -> None:
    world = make(contacts='where = { lifecyclestage = ["customer", "opportunity"] }')
    lead = world.portal.create({"email": "ada@x.org", "lifecyclestage": "lead"})
    world.portal.create({"email": "bea@x.org", "lifecyclestage": "customer"})
    world.sweep()
    assert people(world) == [("bea@x.org", None)]
    assert_at_rest(world)
    world.portal.edit(lead.id, {"lifecyclestage": "customer"})
    world.event(lead.id)
    world.quiet()
    assert people(world) == [("bea@x.org", None), ("ada@x.org", None)]


def test_a_contact_that_meets_a_row_in_scope_is_linked_whatever_it_is(make: Make) -> None:
    world = make(
        contacts='where = { lifecyclestage = ["customer"] }\nrequires = ["firstname"]',
        rows="('ada@x.org', 'Ada', 'customer', null)",
    )
    world.portal.create({"email": "ada@x.org", "lifecyclestage": "lead"})
    world.sweep()
    assert contact(world, "ada@x.org", "firstname") == {"firstname": "Ada"}
    assert len(world.portal.contacts) == 1


def test_a_contact_of_a_row_out_of_scope_is_left_alone(make: Make) -> None:
    world = make(rows="('ada@x.org', 'Ada', 'staff', null)")
    world.portal.create({"email": "ada@x.org", "firstname": "Other"})
    world.sweep()
    assert people(world) == [("ada@x.org", "Ada")]
    assert contact(world, "ada@x.org", "firstname") == {"firstname": "Other"}
    assert world.sql("select * from sync.parked") == []
    world.sweep()
    assert world.sql("select count(*) as n from sync.link") == [{"n": 0}]
    assert_at_rest(world)


def test_a_row_that_leaves_keeps_its_contact_and_meets_it_again(make: Make) -> None:
    world = make(rows="('ada@x.org', 'Ada', 'customer', null)")
    world.sweep()
    known = world.portal.contact("ada@x.org")
    assert known is not None
    world.sql("update people set kind = 'staff'")
    world.quiet()
    world.sql("update people set first = 'Not told'")
    world.portal.edit(known.id, {"company": "x"})
    world.event(known.id)
    world.quiet()
    world.sweep()
    assert contact(world, "ada@x.org", "firstname") == {"firstname": "Ada"}
    world.sql("update people set kind = 'customer'")
    world.quiet()
    assert contact(world, "ada@x.org", "firstname") == {"firstname": "Not told"}
    assert [each.id for each in world.portal.contacts] == [known.id]
    assert_at_rest(world)


def test_a_row_that_leaves_may_archive_its_contact_and_gets_a_new_one(make: Make) -> None:
    world = make(table='leaves = "archive"', rows="('ada@x.org', 'Ada', 'customer', null)")
    world.sweep()
    world.sql("update people set kind = 'staff'")
    world.quiet()
    assert contact(world, "ada@x.org") is None
    world.sql("update people set kind = 'customer'")
    world.quiet()
    assert contact(world, "ada@x.org", "firstname") == {"firstname": "Ada"}
    assert_at_rest(world)


def test_where_no_rows_are_inserted_contacts_only_meet_rows(make: Make) -> None:
    world = make(table="insert = false", rows="('ada@x.org', 'Ada', 'customer', null)")
    world.portal.create({"email": "ada@x.org", "firstname": "Ada"})
    world.portal.create({"email": "bea@x.org", "firstname": "Bea"})
    world.sweep()
    assert people(world) == [("ada@x.org", "Ada")]
    assert world.sql("select * from sync.parked") == []
    known = world.portal.contact("ada@x.org")
    assert known is not None
    world.portal.edit(known.id, {"firstname": "Edited"})
    world.event(known.id)
    world.quiet()
    assert people(world) == [("ada@x.org", "Edited")]
    assert_at_rest(world)


def test_a_dry_run_promises_no_row_to_a_contact_out_of_scope(make: Make) -> None:
    world = make(
        contacts='requires = ["email", "firstname"]\nwhere = { lifecyclestage = ["customer"] }',
        rows="('staff@x.org', 'Eva', 'staff', null)",
    )
    world.portal.create({"email": "ada@x.org", "lifecyclestage": "customer"})
    world.portal.create({"email": "bea@x.org", "firstname": "Bea", "lifecyclestage": "lead"})
    world.portal.create({"email": "staff@x.org", "firstname": "Eva", "lifecyclestage": "customer"})
    world.portal.create({"email": "cor@x.org", "firstname": "Cor", "lifecyclestage": "customer"})
    counts = Backfill(world.parts).preview().counts
    assert {what: n for what, n in counts.items() if n} == {
        "customers to insert": 1,
        "contacts out of scope, left alone": 3,
    }
    world.sweep()
    assert people(world) == [("staff@x.org", "Eva"), ("cor@x.org", "Cor")]


def test_filling_writes_what_is_empty_and_leaves_what_differs_to_a_person(make: Make) -> None:
    world = make(
        contacts='first = "fill"',
        fields='tier = { column = "tier", type = "number" }',
        rows="('ada@x.org', 'Ada', 'customer', null), ('bea@x.org', null, 'customer', 7)",
    )
    world.portal.create({"email": "ada@x.org", "firstname": "Other", "tier": "3"})
    world.portal.create({"email": "bea@x.org", "firstname": "Bea"})
    world.sweep()
    assert world.sql("select first, tier from people order by id") == [
        {"first": "Ada", "tier": 3},
        {"first": "Bea", "tier": 7},
    ]
    assert contact(world, "ada@x.org", "firstname") == {"firstname": "Other"}
    assert contact(world, "bea@x.org", "tier") == {"tier": "7"}
    assert world.sql("select property, kept, lost from sync.conflicts") == [
        {"property": "firstname", "kept": "Ada", "lost": "Other"}
    ]


@pytest.mark.parametrize(("first", "name"), [("hubspot", "Other"), ("postgres", "Ada")])
def test_the_first_link_goes_by_the_file(make: Make, first: str, name: str) -> None:
    world = make(contacts=f'first = "{first}"', rows="('ada@x.org', 'Ada', 'customer', null)")
    world.portal.create({"email": "ada@x.org", "firstname": "Other"})
    world.sweep()
    assert people(world) == [("ada@x.org", name)]
    assert_at_rest(world)


def test_a_row_of_unknown_age_loses_at_the_first_link(make: Make) -> None:
    world = make(rows="('ada@x.org', 'Ada', 'customer', null)")
    world.portal.create({"email": "ada@x.org", "firstname": "Other"})
    world.sweep()
    assert people(world) == [("ada@x.org", "Other")]


def test_a_default_of_the_table_goes_to_hubspot(make: Make) -> None:
    world = make(fields='company = { column = "note", direction = "to_hubspot" }')
    world.portal.create({"email": "ada@x.org", "firstname": "Ada", "company": "theirs"})
    world.sweep()
    assert contact(world, "ada@x.org", "company") == {"company": "none"}
    assert_at_rest(world)


def test_a_one_way_field_goes_one_way(make: Make) -> None:
    world = make(
        fields='company = { column = "note", direction = "to_hubspot" }\n'
        'tier = { column = "tier", type = "number", direction = "to_postgres" }',
        rows="('ada@x.org', 'Ada', 'customer', 1)",
    )
    world.sweep()
    known = world.portal.contact("ada@x.org")
    assert known is not None
    assert contact(world, "ada@x.org", "company", "tier") == {"company": "none", "tier": None}
    world.portal.edit(known.id, {"company": "theirs", "tier": "5"})
    world.sql("update people set tier = 2")
    world.event(known.id)
    world.quiet()
    assert world.sql("select note, tier from people") == [{"note": "none", "tier": 5}]
    assert contact(world, "ada@x.org", "company", "tier") == {"company": "theirs", "tier": "5"}
    assert world.sql("select * from sync.conflicts") == []
    assert_at_rest(world)
    world.sql("update people set note = 'ours', tier = 9")
    world.quiet()
    assert contact(world, "ada@x.org", "company", "tier") == {"company": "ours", "tier": "5"}
    assert_at_rest(world)


def test_an_emptying_that_is_kept_stays_where_it_is(make: Make) -> None:
    world = make(
        fields='tier = { column = "tier", type = "number", when_empty = "keep" }',
        rows="('ada@x.org', 'Ada', 'customer', 1)",
    )
    world.sweep()
    world.sql("update people set tier = null")
    world.quiet()
    assert contact(world, "ada@x.org", "tier") == {"tier": "1"}
    assert_at_rest(world)
    assert world.sql("select tier from people") == [{"tier": None}]


def test_a_new_row_that_would_be_out_of_scope_is_not_made_and_told(make: Make) -> None:
    world = make(table="""insert = { kind = "'lead'" }""")
    world.portal.create({"email": "ada@x.org", "firstname": "Ada"})
    world.sweep()
    assert people(world) == []
    assert world.sql("select code, detail from sync.parked") == [
        {"code": "row_refused", "detail": "where of the mapping file"}
    ]
