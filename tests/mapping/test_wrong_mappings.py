"""Mappings that do not fit their database or HubSpot: each is refused in words, with what to write instead."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from reconciler.adapters.postgres.catalogue import looking, open_line, read_catalogue
from reconciler.adapters.postgres.trials import Measures
from reconciler.commands.mapping import check, look_at, suggest
from reconciler.core.errors import Busy, DatabaseDown, Unavailable
from reconciler.mapping.choosing import NoTable
from reconciler.mapping.reading import parse
from reconciler.mapping.toml import lines_of
from reconciler.process.settings import Look
from sandbox.running import Sandbox

ROOT = Path(__file__).parents[2]

SHOP = """
create type plan as enum ('free', 'pro');
create table people (
    id serial primary key, email text, first_name text, last_name varchar(20), age integer check (age > 0),
    plan plan, born date, seen timestamptz, tags text[], guest boolean, code text not null, nick varchar(10) unique,
    twice integer generated always as (age * 2) stored, token uuid, deleted_at timestamptz, entered timestamp,
    stage text);
create table emails (id serial primary key, person integer not null references people, address text not null,
    first boolean not null default false, kind text not null);
create table parts (id integer primary key, email text) partition by range (id);
create view shown as select * from people;
create extension if not exists file_fdw;
create server files foreign data wrapper file_fdw;
create foreign table away (id integer not null, email text) server files options (filename '/dev/null');
create function tidy() returns trigger language plpgsql as $$ begin new.email = lower(new.email); return new; end $$;
create trigger tidy before insert or update on people for each row execute function tidy();
insert into people (email, first_name, last_name, code, age)
  select case when g % 2 = 0 then 'kai' || g || '@example.com' end, 'Kai', 'Krueger', 'c', 20 + g
  from generate_series(1, 20) g;
