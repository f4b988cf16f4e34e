"""What a database answered to the trials of a mapping file, and what is to be tried: values, no database."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.core.kinds import Kind
from reconciler.mapping.catalogue import Catalogue, Column, Found
from reconciler.mapping.checks import fill
from reconciler.mapping.file import MappingFile
from reconciler.mapping.parts import Part, dead_mark, parts_of
from reconciler.mapping.problems import KeyPath

_TYPES = {
    Kind.NUMBER: "numeric",
    Kind.BOOLEAN: "boolean",
    Kind.DATE: "date",
    Kind.DATETIME: "timestamptz",
    Kind.SET: "text[]",
}
"""How a field is typed in SQL; all others as text."""


class Use(StrEnum):
    """What SQL of the file is for."""

    WHERE = "where"
    READ = "read"
    INSERT = "insert"
    WRITE = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """SQL of the file that is to be tried on a table like this one; `column` is what it gives a value."""

    path: KeyPath
    table: str
    use: Use
    sql: str
    column: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubles:
    """Addresses that several living rows in scope have, and some of these rows' keys."""

    addresses: int = 0
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found by trying. None, or nothing: it was not looked at.

    `faults` are SQL that the database refused, in its words; `shapes` what `read` gives; `filled` in how many living
    rows in scope a column holds something; `several` how many keys have several rows in a joined table; `values` what
    the column of an enum has, never to be told; `slow` what could not be looked at in time.
    """

    faults: Mapping[KeyPath, str] = field(default_factory=dict)
    shapes: Mapping[KeyPath, Column] = field(default_factory=dict)
    rows: int | None = None
    inside: int | None = None
    alive: int | None = None
    filled: Mapping[str, int] = field(default_factory=dict)
    doubles: Doubles = Doubles()
    several: Mapping[int, int] = field(default_factory=dict)
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    slow: tuple[str, ...] = ()


def trials_of(file: MappingFile, catalogue: Catalogue) -> list[Trial]:
    """Return all SQL of the file that stands over tables and columns that are there, and may be read."""
    known = [(part, catalogue.tables.get(part.name)) for part in parts_of(file)]
    found = [(part, table) for part, table in known if table is not None and table.is_readable]
    typed = _typed(file)
    return [each for part, table in found for each in _of_part(file, part, table, typed) if _is_possible(each, table)]


def _is_possible(trial: Trial, table: Found) -> bool:
    return not trial.column or table.column(trial.column) is not None


def _of_part(file: MappingFile, part: Part, table: Found, typed: Mapping[str, str]) -> Iterator[Trial]:
    if part.where is not None:
        yield Trial(path=(*part.path, "where"), table=table.name, use=Use.WHERE, sql=part.where)
    for name, mapped in part.fields.items():
        if mapped.read is not None:
            fields = (*part.path, "fields") if part.path[0] == "joined" else ("fields",)
            yield Trial(path=(*fields, name, "read"), table=table.name, use=Use.READ, sql=mapped.read)
    for column, sql in (part.insert or {}).items():
        path = (*part.path, "insert", column)
        yield Trial(path=path, table=table.name, use=Use.INSERT, sql=fill(sql, typed), column=column)
    for column, path in part.shared.items():
        sql = file.groups[str(path[1])].write[column]
        yield Trial(path=path, table=table.name, use=Use.WRITE, sql=fill(sql, typed), column=column)
    mark = dead_mark(file.table)
    if part.is_main and mark is not None and mark.dead is not None:
        path = ("table", "deleted", "dead")
        yield Trial(path=path, table=table.name, use=Use.WRITE, sql=mark.dead, column=mark.column)


def _typed(file: MappingFile) -> dict[str, str]:
    """Return for each field SQL that is nothing, of its type."""
    return {name: f"(null::{_TYPES.get(mapped.type, 'text')})" for name, mapped in file.mapped.items()}
