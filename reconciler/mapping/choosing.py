"""Catalogue -> the table whose rows are people with addresses, and where these addresses stand."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from reconciler.mapping.catalogue import UTF8, Catalogue, Column, Found
from reconciler.mapping.names import PRIMARY, first_named, is_name, likeness, property_meant

OWN_ADDRESS, JOINED_ADDRESS, NAMES, LIKE, ROWS, NO_KEY = 40, 30, 10, 15, 10, -100
"""What speaks for a table, and against it."""


class NoTable(Exception):
    """No table can be proposed; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emails:
    """A table that holds the addresses of another one's rows; `flag` tells a row's first one."""

    found: Found
    on: Column
    address: Column
    flag: Column | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A table, and its addresses: in a column of its own, or in another table."""

    found: Found
    key: tuple[str, ...]
    address: Column | None
    emails: Emails | None = None

    @property
    def score(self) -> int:
        """How well it fits."""
        names = min(sum(is_name(column) for column in self.found.columns), 2)
        address = OWN_ADDRESS if self.address is not None else JOINED_ADDRESS
        key = 0 if self.key else NO_KEY
        table = self.found.name.partition(".")[2]
        return address + NAMES * names + LIKE * likeness(table) + (ROWS if self.found.rows else 0) + key


def choose(catalogue: Catalogue, name: str | None) -> Choice:
    """Return the table with this name, without one the table that fits best; raise `NoTable`."""
    if catalogue.encoding != UTF8:
        raise NoTable(
            f"the encoding of {catalogue.database} is {catalogue.encoding}: only UTF8 holds what HubSpot does"
        )
    if name is not None:
        return _asked(catalogue, name)
    choices = list(_choices(catalogue))
    if not choices:
        raise NoTable("no table has a column of addresses, such as email: name one with --table")
    best = max(choices, key=lambda choice: (choice.score, choice.found.rows, choice.found.name))
    if not best.key:
        raise NoTable(f"{best.found.name} fits best, and has no unique NOT NULL key: give it a primary key")
    return best


def _asked(catalogue: Catalogue, name: str) -> Choice:
    found = next((table for each, table in catalogue.tables.items() if name in (each, each.partition(".")[2])), None)
    if found is None:
        near = get_close_matches(name, [*catalogue.tables, *(each.partition(".")[2] for each in catalogue.tables)], n=1)
        raise NoTable(f"no table {name}" + (f": {near[0]} is one" if near else ": write schema.table"))
    choice = _choice(found, catalogue)
    if choice is None:
        raise NoTable(f"{found.name} has no column of addresses, and no table with addresses leads to it")
    if not choice.key:
        raise NoTable(f"{found.name} has no unique NOT NULL key: give it a primary key")
    return choice


def _choices(catalogue: Catalogue) -> Iterator[Choice]:
    for found in catalogue.tables.values():
        choice = _choice(found, catalogue)
        if choice is not None:
            yield choice


def _choice(found: Found, catalogue: Catalogue) -> Choice | None:
    key = found.key or next((each.columns for each in found.uniques if found.is_key(each.columns)), ())
    own = _address(found)
    if own is not None:
        return Choice(found=found, key=key, address=own)
    emails = next(_emails(found, catalogue), None) if len(key) == 1 else None
    return None if emails is None else Choice(found=found, key=key, address=None, emails=emails)


def _address(found: Found) -> Column | None:
    columns = [each for each in found.columns if property_meant(each.name) == "email" and each.is_text]
    return next(iter(columns), None)


def _emails(found: Found, catalogue: Catalogue) -> Iterator[Emails]:
    for other in catalogue.tables.values():
        on = next((each for each in other.columns if each.references == found.name), None)
        address = _address(other)
        # A table of people has its own addresses: those of whoever it leads to are others.
        if other is not found and on is not None and address is not None and not any(map(is_name, other.columns)):
            flags = [each for each in first_named(other, PRIMARY) if each.is_flag]
            yield Emails(found=other, on=on, address=address, flag=next(iter(flags), None))
