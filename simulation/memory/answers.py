"""Commits HubSpot's answers in memory."""

from collections.abc import Sequence
from dataclasses import replace

from reconciler.core.contact import CustomerId, IntentId, IntentKind
from reconciler.core.errors import Refused
from reconciler.core.fields import NORMALISE, Value
from reconciler.core.mirror import Accepted, blocked_write
from reconciler.core.ports import Answer, Sent, Written
from simulation.memory.rows import RowWrite, drop_placeholder, erase, insert_customer, write_customers
from simulation.memory.tables import Clash, LinkRow, Tables, later


def settle(tables: Tables, answered: Sequence[tuple[Sent, Answer]], *, mirrors: bool = True) -> set[IntentId]:
    """Commit the answers of one call; return the intents of those that wait, for their row is out of reach.

    `mirrors`: the rows take them, else the next look puts them back in HubSpot.
    """
    taken = [Accepted(sent, answer.contact) for sent, answer in answered if isinstance(answer, Written)]
    for each in taken:
        if each.write.kind is IntentKind.CREATE and tables.is_ignored(each.contact.id):
            erase(tables, each.write.pair.uuid)
    taken = [each for each in taken if each.write.pair.uuid not in tables.erased]
    fresh = [t for t in taken if t.write.kind is IntentKind.CREATE and t.write.pair.customer is None]
    tables.refuse_erased([each.contact.values.get("email") for each in fresh])
    taken = [each for each in taken if _is_linkable(tables, each) and _is_at_home(tables, each)]
    held = [each for each in taken if mirrors and tables.is_held(each.write.pair.uuid)]
    taken = [each for each in taken if each not in held]
    _refuse_second_owners(tables, [*taken, *held])
    for each in held:
        _hold_up(tables, each)
    kept = [each for each in taken if each.write.pair.customer is not None]
    written, _ = write_customers(tables, [_row_write(each) for each in kept if mirrors])
    for each in taken:
        tables.log(each.write.pair.uuid, each.refused)
        _move_pushed(tables, each)
    tables.wake_waiting([each.freed_address for each in taken])
    for each in taken if not mirrors else ():
        uuid = each.write.pair.uuid
        tables.links[uuid].deleted = each.write.pair.customer is None and uuid not in tables.customers
        tables.mark({f"u:{uuid}"}, 0)
    for each in kept if mirrors else ():
        tables.links[each.write.pair.uuid].settle(written.get(each.write.pair.uuid, {}))
        row = tables.customers.get(each.write.pair.uuid)
        if each.write.kind is IntentKind.CREATE and (row is None or not row.is_alive):
            tables.mark({f"u:{each.write.pair.uuid}"}, 1)
        if row is not None:
            lost = each.left_out(written.get(row.uuid, {}), row.stored)
            tables.log(row.uuid, lost)
            tables.mark({f"u:{row.uuid}" for _ in lost}, 1)
            is_overtaken = any(NORMALISE[c](row.stored[c]) != value for c, value in each.carried.items())
            tables.mark({f"u:{row.uuid}"} if row.is_alive and is_overtaken else set(), 1)
    for each in [each for each in taken if mirrors and each in fresh]:
        _insert(tables, each)
    for each in taken:
        tables.close([each.sent.intent] if each.is_whole else [])
        tables.give_up(each.earlier)
        _keep_open(tables, each)
    for sent, answer in answered:
        if isinstance(answer, Refused):
            link = tables.links.get(sent.write.pair.uuid)
            if link is not None:
                link.blocks.update(blocked_write(sent.write, answer))
            tables.suspended = {**dict.fromkeys(answer.suspends, answer.reason), **tables.suspended}
            tables.close([sent.intent])
    return {each.sent.intent for each in held}


def _hold_up(tables: Tables, each: Accepted) -> None:
    """Leave an answer to a later look; but a new contact belongs to its customer at once."""
    if each.write.kind is IntentKind.CREATE:
        link = tables.links[each.write.pair.uuid]
        link.contact, link.alive = link.contact or each.contact.id, True
    tables.mark({f"u:{each.write.pair.uuid}"}, 1)


