"""Every type of column that can hold each kind of value, on a table of an owner's with all of them at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.install import install
from reconciler.commands.audit import Audit, Finding
from reconciler.core.kinds import Kind, canonical
from reconciler.core.values import Value
from reconciler.mapping.file import MappingFile
from reconciler.mapping.reading import load

ROOT = Path(__file__).parents[2]

TYPES = """
create type tier as enum ('pro', 'free', 'new');
create table people (
    email varchar(120) not null,
    tiny smallint,
    whole integer,
    big bigint,
    exact numeric,
    money numeric(10, 2),
    small_float real,
    float double precision,
    flag boolean,
    flag_number integer,
    flag_text text not null default '',
    day date,
    at timestamp,
    at_second timestamp(0),
    at_tenth timestamptz(1),
    at_zone timestamptz,
    at_berlin timestamp,
    at_day date,
    plan tier,
    level varchar(10),
    rank integer,
    open text,
    words text[],
    short_words varchar(5)[],
    tiers tier[],
    codes text[],
    initial char(3),
    short varchar(5),
    note text not null,
    loud text generated always as (upper(note)) stored,
    {key}
);
"""

MAPPING = """
[table]
name = "public.people"
key = {names}
empty = ""
{insert}

[fields]
email = {{ column = "email", type = "email" }}
tiny = {{ column = "tiny", type = "number" }}
whole = {{ column = "whole", type = "number" }}
big = {{ column = "big", type = "number" }}
exact = {{ column = "exact", type = "number" }}
money = {{ column = "money", type = "number" }}
small_float = {{ column = "small_float", type = "number" }}
float = {{ column = "float", type = "number" }}
flag = {{ column = "flag", type = "boolean" }}
flag_number = {{ column = "flag_number", type = "boolean", values = {{ 1 = "true", 0 = "false" }} }}
flag_text = {{ column = "flag_text", type = "boolean", values = {{ yes = "true", no = "false" }} }}
day = {{ column = "day", type = "date" }}
at = {{ column = "at", type = "datetime" }}
at_second = {{ column = "at_second", type = "datetime" }}
at_tenth = {{ column = "at_tenth", type = "datetime" }}
at_zone = {{ column = "at_zone", type = "datetime" }}
at_berlin = {{ column = "at_berlin", type = "datetime", zone = "Europe/Berlin" }}
at_day = {{ column = "at_day", type = "datetime", zone = "Europe/Berlin" }}
plan = {{ column = "plan", type = "enum", values = {{ pro = "Professional", free = "Free" }} }}
level = {{ column = "level", type = "enum", values = {{ a = "High", b = "Low" }} }}
rank = {{ column = "rank", type = "enum", values = {{ 1 = "First", 2 = "Second" }} }}
open = {{ column = "open", type = "enum" }}
words = {{ column = "words", type = "set" }}
short_words = {{ column = "short_words", type = "set" }}
tiers = {{ column = "tiers", type = "set" }}
codes = {{ column = "codes", type = "set", values = {{ r = "red", g = "green" }} }}
initial = {{ column = "initial" }}
short = {{ column = "short" }}
note = {{ column = "note" }}
loud = {{ column = "loud", direction = "to_hubspot" }}
"""

KEYS = {
    "serial": ("id serial primary key", '"id"', ""),
    "uuid": ("id uuid primary key", '"id"', ""),
    "composite": (
        "tenant integer not null, born date not null, code text not null default md5(random()::text),"
        "primary key (tenant, born, code)",
        '["tenant", "born", "code"]',
        """insert = { tenant = "7", born = "date '2024-02-29'" }""",
    ),
}
GIVEN = {
    "serial": ("", ""),
    "uuid": ("id, ", "gen_random_uuid(), "),
    "composite": ("tenant, born, ", "7, '2024-02-29', "),
}

KINDS = {
    "number": ("tiny", "whole", "big", "exact", "money", "small_float", "float"),
    "bool": ("flag", "flag_number", "flag_text"),
    "date": ("day",),
    "datetime": ("at", "at_second", "at_tenth", "at_zone", "at_berlin", "at_day"),
    "string": ("initial", "short", "note", "loud"),
}
OPTIONS = {
    "plan": ("Professional", "Free", "Other", "pro"),
    "level": ("High", "Low", "a"),
    "rank": ("First", "Second", "1"),
    "open": ("x", "y"),
    "words": ("red", "green", "Zoo", "ä"),
    "short_words": ("red", "green", "much longer"),
    "tiers": ("pro", "free", "new", "odd"),
    "codes": ("red", "green", "blue", "r"),
}
SEVERAL = ("words", "short_words", "tiers", "codes")


@dataclass(frozen=True)
class Case:
    """A value of a column as SQL, and as HubSpot has it."""

    column: str
    sql: str
    there: str

    def __str__(self) -> str:
        return f"{self.column}-{self.sql}"


BOTH_WAYS = [
    Case("tiny", "0", "0"),
    Case("tiny", "-32768", "-32768"),
    Case("whole", "2147483647", "2147483647"),
    Case("big", "-9223372036854775808", "-9223372036854775808"),
    Case("exact", "123456789012345678901234567890.5", "123456789012345678901234567890.5"),
    Case("exact", "1e-30", "0." + "0" * 29 + "1"),
    Case("money", "-0.05", "-0.05"),
    Case("money", "12", "12"),
    Case("small_float", "0.1", "0.1"),
    Case("float", "0.1", "0.1"),
    Case("float", "1e300", "1" + "0" * 300),
    Case("flag", "false", "false"),
    Case("flag", "true", "true"),
    Case("flag_number", "0", "false"),
    Case("flag_number", "1", "true"),
    Case("flag_text", "'no'", "false"),
    Case("day", "'0001-01-01'", "0001-01-01"),
    Case("day", "'2024-02-29'", "2024-02-29"),
    Case("at", "'2024-02-29 12:00:00.123'", "2024-02-29T12:00:00.123Z"),
    Case("at", "'1969-12-31 23:59:59.999'", "1969-12-31T23:59:59.999Z"),
    Case("at_second", "'2024-02-29 12:00:05'", "2024-02-29T12:00:05Z"),
    Case("at_tenth", "'2024-02-29 12:00:05.1Z'", "2024-02-29T12:00:05.100Z"),
    Case("at_zone", "'9999-12-31 23:59:59.999Z'", "9999-12-31T23:59:59.999Z"),
    Case("at_zone", "'0001-01-01 00:00:00Z'", "0001-01-01T00:00:00Z"),
    Case("at_berlin", "'2024-07-01 12:00'", "2024-07-01T10:00:00Z"),
    Case("at_berlin", "'2024-03-31 03:30'", "2024-03-31T01:30:00Z"),
    Case("at_day", "'2024-07-01'", "2024-06-30T22:00:00Z"),
    Case("plan", "'pro'", "Professional"),
    Case("level", "'b'", "Low"),
    Case("rank", "1", "First"),
    Case("open", "'x'", "x"),
    Case("words", "'{Zoo,green,ä}'", "Zoo;green;ä"),
    Case("short_words", "'{green,red}'", "green;red"),
    Case("tiers", "'{free,pro}'", "free;pro"),
    Case("codes", "'{g,r}'", "green;red"),
    Case("initial", "'ab'", "ab"),
    Case("short", "'ab ''$'", "ab '$"),
    Case("note", "'äöü\n\t\\ \"$note'", 'äöü\n\t\\ "$note'),
]

READ_ONLY = [
    Case("exact", "1.500", "1.5"),
    Case("float", "'-0'", "0"),
    Case("small_float", "16777217", "16777216"),
    Case("at", "'2024-02-29 12:00:00.123999'", "2024-02-29T12:00:00.123Z"),
    Case("at_zone", "'1969-12-31 23:59:59.999999Z'", "1969-12-31T23:59:59.999Z"),
    Case("at_berlin", "'2024-03-31 02:30'", "2024-03-31T01:30:00Z"),
    Case("words", "'{red,NULL,red,\"\",green}'", "green;red"),
    Case("words", "'{}'", ""),
    Case("codes", "'{r,NULL,g,r}'", "green;red"),
    Case("tiers", "'{NULL}'", ""),
    Case("level", "''", ""),
    Case("flag_text", "''", ""),
    Case("initial", "'a  '", "a"),
    Case("short", "''", ""),
]

UNFIT_HERE = [
    ("exact", "'NaN'", "not a finite number"),
    ("exact", "'Infinity'", "not a finite number"),
    ("float", "'-Infinity'", "not a finite number"),
    ("small_float", "'NaN'", "not a finite number"),
    ("exact", "10::numeric ^ 1001", "a number of more than 1000 digits before or after its point"),
    ("flag_number", "2", "a value without an option"),
    ("flag_text", "'maybe'", "a value without an option"),
    ("day", "'infinity'", "a date beyond the years 1 to 9999"),
    ("day", "'0044-03-15 BC'", "a date beyond the years 1 to 9999"),
    ("at", "'-infinity'", "a time beyond the years 1 to 9999"),
    ("at_zone", "'10000-01-01 00:00Z'", "a time beyond the years 1 to 9999"),
    ("plan", "'new'", "a value without an option"),
    ("level", "'c'", "a value without an option"),
    ("rank", "3", "a value without an option"),
    ("words", "'{a;b}'", "an element holds ;"),
    ("codes", "'{r,x}'", "a value that is no option"),
]

UNFIT_THERE = [
    ("tiny", "32768", "tiny smallint"),
    ("whole", "1.5", "whole integer"),
    ("big", "9223372036854775808", "big bigint"),
    ("money", "1.005", "money numeric(10,2)"),
    ("money", "100000000", "money numeric(10,2)"),
    ("small_float", "16777217", "small_float real"),
    ("float", "0.1000000000000000055", "float double precision"),
    ("at_berlin", "2024-10-27T00:30:00Z", "at_berlin timestamp without time zone"),
    ("plan", "Other", "plan tier"),
    ("plan", "pro", "plan tier"),
    ("level", "a", "level character varying(10)"),
    ("rank", "1", "rank integer"),
    ("short_words", "much longer;red", "short_words character varying(5)[]"),
    ("tiers", "free;odd", "tiers tier[]"),
    ("codes", "blue;red", "codes text[]"),
    ("codes", "r", "codes text[]"),
    ("initial", "abcd", "initial character(3)"),
    ("initial", "a ", "initial character(3)"),
    ("short", "123456", "short character varying(5)"),
    ("short", "12345 ", "short character varying(5)"),
]


def adopted(dsn: str, folder: Path, key: str = "serial") -> MappingFile:
    """Make the table and its border; return the mapping, whose file lies in the folder."""
    columns, names, insert = KEYS[key]
    with psycopg.connect(dsn) as connection:
        connection.execute(TYPES.format(key=columns))
    file = folder / "mapping.toml"
    file.write_text(MAPPING.format(names=names, insert=insert))
    mapping = load(str(file))
    install(dsn, (ROOT / "schema.sql").read_text(), mapping)
    return mapping


@contextmanager
def people(dsn: str, folder: Path, key: str = "serial") -> Iterator[World]:
    adopted(dsn, folder, key)
    file = str(folder / "mapping.toml")
    with open_pool(dsn, size=8) as pool, World.open(dsn, Database(pool), MAPPING_FILE=file) as world:
        for kind, fields in KINDS.items():
            for name in fields:
                world.portal.add_property(name=name, type=kind)
        for name, options in OPTIONS.items():
            more = {"field_type": "checkbox"} if name in SEVERAL else {}
            world.portal.add_property(name=name, type="enumeration", options=list(options), **more)
        yield world


@pytest.fixture(scope="module")
def world(owned: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for all: each test has a person of its own."""
    with people(owned(""), tmp_path_factory.mktemp("mapping")) as world:
        yield world


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    return f"p{abs(hash(request.node.name))}@example.com"


