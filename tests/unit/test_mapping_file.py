"""The mapping file: what it says is read, and what is wrong with it is said all at once, with line and remedy."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from reconciler.__main__ import app
from reconciler.core.fields import Policy
from reconciler.core.kinds import Direction, Kind, WhenEmpty
from reconciler.mapping.checks import references
from reconciler.mapping.file import DeadMark, MappingFile
from reconciler.mapping.problems import MappingRefused
from reconciler.mapping.reading import load, parse
from simulation.mapped import FIELDS

EVERYTHING = """\
[table]
name    = "public.users"
key     = "id"
created = "created_at"
updated = "updated_at"
where   = "not is_staff"
leaves  = "keep"
deleted = { column = "deleted_at" }
empty   = ""
zone    = "UTC"
insert  = { password = "'!'", username = "left($email, 150)" }

[contacts]
requires = ["email"]
where    = { lifecyclestage = ["customer", "opportunity"] }
leaves   = "keep"
first    = "newest"

[api]
required = ["email", "firstname", "lastname"]

[fields]
firstname = { read = "split_part(name, ' ', 1)", group = "name" }
seats     = { column = "seats", type = "number" }
is_paying = { column = "paying", type = "boolean", direction = "to_hubspot", values = { 1 = "true", 0 = "false" } }
birthday  = { column = "born_on", type = "date" }
last_seen = { column = "last_seen_at", type = "datetime", direction = "to_hubspot", \
create = { label = "Last seen", group = "contactinformation" } }
plan      = { column = "plan", type = "enum", values = { pro = "Professional", free = "Free" } }
interests = { column = "tags", type = "set" }
phone     = { column = "phone", policy = "hubspot", when_empty = "keep" }
fullname  = { read = "first || ' ' || last", direction = "to_hubspot" }
lastname  = { read = "substr(name, length(split_part(name, ' ', 1)) + 2)", group = "name" }

[groups.name]
write = { name = "nullif(concat_ws(' ', $firstname, $lastname), '')" }

[[joined]]
table  = "public.user_emails"
on     = "user_id"
where  = "is_primary"
insert = { is_primary = "true" }
fields = { email = { column = "email", type = "email" } }
"""
"""The contract's example; of the two places it shows for the address, the second, and both names in the group."""

SMALL = """\
[table]
name = "public.users"
key = "id"
[fields]
email = { column = "email", type = "email" }
"""


def problems(text: str) -> list[tuple[str, int | None, str]]:
    with pytest.raises(MappingRefused) as refused:
        parse(text)
    assert str(refused.value).count("\n") >= len(refused.value.problems) - 1
    return [(each.key, each.line, each.said) for each in refused.value.problems]


def test_the_example_of_the_contract_is_read() -> None:
    file = parse(EVERYTHING)
    assert file.table.key == ("id",)
    assert file.table.deleted == DeadMark(column="deleted_at")
    assert list(file.mapped)[-1] == "email"
    assert file.mapped["email"].type is Kind.EMAIL
    assert file.fields["is_paying"].direction is Direction.TO_HUBSPOT
    assert file.fields["is_paying"].values == {"1": "true", "0": "false"}
    assert (file.fields["phone"].policy, file.fields["phone"].when_empty) == (Policy.HUBSPOT, WhenEmpty.KEEP)
    assert file.contacts.where == {"lifecyclestage": ("customer", "opportunity")}
    assert file.joined[0].on == ("user_id",)


def test_what_is_not_said_has_the_defaults_of_the_contract() -> None:
    file = parse(SMALL)
    assert (file.table.deleted, file.table.leaves, file.table.zone, file.table.insert) == ("row", "keep", "UTC", {})
    assert (file.contacts.requires, file.contacts.leaves, file.contacts.first) == ((), "keep", "newest")
    assert file.api.required is None
    assert file.fields["email"].policy is None


def test_the_shipped_mapping_is_the_customer_table() -> None:
    file = load(None)
    assert tuple(file.fields) == FIELDS
    assert all(field.column == name for name, field in file.fields.items())
    assert (file.table.name, file.table.key, file.table.deleted) == (
        "public.customer",
        ("uuid",),
        DeadMark(column="deletedat"),
    )


@pytest.mark.parametrize(
    "deleted",
    [
        '"row"',
        '"never"',
        '{ column = "gone_at" }',
        '{ column = "is_active", alive = true }',
        '{ column = "is_gone", alive = false }',
        """{ column = "status", alive = "ok", dead = "'gone'" }""",
    ],
)
def test_every_way_of_a_dead_row_is_read(deleted: str) -> None:
    assert parse(SMALL.replace("[fields]", f"deleted = {deleted}\n[fields]")).table.deleted


def table(line: str) -> str:
    return SMALL.replace("[fields]", f"{line}\n[fields]")


