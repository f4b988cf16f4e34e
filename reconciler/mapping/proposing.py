"""Catalogue and HubSpot's properties -> a mapping file for one table: valid, with what is to be decided as comments.

Pure. What nobody can know (a tenant, a row that a foreign key leads to) is never guessed: it is asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.mapping.catalogue import Catalogue, Column, Found, Sample
from reconciler.mapping.choosing import Choice, Emails
from reconciler.mapping.names import (
    ALIVE,
    CREATED,
    DEAD,
    DEAD_SINCE,
    ROLES,
    STAFF,
    STAFF_LABELS,
    TENANTS,
    UPDATED,
    first_named,
    plain,
)
from reconciler.mapping.properties import Property
from reconciler.mapping.proposed_fields import Fields, fields_of
from reconciler.mapping.proposed_values import Values, values_of
from reconciler.mapping.toml import Value, key_of, lines_of, to_toml

OPEN = "# To be decided:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The text of a file, and what its reader should know beside it."""

    text: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The columns of the sync's own, as far as the table has them."""

    created: Column | None
    updated: Column | None
    dead: Column | None
    alive: bool | None

    @property
    def names(self) -> set[str]:
        return {each.name for each in (self.created, self.updated, self.dead) if each is not None}


def propose(
    choice: Choice, catalogue: Catalogue, properties: Mapping[str, Property], samples: Mapping[str, Sample]
) -> Proposal:
    """Return a mapping file for the table."""
    found, roles = choice.found, _roles(choice.found)
    fields = fields_of(found, choice.address, properties, samples)
    values = _values(choice, fields, roles)
    sections = [
        f"# Proposed for {found.name}. What is to be decided stands as a comment.",
        "\n".join(["[table]", *_table(choice, fields, roles, values, samples)]),
        "\n".join(["[contacts]", *lines_of({"requires": _required(choice, fields, samples)})]),
        "\n".join(["[fields]", *lines_of(fields.fields)]) if fields.fields else "",
        *("\n".join([f"[groups.{name}]", *lines_of({"write": write})]) for name, write in fields.groups.items()),
        "\n".join(_joined(choice.emails)) if choice.emails is not None else "",
    ]
    text = "\n\n".join(section for section in sections if section) + "\n"
    return Proposal(text=text, notes=tuple(_notes(choice, catalogue, fields, roles)))


def _roles(found: Found) -> Roles:
    dead, alive = _dead(found)
    return Roles(created=_time(found, CREATED), updated=_time(found, UPDATED), dead=dead, alive=alive)


def _time(found: Found, names: tuple[str, ...]) -> Column | None:
    columns = first_named(found, names)
    return next((each for each in columns if (each.is_moment or each.base == "date") and not each.is_computed), None)


def _dead(found: Found) -> tuple[Column | None, bool | None]:
    """Return the column that marks a dead row, and what a living one has there; a time says most."""
    if (since := _time(found, DEAD_SINCE)) is not None and not since.is_required:
        return since, None
    for names, alive in ((DEAD, False), (ALIVE, True)):
        flags = [each for each in first_named(found, names) if each.is_flag and not each.is_computed]
        if flags:
            return flags[0], alive
    return None, None


def _table(
    choice: Choice, fields: Fields, roles: Roles, values: Values, samples: Mapping[str, Sample]
) -> Iterator[str]:
    found = choice.found
    keys: dict[str, Value] = {"name": found.name, "key": choice.key[0] if len(choice.key) == 1 else choice.key}
    keys |= {"created": roles.created.name} if roles.created is not None else {}
    keys |= {"updated": roles.updated.name} if roles.updated is not None else {}
    keys["deleted"] = _mark(roles)
    keys |= {"empty": ""} if _stores_empty(found, fields, samples) else {}
    yield from lines_of(keys)
    if roles.dead is None:
        yield f'{OPEN} an archived contact is a DELETE here; with deleted = "never" neither side ends the other.'
    yield from _where(choice)
    yield from _zone(found, fields, roles)
    yield from _insert(values)


def _mark(roles: Roles) -> Value:
    if roles.dead is None:
        return "row"
    return {"column": roles.dead.name} | ({} if roles.alive is None else {"alive": roles.alive})


def _stores_empty(found: Found, fields: Fields, samples: Mapping[str, Sample]) -> bool:
    """Whether the application stores an empty text where it may store no NULL."""
    columns = [each for each in found.columns if each.is_text and each.is_required and each.name in fields.taken]
    return any(samples.get(each.name, Sample()).emptied for each in columns)


def _where(choice: Choice) -> Iterator[str]:
    """Offer what may leave rows out: staff, guests, other tenants."""
    terms: list[str] = []
    for what, found in (("staff", _staff(choice.found)), ("guests", _guests(choice)), ("tenants", _tenants(choice))):
        if found:
            yield f"{OPEN} {_REASONS[what]}"
            terms += found
    if terms:
        yield f"# where = {to_toml(' and '.join(terms))}"


