"""What the contract tests have before them: claims, pairs that are linked, contacts at HubSpot's times."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from stores import Store

from reconciler.core.contact import (
    Contact,
    ContactId,
    CustomerId,
    Entry,
    IntentKind,
    Pair,
    Snapshot,
)
from reconciler.core.ports import Claim, Ending, Lane, Sent, Subject, Write, Written
from reconciler.core.step import Merge, Step
from reconciler.core.values import Value, Values
from simulation.mapped import FIELDS

NINE = datetime(2026, 1, 5, 9, 0, 0, 123_000, tzinfo=UTC)
"""A time of HubSpot's, to the millisecond as HubSpot has them."""


def later(seconds: float) -> datetime:
    """Return a time of HubSpot's some seconds after nine."""
    return NINE + timedelta(seconds=seconds)


def contact(contact_id: int, at: datetime = NINE, **values: Value) -> Contact:
    """Return a contact as a full read has it."""
    return Contact(id=ContactId(contact_id), values=full(values), created_at=NINE, updated_at=at)


def answered(contact_id: int, at: datetime, **values: Value) -> Written:
    """Return HubSpot's answer to a write: only these properties are in it."""
    return Written(contact=Contact(id=ContactId(contact_id), values=values, created_at=NINE, updated_at=at))


def archived(contact_id: int) -> Written:
    """Return HubSpot's answer to an archive."""
    past = datetime(1970, 1, 2, tzinfo=UTC)
    return Written(
        contact=Contact(id=ContactId(contact_id), values={}, created_at=past, updated_at=past, archived=True)
    )


def with_history(found: Contact, **entries: tuple[Entry, ...]) -> Contact:
    """Return a contact that was read with its history."""
    return replace(found, history={field: entries.get(field, ()) for field in FIELDS})


def full(values: Values) -> dict[str, Value]:
    """Return the values with every other field empty."""
    return {**dict.fromkeys(FIELDS), **values}


def filled(values: Values) -> dict[str, str]:
    """Return the values that are not empty."""
    return {field: value for field, value in values.items() if value is not None}


def due_claims(store: Store, limit: int = 100) -> list[Claim]:
    """Claim what is due, with what was captured of SQL."""
    store.marks.next_lane(list(Lane))
    return store.marks.claim(limit)


def claimed(store: Store, who: CustomerId | int) -> Claim:
    """Claim one pair by its customer or its contact, marked now."""
    subject = Subject.contact(who) if isinstance(who, int) else Subject.customer(who)
    store.marks.next_lane(list(Lane))
    store.marks.mark([subject], lane=Lane.FRESH)
    (claim,) = store.marks.claim(1, only=[subject])
    return claim


def loaded(store: Store, claim: Claim, remote: Contact | None = None) -> Pair:
    """Return the claimed pair, with what was read of its contact."""
    (pair,) = store.pairs.load([claim])
    return pair if remote is None else replace(pair, remote=Snapshot(contact=remote))


def pair(store: Store, who: CustomerId | int, remote: Contact | None = None) -> Pair:
    """Claim a pair and return it."""
    return loaded(store, claimed(store, who), remote)


def sent(store: Store, of: Pair, kind: IntentKind = IntentKind.UPDATE, /, **more: Any) -> Sent:
    """Store the intent of one write."""
    values: Mapping[str, Value] = more.pop("values", {})
    (stored,) = store.outbox.intend([Write(pair=of, kind=kind, values=values, **more)])
    return stored


def done(store: Store, *claims: Claim) -> None:
    """End claims: all is settled."""
    store.marks.finish([Ending(claim=claim) for claim in claims])


def linked(store: Store, contact_id: int, at: datetime = NINE, **values: Value) -> CustomerId:
    """Return a customer whose contact the sync has created and read; nothing is left to do."""
    uuid = store.insert(**values)
    claim = claimed(store, uuid)
    mine = loaded(store, claim)
    assert mine.customer is not None
    draft = filled(mine.customer.values)
    create = sent(store, mine, IntentKind.CREATE, values=draft)
    store.outbox.settle([(create, answered(contact_id, at, **draft))])
    seen = loaded(store, claim, contact(contact_id, at, **draft))
    assert not store.pairs.merge([Step(pair=seen, action=Merge())])
    done(store, claim)
    return uuid


def ended_claim(store: Store, claim: Claim, by: CustomerId | int) -> Claim:
    """Let a claim's lease end and another worker claim the pair; return the other's claim."""
    store.pass_time(60)
    return claimed(store, by)


def archived_and_back(store: Store, who: CustomerId) -> None:
    """Have a customer's contact archived and the customer restored: it needs a new contact."""
    store.remove(who)
    number = store.links()[who].contact
    assert number is not None
    archive = sent(store, pair(store, who, contact(number)), IntentKind.ARCHIVE)
    store.outbox.settle([(archive, archived(number))])
    store.pass_time(60)
    store.restore(who)
