"""What the keys of one field mean to each other; no database is asked."""

import re
from collections.abc import Iterator
from functools import cache
from zoneinfo import available_timezones

from reconciler.core.kinds import SEPARATOR, Direction, Kind
from reconciler.mapping.file import MappedField
from reconciler.mapping.problems import KeyPath

Finding = tuple[KeyPath, str]
"""The key that is wrong, and what to write instead."""

API_KEYS = frozenset(
    {
        *("uuid", "key", "contactid", "createdat", "updatedat", "hubspotcreatedat", "hubspotupdatedat"),
        *("deletedat", "erasedat", "mergedinto"),
    }
)
"""What the API shows beside the fields."""

PROPERTY = re.compile(r"[a-z][a-z0-9_]*")

LONGEST_NAME = 63
"""Bytes of a name in the catalogue of Postgres."""

WITH_VALUES = (Kind.ENUM, Kind.SET, Kind.BOOLEAN)
WITH_ZONE = (Kind.DATE, Kind.DATETIME)


def check_field(path: KeyPath, field: MappedField) -> Iterator[Finding]:
    """Go through what is wrong with one field, wherever it stands."""
    yield from _property(path)
    yield from _source(path, field)
    yield from _values(path, field)
    if field.zone is not None:
        yield from check_zone((*path, "zone"), field.zone)
        if field.type not in WITH_ZONE:
            yield (*path, "zone"), 'only a date or datetime has a zone: leave it out, or write type = "datetime"'
    if field.empty is not None and field.column is None:
        yield (*path, "empty"), "only a column stores something for nothing: leave it out"


def check_zone(path: KeyPath, zone: str) -> Iterator[Finding]:
    """Refuse a zone that the IANA database does not have."""
    if zone not in _zones():
        yield path, 'no zone of the IANA database: write one such as "Europe/Berlin", or "UTC"'


def check_name(path: KeyPath, name: str) -> Iterator[Finding]:
    """Refuse a column that the catalogue cannot have, or not by this name."""
    if name.startswith('"') and name.endswith('"'):
        yield path, "a name in quotes: write it without them, as the catalogue has it"
    if len(name.encode()) > LONGEST_NAME:
        yield path, f"longer than the {LONGEST_NAME} bytes of a name: write it as the catalogue has it"


@cache
def _zones() -> set[str]:
    return available_timezones()


def _property(path: KeyPath) -> Iterator[Finding]:
    name = str(path[-1])
    if not PROPERTY.fullmatch(name):
        yield path, "no name of a HubSpot property: write its internal name, of a-z, 0-9 and _, a letter first"
    if name in API_KEYS:
        yield path, "a key that the API itself shows: write the name of another property"


def _source(path: KeyPath, field: MappedField) -> Iterator[Finding]:
    match field.column, field.read:
        case None, None:
            yield path, 'neither column nor read: write one, such as column = "first_name"'
        case str(), str():
            yield (*path, "read"), "column and read at once: write one of them"
        case str() as column, None:
            yield from check_name((*path, "column"), column)
            if field.group is not None:
                yield (*path, "group"), "a field of a group is read by SQL: write read = ... in place of column"
        case _ if field.group is None and field.direction is not Direction.TO_HUBSPOT:
            yield (
                (*path, "direction"),
                'read alone goes one way: write direction = "to_hubspot", or a group that writes it',
            )


def _values(path: KeyPath, field: MappedField) -> Iterator[Finding]:
    if field.values is None:
        return
    path = (*path, "values")
    if field.type not in WITH_VALUES:
        yield path, 'only enum, set and boolean have values: leave it out, or write type = "enum"'
    met: dict[str, str] = {}
    for value, option in field.values.items():
        if option in met:
            yield (*path, value), f"{met[option]} has this option, too: write one value for each option"
        met.setdefault(option, value)
        yield from _option((*path, value), option, field.type)
    if field.type is Kind.BOOLEAN and {"true", "false"} - set(met):
        yield path, 'true or false has no value: write both, such as { 1 = "true", 0 = "false" }'


def _option(path: KeyPath, option: str, kind: Kind) -> Iterator[Finding]:
    if not option:
        yield path, "an empty option: write HubSpot's internal value"
    if kind is Kind.BOOLEAN and option not in ("true", "false"):
        yield path, 'a boolean is "true" or "false": write one of them'
    if kind is Kind.SET and SEPARATOR in option:
        yield path, f"{SEPARATOR} stands between the elements of a set: write an option without it"