_REASONS = {
    "staff": "are people of the staff customers, too? Their rows are in scope unless where leaves them out.",
    "guests": "one address may stand in several rows, told apart by a flag: which of them are meant?",
    "tenants": "rows of several tenants are in scope unless where names one.",
}


def _staff(found: Found) -> list[str]:
    flags = [each for each in first_named(found, STAFF) if each.is_flag]
    terms = [f"not {each.quoted}" if each.is_required else f"{each.quoted} is not true" for each in flags]
    for column in first_named(found, ROLES):
        labels = [each for each in column.labels if plain(each) in STAFF_LABELS]
        terms += [f"{column.quoted} <> '{label}'" for label in labels]
        terms += [f"{column.quoted} <> 'admin'"] if column.is_text else []
    return terms


def _guests(choice: Choice) -> list[str]:
    names = {name for each in _beside_address(choice) for name in each}
    return [each.quoted for each in choice.found.columns if each.name in names and each.is_flag]


def _tenants(choice: Choice) -> list[str]:
    columns = first_named(choice.found, TENANTS)
    return [f"{each.quoted} = {'1' if each.base.startswith('int') else repr('...')}" for each in columns]


def _beside_address(choice: Choice) -> Iterator[set[str]]:
    """Go through what makes an address unique together with it."""
    if choice.address is not None:
        for unique in choice.found.uniques:
            if choice.address.name in unique.columns:
                yield set(unique.columns) - {choice.address.name}


def _zone(found: Found, fields: Fields, roles: Roles) -> Iterator[str]:
    used = roles.names | set(fields.columns.values())
    plain_times = [each.name for each in found.columns if each.base == "timestamp" and each.name in used]
    if plain_times:
        yield f"{OPEN} of which zone are the times without one ({', '.join(plain_times)})?"
        yield '# zone = "UTC"'


def _values(choice: Choice, fields: Fields, roles: Roles) -> Values:
    """Return the values of a new row; a row's mark says that it is alive, whatever its default says."""
    values = values_of(choice.found, but=fields.taken | (roles.names - _marked(roles)))
    if choice.emails is not None:
        values.unknown.extend(_joined_values(choice.emails).unknown)
    if roles.dead is not None and roles.alive is not None:
        values.known[roles.dead.name] = str(roles.alive).lower()
    return values


def _marked(roles: Roles) -> set[str]:
    return set() if roles.dead is None else {roles.dead.name}


def _insert(values: Values) -> Iterator[str]:
    unknown = [each for each in values.unknown if each.name not in values.known]
    if unknown:
        named = ", ".join(f"{each.name} ({each.references or each.type})" for each in unknown)
        wanted: dict[str, Value] = {**{each.name: "..." for each in unknown}, **values.known}
        yield f"{OPEN} no row can be made of a contact before there is SQL for {named}."
        yield f"# insert = {to_toml(wanted)}"
        yield "insert = false"
    elif values.known:
        yield f"{OPEN} does this fit what the application writes into a new row?"
        yield f"insert = {to_toml(dict(values.known))}"


def _required(choice: Choice, fields: Fields, samples: Mapping[str, Sample]) -> tuple[str, ...]:
    """Return the properties without which there can be no row."""
    if _stores_empty(choice.found, fields, samples):
        return ("email",)
    lacking = {each.name for each in choice.found.columns if each.lacks_value and each.name in fields.taken}
    return ("email", *(name for name, column in fields.columns.items() if column in lacking and name != "email"))


def _joined(emails: Emails) -> Iterator[str]:
    flag, table = emails.flag, emails.found
    values = _joined_values(emails)
    keys: dict[str, Value] = {"table": table.name, "on": emails.on.name}
    keys |= {"where": flag.quoted} if flag is not None else {}
    insert: dict[str, Value] = {**values.known, **({flag.name: "true"} if flag is not None else {})}
    keys |= {"insert": insert} if insert else {}
    keys["fields"] = {"email": {"column": emails.address.name, "type": "email"}}
    yield "[[joined]]"
    if flag is None:
        yield f"{OPEN} which row of a key holds its first address? Write where."
    yield from (f"{OPEN} insert needs SQL for {each.name} ({each.type})." for each in values.unknown)
    yield from lines_of(keys)


def _joined_values(emails: Emails) -> Values:
    return values_of(emails.found, but={emails.on.name, emails.address.name})


def _notes(choice: Choice, catalogue: Catalogue, fields: Fields, roles: Roles) -> Iterator[str]:
    found = choice.found
    where = (
        choice.address.name if choice.address is not None else f"in {choice.emails.found.name}" if choice.emails else ""
    )
    yield f"{found.name}: about {found.rows} rows, addresses {where}"
    yield from fields.notes
    used = fields.taken | set(fields.columns.values()) | roles.names | set(choice.key)
    left = [key_of(each.name) for each in found.columns if each.name not in used]
    if left:
        yield f"not mapped: {', '.join(left)}"
    if found.relation == "p":
        yield f"{found.name} is partitioned"
    yield f"looked at {len(catalogue.tables)} tables; next: mapping check"
