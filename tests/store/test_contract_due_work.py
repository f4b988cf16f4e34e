"""Work that no event announces: open intents, addresses to look up, late answers (rules 2, 3, 4)."""

from uuid import uuid4

from scenes import answered, claimed, done, due_claims, ended_claim, later, linked, loaded, sent
from stores import Store

from reconciler.core.contact import CustomerId, IntentKind
from reconciler.core.ports import CALL_DEADLINE, INTENT_DEADLINE, LEASE, Lane, Subject
from reconciler.core.step import Forget, Step


def test_an_intent_whose_answer_never_came_is_due_work(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    sent(store, loaded(store, claim), values={"phone": "1"})
    done(store, claim)
    store.pass_time(CALL_DEADLINE)
    assert not due_claims(store)
    store.pass_time(INTENT_DEADLINE - CALL_DEADLINE + 1)
    (again,) = due_claims(store)
    assert again.uuid == ada
    (intent,) = loaded(store, again).intents
    assert intent.is_overdue


def test_an_open_intent_stays_overdue_and_is_looked_at_every_minute(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    sent(store, loaded(store, claim), values={"phone": "1"})
    done(store, claim)
    for _ in range(3):
        store.pass_time(61)
        (again,) = due_claims(store)
        (intent,) = loaded(store, again).intents
        assert intent.is_overdue
        done(store, again)


def test_an_intent_of_nobody_ends(store: Store) -> None:
    kai = CustomerId(uuid4())
    (claim,) = store.customer_store.reserve([kai])
    mine = loaded(store, claim)
    sent(store, mine, IntentKind.CREATE, values={"email": "kai@x.org"}, hubspot_first=True)
    store.pairs.rearrange([Step(pair=mine, action=Forget())])
    store.pass_time(INTENT_DEADLINE + 1)
    due_claims(store)
    assert not store.intents()


def test_marks_about_addresses_are_taken_for_a_while(store: Store) -> None:
    store.marks.mark([Subject.address("kai@x.org"), Subject.address("uwe@x.org")], lane=Lane.FRESH)
    assert not store.marks.claim(10)
    assert {address for address, _ in store.marks.addresses(10)} == {"kai@x.org", "uwe@x.org"}
    assert not store.marks.addresses(10)
    store.pass_time(LEASE + 1)
    assert len(store.marks.addresses(1)) == 1


def test_an_address_that_a_customer_has_by_now_becomes_his_mark(store: Store) -> None:
    store.marks.mark([Subject.address("ada@x.org")], lane=Lane.FRESH)
    ada = linked(store, 1, email=" Ada@X.org")
    store.marks.looked_up(store.marks.addresses(10))
    assert store.marked().keys() == {f"u:{ada}"}


def test_an_address_marked_again_while_it_is_looked_up_stays(store: Store) -> None:
    subject = Subject.address("kai@x.org")
    store.marks.mark([subject], lane=Lane.FRESH)
    taken = store.marks.addresses(10)
    store.marks.mark([subject], lane=Lane.FRESH)
    store.marks.looked_up(taken)
    assert store.marked().keys() == {"e:kai@x.org"}
    store.pass_time(LEASE + 1)
    store.marks.looked_up(store.marks.addresses(10))
    assert not store.marked()


def test_a_late_answer_after_the_lease_still_settles_and_the_mark_stays(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    old = claimed(store, ada)
    push = sent(store, loaded(store, old), values={"phone": "1"})
    new = ended_claim(store, old, ada)
    store.outbox.settle([(push, answered(1, later(5), phone="1"))])
    done(store, old)
    assert store.links()[ada].base["phone"] == "1"
    assert store.marked().keys() == {f"u:{ada}"}
    done(store, new)
