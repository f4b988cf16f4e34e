"""What is decided about a pair, as tables: being alive here and there, and an address that HubSpot would not give."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from reconciler.core.blocks import RECORD, blocked
from reconciler.core.contact import (
    ABSENT,
    GONE,
    Contact,
    ContactId,
    Customer,
    CustomerId,
    Intent,
    IntentId,
    IntentKind,
    Link,
    Pair,
    Snapshot,
)
from reconciler.core.context import Context, OtherLink, Rules
from reconciler.core.errors import Refused
from reconciler.core.plan import decide
from reconciler.core.ports import Write
from reconciler.core.reasons import Reason
from reconciler.core.step import (
    STALE_LOOKS,
    Action,
    Adopt,
    Agree,
    Archive,
    Attach,
    Create,
    Delete,
    Detach,
    Erase,
    Forget,
    Ignore,
    Insert,
    Merge,
    Rest,
    Revive,
    Step,
    Wait,
)
from reconciler.core.taken import PATIENCE, address_taken
from simulation.mapped import FIELDS, MAPPED

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADA, BOB = CustomerId(UUID(int=1)), CustomerId(UUID(int=2))
SEVEN, EIGHT = ContactId(7), ContactId(8)
EMPTY = dict.fromkeys(FIELDS)
VALUES = {**EMPTY, "email": "ada@x.org"}
RULES = Rules(fields=MAPPED)


def customer(*, is_deleted: bool = False, **values: str) -> Customer:
    has = {**VALUES, **values}
    return Customer(uuid=ADA, raw=has, values=has, created_at=NOW, updated_at=NOW, is_deleted=is_deleted)


def contact(number: ContactId = SEVEN, **values: str) -> Contact:
    return Contact(id=number, values={**VALUES, **values}, created_at=NOW, updated_at=NOW)


def link(alive: bool | None = True, contact_id: ContactId | None = SEVEN) -> Link:
    base = {} if alive is None else {"email": "ada@x.org"}
    return Link(
        uuid=ADA,
        contact_id=contact_id,
        base=base,
        alive=alive,
        merged_through=NOW,
        newest_seen=NOW,
        is_deletion_seen=True,
    )


def pair(alive: bool | None, here: str, there: str) -> Pair:
    rows = {"alive": customer(), "dead": customer(is_deleted=True), "-": None}
    reads = {"alive": Snapshot(contact=contact()), "dead": GONE}
    return Pair(link=link(alive), customer=rows[here], remote=reads[there])


def create(*, is_overdue: bool, email: str | None = "ada@x.org") -> Intent:
    values = {} if email is None else {"email": email}
    return Intent(id=IntentId(1), kind=IntentKind.CREATE, values=values, at=NOW, is_overdue=is_overdue)


def other(uuid: CustomerId = BOB, contact_id: ContactId | None = EIGHT, **known: bool | str) -> OtherLink:
    has = OtherLink(uuid=uuid, contact_id=contact_id, email="ada@x.org", created_at=NOW)
    return replace(has, **known)  # type: ignore[arg-type]


def decided(one: Pair, context: Context = Context(), rules: Rules = RULES) -> Action:  # noqa: B008
    return decide(one, context, rules).action


@pytest.mark.parametrize(
    ("base", "here", "there", "action"),
    [
        (True, "alive", "alive", Merge()),
        (False, "alive", "alive", Merge()),
        (None, "alive", "alive", Merge(agree={"email": "ada@x.org"})),
        (True, "alive", "dead", Delete()),
        (False, "alive", "dead", Create({"email": "ada@x.org"})),
        (None, "alive", "dead", Create({"email": "ada@x.org"})),
        (True, "dead", "alive", Archive()),
        (False, "dead", "alive", Revive(VALUES)),
        (None, "dead", "alive", Archive()),
        (True, "-", "alive", Archive()),
        (False, "-", "alive", Insert(VALUES)),
        (None, "-", "alive", Insert(VALUES)),
        (True, "dead", "dead", Agree()),
        (False, "-", "dead", Agree()),
    ],
)
def test_being_alive_is_merged_three_way(base: bool | None, here: str, there: str, action: Action) -> None:
    assert decided(pair(base, here, there)) == action


def test_a_contact_made_for_a_customer_that_is_gone_is_archived() -> None:
    landed = replace(pair(None, "-", "alive"), intents=(create(is_overdue=True),))
    assert decided(landed) == Archive()


def test_deletions_stay_where_the_owner_wants_it_so() -> None:
    stays = replace(RULES, deletes_inbound=False, deletes_outbound=False)
    assert decided(pair(True, "alive", "dead"), rules=stays) == Detach()
    assert decided(pair(True, "dead", "alive"), rules=stays) == Detach()


def test_what_is_only_absent_is_missing_and_what_was_seen_to_go_is_not() -> None:
    unproven = replace(pair(True, "alive", "dead"), remote=ABSENT)
    unseen = replace(pair(True, "-", "alive"), link=replace(link(), is_deletion_seen=False))
    assert [decide(each, Context(), RULES).is_missing for each in (unproven, unseen)] == [True, True]
    seen = (pair(True, "alive", "dead"), pair(True, "-", "alive"))
    assert [decide(each, Context(), RULES).is_missing for each in seen] == [False, False]


def test_a_row_that_may_be_hidden_is_waited_for() -> None:
    hidden = replace(pair(True, "-", "alive"), link=replace(link(), is_deletion_seen=False), hides_rows=True)
    assert decided(hidden) is Wait.HIDDEN


def test_a_read_older_than_what_was_seen_is_looked_at_again_and_believed_in_the_end() -> None:
    later = replace(link(), newest_seen=NOW + timedelta(seconds=1))
    steps = [
        decide(replace(pair(True, "alive", "alive"), link=replace(later, stale_reads=n)), Context(), RULES)
        for n in (0, 3)
    ]
    assert [(step.action, step.again) for step in steps] == [(Wait.STALE, STALE_LOOKS[0]), (Merge(), None)]


@pytest.mark.parametrize(
    ("intents", "found", "here", "action"),
    [
        ((create(is_overdue=False),), None, "alive", Wait.CREATE),
        ((create(is_overdue=True),), SEVEN, "alive", Attach(SEVEN)),
        ((create(is_overdue=True),), None, "alive", Create({"email": "ada@x.org"})),
        ((create(is_overdue=True, email=None),), None, "alive", Rest()),
        ((), None, "alive", Create({"email": "ada@x.org"})),
        ((), None, "dead", Rest()),
        ((), None, "-", Forget()),
    ],
)
def test_a_customer_without_a_contact_gets_one_unless_one_is_on_its_way(
    intents: tuple[Intent, ...], found: ContactId | None, here: str, action: Action
) -> None:
    remote = None if found is None else Snapshot(contact=contact(found))
    alone = replace(pair(None, here, "dead"), link=link(None, None), remote=remote, intents=intents)
    assert decided(alone) == action


@pytest.mark.parametrize(
    ("context", "action", "blocks"),
    [
        (Context(holders={"ada@x.org": other(contact_id=None)}), Adopt(owner=BOB, contact_id=SEVEN), {}),
        (Context(holders={"ada@x.org": other(contact_id=None, is_busy=True)}), Wait.BUSY, {}),
        (Context(holders={"ada@x.org": other()}), Rest(), blocked(Reason.DUPLICATE, RECORD, "ada@x.org")),
        (Context(tombstoned=frozenset({"ada@x.org"})), Ignore(), {}),
        (Context(former=frozenset({SEVEN})), Rest(), blocked(Reason.FORMER_RESTORED, RECORD, None)),
    ],
)
def test_a_contact_that_is_not_known_becomes_a_customer_unless_its_address_says_whose_it_is(
    context: Context, action: Action, blocks: dict[str, object]
) -> None:
    step = decide(pair(None, "-", "alive"), context, RULES)
    assert (step.action, step.blocks) == (action, blocks)


def test_an_erase_waits_for_a_create_reads_the_history_and_then_begins_in_hubspot() -> None:
    due = replace(pair(True, "alive", "alive"), link=replace(link(), is_erase_due=True))
    assert decided(replace(due, intents=(create(is_overdue=False),))) is Wait.CREATE
    assert decided(due) is Wait.HISTORY
    assert decided(replace(due, remote=GONE)) == Erase(purges=True)
    assert decided(replace(due, link=replace(due.link, contact_id=None), remote=None)) == Erase(purges=False)


def refused(holder: ContactId | None = EIGHT) -> Refused:
    return Refused(reason=Reason.TAKEN, fields=frozenset({"email"}), holder=holder)


@pytest.mark.parametrize(
    ("kind", "holder", "context", "attempts", "action", "again"),
    [
        (IntentKind.CREATE, EIGHT, Context(), 0, Attach(EIGHT), 0),
        (
            IntentKind.CREATE,
            EIGHT,
            Context(owners={EIGHT: other(is_placeholder=True, is_alive=False)}),
            0,
            Attach(EIGHT),
            0,
        ),
        (
            IntentKind.CREATE,
            EIGHT,
            Context(owners={EIGHT: other(is_alive=False)}),
            PATIENCE,
            Attach(EIGHT, former=BOB),
            0,
        ),
        (IntentKind.CREATE, EIGHT, Context(owners={EIGHT: other(is_alive=False)}), 0, Wait.RELEASE, 1.0),
        (
            IntentKind.CREATE,
            EIGHT,
            Context(owners={EIGHT: other(is_alive=False, is_busy=True)}),
            PATIENCE,
            Wait.BUSY,
            1.0,
        ),
        (IntentKind.CREATE, EIGHT, Context(holders={"ada@x.org": other(contact_id=None)}), 0, Wait.CREATE, 5.0),
        (IntentKind.CREATE, EIGHT, Context(owners={EIGHT: other(ADA)}), 0, Rest(), 0),
        (IntentKind.CREATE, EIGHT, Context(owners={EIGHT: other()}), 0, Rest(), 0),
        (IntentKind.CREATE, EIGHT, Context(ignored=frozenset({EIGHT})), 0, Rest(), 0),
        (IntentKind.CREATE, None, Context(), 0, Rest(), 0),
        (IntentKind.UPDATE, EIGHT, Context(), 0, Rest(), 0),
        (
            IntentKind.UPDATE,
            EIGHT,
            Context(owners={EIGHT: replace(other(), base_email="ada@x.org", email="new@x.org")}),
            0,
            Wait.RELEASE,
            1.0,
        ),
    ],
)
def test_an_address_that_hubspot_would_not_give(
    kind: IntentKind, holder: ContactId | None, context: Context, attempts: int, action: Action, again: float
) -> None:
    wanted = replace(pair(None, "alive", "dead"), link=link(None, None), remote=None)
    write = Write(pair=wanted, kind=kind, values={"email": "ada@x.org"})
    step = address_taken(write, refused(holder), context, RULES, attempts=attempts)
    assert (step.action, step.again) == (action, again)


def test_an_address_that_stays_taken_is_blocked_until_it_is_freed() -> None:
    write = Write(pair=pair(True, "alive", "alive"), kind=IntentKind.UPDATE, values={"email": "new@x.org"})
    step = address_taken(write, refused(), Context(owners={EIGHT: other()}), RULES, attempts=0)
    assert step == Step(pair=write.pair, blocks=blocked(Reason.TAKEN, "email", "new@x.org"), again=0)
