"""Commits HubSpot's answers: what was pushed moves the base in the order of HubSpot's time, whatever claim is held."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.adapters.postgres.database import Busy, Work, to_json
from reconciler.adapters.postgres.rows import blocks_json, changes, conflict_rows, wake_waiting
from reconciler.adapters.postgres.table import require_all
from reconciler.core.contact import CustomerId, IntentId, IntentKind
from reconciler.core.errors import Refused
from reconciler.core.fields import Values
from reconciler.core.mirror import Accepted, blocked_write
from reconciler.core.ports import LANDING, Answer, Sent, Written


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """What is left to do: erase those who were erased while they were created; come again for the intents held up."""

    erased: list[CustomerId]
    held: frozenset[IntentId]


def settle(work: Work, answered: Sequence[tuple[Sent, Answer]], *, mirrors: bool = True) -> Unsettled:
    """Commit the answers of one call in one transaction, but for those whose row is held by a transaction or hidden.

    `mirrors`: the rows take what was answered; else they stay, held or not, and the next look puts it back in HubSpot.
    """
    written = [Accepted(sent, answer.contact) for sent, answer in answered if isinstance(answer, Written)]
    erased = _erased(work, written)
    taken, held = _linkable(work, [each for each in written if each.write.pair.uuid not in erased])
    if not mirrors:
        taken, held = [*taken, *held], []
    refused = [(sent, answer) for sent, answer in answered if isinstance(answer, Refused)]
    moves = [_moved(each) for each in taken] + [_refused(s, why) for s, why in refused]
    moves += [_only_linked(each) for each in held if each.write.kind is IntentKind.CREATE]
    if moves:
        work.run("move_pushed", answers=to_json(moves))
    _log_otherwise(work, taken)
    wake_waiting(work, [each.freed_address for each in taken])
    for _, why in refused:
        if why.suspends:
            work.run("suspend", columns=sorted(why.suspends), reason=why.reason)
    if mirrors:
        _mirror(work, taken)
    else:
        _put_back(work, taken)
    _close(work, taken, [sent for sent, _ in refused])
    if taken:
        work.run("log_history", rows=to_json([_history(each) for each in taken]))
    if held:
        work.run("mark", subjects=[f"u:{each.write.pair.uuid}" for each in held], lane=1, privacy=False)
    return Unsettled(erased=erased, held=frozenset(each.sent.intent for each in held))


def _erased(work: Work, written: Sequence[Accepted]) -> list[CustomerId]:
    owners = {each.contact.id: each.write.pair.uuid for each in written if each.write.kind is IntentKind.CREATE}
    rows = work.rows("set_apart", contacts=list(owners)) if owners else []
    return [owners[row["contact"]] for row in rows if row["kind"] == "ignored"]


def _linkable(work: Work, taken: Sequence[Accepted]) -> tuple[list[Accepted], list[Accepted]]:
    """Take new contacts from the placeholders that their own webhook made; leave out what another worker links."""
    owners = {each.contact.id: each.write.pair.uuid for each in taken if each.write.kind is IntentKind.CREATE}
    if not owners:
        return _at_home(work, taken)
    for contact_id, uuid in owners.items():
        work.run("drop_placeholder", contact=contact_id, owner=uuid, looked_at=None)
    rows = [row for row in work.rows("owners", contacts=list(owners), ours=[]) if row["uuid"] != owners[row["linked"]]]
    if any(row["placeholder"] for row in rows):
        raise Busy("a worker has just claimed a contact of ours", delay=0.0)
    lost = [owners[row["linked"]] for row in rows]
    if lost:
        subjects = [f"c:{row['linked']}" for row in rows] + [f"u:{uuid}" for uuid in lost]
        work.run("mark", subjects=subjects, lane=0, privacy=False)
        work.run("drop_intents", uuids=lost)
        work.run("drop_links", uuids=lost)
    return _at_home(work, [each for each in taken if each.write.pair.uuid not in lost])


def _at_home(work: Work, taken: Sequence[Accepted]) -> tuple[list[Accepted], list[Accepted]]:
    """Leave out answers about a contact that is not the link's (any more): what came late is looked at for itself.

    The others are those whose row can be written, and those whose row is held or hidden. A reservation that was given
    up meanwhile is made anew: its contact is there after all.
    """
    reserved = [e.write.pair.uuid for e in taken if e.write.kind is IntentKind.CREATE and e.write.pair.customer is None]
    if reserved:
        work.run("ensure_links", uuids=reserved)
    rows = [
        {
            "uuid": each.write.pair.uuid,
            "contact": each.contact.id,
            "created": each.write.kind is IntentKind.CREATE,
            "known": each.write.pair.customer is not None,
        }
        for each in taken
    ]
    found = work.rows("at_home", rows=to_json(rows)) if rows else []
    held, fence = ({row["uuid"]: row[name] for row in found} for name in ("held", "fence"))
    late = [each for each in taken if each.write.pair.uuid not in held]
    if late:
        work.run("close_intents", ids=[each.sent.intent for each in late])
        work.run("mark", subjects=[f"c:{each.contact.id}" for each in late], lane=1, privacy=False)
    home = [each for each in taken if each.write.pair.uuid in held]
    # The worker that has the claim by now decided without the contact, and may be about to clear the customer's mark.
    behind = [e for e in home if e.write.kind is IntentKind.CREATE and e.write.pair.fence != fence[e.write.pair.uuid]]
    if behind:
        work.run("mark", subjects=[f"u:{each.write.pair.uuid}" for each in behind], lane=1, privacy=False)
    return [e for e in home if not held[e.write.pair.uuid]], [e for e in home if held[e.write.pair.uuid]]


def _log_otherwise(work: Work, taken: Sequence[Accepted]) -> None:
    """Log the stages that HubSpot did not take; and, as settled, once, what it stores in a form of its own."""
    losers = [row for each in taken for row in conflict_rows(each.write.pair.uuid, each.refused)]
    if losers:
        work.run("log_conflicts", conflicts=to_json(losers))
    forms = [row for each in taken for row in conflict_rows(each.write.pair.uuid, each.rewritten)]
    if forms:
        work.run("log_rewritten", conflicts=to_json(forms))


def _block_turned_back(work: Work, taken: Sequence[Accepted], written: Mapping[CustomerId, Values]) -> None:
    for each in taken:
        uuid = each.write.pair.uuid
        if each.rewritten:
            for row in work.rows("customers_by_uuid", uuids=[uuid]):
                blocks = each.turned_back(written.get(uuid, {}), row)
                work.run("block", uuids=[uuid], blocks=to_json(blocks_json(blocks)))


def _put_back(work: Work, taken: Sequence[Accepted]) -> None:
    """Let the next look take back in HubSpot what the row does not follow."""
    orphans = [each.write.pair.uuid for each in taken if each.write.pair.customer is None]
    work.run("put_back", uuids=[each.write.pair.uuid for each in taken], orphans=orphans)


def _moved(each: Accepted) -> dict[str, Any]:
    contact = each.contact
    return {
        "uuid": each.write.pair.uuid,
        "pushed": dict(each.pushed),
        "ms": int(contact.updated_at.timestamp() * 1000),
        "at": None if each.is_archived else contact.updated_at,
        "alive": each.alive,
        "contact": contact.id,
        "cured": each.cured,
        "blocks": {},
    }


def _only_linked(each: Accepted) -> dict[str, Any]:
    """A new contact belongs to its customer at once, whenever the row can follow: it must not be made twice."""
    return {
        "uuid": each.write.pair.uuid,
        "pushed": {},
        "ms": 0,
        "alive": each.alive,
        "contact": each.contact.id,
        "cured": [],
        "blocks": {},
    }


def _refused(sent: Sent, refused: Refused) -> dict[str, Any]:
    return {
        "uuid": sent.write.pair.uuid,
        "pushed": {},
        "ms": 0,
        "cured": [],
        "blocks": blocks_json(blocked_write(sent.write, refused)),
    }


def _mirror(work: Work, taken: Sequence[Accepted]) -> None:
    """Bring what HubSpot answered into the rows that still hold what was sent."""
    # A row that was deleted while its contact was written to has nothing to mirror; only a reservation has no row yet.
    _insert(work, [each for each in taken if each.write.kind is IntentKind.CREATE and each.write.pair.customer is None])
    kept = [each for each in taken if each.write.pair.customer is not None]
    if kept:
        written = work.rows("write_customers", rows=to_json([_update_row(each) for each in kept]), watched=False)
        require_all(written)
        pulled = [{"uuid": row["uuid"], "vals": row["written"]} for row in written if row["written"]]
        work.run("move_pulled", rows=to_json(pulled))
        columns = {row["uuid"]: row["written"] for row in written}
        _log_left_out(work, kept, columns)
        _block_turned_back(work, kept, columns)
        _look_again(work, kept, {row["uuid"] for row in written if row["alive"]})
        carried = [{"uuid": each.write.pair.uuid, "vals": dict(each.carried)} for each in kept if each.carried]
        if carried:
            work.run("mark_overtaken", rows=to_json(carried))


def _look_again(work: Work, kept: Sequence[Accepted], living: set[CustomerId]) -> None:
    """A contact that was made for a customer who was deleted meanwhile is to be archived."""
    creates = [each.write.pair.uuid for each in kept if each.write.kind is IntentKind.CREATE]
    dead = [f"u:{uuid}" for uuid in creates if uuid not in living]
    if dead:
        work.run("mark", subjects=dead, lane=1, privacy=False)


def _log_left_out(work: Work, kept: Sequence[Accepted], written: Mapping[CustomerId, Values]) -> None:
    for each in kept:
        uuid = each.write.pair.uuid
        if each.write.is_direct and set(each.columns) - set(written.get(uuid, {})):
            for row in work.rows("customers_by_uuid", uuids=[uuid]):
                losers = each.left_out(written.get(uuid, {}), row)
                work.run("log_conflicts", conflicts=to_json(conflict_rows(uuid, losers)))
                work.run("mark", subjects=[f"u:{uuid}"], lane=1, privacy=False)


def _insert(work: Work, fresh: Sequence[Accepted]) -> None:
    """Give API creates their customer. One that took the address meanwhile adopts the contact at its next look."""
    if not fresh:
        return
    addresses = [address for each in fresh if (address := each.contact.values.get("email")) is not None]
    work.run("refuse_erased", addresses=addresses)
    rows = [_row(each, each.contact.values) for each in fresh]
    inserted = work.rows("insert_customers", rows=to_json(rows), watched=False)
    require_all(inserted)
    done = {row["uuid"] for row in inserted}
    based = [{"uuid": e.write.pair.uuid, "vals": dict(e.contact.values)} for e in fresh if e.write.pair.uuid in done]
    work.run("move_pulled", rows=to_json(based))
    orphans = [each for each in fresh if each.write.pair.uuid not in done]
    if orphans:
        work.run("drop_links", uuids=[each.write.pair.uuid for each in orphans])
        work.run("mark", subjects=[f"c:{each.contact.id}" for each in orphans], lane=0, privacy=False)


def _row(each: Accepted, values: Values) -> dict[str, Any]:
    return {
        "uuid": each.write.pair.uuid,
        "vals": dict(values),
        "contact": each.contact.id,
        "created": each.contact.created_at if each.write.kind is IntentKind.CREATE else None,
        "updated": None if each.is_archived else each.contact.updated_at,
    }


def _update_row(each: Accepted) -> dict[str, Any]:
    customer = each.write.pair.customer
    assert customer is not None
    alive = customer.is_alive
    dies = False if each.is_archived else None
    return {**_row(each, each.columns), "stored": dict(customer.stored), "was_alive": alive, "becomes_alive": dies}


def _close(work: Work, taken: Sequence[Accepted], refused: Sequence[Sent]) -> None:
    whole = [each.sent.intent for each in taken if each.is_whole]
    partly = [{"id": each.sent.intent, "answered": list(each.pushed)} for each in taken if not each.is_whole]
    # An answer settles as well what an earlier call, long ended, left open.
    earlier = [intent for each in taken for intent in each.earlier]
    work.run("close_intents", ids=whole + [sent.intent for sent in refused])
    if earlier:
        work.run("close_unanswered", ids=earlier, landing=LANDING)
    if partly:
        work.run("answer_intents", answers=to_json(partly))


def _history(each: Accepted) -> dict[str, Any]:
    write = each.write
    return {
        "uuid": write.pair.uuid,
        "side": "hubspot",
        "action": write.kind.value,
        "changes": changes(write.pair.link.base, each.pushed),
    }
