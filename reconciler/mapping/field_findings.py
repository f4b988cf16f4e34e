"""What is wrong between the fields of a table, the types of its columns, and SQL that was tried."""

from collections.abc import Iterator

from reconciler.core.kinds import Direction, Kind
from reconciler.mapping.catalogue import INTEGERS, Column, Found
from reconciler.mapping.evidence import Evidence
from reconciler.mapping.file import MappedField, MappingFile
from reconciler.mapping.fitting import holds, kind_of_column
from reconciler.mapping.parts import Part
from reconciler.mapping.problems import KeyPath, dotted
from reconciler.mapping.remarks import Remark, refused, said

INSTEAD = {
    "where": "write SQL over the row's own columns, of immutable functions alone",
    "insert": "write SQL of constants and $fields that fits the column",
    "write": "write SQL of $fields and the row's columns that fits the column",
    "read": "write SQL over the row's own columns that holds for every row",
    "deleted": "write SQL that fits the column, such as \"'gone'\"",
}


def about_fields(part: Part, table: Found, file: MappingFile, evidence: Evidence) -> Iterator[Remark]:
    """Go through the fields of one table, and its SQL."""
    for name, field in part.fields.items():
        column = table.column(field.column) if field.column is not None else _shape(part, name, evidence)
        if column is not None:
            yield from _about(column, name, field, file)
    for name in part.shared:
        column = table.column(name)
        if column is not None and column.limit is not None:
            yield said(name, f"{column.type}: what is longer is refused, for that record")
    for path, words in evidence.faults.items():
        if _is_of(path, part, file):
            instead = next(said for word, said in INSTEAD.items() if word in path)
            yield refused(dotted(path), words, instead)


def _shape(part: Part, name: str, evidence: Evidence) -> Column | None:
    path: KeyPath = ("fields", name, "read")
    return evidence.shapes.get(path if part.is_main else (*part.path, *path))


def _is_of(path: KeyPath, part: Part, file: MappingFile) -> bool:
    return path[: len(part.path)] == part.path or (part.is_main and path[0] in ("fields", "groups"))


def _about(column: Column, name: str, field: MappedField, file: MappingFile) -> Iterator[Remark]:
    place = column.name or name
    is_taken = field.direction is not Direction.TO_HUBSPOT and field.group is None
    if is_taken and column.is_computed:
        yield refused(place, "Postgres itself gives it its value", 'write direction = "to_hubspot"')
    if field.group is None and not holds(column, field):
        yield refused(place, f"{column.type} does not hold {field.type} values ({name})", _fitting(column, field))
    yield from _coded(column, place, field)
    if is_taken and column.limit is not None:
        yield said(place, f"{column.type}: a longer {name} of HubSpot's is refused, for that record")
    if is_taken and field.empty is not None and not column.is_text:
        yield refused(place, f"{column.type} holds no text that stands for nothing", "leave empty out")


def _fitting(column: Column, field: MappedField) -> str:
    if field.type is Kind.EMAIL:
        return "write a column of text"
    kind = kind_of_column(column)
    if field.type is Kind.BOOLEAN and (column.is_text or column.labels or column.base in INTEGERS):
        return 'write values, such as { 1 = "true", 0 = "false" }'
    if kind is not None and kind is not field.type:
        return f'write type = "{kind}"'
    return 'write type = "text" and direction = "to_hubspot"'


def _coded(column: Column, place: str, field: MappedField) -> Iterator[Remark]:
    """Say which values of the file the column cannot hold."""
    for value in field.values or ():
        if column.labels and value not in column.labels:
            yield refused(place, f"{column.type} has no {value}", "write one of " + ", ".join(column.labels))
        elif column.base in INTEGERS and not _is_integer(value):
            yield refused(place, f"{column.type} has no {value}", "write whole numbers in values")
        elif column.is_flag and value not in ("true", "false"):
            yield refused(place, f"{column.type} has no {value}", "write true and false in values")
        elif column.limit is not None and len(value) > column.limit:
            yield refused(place, f"{value} is longer than {column.type}", "write the values that the column has")


def _is_integer(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit()
