"""What is wrong with a mapping, from values alone: no database, no HubSpot."""

from typing import Any

import pytest

from reconciler.core.kinds import Direction, Kind
from reconciler.mapping.catalogue import Catalogue, Column, Found, Relation, Trigger, Unique
from reconciler.mapping.evidence import Doubles, Evidence, Use, trials_of
from reconciler.mapping.file import MappedField
from reconciler.mapping.findings import findings
from reconciler.mapping.fitting import holds, takes
from reconciler.mapping.properties import Property, properties_of
from reconciler.mapping.reading import load, parse

FILE = """\
[table]
name = "public.people"
key  = "id"
[fields]
email     = { column = "email", type = "email" }
firstname = { column = "first_name" }
"""

PROPERTIES = {name: Property(name=name) for name in ("email", "firstname", "city")} | {
    "stage": Property(name="stage", type="enumeration", form="select", options=("lead", "customer")),
}


def column(name: str, type: str = "text", **more: Any) -> Column:
    return Column(name=name, quoted=name, **{"type": type, "base": type, **more})


ID = column("id", "int4", is_required=True, is_filled=True)
EMAIL, NAME = column("email"), column("first_name")


def people(*columns: Column, **more: Any) -> Found:
    uniques = (Unique(name="people_pkey", columns=("id",)), *more.pop("uniques", ()))
    return Found(name="public.people", columns=(ID, EMAIL, NAME, *columns), uniques=uniques, key=("id",), **more)


def said(found: Found | None, text: str = FILE, *, evidence: Evidence | None = None, **place: Any) -> list[str]:
    tables = {} if found is None else {found.name: found}
    catalogue = Catalogue(tables=tables, names=tuple(tables), role="sync", database="shop", **place)
    return [str(each) for each in findings(catalogue, PROPERTIES, parse(text), evidence or Evidence())]


def test_of_a_mapping_that_fits_nothing_is_said() -> None:
    assert said(people()) == []


def test_what_is_refused_comes_first_and_all_of_it_at_once() -> None:
    found = people(column("code", is_required=True), uniques=[Unique(name="one", columns=("email",))], hides_rows=True)
    lines = said(found, FILE + 'nick = { column = "nick" }\n')
    assert [line.split()[0] for line in lines] == ["refused"] * 4 + ["said"]


@pytest.mark.parametrize("relation", [Relation.VIEW, Relation.MATERIALISED, Relation.FOREIGN])
def test_what_captures_no_change_is_refused(relation: Relation) -> None:
    (line,) = said(people(relation=relation))
    assert line.startswith("refused public.people: it is a")


def test_a_key_is_unique_in_every_row() -> None:
    partial = people(uniques=[Unique(name="some", columns=("email",), is_plain=False)])
    assert 'write key = "id"' in said(partial, FILE.replace('key  = "id"', 'key  = "email"'))[0]


def test_a_column_of_a_plain_key_and_another_is_a_key_too() -> None:
    found = people(column("tenant", "int4", is_required=True, is_filled=True))
    assert said(found, FILE.replace('key  = "id"', 'key  = ["tenant", "id"]')) == []


@pytest.mark.parametrize(
    ("extra", "is_refused"),
    [
        ({"is_required": True}, True),
        ({"is_required": True, "is_filled": True}, False),
        ({"is_required": True, "is_computed": True}, False),
        ({}, False),
    ],
)
def test_a_row_needs_a_value_where_nothing_gives_one(extra: dict[str, bool], is_refused: bool) -> None:
    found = people(column("code", **extra))
    assert any(line.startswith("refused code: NOT NULL") for line in said(found)) is is_refused
    assert said(found, FILE.replace("[fields]", "insert = false\n[fields]")) == []
    given = said(found, FILE.replace("[fields]", "insert = { code = \"'x'\" }\n[fields]"))
    assert given == (
        ["refused code: Postgres itself gives it its value; leave it out"] if "is_computed" in extra else []
    )


def test_a_key_that_is_a_uuid_is_made_up() -> None:
    key = column("id", "uuid", is_required=True)
    found = Found(name="public.people", columns=(key, EMAIL, NAME), uniques=(Unique(name="k", columns=("id",)),))
    assert said(found) == []


def test_a_column_that_only_hubspot_is_shown_gets_no_value_from_it() -> None:
    found = people(column("town", is_required=True))
    line = 'city = { column = "town", direction = "to_hubspot" }\n'
    assert said(found, FILE + line)[0].startswith("refused town: NOT NULL")


def test_a_contact_without_what_a_row_needs_is_told_of() -> None:
    found = people(column("town", is_required=True))
    mapped = FILE + 'city = { column = "town" }\n'
    assert said(found, mapped) == [
        'said town: NOT NULL: a contact without city gets no row; write "city" into contacts.requires, or empty = ""'
    ]
    assert said(found, mapped + '[contacts]\nrequires = ["city"]\n') == []
    assert said(found, mapped.replace('"town" }', '"town", empty = "" }')) == []