def insert(world: World, address: str, column: str, sql: str, key: str = "serial") -> None:
    names, values = GIVEN[key]
    note = "" if column == "note" else ", note"
    value = "" if column == "note" else ", ''"
    world.sql(f"insert into people ({names}email, {column}{note}) values ({values}%s, {sql}{value})", address)


def create(world: World, address: str, **values: str) -> str:
    contact = world.portal.create({"email": address, **values})
    world.event(contact.id)
    world.quiet()
    return str(contact.id)


def edit(world: World, contact: str, **values: str) -> None:
    world.portal.edit(contact, values)
    world.event(contact)
    world.quiet()


def there(world: World, address: str, column: str) -> Value:
    contact = world.portal.contact(address)
    assert contact is not None
    return canonical(kind_of(world, column), contact.get(column))


def kind_of(world: World, column: str) -> Kind:
    return world.parts.rules().fields[column].kind


def holds(world: World, address: str, column: str, sql: str) -> bool:
    """Whether the row has just what the SQL is as a value of the column."""
    rows = world.sql(
        "select format_type(atttypid, atttypmod) as type from pg_attribute where attrelid = 'people'::regclass "
        "and attname = %s",
        column,
    )
    found = world.sql(
        f"select {column}::text = ({sql})::{rows[0]['type']}::text as is_so from people where email = %s", address
    )
    return [row["is_so"] for row in found] == [True]


