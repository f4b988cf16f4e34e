"""Writes to customers that the sync itself makes, and erasing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.core.contact import Contact, ContactId, CustomerId
from reconciler.core.ports import Subject
from reconciler.core.values import Value, Values, normalise_email
from simulation.memory.tables import Clash, CustomerRow, Tables, later


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWrite:
    """A compare-and-set of fields (against `raw`) and of being alive; what it shows of the contact goes along."""

    uuid: CustomerId
    values: Values
    raw: Values
    was_alive: bool
    becomes_alive: bool | None
    contact: ContactId | None
    created: datetime | None
    updated: datetime | None


def write_customers(
    tables: Tables, writes: Sequence[RowWrite], released: Collection[CustomerId] = ()
) -> tuple[dict[CustomerId, dict[str, Value]], dict[CustomerId, bool]]:
    """Write what still holds; return which fields took, and whether being alive did. Raises `Clash`, then nothing."""
    kept = {uuid: tables.customers[uuid].raw["email"] for uuid in released}
    for uuid in released:
        tables.customers[uuid].raw["email"] = None
    passing = {write.uuid: _passing(tables, write) for write in writes if write.uuid in tables.customers}
    refused = [uuid for uuid, values in passing.items() if tables.rule is not None and not tables.rule.allows(values)]
    for uuid, address in kept.items():
        if refused or "email" not in passing[uuid]:
            tables.customers[uuid].raw["email"] = address
    if refused and tables.rule is not None:
        tables.rule.require(passing[refused[0]])
    if _clashes(tables, writes, passing):
        for uuid, address in kept.items():
            tables.customers[uuid].raw["email"] = address
        raise Clash("customer_address_is_unique_among_live", delay=1.0)
    lived = {}
    for write in writes:
        if write.uuid in passing:
            lived[write.uuid] = _write(tables, tables.customers[write.uuid], write, passing[write.uuid])
    return passing, lived


def _passing(tables: Tables, write: RowWrite) -> dict[str, Value]:
    row = tables.customers[write.uuid]
    return {
        field: value
        for field, value in write.values.items()
        if row.raw[field] == write.raw.get(field) and not (field == "email" and _is_held(tables, row, value))
    }


def _is_held(tables: Tables, row: CustomerRow, address: Value) -> bool:
    holder = tables.holder(address)
    return holder is not None and holder.uuid != row.uuid


def _clashes(tables: Tables, writes: Sequence[RowWrite], passing: dict[CustomerId, dict[str, Value]]) -> bool:
    """Whether two live customers would have one address."""
    becoming = {write.uuid: write.becomes_alive for write in writes}
    held = set()
    for row in tables.customers.values():
        alive = row.is_alive if becoming.get(row.uuid) is None else becoming[row.uuid]
        address = normalise_email(passing.get(row.uuid, {}).get("email", row.raw["email"]))
        if alive and address is not None:
            if address in held:
                return True
            held.add(address)
    return False


def _write(tables: Tables, row: CustomerRow, write: RowWrite, values: Values) -> bool:
    _overrule(tables, row, values)
    is_change = any(row.raw[field] != value for field, value in values.items())
    row.raw.update(values)
    may_turn = row.is_alive == write.was_alive
    if may_turn and write.becomes_alive is not None:
        is_change = is_change or row.is_alive != write.becomes_alive
        row.deleted = None if write.becomes_alive else row.deleted or tables.now()
    row.updated = tables.now() if is_change else row.updated
    row.contact = row.contact if write.contact is None else write.contact
    row.hubspot_created = row.hubspot_created if write.created is None else write.created
    row.hubspot_updated = later(row.hubspot_updated, write.updated)
    return write.becomes_alive is None or may_turn


def _overrule(tables: Tables, row: CustomerRow, values: Values) -> None:
    """Note what does not go over and is edited in HubSpot: that goes over it, what was agreed before does not."""
    link, held = tables.links[row.uuid], tables.fields.canonical(row.raw)
    tables.overruled |= {
        (field, held[field])
        for field, value in values.items()
        if field not in tables.fields.to_hubspot and value != link.base.get(field)
    }


def insert_customer(tables: Tables, uuid: CustomerId, values: Values, contact: Contact | None) -> bool:
    """Insert a customer for a contact; False when another customer has its address or uuid by now."""
    address = values.get("email")
    is_hidden = any(row.uuid == uuid or (row.is_alive and row.address == address) for row in tables.hidden.values())
    if is_hidden or uuid in tables.customers or tables.holder(address) is not None:
        return False
    if tables.rule is not None:
        tables.rule.require(values)
    row = CustomerRow(uuid, {field: values.get(field) for field in tables.fields.names}, tables.now(), tables.now())
    if contact is not None:
        row.contact, row.hubspot_created, row.hubspot_updated = contact.id, contact.created_at, contact.updated_at
    tables.customers[uuid] = row
    return True


def drop_placeholder(
    tables: Tables, contact: ContactId, owner: CustomerId, *, looked_at: CustomerId | None = None
) -> None:
    """Drop the link of a contact that turned out to belong to a customer."""
    link = tables.owner(contact)
    if link is None or link.uuid == owner or link.alive is not None or link.uuid in tables.customers:
        return
    if not link.blind_pushes or link.uuid == looked_at:
        del tables.links[link.uuid]


def erase(tables: Tables, subject: CustomerId) -> None:
    """Erase a person by closure: every row, link, alias, log and mark with one of the addresses or ids."""
    people, addresses, former = {subject}, set[str](), set[str]()
    known = 0
    while len(people) > known:
        known = len(people)
        addresses |= _addresses_of(tables, people)
        former = _former_addresses(tables, people) - addresses
        people |= _people_with(tables, people, addresses | former)
    ids = {link.contact for link in tables.links.values() if link.uuid in people and link.contact is not None}
    ids |= {contact for contact, (uuid, _) in tables.aliases.items() if uuid in people}
    for uuid in people & tables.customers.keys():
        row = tables.customers[uuid]
        row.raw = dict.fromkeys(tables.fields.names)
        row.contact, row.deleted, row.erased = None, row.deleted or tables.now(), row.erased or tables.now()
    for uuid in people:
        tables.links.pop(uuid, None)
        tables.close([intent.id for intent in tables.intents_of(uuid)])
    gone = {normalise_email(address) for address in addresses | former}
    for link in tables.links.values():
        link.former -= gone
    for loser in list(tables.losers):
        if loser.uuid in people or normalise_email(loser.lost) in gone:
            del tables.losers[loser]
            tables.erased_losers.add((loser.field, loser.lost or None))
        elif normalise_email(loser.kept) in gone:
            del tables.losers[loser]
            tables.losers[replace(loser, kept="")] = None
    tables.dirty = [each for each in tables.dirty if each[0] not in people]
    for key in [
        *(Subject.customer(p).key for p in people),
        *(f"e:{a}" for a in addresses),
        *(Subject.contact(i).key for i in ids),
    ]:
        tables.marks.pop(key, None)
    tables.aliases.update((contact, (None, "ignored")) for contact in ids)
    tables.tombstones |= addresses | former
    tables.erased |= people


def _former_addresses(tables: Tables, people: set[CustomerId]) -> set[str]:
    """Return what these people had beside their address, unless it is another person's by now."""
    had = {address for link in tables.links.values() if link.uuid in people for address in link.former}
    others = {row.address for row in tables.customers.values() if row.is_alive and row.uuid not in people}
    others |= {link.base.get("email") for link in tables.links.values() if link.alive and link.uuid not in people}
    return had - others


def _addresses_of(tables: Tables, people: set[CustomerId]) -> set[str]:
    rows = {row.address for row in tables.customers.values() if row.uuid in people}
    bases = {link.base.get("email") for link in tables.links.values() if link.uuid in people}
    sent = {intent.values.get("email") for intent in tables.intents.values() if intent.uuid in people}
    logged = {
        normalise_email(value)
        for loser in tables.losers
        if loser.uuid in people and loser.field == "email"
        for value in (loser.kept, loser.lost)
    }
    return {address for address in rows | bases | sent | logged if address is not None}


def _people_with(tables: Tables, people: set[CustomerId], addresses: set[str]) -> set[CustomerId]:
    found = {row.uuid for row in tables.customers.values() if row.address in addresses or row.merged_into in people}
    found |= {
        row.merged_into for row in tables.customers.values() if row.uuid in people and row.merged_into is not None
    }
    found |= {intent.uuid for intent in tables.intents.values() if intent.values.get("email") in addresses}
    return found | {link.uuid for link in tables.links.values() if link.base.get("email") in addresses}