def field(line: str) -> str:
    return SMALL + line + "\n"


WRONG = [
    # The form.
    (SMALL.partition("[fields]")[2].replace("email", "fields.email", 1), "table", None, "write a part [table]"),
    (SMALL.replace('key = "id"', ""), "table.key", 1, "is missing: write a unique NOT NULL column"),
    ("[table\n", "", 1, "not TOML"),
    ("a = 1\nb = \n", "", 2, "not TOML"),
    ("a = [", "", 1, "not TOML"),
    ("a = " + "9" * 5000, "", None, "not TOML: a number is too long"),
    ("a = " + "[" * 5000, "", None, "nested too deeply"),
    ("a = '\ud800'", "", None, "not UTF-8"),
    (table("nam = 1"), "table.nam", 4, "no key of this part: write name"),
    (table("zzz = 1"), "table.zzz", 4, "write one of name, key, created"),
    (table("created = 1"), "table.created", 4, 'write a column such as "created_at"'),
    (table('created = ""'), "table.created", 4, 'write a column such as "created_at"'),
    (table("created = 'a\\u0000'".replace("'", '"')), "table.created", 4, 'write a column such as "created_at"'),
    (table("updated = 2024-01-01"), "table.updated", 4, 'write a column such as "updated_at"'),
    (table("where = ' '"), "table.where", 4, "write SQL over the row's own columns"),
    (table('leaves = "delete"'), "table.leaves", 4, 'write "keep" or "archive"'),
    (table("insert = true"), "table.insert", 4, "write false, or SQL by column"),
    (table("insert = { a = 1 }"), "table.insert.a", 4, "write false, or SQL by column"),
    (table('deleted = "soft"'), "table.deleted", 4, 'write "row", "never", { column = "deleted_at" }'),
    (table("deleted = {}"), "table.deleted.column", 4, "is missing: write the column of the mark"),
    (table("deleted = { column = 'a', alive = 1 }"), "table.deleted.alive", 4, "write what a living row has"),
    (SMALL.replace('"id"', "[]"), "table.key", 3, "write a unique NOT NULL column"),
    (SMALL.replace('"id"', "[1]"), "table.key[0]", 3, "write a unique NOT NULL column"),
    (SMALL + "[contacts]\nfirst = 'oldest'", "contacts.first", 7, '"newest", "hubspot", "postgres" or "fill"'),
    (SMALL + "[contacts]\nwhere = { a = 'b' }", "contacts.where.a", 7, "write lists of values"),
    (field("a = 'b'"), "fields.a", 6, 'such as firstname = { column = "first_name" }'),
    (field("a = { column = 'a', type = 'int' }"), "fields.a.type", 6, 'write "text", "email", "number"'),
    (field("a = { column = 'a', direction = 'out' }"), "fields.a.direction", 6, '"both", "to_hubspot" or'),
    (field("a = { column = 'a', policy = 'oldest' }"), "fields.a.policy", 6, '"newest", "hubspot", "postgres"'),
    (field("a = { column = 'a', when_empty = 'no' }"), "fields.a.when_empty", 6, 'write "clear" or "keep"'),
    (field("a = { column = 'a', create = { label = 'A' } }"), "fields.a.create.group", 6, "is missing: write a group"),
    (SMALL + "[[joined]]\ntable = 'a.b'\non = 'c'", "joined[0].fields", 6, "is missing: write fields by property"),
    (SMALL + "[groups.a]\nwrite = {}", "groups.a.write", 7, "write SQL by column"),
    # What the parts mean to each other.
    (SMALL.replace("public.", ""), "table.name", 2, "write schema.table"),
    (SMALL.replace("public.", "a.b."), "table.name", 2, "write schema.table"),
    (SMALL.replace('"public.users"', "'public.\"Users\"'"), "table.name", 2, "without them"),
    (SMALL.replace('"id"', '["id", "id"]'), "table.key", 3, "write each column once"),
    (table("zone = 'Mars/Olympus'"), "table.zone", 4, 'write one such as "Europe/Berlin"'),
    (table("updated = 'id'"), "table.updated", 4, "write another column"),
    (table("created = 'at'\nupdated = 'at'"), "table.updated", 5, "write another column"),
    (table("deleted = { column = 'a', alive = 'b' }"), "table.deleted", 4, "write what a dead row gets"),
    (table("deleted = { column = 'a', dead = 'b' }"), "table.deleted", 4, "write what a living row has"),
    (table("deleted = { column = 'a', alive = true, dead = 'b' }"), "table.deleted", 4, "leave dead out"),
    (table("insert = { a = '$phone' }"), "table.insert.a", 4, "no field $phone"),
    (table("created = '" + "a" * 64 + "'"), "table.created", 4, "longer than the 63 bytes"),
    (SMALL.replace(', type = "email"', ""), "fields.email", 5, 'write email = { column = "email", type = "email" }'),
    (SMALL.replace("email = {", "mail = {"), "fields", 4, 'write email = { column = "email", type = "email" }'),
    (field("Phone = { column = 'a' }"), "fields.Phone", 6, "write its internal name"),
    *((field(f"{key} = {{ column = 'a' }}"), f"fields.{key}", 6, "the API itself") for key in ("uuid", "createdat")),
    (field("a = {}"), "fields.a", 6, "write one"),
    (field("a = { column = 'a', read = 'a' }"), "fields.a.read", 6, "write one of them"),
    (field("a = { read = 'a' }"), "fields.a.direction", 6, 'write direction = "to_hubspot"'),
    (field("a = { column = '\"a\"' }"), "fields.a.column", 6, "without them"),
    (field("a = { column = 'email' }"), "fields.a.column", 6, "email has this column, too"),
    (field("a = { column = 'a', values = { b = 'c' } }"), "fields.a.values", 6, 'write type = "enum"'),
    (field("a = { column = 'a', type = 'enum', values = { b = 'd', c = 'd' } }"), "fields.a.values.c", 6, "b has this"),
    (field("a = { column = 'a', type = 'enum', values = { b = '' } }"), "fields.a.values.b", 6, "an empty option"),
    (field("a = { column = 'a', type = 'set', values = { b = 'c;d' } }"), "fields.a.values.b", 6, "without it"),
    (field("a = { column = 'a', type = 'boolean', values = { b = 'true' } }"), "fields.a.values", 6, "write both"),
    (field("a = { column = 'a', zone = 'UTC' }"), "fields.a.zone", 6, 'write type = "datetime"'),
    (field("a = { column = 'a', type = 'date', zone = '../UTC' }"), "fields.a.zone", 6, "Europe/Berlin"),
    (field("a = { read = 'a', direction = 'to_hubspot', empty = '' }"), "fields.a.empty", 6, "leave it out"),
    (field("a = { read = 'a', group = 'b' }"), "fields.a.group", 6, "write a part [groups.b]"),
    (field("[groups.a]\nwrite = { b = 'c' }"), "groups.a", 6, 'write group = "a"'),
    (table("updated = 'a'") + "a = { column = 'a' }", "fields.a.column", 7, 'write direction = "to_hubspot"'),
    (SMALL + "[contacts]\nrequires = ['phone']", "contacts.requires", 7, "no field phone"),
    (SMALL + "[contacts]\nwhere = { A = ['b'] }", "contacts.where.A", 7, "write its internal name"),
    (SMALL + "[api]\nrequired = [\n'email',\n'phone']", "api.required", 7, "no field phone"),
]


