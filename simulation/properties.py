"""What must hold after a run, one sentence for each thing that does not."""

from collections.abc import Iterator
from uuid import UUID

from reconciler.core.blocks import RECORD
from reconciler.core.contact import ContactId, CustomerId
from reconciler.core.fields import Policy
from reconciler.core.kinds import Direction, Kind
from reconciler.core.ports import Subject
from reconciler.core.reasons import Reason
from reconciler.core.values import Value, normalise_email
from sandbox.contact import Contact as Record
from sandbox.lifecycle import STAGE
from simulation.mapped import stays, value_of
from simulation.memory.tables import CustomerRow, LinkRow
from simulation.world import World

Problems = list[str]


def examine(world: World, steps: int) -> Problems:
    """Run a world and return everything that is wrong with it."""
    problems: Problems = []
    world.run(steps)
    problems += [f"P15 {each}" for each in forgotten(world)]
    world.calm_down()
    if not world.settle():
        return [*problems, f"P1 it does not come to rest: {sorted(world.tables.marks)}"]
    if not world.is_lossy:
        problems += [f"P1 without poll and sweep: {each}" for each in differences(world)]
    for _ in range(2):
        world.search_all()
        if not world.settle():
            return [*problems, f"P1 it does not come to rest after the sweep: {sorted(world.tables.marks)}"]
    problems += [f"P1 {each}" for each in differences(world)]
    problems += [f"P2 {each}" for each in lost(world)]
    problems += [f"P3 {each}" for each in taken_over(world)]
    problems += [f"P7 {each}" for each in created_twice(world)]
    problems += [f"P8 {each}" for each in resurrected(world)]
    problems += [f"P11 {each}" for each in spent(world)]
    problems += [f"P13 {world.wire.burst}"] if world.wire.burst else []
    problems += [f"P15 {each}" for each in half_written(world)]
    problems += [f"P18 {each}" for each in undead(world)]
    problems += [f"P5 {each}" for each in restless(world)]
    return problems


def forgotten(world: World) -> Iterator[str]:
    """Changed rows that nothing would ever look at again, but for the sweep."""
    tables = world.tables
    dirty = {each[0] for each in tables.dirty}
    busy = {intent.uuid for intent in tables.intents.values()}
    for row in tables.customers.values():
        link = tables.links.get(row.uuid)
        if row.merged_into or row.erased or _is_held_back(world, link) or row.uuid in dirty | busy:
            continue
        contact = None if link is None else link.contact
        subjects = {Subject.customer(row.uuid), *([] if contact is None else [Subject.contact(contact)])}
        is_marked = any(subject.key in tables.marks for subject in subjects)
        is_leased = link is not None and tables.is_leased(link)
        if not is_marked and not is_leased and _has_news(world, row, link):
            yield f"customer {row.uuid} has changed, and nothing is to look at it"


def _is_held_back(world: World, link: LinkRow | None) -> bool:
    return link is not None and bool(link.blocks or link.detached)


def _has_news(world: World, row: CustomerRow, link: LinkRow | None) -> bool:
    if not row.is_alive or link is None:
        return row.is_alive != bool(link is not None and link.alive)
    fields = world.rules.fields
    return any(
        value != link.base.get(field) and not stays(fields, field, value, here=True)
        for field, value in fields.canonical(row.raw).items()
        if fields[field].policy is not Policy.MANUAL
    )


def differences(world: World) -> Iterator[str]:
    """Pairs that are not equal, and records without a counterpart; what is parked for a reason is left out."""
    live = {r.id: r for r in world.portal.ledger.records.contacts.values() if not r.archived}
    linked: set[int] = set()
    for row in world.tables.customers.values():
        if not row.is_alive:
            continue
        link = world.tables.links.get(row.uuid)
        record = None if link is None or link.contact is None else live.get(link.contact)
        if link is not None and record is not None:
            linked.add(record.id)
            yield from _unequal(world, row, link, record)
        elif not _is_excused(world, link) and any(_outbound(world, row).values()):
            yield f"customer {row.uuid} has no contact"
    for record in live.values():
        link = world.tables.owner(ContactId(record.id))
        if record.id not in linked and not _is_excused(world, link) and record.id not in _ignored(world):
            yield f"contact {record.id} has no customer"


