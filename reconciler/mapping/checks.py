"""What the parts of a mapping file mean to each other; no database is asked."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from reconciler.core.kinds import Direction, Kind
from reconciler.mapping.field_checks import PROPERTY, Finding, check_field, check_name, check_zone
from reconciler.mapping.file import DeadMark, Group, Joined, MappedField, MappingFile, Table
from reconciler.mapping.problems import KeyPath

ADDRESS = "email"
"""The property by which a contact and a row meet."""

_REFERENCE = re.compile(r"(?<![\w$])\$([A-Za-z_]\w*)(?![\w$])")
_TABLE = re.compile(r"[^.]+\.[^.]+", re.DOTALL)


def references(sql: str) -> tuple[str, ...]:
    """Return the fields that SQL of `insert` or `write` names as $field, each once."""
    return tuple(dict.fromkeys(_REFERENCE.findall(sql)))


def fill(sql: str, values: Mapping[str, str]) -> str:
    """Return SQL of `insert` or `write` with other SQL in place of each $field; one that is not known stays."""
    return _REFERENCE.sub(lambda found: values.get(found[1], found[0]), sql)


def check(file: MappingFile) -> Iterator[Finding]:
    """Go through everything that is wrong with a file of the right form."""
    yield from _table(file.table, file.mapped)
    for path, field in _placed(file):
        yield from check_field(path, field)
    yield from _address(file)
    yield from _columns(("fields",), file.fields)
    yield from _own_columns(file)
    yield from _groups(file)
    for index, joined in enumerate(file.joined):
        yield from _joined(("joined", index), joined, file)
    yield from _twice(file)
    yield from _mapped(("contacts", "requires"), file.contacts.requires, file.mapped)
    yield from _mapped(("api", "required"), file.api.required or (), file.mapped)
    if file.contacts.leaves == "delete":
        yield ("contacts", "leaves"), 'not there yet: write "keep", or leave it out'
    for name in file.contacts.where:
        if not PROPERTY.fullmatch(name):
            yield ("contacts", "where", name), "no name of a HubSpot property: write its internal name"


def _placed(file: MappingFile) -> Iterator[tuple[KeyPath, MappedField]]:
    for name, field in file.fields.items():
        yield ("fields", name), field
    for index, joined in enumerate(file.joined):
        for name, field in joined.fields.items():
            yield ("joined", index, "fields", name), field


def _table(table: Table, mapped: Mapping[str, MappedField]) -> Iterator[Finding]:
    yield from _table_name(("table", "name"), table.name)
    yield from check_zone(("table", "zone"), table.zone)
    yield from _keys(("table", "key"), table.key)
    roles = _roles(table)
    for path, column in roles.items():
        yield from check_name(path, column)
        if column in table.key or list(roles.values()).index(column) < list(roles).index(path):
            yield path, f"{column} stands in [table] already: write another column, or leave it out"
    if isinstance(table.deleted, DeadMark):
        yield from _dead_mark(table.deleted)
    if table.insert is not False:
        yield from _insert(("table", "insert"), table.insert, mapped)


def _roles(table: Table) -> dict[KeyPath, str]:
    """Return the columns that the sync writes for itself."""
    dead = table.deleted.column if isinstance(table.deleted, DeadMark) else None
    columns: dict[KeyPath, str | None] = {
        ("table", "created"): table.created,
        ("table", "updated"): table.updated,
        ("table", "deleted", "column"): dead,
    }
    return {path: column for path, column in columns.items() if column is not None}


def _table_name(path: KeyPath, name: str) -> Iterator[Finding]:
    if not _TABLE.fullmatch(name):
        yield path, 'no table with its schema: write schema.table, such as "public.users"'
    elif '"' in name:
        yield path, "a name in quotes: write it without them, as the catalogue has it"


def _keys(path: KeyPath, columns: tuple[str, ...]) -> Iterator[Finding]:
    for column, count in Counter(columns).items():
        yield from check_name(path, column)
        if count > 1:
            yield path, f"{column} stands there twice: write each column once"


def _dead_mark(mark: DeadMark) -> Iterator[Finding]:
    path = ("table", "deleted")
    match mark.alive, mark.dead:
        case None, str():
            yield path, 'dead without alive: write what a living row has, too, such as alive = "ok"'
        case bool(), str():
            yield path, "a flag has no other value than true and false: leave dead out"
        case str(), None:
            yield path, "alive is a text: write what a dead row gets, too, such as dead = \"'gone'\""


def _insert(path: KeyPath, insert: Mapping[str, str], mapped: Mapping[str, MappedField]) -> Iterator[Finding]:
    for column, sql in insert.items():
        yield from check_name((*path, column), column)
        for name in references(sql):
            if name not in mapped:
                yield (*path, column), f"no field ${name}: write a property of [fields], or map it"


def _address(file: MappingFile) -> Iterator[Finding]:
    places = [(path, field) for path, field in _placed(file) if path[-1] == ADDRESS]
    if not any(field.type is Kind.EMAIL for _, field in places):
        path = places[0][0] if places else ("fields",)
        yield path, 'no address: write email = { column = "email", type = "email" }'


def _columns(path: KeyPath, fields: Mapping[str, MappedField]) -> Iterator[Finding]:
    met: dict[str, str] = {}
    for name, field in fields.items():
        if field.column is None:
            continue
        if field.column in met:
            yield (*path, name, "column"), f"{met[field.column]} has this column, too: write another, or one field"
        met.setdefault(field.column, name)


def _own_columns(file: MappingFile) -> Iterator[Finding]:
    roles = {column: path for path, column in _roles(file.table).items()}
    for name, column in _written(file.fields):
        if column in roles:
            said = f'the sync itself writes {column} as table.{roles[column][1]}: write direction = "to_hubspot"'
            yield ("fields", name, "column"), said


def _written(fields: Mapping[str, MappedField]) -> Iterator[tuple[str, str]]:
    for name, field in fields.items():
        if field.column is not None and field.direction is not Direction.TO_HUBSPOT:
            yield name, field.column


def _groups(file: MappingFile) -> Iterator[Finding]:
    for path, field in _placed(file):
        if field.group is None:
            continue
        if path[0] == "joined":
            yield (*path, "group"), "groups write the first table alone: leave it out"
        elif field.group not in file.groups:
            said = f'no such group: write a part [groups.{field.group}] with write = {{ column = "SQL" }}'
            yield (*path, "group"), said
    writers = {column: f"the field {name}" for name, column in _written(file.fields)}
    writers |= {column: f"table.{path[1]}" for path, column in _roles(file.table).items()}
    for name, group in file.groups.items():
        yield from _group(name, group, file.fields)
        for column in group.write:
            if column in writers:
                yield ("groups", name, "write", column), f"{writers[column]} writes this column, too: leave one out"
            writers.setdefault(column, f"the group {name}")


def _group(name: str, group: Group, fields: Mapping[str, MappedField]) -> Iterator[Finding]:
    members = {each: field for each, field in fields.items() if field.group == name}
    if not members:
        yield ("groups", name), f'no field belongs to it: write group = "{name}" at its fields'
    named: set[str] = set()
    for column, sql in group.write.items():
        path = ("groups", name, "write", column)
        yield from check_name(path, column)
        named.update(references(sql))
        for each in references(sql):
            if each not in members:
                yield path, f'${each} is no field of this group: write group = "{name}" at that field'
    for each, field in members.items():
        if each not in named and field.direction is not Direction.TO_HUBSPOT:
            said = f'no write of the group names ${each}: name it there, or write direction = "to_hubspot"'
            yield ("fields", each, "group"), said


def _joined(path: KeyPath, joined: Joined, file: MappingFile) -> Iterator[Finding]:
    yield from _table_name((*path, "table"), joined.table)
    if joined.table == file.table.name:
        yield (*path, "table"), "the table of [table] itself: write its fields in [fields]"
    yield from _keys((*path, "on"), joined.on)
    if len(joined.on) != len(file.table.key):
        said = f"{len(joined.on)} columns for a key of {len(file.table.key)}: write one for each, in the key's order"
        yield (*path, "on"), said
    yield from _insert((*path, "insert"), joined.insert, file.mapped)
    yield from _columns((*path, "fields"), joined.fields)


def _twice(file: MappingFile) -> Iterator[Finding]:
    met: set[str | int] = set()
    for path, _ in _placed(file):
        if path[-1] in met:
            yield path, "this property is mapped already: write it once, in [fields] or in one joined table"
        met.add(path[-1])


def _mapped(path: KeyPath, names: Iterable[str], mapped: Mapping[str, MappedField]) -> Iterator[Finding]:
    for name in names:
        if name not in mapped:
            yield path, f"no field {name}: write a property of [fields], or map it"
