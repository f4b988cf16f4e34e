"""What is wrong with a table of the file: what it is, its key, its columns, the role's privileges, values it needs."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches

from reconciler.mapping.catalogue import Catalogue, Column, Found, Relation
from reconciler.mapping.file import MappingFile
from reconciler.mapping.names import mentions
from reconciler.mapping.parts import Part, dead_mark
from reconciler.mapping.remarks import Remark, refused, said
from reconciler.mapping.toml import key_of

NO_TABLES = {Relation.VIEW: "a view", Relation.MATERIALISED: "a materialised view", Relation.FOREIGN: "a foreign table"}


def missing_table(part: Part, catalogue: Catalogue) -> Remark:
    """Say that a table is not there, and which one may be meant."""
    near = _near(part.name, catalogue.names) or _near(part.name.partition(".")[2], _bare(catalogue))
    meant = next((each for each in catalogue.names if near in (each, each.partition(".")[2])), None)
    instead = f'write "{meant}"' if meant else "write schema.table, as the catalogue of this database has it"
    return refused(part.name, "no such table", instead)


def about_table(part: Part, table: Found, file: MappingFile, catalogue: Catalogue) -> Iterator[Remark]:
    """Go through what is to say of one table."""
    if table.relation in NO_TABLES:
        instead = "write the table whose rows it shows"
        yield refused(table.name, f"it is {NO_TABLES[table.relation]}, which captures no changes", instead)
        return
    if table.relation is Relation.PARTITIONED:
        yield said(table.name, "it is partitioned: a row that moves between partitions is a DELETE and an INSERT")
    if table.hides_rows:
        instead = f"alter role {catalogue.role} bypassrls, or write a table without"
        yield refused(table.name, f"row level security hides rows from the role {catalogue.role}", instead)
    yield from _key(part, table)
    yield from _columns(part, table)
    yield from _roles(part, table, file)
    yield from _needs(part, table, file)
    yield from _privileges(part, table, file, catalogue)
    yield from _rules(part, table)


def _near(name: str, known: Collection[str]) -> str | None:
    same = [each for each in known if each.lower() == name.lower()]
    return next(iter(same or get_close_matches(name, known, n=1)), None)


def _bare(catalogue: Catalogue) -> list[str]:
    return [each.partition(".")[2] for each in catalogue.names]


def _columns(part: Part, table: Found) -> Iterator[Remark]:
    known = [each.name for each in table.columns]
    for name in sorted({*part.read, *part.made} - set(known)):
        # A column that has its place in the file already is not meant.
        near = _near(name, [each for each in known if each not in part.read])
        instead = f'write "{near}"' if near else "write one of " + ", ".join(known)
        yield refused(name, f"no such column in {table.name}", instead)


def _key(part: Part, table: Found) -> Iterator[Remark]:
    place = ", ".join(part.key)
    if not part.is_main or any(table.column(name) is None for name in part.key):
        return
    if not table.is_key(part.key):
        instead = f"write key = {_written(table.key)}" if table.key else "write columns of a unique NOT NULL key"
        yield refused(place, f"no unique NOT NULL key of {table.name}: two rows may have the same", instead)


def _written(names: tuple[str, ...]) -> str:
    quoted = [f'"{name}"' for name in names]
    return quoted[0] if len(quoted) == 1 else f"[{', '.join(quoted)}]"


def _roles(part: Part, table: Found, file: MappingFile) -> Iterator[Remark]:
    for role, name in part.roles.items():
        column = table.column(name)
        if column is None:
            continue
        if role != "deleted" and not (column.is_moment or column.base == "date"):
            yield refused(name, f"{column.type} is no time", f"write a column of type timestamptz, or leave {role} out")
        elif role == "deleted":
            yield from _dead_mark(column, file)
    for name in sorted(part.edited | part.made):
        column = table.column(name)
        if column is not None and column.is_computed and name not in part.mapped.values():
            yield refused(name, "Postgres itself gives it its value", "leave it out")


def _dead_mark(column: Column, file: MappingFile) -> Iterator[Remark]:
    mark = dead_mark(file.table)
    alive = None if mark is None else mark.alive
    is_time = column.is_moment or column.base == "date"
    if alive is None and not is_time:
        instead = "write alive = true or false too" if column.is_flag else 'write alive = "...", and dead = "SQL"'
        yield refused(column.name, f"{column.type} is no time of death", instead)
    elif isinstance(alive, bool) and not column.is_flag:
        yield refused(column.name, f"{column.type} is neither true nor false", 'write alive as a text, such as "ok"')
    elif isinstance(alive, str) and column.labels and alive not in column.labels:
        yield refused(column.name, f"{column.type} has no {alive}", "write one of " + ", ".join(column.labels))
    elif isinstance(alive, str) and (is_time or column.is_flag):
        yield refused(column.name, f"{column.type} holds no text", "write alive = true or false, or leave it out")
    elif alive is None and column.is_required:
        yield refused(column.name, "NOT NULL, and living rows have nothing there", "write another column")


def _needs(part: Part, table: Found, file: MappingFile) -> Iterator[Remark]:
    """Say which columns a row of ours cannot be without, and has no value for."""
    if file.table.insert is False:
        return
    key = "insert" if part.is_main else f"joined[{part.path[1]}].insert"
    for column in table.columns:
        # A uuid is made up where it is the key.
        is_given = column.name in part.made or (column.base == "uuid" and part.key == (column.name,))
        if column.lacks_value and not is_given:
            what = f"NOT NULL without a default, and a row of ours has no value for it ({column.type})"
            aside = ", or insert = false" if part.is_main else ""
            yield refused(column.name, what, f'write {key} = {{ {key_of(column.name)} = "SQL" }}{aside}')
    yield from _emptiable(part, table, file)


def _emptiable(part: Part, table: Found, file: MappingFile) -> Iterator[Remark]:
    for name, place in part.mapped.items():
        column, field = table.column(place), part.fields[name]
        has_empty = field.empty is not None or file.table.empty is not None
        if column is None or not column.lacks_value or place not in part.made or name in file.contacts.requires:
            continue
        if not (column.is_text and has_empty):
            instead = f'write "{name}" into contacts.requires' + (', or empty = ""' if column.is_text else "")
            yield said(place, f"NOT NULL: a contact without {name} gets no row", instead)


def _privileges(part: Part, table: Found, file: MappingFile, catalogue: Catalogue) -> Iterator[Remark]:
    if "usage" not in table.may:
        schema = table.name.partition(".")[0]
        instead = f"grant usage on schema {schema} to {catalogue.role}"
        yield refused(table.name, f"the role {catalogue.role} may not use the schema {schema}", instead)
    makes = file.table.insert is not False and bool(part.made)
    # SQL of the file is tried on a table like this one, which only who reads all of it may make.
    read = {each.name for each in table.columns} if part.has_sql else part.read
    wanted = {"select": read, "insert": part.made if makes else set(), "update": part.edited}
    lacking = [right for right, columns in wanted.items() if not _has(table, right, columns)]
    lacking += ["delete"] if part.is_main and file.table.deleted == "row" and "delete" not in table.may else []
    lacking += ["trigger"] if "trigger" not in table.may else []
    for right in lacking:
        instead = f"grant {right} on {table.name} to {catalogue.role}"
        yield refused(table.name, f"the role {catalogue.role} lacks the privilege {right.upper()}", instead)


def _has(table: Found, right: str, names: Collection[str]) -> bool:
    columns = [table.column(name) for name in names]
    return all(right in column.may for column in columns if column is not None)


def _rules(part: Part, table: Found) -> Iterator[Remark]:
    """Say which rules of the owner's a value of HubSpot's may meet."""
    taken = part.made | part.edited
    mapped = {*part.mapped.values(), *part.shared, *(part.insert or ())} & taken
    for unique in table.uniques:
        if mapped & set(unique.columns):
            where = ", ".join(unique.columns)
            yield said(where, f"unique index {unique.name}: a value that another row has is refused, for that record")
    for rule in table.rules:
        if names := sorted(mapped & set(rule.columns)):
            yield said(", ".join(names), f"{rule.text} ({rule.name}): a value that violates it is refused")
    for trigger in table.triggers:
        names = sorted(name for name in mapped if trigger.source is None or mentions(trigger.source, name))
        if names or "populate_record" in (trigger.source or ""):
            where = ", ".join(names or sorted(mapped))
            yield said(where, f"trigger {trigger.name} ({trigger.function}) may rewrite what is written: a local edit")