insert into people (email, first_name, code, age) values ('KAI2@example.com', '', 'd', 5);
insert into emails (person, address, kind) select id, email, 'x' from people where email is not null;
insert into emails (person, address, kind) values (2, 'other@example.com', 'x');
"""

TABLE: Mapping[str, Any] = {"name": "public.people", "key": "id", "insert": {"code": "'x'"}}
FIELDS: Mapping[str, Any] = {
    "email": {"column": "email", "type": "email"},
    "firstname": {"column": "first_name"},
}


def mapping(*, fields: Mapping[str, Any] = {}, write: Mapping[str, str] = {}, **table: Any) -> str:  # noqa: B006
    """A mapping of the shop that is right but for what is given; a field that is None is left out."""
    joined = table.pop("joined", None)
    where = table.pop("contacts", None)
    kept = {name: each for name, each in {**FIELDS, **fields}.items() if each is not None}
    lines = ["[table]", *lines_of({**TABLE, **table}), "[fields]", *lines_of(kept)]
    lines += ["[groups.name]", *lines_of({"write": write})] if write else []
    lines += ["[contacts]", *lines_of({"where": where})] if where else []
    lines += ["[[joined]]", *lines_of(joined)] if joined else []
    return "\n".join(lines)


def of(name: str, **keys: Any) -> dict[str, Any]:
    return {"fields": {name: keys}}


JOINED = {
    "table": "public.emails",
    "on": "person",
    "where": "first",
    "insert": {"first": "true", "kind": "'x'"},
    "fields": {"email": {"column": "address", "type": "email"}},
}
NO_EMAIL: Mapping[str, Any] = {"email": None}
GROUP = {
    "firstname": {"read": "split_part(first_name, ' ', 1)", "group": "name"},
}

WRONG: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "no such table": ({"name": "public.peopel"}, "public.peopel: no such table", 'write "public.people"'),
    "another schema": ({"name": "shop.people"}, "shop.people: no such table", 'write "public.people"'),
    "a view": ({"name": "public.shown"}, "public.shown: it is a view", "write the table"),
    "a foreign table": ({"name": "public.away"}, "public.away: it is a foreign table", "write the table"),
    "a key that is not unique": ({"key": "code"}, "code: no unique NOT NULL key", 'write key = "id"'),
    "a key that may be NULL": ({"key": "nick"}, "nick: no unique NOT NULL key", 'write key = "id"'),
    "a key that is not there": ({"key": "uid"}, "uid: no such column", "write"),
    "a column that is not there": (of("phone", column="zzz"), "zzz: no such column", "write one of"),
    "a column like a mapped one": (of("phone", column="first_nme"), "first_nme: no such column", 'write "last_name"'),
    "a column in another case": (of("lastname", column="Last_Name"), "Last_Name: no such column", 'write "last_name"'),
    "a property that is not there": (of("frstname", column="last_name"), "frstname: no such property", '"firstname"'),
    "a scope of no property": ({"contacts": {"lifecycle": ("x",)}}, "lifecycle: no such property", "lifecyclestage"),
    "a scope of no option": ({"contacts": {"lifecyclestage": ("x",)}}, "x is none of HubSpot's options", "write"),
    "no kind where one is needed": (
        of("city", column="age"),
        "age: integer does not hold text values",
        'type = "number"',
    ),
    "a kind the column cannot hold": (
        of("num", column="stage", type="number"),
        "text does not hold number values",
        "text",
    ),
    "an address in a number": (of("email", column="age", type="email"), "integer does not hold email values", "write"),
    "a text in a uuid": (of("city", column="token"), "uuid does not hold text values", 'direction = "to_hubspot"'),
    "a flag without values": (of("city", column="age", type="boolean"), "does not hold boolean values", "write values"),
    "a date in a time": (of("city", column="seen", type="date"), "does not hold date values", 'type = "datetime"'),
    "a number in a property of text": (of("city", column="age", type="number"), "in HubSpot string", 'type = "text"'),
    "a date in a property of text": (of("date_of_birth", column="born", type="date"), "in HubSpot", "to_hubspot"),
    "a text in several options": (
        of("hs_lead_status", column="tags", type="set"),
        "a set here, in HubSpot enumeration",
        'type = "enum"',
    ),
    "a label that is no option": (
        of("hs_lead_status", column="plan", type="enum"),
        "free, for free, is none of HubSpot's options",
        "write values with NEW",
    ),
    "an option without a value": (
        of("hs_lead_status", column="plan", type="enum", values={"free": "NEW", "pro": "OPEN"}),
        "no value of the column stands for IN_PROGRESS",
        "write them in values",
    ),
    "a value that is no label": (
        of("hs_lead_status", column="plan", type="enum", values={"gone": "NEW"}),
        "plan: plan has no gone",
        "write one of free, pro",
    ),
    "a value that is no number": (
        of("hs_lead_status", column="age", type="enum", values={"one": "NEW"}),
        "age: integer has no one",
        "whole numbers",
    ),
    "two values to one option": (
        of("hs_lead_status", column="plan", type="enum", values={"free": "NEW", "pro": "NEW"}),
        "free has this option, too",
        "write one value for each option",
    ),
    "a column that is computed": (of("numx", column="twice", type="number"), "Postgres itself", "to_hubspot"),
    "a property that is read only": (of("num_notes", column="age", type="number"), "lets nobody write", "to_postgres"),
    "a property that is calculated": (of("hs_email_domain", column="nick"), "lets nobody write", "to_postgres"),
    "NOT NULL without a value": ({"insert": {}}, "code: NOT NULL without a default", "write insert = { code ="),
    "a creation that is no time": ({"created": "age"}, "age: integer is no time", "leave created out"),
    "a death that is no time": ({"deleted": {"column": "guest"}}, "guest: boolean is no time", "alive = true"),
    "a flag of death on a text": ({"deleted": {"column": "stage", "alive": True}}, "neither true nor false", "write"),
    "a death that does not fit": (
        {"deleted": {"column": "plan", "alive": "pro", "dead": "'gone'"}},
        "table.deleted.dead: invalid input value for enum plan",
        "write SQL that fits",
    ),
    "a living value that is none": (
        {"deleted": {"column": "plan", "alive": "ok", "dead": "'free'"}},
        "plan: plan has no ok",
        "write one of free, pro",
    ),
    "a where of no sense": ({"where": "age >"}, "table.where: syntax error", "write SQL"),
    "a where that ends": ({"where": "true); drop table people; --"}, "table.where: ", "write SQL"),
    "a where that ends itself": ({"where": "true) or (true"}, "table.where: ", "write SQL"),
    "a where of a statement": ({"where": "age > 3;"}, "table.where: it is no single expression", "write SQL"),
    "a read of two": (of("city", read="nick, code", direction="to_hubspot"), "record does not hold text", "write"),
    "an insert of two columns": ({"insert": {"code": "'x') , ('y'"}}, "table.insert.code: syntax error", "write SQL"),
    "a where of another column": ({"where": "is_staff"}, 'column "is_staff" does not exist', "write SQL"),
    "a where of another table": ({"where": "people.age > 3"}, "table.where: ", "own columns"),
    "a where of other rows": ({"where": "id in (select 1)"}, "table.where: cannot use subquery", "own columns"),
    "a where of no truth": ({"where": "age"}, "table.where: argument of WHERE must be type boolean", "write SQL"),
    "a where that changes": ({"where": "seen > now()"}, "table.where: it is not immutable", "immutable"),
    "a where that hangs on the zone": ({"where": "seen > '2020-01-01'::date"}, "it is not immutable", "immutable"),
    "a where that fails on a row": ({"where": "1 / (age - 25) = 0"}, "table.where: it fails on a row", "write SQL"),
    "an insert of no sense": ({"insert": {"code": "left($email"}}, "table.insert.code: syntax error", "write SQL"),
    "an insert that does not fit": (
        {"insert": {"code": "'x'", "age": "'y'"}},
        "invalid input syntax",
        "fits the column",
    ),
    "an insert of a column": ({"insert": {"code": "email"}}, 'column "email" does not exist', "$fields"),
    "an insert of nothing there": ({"insert": {"code": "'x'", "cod": "1"}}, "cod: no such column", 'write "code"'),
    "a read of no column": (of("city", read="town", direction="to_hubspot"), 'column "town" does not', "write SQL"),
    "a read that fails": (of("city", read="first_name::int::text", direction="to_hubspot"), "fails on a row", "every"),
    "a read that fails on a row": (
        of("city", read="(1 / (age - 25))::text", direction="to_hubspot"),
        "fields.city.read: it fails on a row (DivisionByZero)",
        "write SQL over the row's own columns that holds for every row",
    ),
    "a read of another type": (
        of("numx", read="first_name", type="number", direction="to_hubspot", create={"label": "x", "group": "x"}),
        "text does not hold number values",
        'type = "text"',
    ),
    "a write of no sense": (
        {"fields": GROUP, "write": {"first_name": "nullif($firstname)"}},
        "groups.name.write.first_name: ",
        "write SQL of $fields",
    ),
    "a write that does not fit": (
        {"fields": GROUP, "write": {"born": "$firstname || 'x'"}},
        'column "born" is of type date',
        "write SQL of $fields",
    ),
    "a write of no column": (
        {"fields": GROUP, "write": {"nome": "$firstname"}},
        "nome: no such column",
        "write",
    ),
    "no address": ({"fields": {"email": None}}, "fields (line 5): no address", 'write email = { column = "email"'),
    "no name that is filled": (
        {"fields": {"firstname": {"column": "nick"}}},
        "first_name: it holds names",
        'write firstname = { column = "first_name" }',
    ),
    "no name at all": ({"fields": {"firstname": None}}, "first_name: it holds names", "write firstname"),
    "a joined table that is not there": (
        {"fields": NO_EMAIL, "joined": {**JOINED, "table": "public.email"}},
        "public.email: no such table",
        'write "public.emails"',
    ),
    "several rows in a joined table": (
        {"fields": NO_EMAIL, "joined": {**JOINED, "where": "not first"}},
        "public.emails: keys that several of its rows have: 1",
        "write joined[0].where",
    ),
    "a joined row without a value": (
        {"fields": NO_EMAIL, "joined": {**JOINED, "insert": {}}},
        "kind: NOT NULL without a default",
        "write joined[0].insert",
    ),
    "a joined where of no sense": (
        {"fields": NO_EMAIL, "joined": {**JOINED, "where": "primary"}},
        "joined[0].where: ",
        "write SQL",
    ),
    "a property like a key of the API": (of("uuid", column="token"), "a key that the API itself shows", "write"),
    "an unknown key": ({"wher": "true"}, "table.wher (line", "write where"),
}


@pytest.fixture(scope="module")
def shop(owned: Callable[..., str]) -> str:
    return owned(SHOP)


def refusals(settings: Look) -> list[str]:
    return [str(each) for each in check(settings) if each.is_refused]


def test_the_mapping_that_the_wrong_ones_are_made_of_is_right(shop: str, settings_for: Callable[..., Look]) -> None:
    assert refusals(settings_for(shop, mapping())) == []
    assert refusals(settings_for(shop, mapping(fields=NO_EMAIL, joined=JOINED))) == []
    assert refusals(settings_for(shop, mapping(fields=GROUP, write={"first_name": "nullif($firstname, '')"}))) == []


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_mapping_is_refused_in_words(shop: str, settings_for: Callable[..., Look], name: str) -> None:
    changes, wrong, instead = WRONG[name]
    found = [line for line in refusals(settings_for(shop, mapping(**changes))) if wrong in line]
    assert found
    assert instead in found[0].partition("; ")[2]
    assert "@" not in found[0]


BREAKING_OUT = "1; commit; create table broken (); select 1"
"""What would leave the transaction that it is tried in, could it be several statements."""


def test_nothing_of_the_shop_was_changed_by_what_was_tried(shop: str, settings_for: Callable[..., Look]) -> None:
    assert refusals(settings_for(shop, mapping(where="true); drop table people; --")))
    assert refusals(settings_for(shop, mapping(insert={"code": BREAKING_OUT})))
    assert refusals(settings_for(shop, mapping(**of("city", read=BREAKING_OUT, direction="to_hubspot"))))
    with psycopg.connect(shop) as connection:
        assert connection.execute("select count(*) from people").fetchone() == (21,)
        left = "select count(*) from pg_class where relpersistence = 't' or relname = 'broken'"
        assert connection.execute(left).fetchone() == (0,)


def test_what_an_owner_should_know_is_said_and_nothing_refused(shop: str, settings_for: Callable[..., Look]) -> None:
    fields = {
        "lastname": {"column": "last_name"},
        "city": {"column": "nick"},
        "lifecyclestage": {"column": "stage"},
        "hs_lead_status": {"column": "code", "type": "enum"},
        "years": {"column": "age", "type": "number", "create": {"label": "Years", "group": "contactinformation"}},
    }
    remarks = check(settings_for(shop, mapping(fields=fields, where="age > 2", deleted={"column": "deleted_at"})))
    lines = "\n".join(map(str, remarks))
    assert not any(each.is_refused for each in remarks)
    for words in (
        "said nick: unique index people_nick_key",
        "said age: CHECK ((age > 0))",
        "said email: trigger tidy (tidy) may rewrite",
        "said last_name: character varying(20)",
        "said years: no such property in HubSpot: it will be made",
        "said lifecyclestage: HubSpot refuses what is none of its options",
        "said public.people: 21 of 21 rows are in scope, 0 of these are dead, 0 are out of scope",
        "said email: addresses that several rows in scope have: 1, one row of each meets its contact; "
        "look at the keys 2, 21",
        "said hs_lead_status: values of rows that are none of HubSpot's options: 2,",
        "said first_name: empty in 1 of 21 living rows in scope",
    ):
        assert words in lines
    assert "@" not in lines


def test_contacts_that_only_meet_rows_need_no_values(shop: str, settings_for: Callable[..., Look]) -> None:
    assert refusals(settings_for(shop, mapping(insert=False))) == []


def test_an_expression_holds_for_the_rows_in_scope_alone(shop: str, settings_for: Callable[..., Look]) -> None:
    city = of("city", read="(1 / (age - 25))::text", direction="to_hubspot")
    assert refusals(settings_for(shop, mapping(where="age <> 25", **city))) == []


def test_a_partitioned_table_is_said(shop: str, settings_for: Callable[..., Look]) -> None:
    remarks = check(settings_for(shop, mapping(name="public.parts", insert={"id": "1"}, fields={"firstname": None})))
    assert any("partitioned" in str(each) for each in remarks)
    assert not any(each.is_refused for each in remarks)


@pytest.mark.parametrize(
    ("granted", "lacking"),
    [
        ("select, insert, update, delete, trigger", []),
        ("insert, update, delete, trigger", ["SELECT"]),
        ("select, update, delete, trigger", ["INSERT"]),
        ("select, insert, delete, trigger", ["UPDATE"]),
        ("select, insert, update, trigger", ["DELETE"]),
        ("select, insert, update, delete", ["TRIGGER"]),
    ],
)
def test_a_missing_privilege_is_refused(
    owned: Callable[..., str], settings_for: Callable[..., Look], granted: str, lacking: list[str]
) -> None:
    dsn = owned(SHOP)
    with limited(dsn, f"grant {granted} on people to {{role}}") as role:
        lines = refusals(settings_for(make_conninfo(dsn, options=f"-c role={role}"), mapping()))
    assert [line for line in lines if "privilege" in line] == [
        f"refused public.people: the role {role} lacks the privilege {right}; "
        f"grant {right.lower()} on public.people to {role}"
        for right in lacking
    ]
    assert len(lines) == len(lacking)


def test_a_privilege_that_is_not_needed_may_be_missing(
    owned: Callable[..., str], settings_for: Callable[..., Look]
) -> None:
    dsn = owned(SHOP)
    with limited(dsn, "grant select, update (email, first_name, deleted_at), trigger on people to {role}") as role:
        text = mapping(insert=False, deleted={"column": "deleted_at"})
        assert refusals(settings_for(make_conninfo(dsn, options=f"-c role={role}"), text)) == []


def test_a_joined_table_needs_privileges_as_well(owned: Callable[..., str], settings_for: Callable[..., Look]) -> None:
    dsn = owned(SHOP)
    with limited(dsn, "grant all on people to {role}", "grant select on emails to {role}") as role:
        text = mapping(fields=NO_EMAIL, joined=JOINED)
        lines = refusals(settings_for(make_conninfo(dsn, options=f"-c role={role}"), text))
    assert [line.split("privilege ")[1].split(";")[0] for line in lines] == ["INSERT", "UPDATE", "TRIGGER"]


def test_rows_that_are_hidden_are_refused(owned: Callable[..., str], settings_for: Callable[..., Look]) -> None:
    dsn = owned(SHOP)
    with limited(dsn, "grant all on people to {role}", "alter table people enable row level security") as role:
        lines = refusals(settings_for(make_conninfo(dsn, options=f"-c role={role}"), mapping()))
    assert lines == [
        f"refused public.people: row level security hides rows from the role {role}; "
        f"alter role {role} bypassrls, or write a table without"
    ]


def test_a_role_without_temporary_tables_is_told_so(
    owned: Callable[..., str], settings_for: Callable[..., Look]
) -> None:
    dsn = owned(SHOP)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f'revoke temporary on database "{connection.info.dbname}" from public')
    with limited(dsn, "grant all on people to {role}") as role:
        limited_dsn = make_conninfo(dsn, options=f"-c role={role}")
        (line,) = refusals(settings_for(limited_dsn, mapping(where="age > 1")))
    assert "grant temporary on database" in line


def test_another_encoding_is_refused(owned: Callable[..., str], settings_for: Callable[..., Look]) -> None:
    dsn = owned(SHOP, "encoding 'SQL_ASCII' template template0 lc_collate 'C' lc_ctype 'C'")
    with pytest.raises(NoTable, match="SQL_ASCII"):
        suggest(settings_for(dsn), None)
    (line,) = refusals(settings_for(dsn, mapping()))
    assert "its encoding is SQL_ASCII; write another database, one of encoding UTF8" in line


def test_the_mapping_that_is_shipped_fits_its_own_table(dsn: str, settings_for: Callable[..., Look]) -> None:
    assert refusals(settings_for(dsn)) == []


@pytest.mark.trial
def test_a_look_waits_for_no_writer_and_for_no_lock_but_an_exclusive_one(shop: str) -> None:
    file = parse(mapping(where="age > 1"))
    with psycopg.connect(shop) as other:
        other.execute("lock table people in exclusive mode")
        _, evidence = look_at(shop, file)
        assert (evidence.rows, evidence.faults) == (21, {})
        other.execute("lock table people in access exclusive mode")
        with pytest.raises(Busy):
            look_at(shop, file)


def test_what_takes_too_long_is_told_and_ends_nothing_else(shop: str) -> None:
    file = parse(mapping(where="pg_sleep(20)::text = ''"))
    with open_line(shop) as line, looking(line):
        line.execute("set local statement_timeout = '1s'")
        evidence = Measures(line, file).take([])
        assert (evidence.slow, evidence.rows) == (("where",), None)
        assert read_catalogue(line, ["public.people"]).tables


def test_keys_that_are_addresses_are_not_told(owned: Callable[..., str], settings_for: Callable[..., Look]) -> None:
    dsn = owned(
        "create table people (email text primary key, first_name text);"
        "insert into people values ('kai@example.com', 'Kai'), ('KAI@example.com', 'Kai')"
    )
    lines = [str(each) for each in check(settings_for(dsn, mapping(key="email", insert={})))]
    assert any("addresses that several rows in scope have: 1" in line for line in lines)
    assert not any("@" in line for line in lines)


def test_a_partition_is_not_proposed_in_place_of_its_table(
    owned: Callable[..., str], settings_for: Callable[..., Look]
) -> None:
    dsn = owned(
        "create table users (id integer primary key, email text) partition by range (id);"
        "create table users_1 partition of users for values from (1) to (9);"
        "insert into users values (1, 'k@example.com')"
    )
    assert parse(suggest(settings_for(dsn), None).text).table.name == "public.users"


def test_what_cannot_be_looked_at_is_no_finding(shop: str, settings_for: Callable[..., Look], portal: Sandbox) -> None:
    with pytest.raises(DatabaseDown):
        check(settings_for("postgresql://nobody@127.0.0.1:1/none", mapping()))
    with pytest.raises(Unavailable):
        check(settings_for(shop, mapping(), HUBSPOT_BASE_URL="http://127.0.0.1:1"))


def test_a_table_that_cannot_be_proposed_is_said(owned: Callable[..., str], settings_for: Callable[..., Look]) -> None:
    dsn = owned("create table things (id serial primary key, label text); create table mails (email text)")
    for table, words in (
        ("thing", "no table thing: things is one"),
        ("public.things", "public.things has no column of addresses"),
        ("mails", "public.mails has no unique NOT NULL key"),
        (None, "public.mails fits best, and has no unique NOT NULL key"),
    ):
        with pytest.raises(NoTable, match=words):
            suggest(settings_for(dsn), table)


@pytest.mark.parametrize(
    ("changes", "code", "printed"),
    [
        ({}, 0, "said public.people"),
        ({"where": "age >"}, 2, "refused table.where"),
        ({"wher": "age > 1"}, 2, "refused table.wher (line"),
    ],
)
@pytest.mark.trial
def test_an_exit_code_says_whether_something_is_refused(
    shop: str, portal: Sandbox, tmp_path: Path, changes: dict[str, Any], code: int, printed: str
) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(mapping(**changes))
    ended, out, _ = command(shop, portal, "check", MAPPING_FILE=str(file))
    assert ended == code
    assert out.startswith(printed) or f"\n{printed}" in out


@pytest.mark.trial
def test_a_command_that_could_not_look_says_why(shop: str, portal: Sandbox) -> None:
    for name in ("check", "propose"):
        ended, out, said = command(shop, portal, name, DATABASE_URL="postgresql://nobody:secret@127.0.0.1:1/none")
        assert (ended, out) == (1, "")
        assert "the database could not be reached" in said
        assert "secret" not in said


@pytest.mark.trial
def test_a_proposal_stands_alone_and_its_notes_beside_it(shop: str, portal: Sandbox) -> None:
    ended, out, said = command(shop, portal, "propose")
    assert ended == 0
    assert parse(out).table.name == "public.people"
    assert "not mapped" in said
    assert command(shop, portal, "propose", "--table", "nobody")[0] == 2


@contextmanager
def limited(dsn: str, *grants: str) -> Iterator[str]:
    """A role that may do no more than what is granted, and ends with the block."""
    role = f"limited_{uuid4().hex[:12]}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"create role {role}")
        for grant in grants:
            connection.execute(grant.format(role=role))
        try:
            yield role
        finally:
            connection.execute(f"drop owned by {role}; drop role {role}")


def command(dsn: str, portal: Sandbox, *words: str, **more: str) -> tuple[int, str, str]:
    settings = {"DATABASE_URL": dsn, "HUBSPOT_BASE_URL": portal.url, "HUBSPOT_ACCESS_TOKEN": portal.token, **more}
    ran = subprocess.run(
        [sys.executable, "-m", "reconciler", "mapping", *words], cwd=ROOT, env=settings, capture_output=True, text=True
    )
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stdout, ran.stderr