def parked(world: World, address: str) -> list[tuple[str, str, str]]:
    rows = world.sql(
        "select property, code, detail from sync.parked join sync.identity i using (uuid) where i.address = %s", address
    )
    return sorted((row["property"], row["code"], row["detail"]) for row in rows)


def assert_settled(world: World) -> None:
    """Another look at everything writes nothing on either side, and nothing drifts."""
    rows = "select email, xmin::text from people order by email"
    before, revision = world.sql(rows), world.portal.revision
    world.event(*(contact.id for contact in world.portal.contacts))
    world.sql("select sync.mark(array_agg(sync.of_customer(uuid)), 1) from sync.identity having count(*) > 0")
    world.quiet()
    world.sweep()
    assert world.portal.revision == revision
    assert world.sql(rows) == before
    parts = world.parts
    compared = Audit(parts.database, parts.hubspot, parts.marks, parts.rules())
    compared.run(repair=False)
    assert {finding for finding, n in compared.counts.items() if n} <= {Finding.EQUAL, Finding.PARKED}


@pytest.mark.parametrize("case", [*BOTH_WAYS, *READ_ONLY], ids=str)
def test_what_the_column_has_arrives_in_hubspots_form(world: World, address: str, case: Case) -> None:
    insert(world, address, case.column, case.sql)
    world.quiet()
    assert there(world, address, case.column) == canonical(kind_of(world, case.column), case.there)
    assert holds(world, address, case.column, case.sql)
    assert parked(world, address) == []


