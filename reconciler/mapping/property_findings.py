"""What is wrong between the fields of a file and HubSpot's properties: types, options, what nobody may write."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from reconciler.core.kinds import Direction, Kind
from reconciler.mapping.catalogue import Catalogue, Column
from reconciler.mapping.evidence import Evidence
from reconciler.mapping.file import MappedField, MappingFile
from reconciler.mapping.fitting import kind_of_property, takes
from reconciler.mapping.parts import parts_of
from reconciler.mapping.properties import Property
from reconciler.mapping.remarks import Remark, refused, said

SHOWN = 8
"""Options that are named; some properties have hundreds."""

CHOICES = (Kind.ENUM, Kind.SET)


def about_properties(
    file: MappingFile, properties: Mapping[str, Property], catalogue: Catalogue, evidence: Evidence
) -> Iterator[Remark]:
    """Go through what the fields and HubSpot's properties are to each other."""
    for part in parts_of(file):
        table = catalogue.tables.get(part.name)
        for name, field in part.fields.items():
            column = table.column(field.column) if table is not None and field.column is not None else None
            if name in properties:
                yield from _about(properties[name], field, column)
                yield from _strays(properties[name], field, evidence.values.get(name, frozenset()))
            else:
                yield _missing(name, field, properties)
    for name, wanted in file.contacts.where.items():
        yield from _scope(name, wanted, properties)


def _missing(name: str, field: MappedField, properties: Mapping[str, Property]) -> Remark:
    if field.create is not None:
        return said(name, "no such property in HubSpot: it will be made by mapping apply --create")
    near = get_close_matches(name, properties, n=1)
    other = f'write "{near[0]}", or' if near else "write"
    create = f'create = {{ label = "{name}", group = "contactinformation" }}'
    return refused(name, "no such property in HubSpot", f"{other} {create}")


def _about(known: Property, field: MappedField, column: Column | None) -> Iterator[Remark]:
    if not known.is_writable and field.direction is not Direction.TO_POSTGRES:
        yield refused(known.name, "HubSpot lets nobody write it", 'write direction = "to_postgres"')
    if not takes(known, field):
        what = f"a {field.type} here, in HubSpot {known.type} ({known.form})"
        yield refused(known.name, what, _fitting(known, field))
    elif field.type is Kind.TEXT and known.is_choice:
        if field.direction is not Direction.TO_POSTGRES:
            yield said(known.name, "HubSpot refuses what is none of its options", 'write type = "enum", with values')
    elif field.type in CHOICES:
        yield from _options(known, field, column)


def _fitting(known: Property, field: MappedField) -> str:
    kind = kind_of_property(known)
    if kind is Kind.TEXT:
        return 'write type = "text", or direction = "to_hubspot"'
    return f'write type = "{kind}", or another property'


def _options(known: Property, field: MappedField, column: Column | None) -> Iterator[Remark]:
    """Say which values have no counterpart on the other side."""
    labels = column.labels if column is not None else ()
    values = field.values if field.values is not None else {label: label for label in labels}
    if known.options is None or not known.is_choice or not values:
        return
    for value, option in values.items():
        if option not in known.options and field.direction is not Direction.TO_POSTGRES:
            yield refused(known.name, f"{option}, for {value}, is none of HubSpot's options", _one_of(known.options))
    lacking = [option for option in known.options if option not in values.values()]
    if lacking and field.direction is not Direction.TO_HUBSPOT:
        what = f"no value of the column stands for {_some(lacking)}"
        yield refused(known.name, what, 'write them in values, or direction = "to_hubspot"')


def _strays(known: Property, field: MappedField, held: frozenset[str]) -> Iterator[Remark]:
    """Say that rows have values without a counterpart; a value of a row is not told."""
    counterparts = field.values if field.values is not None else known.options
    if counterparts is None or field.direction is Direction.TO_POSTGRES:
        return
    strays = sum(value not in counterparts for value in held)
    if strays:
        what = f"values of rows that are none of HubSpot's options: {strays}, refused for those records"
        yield said(known.name, what, "write values for them")


def _one_of(options: tuple[str, ...]) -> str:
    return f"write values with {_some(options)}"


def _some(texts: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more


def _scope(name: str, wanted: tuple[str, ...], properties: Mapping[str, Property]) -> Iterator[Remark]:
    known = properties.get(name)
    if known is None:
        near = get_close_matches(name, properties, n=1)
        yield refused(name, "no such property in HubSpot", f'write "{near[0]}"' if near else "leave it out")
        return
    for value in wanted:
        if known.options is not None and value not in known.options:
            yield refused(name, f"{value} is none of HubSpot's options: no contact has it", _one_of(known.options))