def _is_linkable(tables: Tables, each: Accepted) -> bool:
    """Take a new contact from the placeholder its own webhook made; not what another worker links."""
    uuid = each.write.pair.uuid
    if each.write.kind is not IntentKind.CREATE:
        return True
    drop_placeholder(tables, each.contact.id, uuid)
    owner = tables.owner(each.contact.id)
    if owner is None or owner.uuid == uuid:
        return True
    tables.mark({f"c:{each.contact.id}", f"u:{uuid}"}, 0)
    tables.close([intent.id for intent in tables.intents_of(uuid)])
    link = tables.links.get(uuid)
    if link is not None and not link.edited and uuid not in tables.customers:
        del tables.links[uuid]
    return False


def _is_at_home(tables: Tables, each: Accepted) -> bool:
    """Leave out an answer about a contact that is not the link's: what came late is looked at for itself."""
    if each.write.kind is IntentKind.CREATE and each.write.pair.customer is None:
        # A reservation that was given up meanwhile: its contact is there after all.
        tables.ensure_link(each.write.pair.uuid)
    link = tables.links.get(each.write.pair.uuid)
    is_new = each.write.kind is IntentKind.CREATE and link is not None and link.contact is None
    if link is not None and (is_new or link.contact == each.contact.id):
        if each.write.kind is IntentKind.CREATE and each.write.pair.fence != link.fence:
            # The worker with the claim decided without the contact, and may be about to clear the customer's mark.
            tables.mark({f"u:{each.write.pair.uuid}"}, 1)
        return True
    tables.mark({f"c:{each.contact.id}"}, 1)
    tables.close([each.sent.intent])
    return False


def _refuse_second_owners(tables: Tables, taken: Sequence[Accepted]) -> None:
    for each in taken:
        owner = tables.owner(each.contact.id)
        if (
            owner is not None
            and owner.uuid != each.write.pair.uuid
            and tables.links[each.write.pair.uuid].contact is None
        ):
            raise Clash("link_contact_is_unique", delay=1.0)


def _move_pushed(tables: Tables, each: Accepted) -> None:
    """The base takes the answer in the order of HubSpot's time, whatever claim is held."""
    link: LinkRow = tables.links[each.write.pair.uuid]
    at = int(each.contact.updated_at.timestamp() * 1000)
    moving: dict[str, Value] = {c: v for c, v in each.pushed.items() if link.base_at.get(c, 0) <= at}
    link.settle(moving)
    link.base_at.update(dict.fromkeys(moving, at))
    link.seen = link.seen if each.is_archived else later(link.seen, each.contact.updated_at)
    link.alive = link.alive if each.alive is None else each.alive
    link.contact = each.contact.id if link.contact is None else link.contact
    link.blocks = {c: why for c, why in link.blocks.items() if c not in each.cured}
    for column, value in each.pushed.items():
        push = link.unseen.get(column)
        if push is not None and value not in push.sent:
            link.unseen[column] = replace(push, sent=(*push.sent, value))


def _row_write(each: Accepted) -> RowWrite:
    customer = each.write.pair.customer
    assert customer is not None
    is_new = each.write.kind is IntentKind.CREATE
    return RowWrite(
        uuid=each.write.pair.uuid,
        values=each.columns,
        stored=customer.stored,
        was_alive=customer.is_alive,
        becomes_alive=False if each.is_archived else None,
        contact=each.contact.id,
        created=each.contact.created_at if is_new else None,
        updated=None if each.is_archived else each.contact.updated_at,
    )


def _insert(tables: Tables, each: Accepted) -> None:
    """Give an API create its customer. One that took the address meanwhile adopts the contact at its next look."""
    uuid: CustomerId = each.write.pair.uuid
    if insert_customer(tables, uuid, each.contact.values, each.contact):
        tables.links[uuid].settle(each.contact.values)
    else:
        if uuid not in tables.customers:
            tables.links.pop(uuid, None)
        tables.mark({f"c:{each.contact.id}"}, 0)


def _keep_open(tables: Tables, each: Accepted) -> None:
    """What was not answered stays open."""
    intent = tables.intents.get(each.sent.intent)
    if intent is not None:
        intent.values = {c: v for c, v in intent.values.items() if c not in each.pushed}
        tables.close([] if intent.values else [intent.id])