def test_a_property_is_missing_unless_it_is_to_be_made() -> None:
    found = people(column("nick"))
    assert said(found, FILE + 'nick = { column = "nick" }\n')[0].startswith("refused nick: no such property")
    made = 'nick = { column = "nick", create = { label = "Nick", group = "contactinformation" } }\n'
    assert said(found, FILE + made)[0].startswith("said nick: no such property in HubSpot: it will be made")


@pytest.mark.parametrize(
    ("keys", "refusal"),
    [
        ("", "no value of the column stands for customer"),
        (', direction = "to_hubspot"', None),
        (', values = { lead = "lead", paying = "customer" }', None),
        (', values = { lead = "leads", paying = "customer" }', "leads, for lead, is none of HubSpot's options"),
        (', values = { lead = "lead" }', "no value of the column stands for customer"),
    ],
)
def test_every_value_and_every_option_has_a_counterpart(keys: str, refusal: str | None) -> None:
    labels = ("lead", "paying") if "paying" in keys else ("lead",)
    found = people(column("stage", "stage", labels=labels))
    lines = said(found, f'{FILE}stage = {{ column = "stage", type = "enum"{keys} }}\n')
    assert lines == [] if refusal is None else refusal in lines[0]


@pytest.mark.parametrize(
    ("keys", "strays"),
    [
        ("", 2),
        (', values = { gold = "lead", silver = "customer" }', 1),
        (', direction = "to_postgres"', 0),
    ],
)
def test_values_of_rows_without_a_counterpart_are_counted_and_not_told(keys: str, strays: int) -> None:
    evidence = Evidence(values={"stage": frozenset({"lead", "gold", "silver"})})
    text = f'{FILE}stage = {{ column = "stage", type = "enum"{keys} }}\n'
    lines = said(people(column("stage")), text, evidence=evidence)
    assert len(lines) == bool(strays)
    assert all(f"none of HubSpot's options: {strays}," in line and "gold" not in line for line in lines)


def test_options_that_are_open_are_no_business_of_ours() -> None:
    definition = {"type": "enumeration", "fieldType": "select", "options": [], "externalOptions": True}
    assert properties_of({"owner": definition})["owner"].options is None
    assert properties_of({"owner": {**definition, "externalOptions": False}})["owner"].options == ()


@pytest.mark.parametrize(
    ("definition", "is_writable"),
    [
        ({}, True),
        ({"calculated": True}, False),
        ({"modificationMetadata": {"readOnlyValue": True}}, False),
    ],
)
def test_who_may_write_a_property_is_read_from_its_definition(definition: dict[str, Any], is_writable: bool) -> None:
    known = properties_of({"city": {"type": "string", "fieldType": "text", **definition}})
    assert known["city"].is_writable is is_writable


BOTH, SHOWN, TAKEN = Direction.BOTH, Direction.TO_HUBSPOT, Direction.TO_POSTGRES


@pytest.mark.parametrize(
    ("base", "kind", "direction", "fits"),
    [
        ("text", Kind.TEXT, BOTH, True),
        ("citext", Kind.EMAIL, BOTH, True),
        ("int4", Kind.TEXT, BOTH, False),
        ("int4", Kind.TEXT, SHOWN, True),
        ("uuid", Kind.EMAIL, SHOWN, False),
        ("numeric", Kind.NUMBER, BOTH, True),
        ("text", Kind.NUMBER, BOTH, False),
        ("bool", Kind.BOOLEAN, BOTH, True),
        ("int2", Kind.BOOLEAN, BOTH, False),
        ("date", Kind.DATE, BOTH, True),
        ("timestamptz", Kind.DATE, BOTH, False),
        ("timestamptz", Kind.DATE, SHOWN, True),
        ("timestamp", Kind.DATETIME, BOTH, True),
        ("date", Kind.DATETIME, BOTH, True),
        ("text", Kind.DATETIME, BOTH, False),
        ("text", Kind.ENUM, BOTH, True),
        ("jsonb", Kind.ENUM, BOTH, False),
        ("text", Kind.SET, BOTH, False),
    ],
)
def test_a_column_holds_kinds_of_its_type(base: str, kind: Kind, direction: Direction, fits: bool) -> None:
    assert holds(column("it", base), MappedField(column="it", type=kind, direction=direction)) is fits


def test_coded_flags_and_arrays_are_held_too() -> None:
    coded = MappedField(column="it", type=Kind.BOOLEAN, values={"1": "true", "0": "false"})
    assert holds(column("it", "int2"), coded)
    assert holds(column("it", "text", is_array=True), MappedField(column="it", type=Kind.SET))
    assert not holds(column("it", "int4", is_array=True), MappedField(column="it", type=Kind.NUMBER))


