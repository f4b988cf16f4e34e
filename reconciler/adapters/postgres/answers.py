"""Commits HubSpot's answers: what was pushed moves the base in the order of HubSpot's time, whoever holds the claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.adapters.postgres.database import Busy, Work, to_json
from reconciler.adapters.postgres.rows import changes, conflict_rows, trouble_json
from reconciler.core.contact import Contact, CustomerId, IntentKind
from reconciler.core.errors import Code, Refused
from reconciler.core.fields import Values, normalised
from reconciler.core.merge import Conflict, Verdict
from reconciler.core.ports import Answer, Sent, Write, Written
from reconciler.core.step import fingerprint, troubles


@dataclass(frozen=True, slots=True)
class _Taken:
    """A write that HubSpot took."""

    sent: Sent
    contact: Contact

    @property
    def write(self) -> Write:
        return self.sent.write

    @property
    def pushed(self) -> Values:
        return {c: self.contact.values[c] for c in self.write.values if c in self.contact.values}

    @property
    def columns(self) -> Values:
        """What the row should take: its new values as HubSpot answered them, and what HubSpot added itself.

        A value sent on the way to another one (an address freed, a stage cleared) is not the row's. What was not sent
        is taken only where the row holds its base: a local edit that waits for its turn stays.
        """
        customer, sent = self.write.pair.customer, self.write.values
        assert customer is not None
        stored = normalised(customer.stored)
        base = self.write.pair.link.base
        passing = {c for c in sent if sent[c] != customer.values.get(c)}
        edited = {c for c in self.contact.values if c not in sent and stored.get(c) != base.get(c)}
        return {c: v for c, v in self.contact.values.items() if stored.get(c) != v and c not in passing | edited}


def settle(work: Work, answered: Sequence[tuple[Sent, Answer]]) -> None:
    """Commit the answers of one call in one transaction."""
    taken = _linkable(work, [_Taken(s, answer.contact) for s, answer in answered if isinstance(answer, Written)])
    refused = [(sent, answer) for sent, answer in answered if isinstance(answer, Refused)]
    moves = [_moved(each, _coerced_again(work, each)) for each in taken] + [_refused(s, why) for s, why in refused]
    if moves:
        work.run("move_pushed", answers=to_json(moves))
    _mirror(work, taken)
    _close(work, taken, [sent for sent, _ in refused])
    if taken:
        work.run("log_history", rows=to_json([_history(each) for each in taken]))


def _linkable(work: Work, taken: Sequence[_Taken]) -> list[_Taken]:
    """Take new contacts from the placeholders that their own webhook made; leave out what somebody else links."""
    owners = {each.contact.id: each.write.pair.uuid for each in taken if each.write.kind is IntentKind.CREATE}
    if not owners:
        return list(taken)
    for contact_id, uuid in owners.items():
        work.run("drop_placeholder", contact=contact_id, owner=uuid)
    rows = [row for row in work.rows("owners", contacts=list(owners), ours=[]) if row["uuid"] != owners[row["linked"]]]
    if any(row["placeholder"] for row in rows):
        raise Busy("a worker has just claimed a contact of ours", delay=0.0)
    lost = [owners[row["linked"]] for row in rows]
    if lost:
        work.run("mark", subjects=[f"c:{row['linked']}" for row in rows], lane=0, privacy=False)
        work.run("drop_intents", uuids=lost)
        work.run("drop_reservations", uuids=lost)
    return [each for each in taken if each.write.pair.uuid not in lost]


def _coerced_again(work: Work, each: _Taken) -> dict[str, Any]:
    """Log what HubSpot made into something else; the same for a second time parks the property."""
    rows = conflict_rows(each.write.pair.uuid, _changed_by_hubspot(each))
    if not rows:
        return {}
    fresh = {row["property"] for row in work.rows("log_conflicts", conflicts=to_json(rows))}
    again = {row["property"]: each.write.values[row["property"]] for row in rows if row["property"] not in fresh}
    return {c: {"code": "coerced", "fingerprint": fingerprint(c, value)} for c, value in again.items()}


def _moved(each: _Taken, trouble: dict[str, Any]) -> dict[str, Any]:
    contact, write = each.contact, each.write
    is_archive = write.kind is IntentKind.ARCHIVE
    return {
        "uuid": write.pair.uuid,
        "pushed": dict(each.pushed),
        "ms": int(contact.updated_at.timestamp() * 1000),
        "at": None if is_archive else contact.updated_at,
        "alive": {IntentKind.ARCHIVE: False, IntentKind.CREATE: True}.get(write.kind),
        "contact": contact.id,
        "cured": list(each.pushed),
        "trouble": trouble,
    }


def _refused(sent: Sent, refused: Refused) -> dict[str, Any]:
    """A refusal parks what HubSpot named; an address that another contact has is for the caller to resolve."""
    parks = refused.code not in (Code.TAKEN, Code.GONE) and not sent.write.is_direct
    return {
        "uuid": sent.write.pair.uuid,
        "pushed": {},
        "ms": 0,
        "cured": [],
        "trouble": trouble_json(troubles(sent.write.values, refused)) if parks else {},
    }


def _mirror(work: Work, taken: Sequence[_Taken]) -> None:
    """Bring what HubSpot answered into the rows that still hold what was sent."""
    # A row that was deleted while its contact was written to has nothing to mirror; only a reservation has no row yet.
    _insert(work, [each for each in taken if each.write.kind is IntentKind.CREATE and each.write.pair.customer is None])
    kept = [each for each in taken if each.write.pair.customer is not None]
    if kept:
        written = work.rows("write_customers", rows=to_json([_update_row(each) for each in kept]))
        pulled = [{"uuid": row["uuid"], "vals": row["written"]} for row in written if row["written"]]
        work.run("move_pulled", rows=to_json(pulled))
        _log_left_out(work, kept, {row["uuid"]: row["written"] for row in written})


def _log_left_out(work: Work, kept: Sequence[_Taken], written: Mapping[CustomerId, Values]) -> None:
    """Log what an API write brought to HubSpot and a row, changed meanwhile, did not take: the row's value wins."""
    for each in kept:
        uuid = each.write.pair.uuid
        columns = [c for c in each.columns if c in each.pushed and c not in written.get(uuid, {})]
        if not each.write.is_direct or not columns:
            continue
        for row in work.rows("customers_by_uuid", uuids=[uuid]):
            losers = [Conflict(column=c, winner=Verdict.LOCAL, kept=row[c], lost=each.pushed[c]) for c in columns]
            work.run("log_conflicts", conflicts=to_json(conflict_rows(uuid, losers)))


