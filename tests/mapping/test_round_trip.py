"""Generated values of every type go through the border and back, unchanged: `make types` takes a million of each."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import Connection, sql
from test_types import adopted

from reconciler.core.fields import Fields
from reconciler.core.kinds import canonical
from reconciler.mapping.reading import fields_of

COUNT = int(os.environ.get("VALUES", "600"))
PORTION = 5_000

SIGNS = "array[32, 39, 92, 34, 36, 37, 9, 10, 228, 8232, 128512, 59]"
SOME = f"({SIGNS})[1 + floor(random() * 12)::int]"
SIGN = f"chr(case when random() < 0.9 then {SOME} else 1 + (random() * 55000)::int end)"
# That it speaks of n makes it another one in each row.
TEXT = f"array_to_string(array(select {SIGN} from generate_series(1, floor(random() * 6)::int + n * 0)), '')"
MOMENT = "timestamp '0001-01-01' + random() * (timestamp '10000-01-01' - timestamp '0001-01-01')"
NEAR = "timestamp '2024-03-30' + random() * interval '3 days' + (random() < 0.5)::int * interval '210 days'"


def any_of(*values: str) -> str:
    """SQL of one of these values, each time another."""
    chosen = " ".join(f"when {k} then {value}" for k, value in enumerate(values))
    return f"case floor(random() * {len(values)}) {chosen} end"


def array_of(*elements: str) -> str:
    chosen = any_of("null", "''", *elements)
    each = f"array(select {chosen} from generate_series(1, floor(random() * 6)::int + n * 0))"
    return any_of("null", "'{}'", each)


SHAPES = {
    "tiny": any_of("null", "0", "-32768", "32767", "floor(random() * 65535) - 32768"),
    "whole": any_of("null", "0", "-2147483648", "2147483647", "floor(random() * 4294967295) - 2147483648"),
    "big": any_of("null", "(-9223372036854775808)::int8", "9223372036854775807", "((random() - 0.5) * 1.8e19)::int8"),
    "exact": any_of(
        "null",
        "'NaN'::numeric",
        "'-Infinity'::numeric",
        "'1e1000'::numeric",
        "'-9e999'::numeric",
        "'1e-1000'::numeric",
        "'1e-1001'::numeric",
        "random()::numeric * 10::numeric ^ floor((random() - 0.5) * 600)::int",
        "round(random()::numeric * 1000, floor(random() * 9)::int)",
    ),
    "money": any_of("null", "0", "-0.01", "99999999.99", "round(((random() - 0.5) * 1e8)::numeric, 2)"),
    "small_float": any_of(
        "null",
        "'NaN'::real",
        "'Infinity'::real",
        "'-0'::real",
        "'1e-45'::real",
        "'3.4028235e38'::real",
        "(random() * 10 ^ (random() * 74 - 37))::real",
    ),
    "float": any_of(
        "null",
        "'NaN'::float8",
        "'-Infinity'::float8",
        "'-0'::float8",
        "'5e-324'::float8",
        "'-1.7976931348623157e308'::float8",
        "random() * 10 ^ (random() * 600 - 300)",
    ),
    "flag": any_of("null", "true", "false"),
    "flag_number": any_of("null", "0", "1", "2"),
    "flag_text": any_of("''", "'yes'", "'no'", "'perhaps'"),
    "day": any_of("null", "'infinity'::date", "'0044-03-15 BC'::date", "'9999-12-31'::date", f"({MOMENT})::date"),
    "at": any_of("null", "'-infinity'::timestamp", "'0044-03-15 BC'::timestamp", MOMENT, NEAR),
    "at_second": any_of("null", MOMENT, NEAR),
    "at_tenth": any_of("null", f"({MOMENT}) at time zone 'UTC'", f"({NEAR}) at time zone 'UTC'"),
    "at_zone": any_of(
        "null", "'infinity'::timestamptz", f"({MOMENT}) at time zone 'UTC'", f"({NEAR}) at time zone 'UTC'"
    ),
    "at_berlin": any_of("null", "'infinity'::timestamp", MOMENT, NEAR),
    "at_day": any_of("null", "'infinity'::date", f"({MOMENT})::date", f"({NEAR})::date"),
    "plan": any_of("null", "'pro'::tier", "'free'::tier", "'new'::tier"),
    "level": any_of("null", "''", "'a'", "'b'", "'c'"),
    "rank": any_of("null", "1", "2", "3"),
    "open": any_of("null", "''", TEXT),
    "words": array_of("'red'", "'Zoo'", "'ä'", "'a;b'", TEXT),
    "short_words": f"({array_of(chr(39) + 'red' + chr(39), chr(39) + 'x' + chr(39))})::varchar(5)[]",
    "tiers": f"({array_of(chr(39) + 'pro' + chr(39), chr(39) + 'new' + chr(39)).replace(chr(39) * 2, 'null')})::tier[]",
    "codes": array_of("'r'", "'g'", "'odd'"),
    "initial": any_of("null", "''", "' a'", "'abc'"),
    "short": any_of("null", "''", "'a '", f"left({TEXT}, 5)"),
    "note": TEXT,
}

GENERATE = f"""
insert into people (email, {", ".join(SHAPES)})
select 'p' || n || '@example.com', {", ".join(SHAPES.values())}
from generate_series(1, %s) n
"""

# Every field with what it holds, or nothing; not the ones that no property can hold.
WRITE_BACK = """
select count(*) from sync.write_customers((
    select jsonb_agg(jsonb_build_object('uuid', uuid, 'vals', (
        select jsonb_object_agg(field, canonical -> field)
        from jsonb_object_keys(raw) field
        where field <> 'loud'
        and jsonb_typeof(raw -> field) <> 'object'
    )))
    from before
))
"""

BEFORE = "create temp table before on commit drop as select uuid, raw, canonical from sync.customers()"
CHANGED = """
select b.canonical, c.canonical
from before b
join sync.customers() c using (uuid)
where b.canonical <> c.canonical
"""


@pytest.fixture
def table(owned: Callable[[str], str], tmp_path: Path) -> Iterator[tuple[Connection[tuple[str, str]], Fields]]:
    dsn = owned("")
    mapping = adopted(dsn, tmp_path)
    with psycopg.connect(dsn) as connection:
        connection.execute("set timezone = 'UTC'; set jit = off")
        yield connection, fields_of(mapping)


def test_every_value_that_a_type_holds_comes_back_as_it_went(
    table: tuple[Connection[tuple[str, str]], Fields],
) -> None:
    connection, fields = table
    left = COUNT
    while left > 0:
        connection.execute("set local sync.own = on")
        connection.execute(sql.SQL(GENERATE), [min(left, PORTION)])  # type: ignore[arg-type]
        connection.execute(BEFORE)
        read = connection.execute("select key, value from before, jsonb_each_text(canonical)")
        assert [(field, value) for field, value in read if canonical(fields[field].kind, value) != value] == []
        assert connection.execute(WRITE_BACK).fetchone() == (min(left, PORTION),)
        assert connection.execute(CHANGED).fetchall() == []
        connection.execute("delete from people")
        connection.commit()
        left -= PORTION
    print(f"{COUNT} values of each of {len(SHAPES)} columns came back as they went")