@pytest.mark.parametrize(
    ("type", "form", "kind", "direction", "fits"),
    [
        ("string", "text", Kind.TEXT, BOTH, True),
        ("phone_number", "phonenumber", Kind.TEXT, BOTH, True),
        ("number", "number", Kind.TEXT, BOTH, False),
        ("number", "number", Kind.TEXT, TAKEN, True),
        ("number", "number", Kind.NUMBER, BOTH, True),
        ("string", "text", Kind.NUMBER, BOTH, False),
        ("string", "text", Kind.NUMBER, SHOWN, True),
        ("bool", "booleancheckbox", Kind.BOOLEAN, BOTH, True),
        ("enumeration", "booleancheckbox", Kind.BOOLEAN, BOTH, True),
        ("enumeration", "select", Kind.ENUM, BOTH, True),
        ("enumeration", "checkbox", Kind.ENUM, BOTH, False),
        ("enumeration", "checkbox", Kind.SET, BOTH, True),
        ("enumeration", "select", Kind.SET, BOTH, False),
        ("enumeration", "select", Kind.TEXT, BOTH, True),
        ("enumeration", "checkbox", Kind.TEXT, BOTH, False),
        ("date", "date", Kind.DATE, BOTH, True),
        ("datetime", "date", Kind.DATE, BOTH, False),
        ("datetime", "date", Kind.DATETIME, BOTH, True),
    ],
)
def test_a_property_takes_kinds_of_its_type(type: str, form: str, kind: Kind, direction: Direction, fits: bool) -> None:
    known = Property(name="it", type=type, form=form)
    assert takes(known, MappedField(column="it", type=kind, direction=direction)) is fits


def test_a_trigger_is_told_of_where_it_may_rewrite_what_is_mapped() -> None:
    own = Trigger(name="stamp", function="stamp", source="begin new.updated = now(); return new; end")
    near = Trigger(name="tidy", function="tidy", source="begin new.email = lower(new.email); return new; end")
    hidden = Trigger(name="c", function="c", source=None)
    lines = said(people(triggers=(own, near, hidden)))
    assert [line.partition(" may ")[0] for line in lines] == [
        "said email: trigger tidy (tidy)",
        "said email, first_name: trigger c (c)",
    ]


def test_counts_are_told_without_a_value() -> None:
    evidence = Evidence(
        rows=10, inside=8, alive=6, filled={"first_name": 5}, doubles=Doubles(addresses=1, keys=("3", "4"))
    )
    assert said(people(), evidence=evidence) == [
        "said public.people: 8 of 10 rows are in scope, 2 of these are dead, 2 are out of scope",
        "said email: addresses that several rows in scope have: 1, one row of each meets its contact; "
        "look at the keys 3, 4, or narrow where",
        "said first_name: empty in 1 of 6 living rows in scope",
    ]


def test_names_that_rows_have_are_mapped() -> None:
    found = people(column("name"))
    filled = Evidence(rows=1, inside=1, alive=1, filled={"first_name": 0, "name": 1})
    assert said(found, evidence=filled)[0].startswith("refused name: it holds names, and no field of the file shows")
    read = FILE.replace(
        '{ column = "first_name" }', '{ read = "split_part(name, \' \', 1)", direction = "to_hubspot" }'
    )
    assert not any(line.startswith("refused") for line in said(found, read, evidence=filled))


def test_a_count_that_took_too_long_is_told() -> None:
    assert said(people(), evidence=Evidence(slow=("email",))) == [
        "said email: could not be counted in time; look at it by hand"
    ]


def test_a_database_of_another_encoding_is_all_there_is_to_say() -> None:
    assert said(None, encoding="LATIN1") == [
        "refused shop: its encoding is LATIN1; write another database, one of encoding UTF8"
    ]


def test_the_shipped_mapping_is_refused_without_its_table() -> None:
    (line,) = [str(each) for each in findings(Catalogue(), PROPERTIES, load(None), Evidence())][:1]
    assert line.startswith("refused public.customer: no such table; write schema.table")


def test_fields_stand_for_themselves_where_sql_is_tried() -> None:
    text = FILE.replace("[fields]", 'insert = { code = "left($email, 3)" }\nwhere = "id > 1"\n[fields]')
    found = people(column("code", "varchar"))
    trials = trials_of(parse(text), Catalogue(tables={found.name: found}))
    assert [(each.use, each.sql) for each in trials] == [
        (Use.WHERE, "id > 1"),
        (Use.INSERT, "left((null::text), 3)"),
    ]
    hidden = people(column("code", "varchar", may=frozenset()))
    assert trials_of(parse(text), Catalogue(tables={hidden.name: hidden})) == []