def _unequal(world: World, row: CustomerRow, link: LinkRow, record: Record) -> Iterator[str]:
    local, remote = world.rules.fields.canonical(row.raw), _values(world, record)
    if RECORD in link.blocks and world.wild:
        return
    for field in world.rules.fields.names:
        if field in link.blocks and world.wild:
            continue
        if not _is_settled(world, field, local[field], remote[field], link.base.get(field)):
            values = f"local {local[field]!r}, remote {remote[field]!r}, base {link.base.get(field)!r}"
            yield f"customer {row.uuid}, contact {record.id}, {field}: {values}"
    if row.contact != record.id:
        yield f"customer {row.uuid} shows contact {row.contact} instead of {record.id}"


def _is_settled(world: World, field: str, local: Value, remote: Value, base: Value) -> bool:
    """Whether both hold what was agreed; what stays on its side may differ, and what a person is to decide."""
    if local == remote:
        return local == base
    fields = world.rules.fields
    if fields[field].policy is Policy.MANUAL and fields[field].direction is Direction.BOTH:
        return True
    sides = ((True, local), (False, remote))
    return all(value == base or stays(fields, field, value, here=here) for here, value in sides)


def _outbound(world: World, row: CustomerRow) -> dict[str, Value]:
    return world.rules.fields.outbound(world.rules.fields.canonical(row.raw))


def _values(world: World, record: Record) -> dict[str, Value]:
    fields = world.rules.fields
    return fields.canonical({field: record.get(field) for field in fields.names})


def _is_excused(world: World, link: LinkRow | None) -> bool:
    """Parked: only where addresses collide or records come back from the dead, never in a calm world."""
    return link is not None and world.wild and bool(link.blocks)


def _ignored(world: World) -> set[int]:
    return {contact for contact, (_, kind) in world.tables.aliases.items() if kind == "ignored"}


def lost(world: World) -> Iterator[str]:
    """Acknowledged edits that are on neither side, in no log, and that nobody wrote over knowingly."""
    tables = world.tables
    present: set[tuple[str, Value]] = set()
    for row in tables.customers.values():
        present |= set(world.rules.fields.canonical(row.raw).items())
    for record in world.portal.ledger.records.contacts.values():
        if not record.archived:
            present |= set(_values(world, record).items())
            present |= {("email", normalise_email(address)) for address in record.secondary}
    # A stage is set, read back, and where HubSpot does not set it back cleared and set again: several calls.
    windows = {(entity, STAGE) for entity in _staged(world)}
    logged = {(loser.field, value_of(world.rules.fields, loser.field, loser.lost)) for loser in tables.losers}
    lost_ = world.oracle.lost(
        present=present,
        logged=logged | tables.erased_losers,
        excused=world.wire.overwritten | world.wire.meant | tables.overruled,
        erased=_erased(world),
        windows=windows,
    )
    return (f"lost: {e.field} = {e.value!r}, written by {e.by} to {e.entity}" for e in lost_)


def taken_over(world: World) -> Iterator[str]:
    """Edits of the side whose changes do not go over that are on the other side all the same, or a conflict."""
    fields, stayed = world.rules.fields, {each for each in world.oracle.stayed if _is_traced(world, each[0])}
    for row in world.tables.customers.values():
        for each in fields.canonical(row.raw).items():
            if each[0] not in fields.to_postgres and each in stayed:
                yield f"customer {row.uuid} has {each[0]} = {each[1]!r}, which was HubSpot's own"
    for record in world.portal.ledger.records.contacts.values():
        for each in _values(world, record).items():
            if each[0] not in fields.to_hubspot and each in stayed:
                yield f"contact {record.id} has {each[0]} = {each[1]!r}, which was the row's own"
    for loser in world.tables.losers:
        lost_ = (loser.field, value_of(fields, loser.field, loser.lost))
        if loser.field not in fields.to_postgres & fields.to_hubspot and lost_ in stayed:
            yield f"{loser.field} = {loser.lost!r} of {loser.uuid} is a conflict, though it does not go over"


def half_written(world: World) -> Iterator[str]:
    """API writes that HubSpot has and the row has not, of fields whose changes in HubSpot do not go over."""
    fields, tables = world.rules.fields, world.tables
    for row in [] if world.wild else [each for each in tables.customers.values() if each.is_alive]:
        link = tables.links.get(row.uuid)
        record = None if link is None or link.contact is None else world.portal.find(link.contact, archived=False)
        # Of a create without an answer, a contact that somebody renamed before it was looked for is a new one.
        there = {} if record is None or _was_renamed(record) else _values(world, record)
        for field, value in fields.canonical(row.raw).items():
            remote = there.get(field)
            is_asked = remote is not None and (field, remote) in world.oracle.asked and _is_traced(world, field)
            is_left = remote != value and field not in fields.to_postgres
            if is_asked and is_left and not stays(fields, field, value, here=True):
                yield f"customer {row.uuid} has {field} = {value!r}, and the API wrote {remote!r} to HubSpot"


