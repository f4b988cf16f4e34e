"""Commits HubSpot's answers in memory."""

from collections.abc import Sequence
from dataclasses import replace

from reconciler.core import settlement
from reconciler.core.contact import Contact, CustomerId, IntentId, IntentKind
from reconciler.core.mirror import Accepted
from reconciler.core.ports import Answer, Sent, Subject, Write, Written
from reconciler.core.settlement import Facts, LinkNow, Move
from reconciler.core.values import Value, Values
from simulation.memory.rows import RowWrite, drop_placeholder, erase, insert_customer, write_customers
from simulation.memory.tables import Clash, LinkRow, Tables, later


def settle(tables: Tables, answered: Sequence[tuple[Sent, Answer]], *, mirrors: bool = True) -> set[IntentId]:
    """Commit the answers of one call; return the intents of those that wait, for their row is out of reach.

    `mirrors`: the rows take them, else the next look puts them back in HubSpot.
    """
    writes = [(sent.write, answer.contact) for sent, answer in answered if isinstance(answer, Written)]
    found = settlement.settle(answered, _facts(tables, writes), mirrors=mirrors)
    for uuid in found.erased:
        erase(tables, uuid)
    fresh = [each for each in found.taken if each.is_new and each.write.pair.customer is None]
    kept = [each for each in found.taken if each.write.pair.customer is not None]
    tables.refuse_erased([each.contact.values.get("email") for each in fresh])
    _refuse_second_owners(tables, [*found.taken, *found.held])
    written, _ = write_customers(tables, [_row_write(each) for each in kept if mirrors])
    for move in found.moves:
        _move(tables, move)
    for each in found.taken:
        tables.log(each.uuid, each.refused)
    tables.wake_waiting([each.freed_address for each in found.taken])
    tables.suspended = {**found.suspends, **tables.suspended}
    if mirrors:
        for each in kept:
            _mirror(tables, each, written.get(each.uuid, {}))
        for each in fresh:
            _insert(tables, each)
    else:
        for each in found.taken:
            _put_back(tables, each)
    for each in found.lost:
        _drop(tables, each.uuid)
    tables.close(found.ended)
    tables.give_up(found.given_up)
    for intent, pushed in found.partly.items():
        _keep_open(tables, intent, pushed)
    for lane, subject in found.marks:
        tables.mark({subject.key}, int(lane))
    return {each.sent.intent for each in found.held}


def _facts(tables: Tables, writes: Sequence[tuple[Write, Contact]]) -> Facts:
    """Look at what the answers are about. Placeholders that the contacts' own webhooks made go first.

    A reservation that was given up meanwhile is made anew: its contact is there after all.
    """
    new = {contact.id: write for write, contact in writes if write.kind is IntentKind.CREATE}
    for contact_id, write in new.items():
        drop_placeholder(tables, contact_id, write.pair.uuid)
        if write.pair.customer is None:
            tables.ensure_link(write.pair.uuid)
    owners = {contact_id: tables.owner(contact_id) for contact_id in new}
    uuids = {write.pair.uuid for write, _ in writes} & tables.links.keys()
    return Facts(
        links={uuid: _link_now(tables, tables.links[uuid]) for uuid in uuids},
        owners={contact_id: owner.uuid for contact_id, owner in owners.items() if owner is not None},
        ignored={contact_id for contact_id in new if tables.is_ignored(contact_id)},
    )


def _link_now(tables: Tables, link: LinkRow) -> LinkNow:
    return LinkNow(contact_id=link.contact, fence=link.fence, is_held=tables.is_held(link.uuid))


def _refuse_second_owners(tables: Tables, taken: Sequence[Accepted]) -> None:
    for each in taken:
        owner = tables.owner(each.contact.id)
        if owner is not None and owner.uuid != each.uuid and tables.links[each.uuid].contact is None:
            raise Clash("link_contact_is_unique", delay=1.0)


def _move(tables: Tables, move: Move) -> None:
    """The base takes the answer in the order of HubSpot's time, whatever claim is held."""
    link = tables.links.get(move.uuid)
    if link is None:
        return
    at = 0 if move.at is None else int(move.at.timestamp() * 1000)
    moving: dict[str, Value] = {c: v for c, v in move.pushed.items() if link.base_at.get(c, 0) <= at}
    link.settle(moving)
    link.base_at.update(dict.fromkeys(moving, at))
    link.newest_seen = later(link.newest_seen, move.seen)
    link.alive = link.alive if move.alive is None else move.alive
    link.contact = move.contact_id if link.contact is None else link.contact
    link.blocks = {**{c: block for c, block in link.blocks.items() if c not in move.cured}, **move.blocks}
    for field, value in move.pushed.items():
        push = link.blind_pushes.get(field)
        if push is not None and value not in push.sent:
            link.blind_pushes[field] = replace(push, sent=(*push.sent, value))


def _mirror(tables: Tables, each: Accepted, written: Values) -> None:
    """Let the base follow what the row took, and look again at what it did not."""
    tables.links[each.uuid].settle(written)
    row = tables.customers.get(each.uuid)
    if each.is_new and (row is None or not row.is_alive):
        tables.mark({Subject.customer(each.uuid).key}, 1)
    if row is not None:
        held = tables.fields.canonical(row.raw)
        lost = each.left_out(written, held)
        tables.log(row.uuid, lost)
        is_overtaken = any(held[c] != value for c, value in each.carried.items())
        if lost or (row.is_alive and is_overtaken):
            tables.mark({Subject.customer(row.uuid).key}, 1)


def _put_back(tables: Tables, each: Accepted) -> None:
    """Let the next look take back in HubSpot what the row does not follow."""
    tables.links[each.uuid].deleted = each.write.pair.customer is None and each.uuid not in tables.customers
    tables.mark({Subject.customer(each.uuid).key}, 0)


def _drop(tables: Tables, uuid: CustomerId) -> None:
    """End what a create began whose contact another link has."""
    tables.close([intent.id for intent in tables.intents_of(uuid)])
    link = tables.links.get(uuid)
    if link is not None and not link.edited and uuid not in tables.customers:
        del tables.links[uuid]


def _row_write(each: Accepted) -> RowWrite:
    customer = each.write.pair.customer
    assert customer is not None
    is_new = each.is_new
    return RowWrite(
        uuid=each.write.pair.uuid,
        values=each.fields,
        raw=customer.raw,
        was_alive=customer.is_alive,
        becomes_alive=False if each.is_archived else None,
        contact=each.contact.id,
        created=each.contact.created_at if is_new else None,
        updated=None if each.is_archived else each.contact.updated_at,
    )


def _insert(tables: Tables, each: Accepted) -> None:
    """Give an API create its customer. One that took the address meanwhile adopts the contact at its next look."""
    uuid = each.uuid
    if insert_customer(tables, uuid, each.contact.values, each.contact):
        tables.links[uuid].settle(each.contact.values)
    else:
        if uuid not in tables.customers:
            tables.links.pop(uuid, None)
        tables.mark({Subject.contact(each.contact.id).key}, 0)


def _keep_open(tables: Tables, intent_id: IntentId, pushed: Values) -> None:
    """What was not answered stays open."""
    intent = tables.intents.get(intent_id)
    if intent is not None:
        intent.values = {c: v for c, v in intent.values.items() if c not in pushed}
        tables.close([] if intent.values else [intent.id])
