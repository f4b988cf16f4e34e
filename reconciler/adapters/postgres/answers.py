"""Commits HubSpot's answers: what was pushed moves the base in the order of HubSpot's time, whatever claim is held."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.adapters.postgres.database import Work, to_json
from reconciler.adapters.postgres.rows import blocks_json, changes, conflict_rows, customer_of, wake_waiting
from reconciler.adapters.postgres.table import require_all
from reconciler.core import settlement
from reconciler.core.contact import ContactId, CustomerId, IntentKind
from reconciler.core.errors import Busy
from reconciler.core.mirror import Accepted
from reconciler.core.ports import LANDING, Answer, Lane, Sent, Subject, Write, Written
from reconciler.core.settlement import Facts, LinkNow, Move, Settlement
from reconciler.core.values import Values


@dataclass(frozen=True, slots=True)
class Rows:
    """What answers have changed in rows: the fields that took, by customer, and which customers live."""

    written: Mapping[CustomerId, Values] = field(default_factory=dict)
    living: frozenset[CustomerId] = frozenset()


def settle(work: Work, answered: Sequence[tuple[Sent, Answer]], *, mirrors: bool = True) -> Settlement:
    """Commit the answers of one call in one transaction, but for those whose row is held by a transaction or hidden.

    `mirrors`: the rows take what was answered; else they stay, held or not, and the next look puts it back in HubSpot.
    Those who were erased while their contact was made are for the caller to erase.
    """
    writes = [(sent.write, answer.contact.id) for sent, answer in answered if isinstance(answer, Written)]
    found = settlement.settle(answered, _facts(work, writes), mirrors=mirrors)
    rows = _write_rows(work, found.taken) if mirrors else Rows()
    wake_waiting(work, [each.freed_address for each in found.taken])
    if found.moves or found.ended:
        work.run(
            "move_pushed",
            answers=to_json([_move(each, rows.written.get(each.uuid, {})) for each in found.moves]),
            history=to_json([_history(each) for each in found.taken]),
            ended=found.ended,
        )
    _log_otherwise(work, found.taken)
    for name, reason in found.suspends.items():
        work.run("suspend", fields=[name], reason=reason)
    if mirrors:
        _look_after(work, found.taken, rows)
    else:
        _put_back(work, found.taken)
    _close(work, found)
    for lane, subjects in sorted(_by_lane(found.marks).items()):
        work.run("mark", subjects=subjects, lane=lane, privacy=False)
    return found


def _facts(work: Work, writes: Sequence[tuple[Write, ContactId]]) -> Facts:
    """Look at what the answers are about, and lock it. Placeholders that the contacts' own webhooks made go first.

    A reservation that was given up meanwhile is made anew: its contact is there after all.
    """
    if not writes:
        return Facts()
    new = {contact: write.pair.uuid for write, contact in writes if write.kind is IntentKind.CREATE}
    apart = work.rows("set_apart", contacts=list(new)) if new else []
    for contact, uuid in new.items():
        work.run("drop_placeholder", contact=contact, owner=uuid, looked_at=None)
    owners = work.rows("owners", contacts=list(new), ours=[]) if new else []
    if any(row["placeholder"] and row["uuid"] != new[row["linked"]] for row in owners):
        raise Busy("a worker has just claimed a contact of ours", delay=0.0)
    reserved = [w.pair.uuid for w, _ in writes if w.kind is IntentKind.CREATE and w.pair.customer is None]
    if reserved:
        work.run("ensure_links", uuids=reserved)
    rows = [{"uuid": write.pair.uuid, "known": write.pair.customer is not None} for write, _ in writes]
    return Facts(
        links={
            row["uuid"]: LinkNow(contact_id=row["contact"], fence=row["fence"], is_held=row["held"])
            for row in work.rows("links_now", rows=to_json(rows))
        },
        owners={row["linked"]: row["uuid"] for row in owners},
        ignored={row["contact"] for row in apart if row["kind"] == "ignored"},
    )


def _by_lane(marks: Iterable[tuple[Lane, Subject]]) -> dict[int, list[str]]:
    lanes: dict[int, list[str]] = {}
    for lane, subject in marks:
        lanes.setdefault(int(lane), []).append(subject.key)
    return lanes


def _log_otherwise(work: Work, taken: Sequence[Accepted]) -> None:
    """Log the stages that HubSpot did not take; and, as settled, once, what it stores in a form of its own."""
    losers = [row for each in taken for row in conflict_rows(each.uuid, each.refused)]
    if losers:
        work.run("log_conflicts", conflicts=to_json(losers))
    forms = [row for each in taken for row in conflict_rows(each.uuid, each.rewritten)]
    if forms:
        work.run("log_rewritten", conflicts=to_json(forms))


def _block_turned_back(work: Work, taken: Sequence[Accepted], written: Mapping[CustomerId, Values]) -> None:
    for each in taken:
        uuid = each.uuid
        if each.rewritten:
            for row in work.rows("customers_by_uuid", uuids=[uuid]):
                blocks = each.turned_back(written.get(uuid, {}), customer_of(row).values)
                work.run("block", uuids=[uuid], blocks=to_json(blocks_json(blocks)))


def _put_back(work: Work, taken: Sequence[Accepted]) -> None:
    """Let the next look take back in HubSpot what the row does not follow."""
    orphans = [each.uuid for each in taken if each.write.pair.customer is None]
    work.run("put_back", uuids=[each.uuid for each in taken], orphans=orphans)


def _move(move: Move, written: Values) -> dict[str, Any]:
    return {
        "uuid": move.uuid,
        "pushed": dict(move.pushed),
        "pulled": dict(written),
        "ms": 0 if move.at is None else int(move.at.timestamp() * 1000),
        "at": move.seen,
        "alive": move.alive,
        "contact": move.contact_id,
        "cured": list(move.cured),
        "blocks": blocks_json(move.blocks),
    }


def _write_rows(work: Work, taken: Sequence[Accepted]) -> Rows:
    """Bring what HubSpot answered into the rows that still hold what was sent."""
    # A row that was deleted while its contact was written to has nothing to mirror; only a reservation has no row yet.
    written = _insert(work, [each for each in taken if each.is_new and each.write.pair.customer is None])
    kept = [each for each in taken if each.write.pair.customer is not None]
    if not kept:
        return Rows(written)
    rows = work.rows("write_customers", rows=to_json([_update_row(each) for each in kept]), watched=False)
    require_all(rows)
    written |= {row["uuid"]: row["written"] for row in rows}
    return Rows(written, frozenset(row["uuid"] for row in rows if row["alive"]))


def _look_after(work: Work, taken: Sequence[Accepted], rows: Rows) -> None:
    """See to what the rows did not follow, or hold otherwise by now."""
    created = [each for each in taken if each.is_new and each.write.pair.customer is None]
    orphans = [each for each in created if each.uuid not in rows.written]
    if orphans:
        # Another customer took the address meanwhile: it adopts the contact at its next look.
        work.run("drop_links", uuids=[each.uuid for each in orphans])
        subjects = [Subject.contact(each.contact.id).key for each in orphans]
        work.run("mark", subjects=subjects, lane=Lane.INTERACTIVE, privacy=False)
    kept = [each for each in taken if each.write.pair.customer is not None]
    _log_left_out(work, kept, rows.written)
    _block_turned_back(work, kept, rows.written)
    _look_again(work, kept, rows.living)
    carried = [{"uuid": each.uuid, "vals": dict(each.carried)} for each in kept if each.carried]
    if carried:
        work.run("mark_overtaken", rows=to_json(carried))


def _look_again(work: Work, kept: Sequence[Accepted], living: Collection[CustomerId]) -> None:
    """A contact that was made for a customer who was deleted meanwhile is to be archived."""
    creates = [each.uuid for each in kept if each.is_new]
    dead = [Subject.customer(uuid).key for uuid in creates if uuid not in living]
    if dead:
        work.run("mark", subjects=dead, lane=Lane.FRESH, privacy=False)


def _log_left_out(work: Work, kept: Sequence[Accepted], written: Mapping[CustomerId, Values]) -> None:
    for each in kept:
        uuid = each.uuid
        if each.write.hubspot_first and set(each.fields) - set(written.get(uuid, {})):
            for row in work.rows("customers_by_uuid", uuids=[uuid]):
                losers = each.left_out(written.get(uuid, {}), customer_of(row).values)
                work.run("log_conflicts", conflicts=to_json(conflict_rows(uuid, losers)))
                work.run("mark", subjects=[Subject.customer(uuid).key], lane=Lane.FRESH, privacy=False)


def _insert(work: Work, fresh: Sequence[Accepted]) -> dict[CustomerId, Values]:
    """Give API creates their customer; return what was inserted."""
    if not fresh:
        return {}
    addresses = [address for each in fresh if (address := each.contact.values.get("email")) is not None]
    work.run("refuse_erased", addresses=addresses)
    rows = [_row(each, each.contact.values) for each in fresh]
    inserted = work.rows("insert_customers", rows=to_json(rows), watched=False)
    require_all(inserted)
    done = {row["uuid"] for row in inserted}
    return {each.uuid: each.contact.values for each in fresh if each.uuid in done}


def _row(each: Accepted, values: Values) -> dict[str, Any]:
    return {
        "uuid": each.uuid,
        "vals": dict(values),
        "contact": each.contact.id,
        "created": each.contact.created_at if each.is_new else None,
        "updated": None if each.is_archived else each.contact.updated_at,
    }


def _update_row(each: Accepted) -> dict[str, Any]:
    customer = each.write.pair.customer
    assert customer is not None
    alive = customer.is_alive
    dies = False if each.is_archived else None
    return {**_row(each, each.fields), "raw": dict(customer.raw), "was_alive": alive, "becomes_alive": dies}


def _close(work: Work, found: Settlement) -> None:
    if found.lost:
        lost = [each.uuid for each in found.lost]
        work.run("drop_intents", uuids=lost)
        work.run("drop_links", uuids=lost)
    if found.given_up:
        work.run("close_unanswered", ids=found.given_up, landing=LANDING)
    if found.partly:
        partly = [{"id": intent, "answered": list(pushed)} for intent, pushed in found.partly.items()]
        work.run("answer_intents", answers=to_json(partly))


def _history(each: Accepted) -> dict[str, Any]:
    write = each.write
    return {
        "uuid": write.pair.uuid,
        "side": "hubspot",
        "action": write.kind.value,
        "changes": changes(write.pair.link.base, each.pushed),
    }