@pytest.mark.parametrize("case", BOTH_WAYS, ids=str)
def test_what_hubspot_has_arrives_typed(world: World, address: str, case: Case) -> None:
    contact = create(world, address, **{case.column: case.there})
    assert holds(world, address, case.column, case.sql)
    edit(world, contact, **{case.column: ""})
    assert world.sql(f"select 1 as n from people where email = %s and coalesce({case.column}::text, '') = ''", address)
    edit(world, contact, **{case.column: case.there})
    assert holds(world, address, case.column, case.sql)
    assert there(world, address, case.column) == canonical(kind_of(world, case.column), case.there)
    assert parked(world, address) == []


@pytest.mark.parametrize(("column", "sql", "why"), UNFIT_HERE)
def test_what_no_property_can_hold_is_told_and_empties_nothing(
    world: World, address: str, column: str, sql: str, why: str
) -> None:
    good = next(case for case in BOTH_WAYS if case.column == column)
    insert(world, address, column, good.sql)
    world.quiet()
    world.sql(f"update people set {column} = {sql}, note = 'goes' where email = %s", address)
    world.quiet()
    assert there(world, address, column) == canonical(kind_of(world, column), good.there)
    assert there(world, address, "note") == "goes"
    assert parked(world, address) == [(column, "unfit_value", why)]
    nothing = "''" if column == "flag_text" else "null"
    world.sql(f"update people set {column} = {nothing} where email = %s", address)
    world.quiet()
    assert there(world, address, column) is None
    assert parked(world, address) == []


