"""A table -> the fields that its columns are, by their names and types: part of a proposal."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.core.kinds import Direction, Kind
from reconciler.mapping.catalogue import Column, Found, Sample
from reconciler.mapping.file import MappedField
from reconciler.mapping.fitting import holds, kind_of_column, takes
from reconciler.mapping.names import FULL_NAMES, first_named, plain, property_meant
from reconciler.mapping.properties import Property
from reconciler.mapping.toml import Value

GROUP = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Fields by property, as the file has them; `columns` are those that they show, `taken` those that they write."""

    fields: dict[str, Value] = field(default_factory=dict)
    groups: dict[str, Value] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, column: Column, mapped: MappedField) -> None:
        """Let a property show a column."""
        keys: dict[str, Value] = {"column": column.name}
        if mapped.type is not Kind.TEXT:
            keys["type"] = str(mapped.type)
        if mapped.direction is not Direction.BOTH:
            keys["direction"] = str(mapped.direction)
        else:
            self.taken.add(column.name)
        self.fields[name] = keys
        self.columns[name] = column.name


def fields_of(
    found: Found, address: Column | None, properties: Mapping[str, Property], samples: Mapping[str, Sample]
) -> Fields:
    """Return the fields of a table, the address and the names first."""
    fields = Fields()
    if address is not None:
        fields.add("email", address, MappedField(column=address.name, type=Kind.EMAIL))
    _add_names(fields, found, samples)
    for column in found.columns:
        if column.name in fields.columns.values() or column.name in fields.taken:
            continue
        for name in _meant(column, properties):
            fitting = _fitting(column, properties[name]) if name not in fields.fields else None
            if fitting is not None:
                fields.add(name, column, fitting)
                break
    return fields


def _add_names(fields: Fields, found: Found, samples: Mapping[str, Sample]) -> None:
    first, last = _meaning(found, "firstname"), _meaning(found, "lastname")
    full = [each for each in first_named(found, FULL_NAMES) if each.is_text]
    if full and not first and not (last and _is_used(last[0], samples)):
        _add_group(fields, full[0])
        if last:
            fields.notes.append(f"{last[0].name} is empty in every row looked at: {full[0].name} holds both names")
        return
    for name, columns in (("firstname", first or full), ("lastname", last)):
        if columns:
            fields.add(name, columns[0], MappedField(column=columns[0].name))


def _meaning(found: Found, name: str) -> list[Column]:
    return [each for each in found.columns if each.is_text and property_meant(each.name) == name]


def _is_used(column: Column, samples: Mapping[str, Sample]) -> bool:
    """Whether rows have something there; a table without rows is believed by its columns' names."""
    sample = samples.get(column.name)
    return sample is None or not sample.rows or sample.filled > 0


def _add_group(fields: Fields, column: Column) -> None:
    """Let two properties show one column: what stands before its first blank, and what stands after."""
    first = f"split_part({column.quoted}, ' ', 1)"
    joined = "concat_ws(' ', $firstname, $lastname)"
    fields.fields["firstname"] = {"read": first, "group": GROUP}
    fields.fields["lastname"] = {"read": f"substr({column.quoted}, length({first}) + 2)", "group": GROUP}
    fields.groups[GROUP] = {column.name: joined if column.is_required else f"nullif({joined}, '')"}
    fields.taken.add(column.name)


def _meant(column: Column, properties: Mapping[str, Property]) -> Iterator[str]:
    """Go through the properties that a column may hold: by what its name usually means, else by the same name."""
    meant = property_meant(column.name)
    if meant is not None and meant in properties:
        yield meant
    yield from (name for name in properties if plain(name) == plain(column.name))


def _fitting(column: Column, known: Property) -> MappedField | None:
    """Return the field by which column and property have the same values, both ways if that is possible."""
    kind = kind_of_column(column)
    # Which label is which option is nobody's guess.
    if kind is None or kind in (Kind.ENUM, Kind.SET) or not known.is_writable:
        return None
    both = [] if column.is_computed else [Direction.BOTH]
    fields = [MappedField(column=column.name, type=kind, direction=way) for way in (*both, Direction.TO_HUBSPOT)]
    return next((each for each in fields if holds(column, each) and takes(known, each)), None)