@pytest.mark.parametrize(("text", "key", "line", "said"), WRONG, ids=[f"{i}-{each[1]}" for i, each in enumerate(WRONG)])
def test_what_is_wrong_is_said_with_key_and_line_and_what_to_write(
    text: str, key: str, line: int | None, said: str
) -> None:
    found = problems(text)
    assert [each[:2] for each in found] == [(key, line)]
    assert said in found[0][2]


GROUPED = """\
firstname = { read = "a", group = "name" }
lastname = { read = "b", group = "name" }
phone = { column = "phone" }
[groups.name]
write = { name = "$firstname", other = "$phone", phone = "1" }
[groups.more]
write = { name = "$x" }
"""

JOINED = """\
[[joined]]
table = "public.a"
on = "id"
fields = { email = { column = "a" } }
[[joined]]
table = "users"
on = ["a", "b"]
insert = { c = "$nothing" }
[joined.fields]
one = { column = "x", group = "name" }
two = { column = "x" }
[[joined]]
table = "public.users"
on = "c"
fields = { three = { column = "x" } }
"""


def test_a_group_writes_its_own_fields_and_columns_that_nothing_else_writes() -> None:
    assert [each[:2] for each in problems(SMALL + GROUPED)] == [
        ("fields.lastname.group", 7),
        ("groups.name.write.other", 10),
        ("groups.name.write.phone", 10),
        ("groups.more", 11),
        ("groups.more.write.name", 12),
        ("groups.more.write.name", 12),
    ]


def test_a_joined_table_has_its_own_key_columns_and_properties() -> None:
    assert [each[:2] for each in problems(SMALL + JOINED)] == [
        ("joined[0].fields.email", 9),
        ("joined[1].table", 11),
        ("joined[1].on", 12),
        ("joined[1].insert.c", 13),
        ("joined[1].fields.one.group", 15),
        ("joined[1].fields.one.group", 15),
        ("joined[1].fields.two.column", 16),
        ("joined[2].table", 18),
    ]