def test_a_value_that_fits_again_is_told_no_more(world: World, address: str) -> None:
    insert(world, address, "float", "1")
    world.quiet()
    for value in ("'NaN'", "1"):
        world.sql(f"update people set float = {value} where email = %s", address)
        world.quiet()
    assert there(world, address, "float") == "1"
    assert parked(world, address) == []


@pytest.mark.parametrize(("column", "sql", "why"), UNFIT_HERE)
def test_a_new_row_goes_without_what_no_property_can_hold(
    world: World, address: str, column: str, sql: str, why: str
) -> None:
    insert(world, address, column, sql)
    world.quiet()
    assert there(world, address, column) is None
    assert parked(world, address) == [(column, "unfit_value", why)]


@pytest.mark.parametrize(("column", "value", "limit"), UNFIT_THERE)
def test_what_the_column_cannot_hold_is_that_fields_refusal(
    world: World, address: str, column: str, value: str, limit: str
) -> None:
    good = next(case for case in BOTH_WAYS if case.column == column)
    contact = create(world, address, **{column: good.there})
    edit(world, contact, **{column: value, "note": "goes"})
    assert holds(world, address, column, good.sql)
    assert holds(world, address, "note", "'goes'")
    assert parked(world, address) == [(column, "row_refused", limit)]
    assert there(world, address, column) == canonical(kind_of(world, column), value)
    edit(world, contact, **{column: good.there})
    assert parked(world, address) == []


@pytest.mark.parametrize(("column", "value", "limit"), UNFIT_THERE)
def test_a_new_contact_goes_without_what_the_column_cannot_hold(
    world: World, address: str, column: str, value: str, limit: str
) -> None:
    create(world, address, **{column: value, "note": "goes"})
    assert holds(world, address, "note", "'goes'")
    assert parked(world, address) == [(column, "row_refused", limit)]


def test_several_fields_that_do_not_fit_are_all_named(world: World, address: str) -> None:
    create(world, address, whole="1.5", money="0.001", short="123456", note="goes")
    assert holds(world, address, "note", "'goes'")
    assert {field for field, _, _ in parked(world, address)} == {"whole", "money", "short"}


@pytest.mark.parametrize(
    ("column", "value"), [("note", "x" * 65_537), ("open", "no option of it"), ("words", "red;no option of it")]
)
def test_what_hubspot_does_not_take_is_that_fields_refusal(world: World, address: str, column: str, value: str) -> None:
    insert(world, address, "short", "'a'")
    world.quiet()
    sql = f"string_to_array('{value}', ';')" if column == "words" else f"'{value}'"
    world.sql(f"update people set {column} = {sql}, short = 'goes' where email = %s", address)
    world.quiet()
    assert there(world, address, "short") == "goes"
    assert there(world, address, column) is None
    assert column in {field for field, _, _ in parked(world, address)}


def test_a_generated_column_is_shown(world: World, address: str) -> None:
    insert(world, address, "note", "'Loud'")
    world.quiet()
    assert there(world, address, "loud") == "LOUD"


def test_nothing_is_left_to_write(world: World) -> None:
    assert_settled(world)


@pytest.mark.parametrize("key", ["uuid", "composite"])
def test_other_keys_are_kept_equal(owned: Callable[[str], str], tmp_path: Path, key: str) -> None:
    with people(owned(""), tmp_path, key) as world:
        insert(world, "here@example.com", "whole", "7", key)
        contact = create(world, "there@example.com", whole="8")
        assert there(world, "here@example.com", "whole") == "7"
        assert holds(world, "there@example.com", "whole", "8")
        world.sql("set datestyle = 'German'")
        world.sql("update people set whole = 9, note = 'x'")
        world.quiet()
        edit(world, contact, whole="10")
        assert there(world, "here@example.com", "whole") == "9"
        assert holds(world, "there@example.com", "whole", "10")
        assert_settled(world)
