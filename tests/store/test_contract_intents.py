"""What is about to be sent: stored before it is sent, by whoever holds the claim (rules 2, 4, 8)."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from scenes import (
    NINE,
    answered,
    archived_and_back,
    claimed,
    contact,
    ended_claim,
    later,
    linked,
    loaded,
    pair,
    sent,
    with_history,
)
from stores import Store

from reconciler.core.contact import CustomerId, Entry, IntentKind
from reconciler.core.merge import Conflict, Verdict
from reconciler.core.ports import LANDING, LEASE, Sent, Write
from reconciler.core.step import Step


def reserved(store: Store, uuid: CustomerId, email: str) -> list[Sent]:
    (claim,) = store.customer_store.reserve([uuid])
    mine = loaded(store, claim)
    draft = {"email": email, "firstname": "Kai"}
    return store.outbox.intend([Write(pair=mine, kind=IntentKind.CREATE, values=draft, hubspot_first=True)])


def test_an_intent_says_what_will_be_sent(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    push = sent(store, pair(store, ada), values={"phone": "1", "company": None})
    (intent,) = store.intents()
    assert (intent.uuid, intent.kind, intent.values) == (ada, "update", {"phone": "1", "company": None})
    assert not intent.hubspot_first
    store.outbox.withdraw([push])
    assert not store.intents()


def test_the_loser_is_stored_before_it_is_overwritten_and_once(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    mine = pair(store, ada)
    loser = Conflict(field="phone", winner=Verdict.LOCAL, kept="1", lost="2")
    for _ in range(2):
        sent(store, mine, values={"phone": "1"}, conflicts=(loser,))
    assert store.losers() == {(ada, "phone", "1", "2")}


def test_nothing_is_sent_by_whoever_lost_his_claim(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    old = claimed(store, ada)
    mine = loaded(store, old)
    ended_claim(store, old, ada)
    assert not store.outbox.intend([Write(pair=mine, kind=IntentKind.UPDATE, values={"phone": "1"})])
    assert not store.intents()


def test_what_goes_ahead_without_a_claim_is_sent_all_the_same(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    other = claimed(store, ada)
    mine = replace(loaded(store, other), fence=0)
    store.outbox.intend([Write(pair=mine, kind=IntentKind.UPDATE, values={"phone": "1"}, hubspot_first=True)])
    (intent,) = store.intents()
    assert intent.hubspot_first


def test_whoever_has_a_contact_by_now_is_not_created_again(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    create = sent(store, pair(store, ada), IntentKind.CREATE, values={"email": "ada@x.org"})
    store.pass_time(60)
    mine = pair(store, ada)
    store.outbox.settle([(create, answered(1, later(5), email="ada@x.org"))])
    assert not store.outbox.intend([Write(pair=mine, kind=IntentKind.CREATE, values={"email": "new@x.org"})])
    assert store.links()[ada].contact == 1
    assert not store.intents()


def test_an_address_erased_since_it_was_read_is_not_sent(store: Store) -> None:
    ada, bob = store.insert(email="ada@x.org"), store.insert(email="bob@x.org")
    store.marks.next_lane([])
    pairs = [pair(store, each) for each in (ada, bob)]
    store.bury("ada@x.org")
    writes = [
        Write(pair=mine, kind=IntentKind.CREATE, values={"email": address})
        for mine, address in zip(pairs, ("ada@x.org", "bob@x.org"), strict=True)
    ]
    assert [each.write.pair.uuid for each in store.outbox.intend(writes)] == [bob]
    assert [each.uuid for each in store.intents()] == [bob]


def test_only_what_is_still_ours_is_left_of_a_batch(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    old = claimed(store, ada)
    lost = loaded(store, old)
    ended_claim(store, old, ada)
    mine = pair(store, bob)
    writes = [Write(pair=each, kind=IntentKind.UPDATE, values={"phone": "1"}) for each in (lost, mine)]
    assert [each.write.pair.uuid for each in store.outbox.intend(writes)] == [bob]


def test_a_lease_is_prolonged_before_each_call(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    mine = pair(store, ada)
    store.pass_time(LEASE - 5)
    sent(store, mine, values={"phone": "1"})
    store.pass_time(LEASE - 5)
    assert store.links()[ada].is_leased
    store.pass_time(10)
    assert not store.links()[ada].is_leased


def test_a_write_without_a_claim_does_not_prolong_anothers_lease(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    mine = replace(pair(store, ada), fence=0)
    store.pass_time(LEASE - 5)
    sent(store, mine, values={"phone": "1"}, hubspot_first=True)
    store.pass_time(10)
    assert not store.links()[ada].is_leased


def test_two_creates_of_one_address_are_reserved_once(store: Store) -> None:
    kai, uwe = CustomerId(uuid4()), CustomerId(uuid4())
    assert len(reserved(store, kai, "kai@x.org")) == 1
    assert not reserved(store, uwe, "kai@x.org")
    assert len(reserved(store, uwe, "uwe@x.org")) == 1
    assert [intent.is_reserved for intent in store.intents()] == [True, True]


def test_an_address_is_free_again_when_its_create_was_not_sent(store: Store) -> None:
    kai, uwe = CustomerId(uuid4()), CustomerId(uuid4())
    store.outbox.withdraw(reserved(store, kai, "kai@x.org"))
    assert len(reserved(store, uwe, "kai@x.org")) == 1


def test_an_api_write_is_remembered_until_its_history_was_looked_at(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    for number, value in enumerate(("1", "2"), start=1):
        push = sent(store, pair(store, ada), values={"phone": value}, hubspot_first=True)
        store.outbox.settle([(push, answered(1, later(number), phone=value))])
        store.pass_time(60)
    assert store.links()[ada].blind_pushes == {"phone": (NINE, "0", ("1", "2"))}


def test_the_reconcilers_own_push_was_read_before_and_is_not_unseen(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    sent(store, pair(store, ada), values={"phone": "1"})
    assert not store.links()[ada].blind_pushes


def test_what_was_sent_unseen_is_settled_by_a_read_with_history(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    claim = claimed(store, ada)
    push = sent(store, loaded(store, claim), values={"phone": "1"}, hubspot_first=True)
    store.outbox.settle([(push, answered(1, later(1), phone="1"))])
    entries = (Entry(value="1", at=later(1)), Entry(value="0", at=NINE))
    read = with_history(contact(1, later(1), email="ada@x.org", phone="1"), phone=entries)
    assert not store.pairs.merge([Step(pair=loaded(store, claim, read))])
    assert not store.links()[ada].blind_pushes


def test_what_is_on_its_way_while_the_history_is_read_stays_to_be_looked_at(store: Store) -> None:
    """What it overwrites may have been written after that read."""
    ada = linked(store, 1, email="ada@x.org", phone="0")
    claim = claimed(store, ada)
    push = sent(store, loaded(store, claim), values={"phone": "1"}, hubspot_first=True)
    looked = loaded(store, claim, with_history(contact(1, later(1), email="ada@x.org", phone="0")))
    store.pairs.merge([Step(pair=looked)])
    store.outbox.settle([(push, answered(1, later(2), phone="1"))])
    assert store.links()[ada].blind_pushes.keys() == {"phone"}


def test_what_was_sent_unseen_meanwhile_stays_to_be_looked_at(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    claim = claimed(store, ada)
    sent(store, loaded(store, claim), values={"phone": "1"}, hubspot_first=True)
    looked = loaded(store, claim, with_history(contact(1, later(1), email="ada@x.org", phone="1")))
    sent(store, loaded(store, claim), values={"phone": "2"}, hubspot_first=True)
    store.pairs.merge([Step(pair=looked)])
    assert set(store.links()[ada].blind_pushes["phone"][2]) == {"1", "2"}


def test_a_new_contact_for_a_restored_customer_makes_the_old_one_former(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    archived_and_back(store, ada)
    sent(store, pair(store, ada), IntentKind.CREATE, values={"email": "ada@x.org"})
    link = store.links()[ada]
    assert (link.contact, link.base, link.merged_through, link.newest_seen) == (None, {}, None, None)
    assert store.aliases() == {1: (ada, "former")}


def test_what_went_to_a_former_contact_counts_for_the_new_one_no_more(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    sent(store, pair(store, ada), values={"phone": "1"}, hubspot_first=True)
    store.pass_time(60)
    archived_and_back(store, ada)
    assert store.links()[ada].blind_pushes
    sent(store, pair(store, ada), IntentKind.CREATE, values={"email": "ada@x.org"})
    assert not store.links()[ada].blind_pushes


def test_whoever_lost_his_claim_makes_no_contact_former(store: Store) -> None:
    """Rule 2: the fence is checked when intents are stored; what goes with them is stored with them or not at all."""
    ada = linked(store, 1, email="ada@x.org")
    archived_and_back(store, ada)
    old = claimed(store, ada)
    lost = loaded(store, old)
    ended_claim(store, old, ada)
    assert not store.outbox.intend([Write(pair=lost, kind=IntentKind.CREATE, values={"email": "ada@x.org"})])
    assert store.links()[ada].contact == 1
    assert not store.aliases()


def test_a_withdrawn_create_leaves_the_reservation_to_its_caller(store: Store) -> None:
    kai = CustomerId(uuid4())
    store.outbox.withdraw(reserved(store, kai, "kai@x.org"))
    assert kai in store.links()
    assert not store.customer_store.by_uuid([kai])


def test_what_was_given_up_without_an_answer_may_land_over_what_was_agreed_since(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    claim = claimed(store, ada)
    sent(store, loaded(store, claim), values={"phone": "1"}, hubspot_first=True)
    second = sent(store, loaded(store, claim), values={"phone": "2"}, hubspot_first=True)
    assert [each.overtaken for each in loaded(store, claim).intents] == [frozenset(), frozenset()]
    store.outbox.settle([(second, answered(1, later(5), phone="2"))])
    (open_,) = loaded(store, claim).intents
    assert open_.overtaken == {"phone"}
    store.pairs.merge([Step(pair=loaded(store, claim), closes=(open_.id,))])
    assert not store.intents()
    (late,) = loaded(store, claim).link.late
    assert (late.field, late.value, late.is_overtaken) == ("phone", "1", True)
    assert late.until == open_.at + timedelta(seconds=LANDING)
