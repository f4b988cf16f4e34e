"""What becomes of HubSpot's answer to a write, as a table: by what is known of the link and of the contact then."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from reconciler.core.blocks import blocked
from reconciler.core.contact import Contact, ContactId, Customer, CustomerId, IntentId, IntentKind, Link, Pair
from reconciler.core.errors import Refused
from reconciler.core.ports import Lane, Sent, Subject, Unanswered, Write, Written
from reconciler.core.reasons import Reason
from reconciler.core.settlement import Facts, LinkNow, Settlement, settle

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADA, BOB = CustomerId(UUID(int=1)), CustomerId(UUID(int=2))
SEVEN, EIGHT = ContactId(7), ContactId(8)
VALUES = {"email": "ada@x.org", "phone": "1"}
FENCE = 3


def sent(kind: IntentKind) -> Sent:
    linked = None if kind is IntentKind.CREATE else SEVEN
    customer = Customer(uuid=ADA, raw=VALUES, values=VALUES, created_at=NOW, updated_at=NOW)
    pair = Pair(link=Link(uuid=ADA, contact_id=linked), customer=customer, fence=FENCE)
    values = {} if kind is IntentKind.ARCHIVE else VALUES
    return Sent(intent=IntentId(1), write=Write(pair=pair, kind=kind, values=values))


def answer(**values: str) -> Written:
    return Written(contact=Contact(id=SEVEN, values=values or VALUES, created_at=NOW, updated_at=NOW))


def now(contact_id: ContactId | None, *, fence: int = FENCE, is_held: bool = False) -> dict[CustomerId, LinkNow]:
    return {ADA: LinkNow(contact_id=contact_id, fence=fence, is_held=is_held)}


def fates(found: Settlement) -> set[str]:
    names = ("taken", "held", "lost", "late", "behind", "erased", "refused")
    return {name for name in names if getattr(found, name)}


@pytest.mark.parametrize(
    ("kind", "facts", "fate"),
    [
        (IntentKind.UPDATE, Facts(links=now(SEVEN)), {"taken"}),
        (IntentKind.UPDATE, Facts(links=now(SEVEN, fence=9)), {"taken"}),
        (IntentKind.UPDATE, Facts(links=now(SEVEN, is_held=True)), {"held"}),
        (IntentKind.UPDATE, Facts(links=now(EIGHT)), {"late"}),
        (IntentKind.UPDATE, Facts(links=now(None)), {"late"}),
        (IntentKind.UPDATE, Facts(), {"late"}),
        (IntentKind.CREATE, Facts(links=now(None)), {"taken"}),
        (IntentKind.CREATE, Facts(links=now(SEVEN)), {"taken"}),
        (IntentKind.CREATE, Facts(links=now(None), owners={SEVEN: ADA}), {"taken"}),
        (IntentKind.CREATE, Facts(links=now(None, fence=9)), {"taken", "behind"}),
        (IntentKind.CREATE, Facts(links=now(None, is_held=True)), {"held"}),
        (IntentKind.CREATE, Facts(links=now(EIGHT)), {"late"}),
        (IntentKind.CREATE, Facts(links=now(None), owners={SEVEN: BOB}), {"lost"}),
        (IntentKind.CREATE, Facts(links=now(None), owners={SEVEN: BOB}, ignored={SEVEN}), {"erased"}),
        (IntentKind.ARCHIVE, Facts(links=now(SEVEN)), {"taken"}),
    ],
)
def test_an_answer_goes_where_its_link_is_now(kind: IntentKind, facts: Facts, fate: set[str]) -> None:
    assert fates(settle([(sent(kind), answer())], facts, mirrors=True)) == fate


def test_no_row_is_waited_for_that_is_not_to_follow() -> None:
    held = Facts(links=now(SEVEN, is_held=True))
    assert fates(settle([(sent(IntentKind.UPDATE), answer())], held, mirrors=False)) == {"taken"}


def test_what_was_not_answered_stays_open() -> None:
    found = settle([(sent(IntentKind.UPDATE), answer(phone="1"))], Facts(links=now(SEVEN)), mirrors=True)
    assert (found.ended, found.partly) == ([], {IntentId(1): {"phone": "1"}})
    assert (
        fates(settle([(sent(IntentKind.UPDATE), Unanswered.UNKNOWN)], Facts(links=now(SEVEN)), mirrors=True)) == set()
    )


def test_a_new_contact_is_its_customers_at_once_though_the_row_cannot_follow() -> None:
    found = settle([(sent(IntentKind.CREATE), answer())], Facts(links=now(None, is_held=True)), mirrors=True)
    (move,) = found.moves
    assert (move.contact_id, move.alive, dict(move.pushed)) == (SEVEN, True, {})
    assert (found.ended, list(found.marks)) == ([], [(Lane.FRESH, Subject.customer(ADA))])


@pytest.mark.parametrize(
    ("facts", "marks"),
    [
        (Facts(links=now(None)), set()),
        (Facts(links=now(EIGHT)), {(Lane.FRESH, Subject.contact(SEVEN))}),
        (Facts(links=now(None, fence=9)), {(Lane.FRESH, Subject.customer(ADA))}),
        (
            Facts(links=now(None), owners={SEVEN: BOB}),
            {(Lane.INTERACTIVE, Subject.contact(SEVEN)), (Lane.INTERACTIVE, Subject.customer(ADA))},
        ),
    ],
)
def test_what_another_has_settled_is_looked_at_again(facts: Facts, marks: set[tuple[Lane, Subject]]) -> None:
    assert set(settle([(sent(IntentKind.CREATE), answer())], facts, mirrors=True).marks) == marks


def test_a_refusal_blocks_what_hubspot_named_and_ends_its_intent() -> None:
    refused = Refused(reason=Reason.INVALID, fields=frozenset({"phone"}))
    found = settle([(sent(IntentKind.UPDATE), refused)], Facts(links=now(SEVEN)), mirrors=True)
    (move,) = found.moves
    assert (move.blocks, found.ended) == (blocked(Reason.INVALID, "phone", "1"), [IntentId(1)])


def test_a_property_that_hubspot_takes_from_nobody_waits_and_blocks_no_record() -> None:
    refused = Refused(reason=Reason.FORBIDDEN, fields=frozenset({"phone"}))
    found = settle([(sent(IntentKind.UPDATE), refused)], Facts(links=now(SEVEN)), mirrors=True)
    (move,) = found.moves
    assert (move.blocks, found.suspends) == ({}, {"phone": Reason.FORBIDDEN})