def test_all_problems_are_told_at_once_and_none_that_only_follows_from_another() -> None:
    text = """\
[table]
name = 1
key = "id"
zone = "here"
[contacts]
requires = ["email", "phone", "mobile"]
[fields]
email = { column = "email", type = "emial" }
phone = "phone"
company = { column = "id", read = "a" }
[[joined]]
on = "id"
fields = { website = { column = 1 } }
"""
    assert [each[:2] for each in problems(text)] == [
        ("table.name", 2),
        ("table.zone", 4),
        ("contacts.requires", 6),
        ("fields.email.type", 8),
        ("fields.phone", 9),
        ("fields.company.read", 10),
        ("joined[0].table", 11),
        ("joined[0].fields.website.column", 13),
    ]


def test_a_key_inside_a_text_of_several_lines_is_no_key() -> None:
    text = SMALL.replace('key = "id"', 'where = """\nzone = 1\n"""\nkey = "id"\nzone = "x"')
    assert problems(text)[0][:2] == ("table.zone", 7)


@pytest.mark.parametrize(("name", "content"), [("missing.toml", None), ("latin.toml", b"# \xe4"), ("nul\0", None)])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MappingRefused):
        load(str(tmp_path / name))


def test_a_file_is_read_as_utf_8_with_or_without_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "mapping.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert load(str(path)) == parse(SMALL)


def test_the_digest_is_of_the_meaning() -> None:
    digest = parse(SMALL).digest
    assert parse(table('zone = "UTC"  # as it is anyway')).digest == digest
    assert parse(SMALL.replace('"id"', '["id"]')).digest == digest
    assert parse(table('zone = "Europe/Berlin"')).digest != digest
    lines = ["a = { column = 'a' }\n", "b = { column = 'b' }\n"]
    assert parse(SMALL + "".join(lines)).digest == parse(SMALL + "".join(lines[::-1])).digest


@pytest.mark.parametrize(
    ("sql", "names"),
    [("left($email, 150)", ("email",)), ("$a || $b || $a", ("a", "b")), ("$1 || $$x$$ || $q$x$q$ || a$b", ())],
)
def test_sql_names_fields_by_a_dollar(sql: str, names: tuple[str, ...]) -> None:
    assert references(sql) == names


def test_the_command_prints_a_schema_that_takes_what_is_taken() -> None:
    ran = CliRunner().invoke(app, ["mapping", "schema"])
    assert ran.exit_code == 0
    schema = json.loads(ran.stdout)
    for text in (EVERYTHING, SMALL):
        jsonschema.validate(tomllib.loads(text), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**tomllib.loads(SMALL), "more": 1}, schema)


def keys(model: dict[str, object]) -> set[str]:
    definitions = [model, *model["$defs"].values()]  # type: ignore[attr-defined]
    return {key for each in definitions for key in each.get("properties", {})}


KNOWN = sorted(keys(MappingFile.model_json_schema()) | {"email", "name", "UTC", "$email", "uuid", "row", "true", "a.b"})
words = st.sampled_from(KNOWN) | st.text(max_size=5)
leaves = words | st.booleans() | st.integers() | st.floats() | st.dates()
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=20,
)


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return quoted(value) if isinstance(value, str) else str(value).lower()


def quoted(text: str) -> str:
    return json.dumps(text.encode("utf-16", "replace").decode("utf-16"), ensure_ascii=False).replace("\x7f", "?")


def is_read_or_refused(text: str) -> None:
    try:
        file = parse(text)
    except MappingRefused as error:
        refused = error
    else:
        assert parse(text).digest == file.digest
        return
    assert refused.problems
    assert all(each.said for each in refused.problems)
    assert str(refused).encode()


@settings(deadline=None)
@given(st.text())
@example(".".join("a" * 3000) + " = 1")
@example("fields." + ".".join("a" * 3000) + " = 1")
@example("joined = [1, { table = 1 }]\ntable = 2\nfields = 3\ngroups = { a = 1 }")
@example("[table]\nname = 'a.b'\nkey = [[1], 2]")
def test_no_text_is_a_surprise(text: str) -> None:
    is_read_or_refused(text)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(list(MappingFile.model_fields)), trees, max_size=6))
def test_no_document_is_a_surprise(document: dict[str, object]) -> None:
    is_read_or_refused("\n".join(f"{key} = {toml(value)}" for key, value in document.items()))


@given(
    st.integers(0, len(EVERYTHING)), st.integers(0, 30), st.text(max_size=4) | st.sampled_from(["1", "{}", "[]", '"'])
)
def test_no_slip_of_the_pen_is_a_surprise(at: int, length: int, instead: str) -> None:
    is_read_or_refused(EVERYTHING[:at] + instead + EVERYTHING[at + length :])