def _insert(work: Work, fresh: Sequence[_Taken]) -> None:
    """Give API creates their customer. Who took the address meanwhile adopts the contact at its next look."""
    if not fresh:
        return
    addresses = [address for each in fresh if (address := each.contact.values.get("email")) is not None]
    work.run("refuse_erased", addresses=addresses)
    rows = [_row(each, each.contact.values) for each in fresh]
    done = {row["uuid"] for row in work.rows("insert_customers", rows=to_json(rows))}
    based = [{"uuid": e.write.pair.uuid, "vals": dict(e.contact.values)} for e in fresh if e.write.pair.uuid in done]
    work.run("move_pulled", rows=to_json(based))
    orphans = [each for each in fresh if each.write.pair.uuid not in done]
    if orphans:
        work.run("drop_links", uuids=[each.write.pair.uuid for each in orphans])
        work.run("mark", subjects=[f"c:{each.contact.id}" for each in orphans], lane=0, privacy=False)


def _changed_by_hubspot(each: _Taken) -> tuple[Conflict, ...]:
    return tuple(
        Conflict(column=column, winner=Verdict.REMOTE, kept=each.contact.values[column], lost=sent)
        for column, sent in each.write.values.items()
        if column in each.contact.values and sent is not None and each.contact.values[column] != sent
    )


def _row(each: _Taken, values: Values) -> dict[str, Any]:
    is_archive = each.write.kind is IntentKind.ARCHIVE
    return {
        "uuid": each.write.pair.uuid,
        "vals": dict(values),
        "contact": each.contact.id,
        "created": each.contact.created_at if each.write.kind is IntentKind.CREATE else None,
        "updated": None if is_archive else each.contact.updated_at,
    }


def _update_row(each: _Taken) -> dict[str, Any]:
    customer = each.write.pair.customer
    assert customer is not None
    alive = customer.is_alive
    dies = False if each.write.kind is IntentKind.ARCHIVE else None
    return {**_row(each, each.columns), "stored": dict(customer.stored), "was_alive": alive, "becomes_alive": dies}


def _close(work: Work, taken: Sequence[_Taken], refused: Sequence[Sent]) -> None:
    whole = [each.sent.intent for each in taken if set(each.write.values) <= set(each.pushed)]
    partly = [{"id": each.sent.intent, "answered": list(each.pushed)} for each in taken]
    # An answer settles as well what an earlier call, long ended, left open.
    earlier = [intent.id for each in taken for intent in each.write.pair.intents if intent.is_overdue]
    work.run("close_intents", ids=whole + earlier + [sent.intent for sent in refused])
    work.run("answer_intents", answers=to_json(partly))


def _history(each: _Taken) -> dict[str, Any]:
    write = each.write
    return {
        "uuid": write.pair.uuid,
        "side": "hubspot",
        "action": write.kind.value,
        "changes": changes(write.pair.link.base, each.pushed),
    }