def _is_traced(world: World, field: str) -> bool:
    """Whether nobody else could have written the same value."""
    return field != STAGE and world.rules.fields[field].kind not in (Kind.BOOLEAN, Kind.ENUM)


def _staged(world: World) -> set[str]:
    """Entities whose stage was written; contacts that were merged into one of them too."""
    records, staged = world.portal.ledger.records, world.wire.staged
    return staged | {
        Subject.contact(each).key for each in records.aliases if Subject.contact(records.resolve(each)).key in staged
    }


def _erased(world: World) -> set[str]:
    """Entities of which nothing may be left; a contact that was merged into an erased person's is his."""
    records = world.portal.ledger.records
    contacts = world.erased_contacts | world.lost_in_erased | _ignored(world)
    contacts |= {each for each in records.aliases if records.resolve(each) in contacts}
    return {Subject.customer(uuid).key for uuid in world.tables.erased} | {
        Subject.contact(contact).key for contact in contacts
    }


def created_twice(world: World) -> Iterator[str]:
    """Customers for whom two of the contacts we made live at the same time.

    Whose address a person has changed before we heard of it cannot be found again, whose address was erased meanwhile
    is nobody's, a deleted customer's contact may go to another, and whoever restores a contact beside its successor
    means it: these do not count.
    """
    records = world.portal.ledger.records.contacts
    let_go = world.restored_contacts | world.tables.handed_over | _ignored(world)
    for uuid, contacts in world.wire.created.items():
        known = [records[each] for each in contacts if each in records and each not in let_go]
        living = [record for record in known if not record.archived]
        if len([record for record in living if not _was_renamed(record)]) > 1:
            yield f"customer {uuid} was created as contacts {contacts}"


def _was_renamed(record: Record) -> bool:
    return any(entry.timestamp > record.created for entry in record.entries("email"))


def resurrected(world: World) -> Iterator[str]:
    """Erased people of whom an address is still, or again, in some table."""
    tables = world.tables
    for row in tables.customers.values():
        if row.address in tables.tombstones:
            yield f"customer {row.uuid} has an erased address"
    for link in tables.links.values():
        if link.base.get("email") in tables.tombstones:
            yield f"the base of {link.uuid} has an erased address"
        if link.contact in world.erased_contacts:
            yield f"erased contact {link.contact} is linked"


def spent(world: World) -> Iterator[str]:
    """Attempts spent, or records parked, for causes that were not the record's own."""
    for link in world.tables.links.values():
        codes = {why.reason for why in link.blocks.values()} - {Reason.COERCED}
        if codes and (not world.wild or Reason.EXHAUSTED in codes):
            yield f"link {link.uuid} is parked: {sorted(codes)}"


def undead(world: World) -> Iterator[str]:
    """Customers that were deleted, were never brought back by anybody, and live."""
    for entity in world.oracle.deaths.keys() - world.oracle.revivals:
        row = world.tables.customers.get(CustomerId(_uuid_of(entity))) if entity.startswith("u:") else None
        if row is not None and row.is_alive and not world.wild:
            yield f"customer {row.uuid} was deleted and lives"


def restless(world: World) -> Iterator[str]:
    """Writes on either side although nothing has happened (P5: the fixpoint).

    A contact restored beside its successor is looked at again when the successor goes.
    """
    before, revision = _rows(world), world.portal.revision
    world.tell_again()
    world.search_all()
    if not world.settle():
        yield "it does not come to rest when told everything again"
    if world.portal.revision != revision:
        yield f"{world.portal.revision - revision} contacts were written for nothing"
    if _rows(world) != before and not world.restored_contacts:
        yield "customers were written for nothing"


def _rows(world: World) -> list[object]:
    return [
        (row.uuid, tuple(row.raw.items()), row.deleted, row.contact, row.updated)
        for row in world.tables.customers.values()
    ]


def _uuid_of(entity: str) -> UUID:
    return UUID(entity[2:])
