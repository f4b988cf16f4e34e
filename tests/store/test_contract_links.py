"""Who is linked with whom: attached, adopted, absorbed, forgotten, ignored, detached, erased (rules 2, 11, 12, 13)."""

from dataclasses import replace
from uuid import uuid4

import pytest
from scenes import NINE, answered, archived_and_back, claimed, contact, ended_claim, later, linked, loaded, pair, sent
from stores import Store

from reconciler.core.blocks import Block
from reconciler.core.contact import ContactId, CustomerId, IntentKind
from reconciler.core.errors import Transient
from reconciler.core.reasons import Reason
from reconciler.core.step import Absorb, Adopt, Attach, Detach, Erase, Forget, Ignore, Merge, Step


def attached(store: Store, who: CustomerId, to: int, former: CustomerId | None = None) -> None:
    store.pairs.rearrange([Step(pair=pair(store, who), action=Attach(ContactId(to), former))])


def absorbed(store: Store, winner: CustomerId, loser: CustomerId, survivor: int) -> None:
    merged = Absorb(winner=winner, loser=loser, contact_id=ContactId(survivor))
    store.pairs.rearrange([Step(pair=pair(store, winner), action=merged)])


def test_a_merged_contacts_link_goes_on_with_the_survivor(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    attached(store, ada, 3)
    link = store.links()[ada]
    assert (link.contact, link.base, link.alive) == (3, {"email": "ada@x.org"}, True)
    assert (link.newest_seen, link.merged_through, link.stale_reads) == (None, None, 0)
    assert store.customer(ada).contact_id == 3
    assert store.aliases() == {1: (ada, "merged")}


def test_a_lost_create_is_linked_with_the_contact_it_made(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    claim = claimed(store, ada)
    sent(store, loaded(store, claim), IntentKind.CREATE, values={"email": "ada@x.org"})
    store.pairs.rearrange([Step(pair=loaded(store, claim), action=Attach(ContactId(1)))])
    link = store.links()[ada]
    assert (link.contact, link.alive) == (1, True)
    assert store.customer(ada).contact_id == 1
    assert not store.aliases()


def test_the_link_that_the_contacts_own_event_made_gives_way(store: Store) -> None:
    placeholder = claimed(store, 3).uuid
    ada = store.insert(email="ada@x.org")
    attached(store, ada, 3)
    assert store.links().keys() == {ada}
    assert store.links()[ada].contact == 3
    assert placeholder not in store.links()


def test_a_deleted_customers_contact_is_handed_over(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.remove(ada)
    kai = store.insert(email="ada@x.org")
    attached(store, kai, 1, former=ada)
    assert store.links()[kai].contact == 1
    assert store.customer(kai).contact_id == 1
    link = store.links()[ada]
    assert (link.contact, link.alive, link.base) == (None, False, {})
    assert store.customer(ada).contact_id is None


def test_what_was_pushed_unseen_to_a_contact_goes_with_it(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    sent(store, pair(store, ada), values={"phone": "1"}, hubspot_first=True)
    store.remove(ada)
    kai = store.insert(email="ada@x.org")
    attached(store, kai, 1, former=ada)
    assert store.links()[kai].blind_pushes == {"phone": (NINE, "0", ("1",))}
    assert not store.links()[ada].blind_pushes
    assert [(intent.uuid, intent.values) for intent in store.intents()] == [(kai, {"phone": "1"})]


def test_a_contact_that_somebody_else_links_is_not_taken_from_him(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    attached(store, ada, 2)
    assert store.links()[bob].contact == 2
    assert store.links()[ada].contact == 1
    assert store.customer(ada).contact_id == 1


def test_a_links_own_contact_is_no_alias(store: Store) -> None:
    """An alias hides a contact from poll and sweep: nothing that is linked may have one."""
    ada = linked(store, 1, email="ada@x.org")
    linked(store, 2, email="bob@x.org")
    attached(store, ada, 2)
    assert not store.aliases()


def test_whoever_lost_his_claim_rearranges_nothing(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    old = claimed(store, ada)
    mine = loaded(store, old)
    ended_claim(store, old, ada)
    before = store.links()
    for step in (
        Step(pair=mine, action=Attach(ContactId(3))),
        Step(pair=mine, action=Absorb(winner=ada, loser=CustomerId(uuid4()), contact_id=ContactId(3))),
        Step(pair=mine, action=Detach()),
        Step(pair=mine, action=Ignore()),
        Step(pair=mine, action=Erase()),
    ):
        store.pairs.rearrange([step])
    assert store.links() == before
    assert not store.aliases()
    assert store.has(ada, "email") == "ada@x.org"


def test_a_customer_without_a_contact_adopts_the_one_with_his_address(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    mine = pair(store, 7, contact(7, email="ada@x.org"))
    store.pairs.rearrange([Step(pair=mine, action=Adopt(owner=ada, contact_id=ContactId(7)))])
    assert store.links().keys() == {ada}
    link = store.links()[ada]
    assert (link.contact, link.alive, link.merged_through) == (7, True, None)
    assert store.customer(ada).contact_id == 7
    assert store.marked()[f"u:{ada}"].is_due


def test_whoever_decided_about_a_customer_before_it_adopted_has_lost_his_claim(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    old = pair(store, ada)
    store.pass_time(60)
    mine = pair(store, 7, contact(7, email="ada@x.org"))
    store.pairs.rearrange([Step(pair=mine, action=Adopt(owner=ada, contact_id=ContactId(7)))])
    store.pairs.rearrange([Step(pair=old, action=Attach(ContactId(9)))])
    assert store.links()[ada].contact == 7


@pytest.mark.parametrize("why", ["linked", "deleted"])
def test_a_customer_who_cannot_adopt_leaves_the_contact_to_another_look(store: Store, why: str) -> None:
    ada = linked(store, 1, email="ada@x.org") if why == "linked" else store.insert(email="ada@x.org")
    claim = claimed(store, 7)
    if why == "deleted":
        store.remove(ada)
    mine = loaded(store, claim, contact(7, email="ada@x.org"))
    store.pairs.rearrange([Step(pair=mine, action=Adopt(owner=ada, contact_id=ContactId(7)))])
    assert store.links()[claim.uuid].contact == 7
    assert store.marked()["c:7"].is_due
    assert store.customer(ada).contact_id == (1 if why == "linked" else None)


def test_a_deleted_customer_adopts_what_its_open_create_made(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    sent(store, pair(store, ada), IntentKind.CREATE, values={"email": "ada@x.org"})
    store.remove(ada)
    mine = pair(store, 7, contact(7, email="ada@x.org"))
    store.pairs.rearrange([Step(pair=mine, action=Adopt(owner=ada, contact_id=ContactId(7)))])
    link = store.links()[ada]
    assert (link.contact, link.alive) == (7, None)


def test_a_contact_is_adopted_from_a_customer_that_has_gone_although_an_api_write_reached_it(store: Store) -> None:
    ada, bob = store.insert(email="ada@x.org"), store.insert(email="bob@x.org")
    mine = pair(store, ada, contact(7, email="ada@x.org"))
    store.delete(ada)
    store.pairs.rearrange([Step(pair=mine, action=Attach(ContactId(7)))])
    store.pass_time(60)
    known = replace(pair(store, 7), customer=mine.customer)
    write = sent(store, known, values={"phone": "1"}, hubspot_first=True)
    store.outbox.settle([(write, answered(7, later(5), phone="1"))])
    assert store.links()[ada].blind_pushes
    store.pass_time(60)
    gone = pair(store, 7, contact(7, email="bob@x.org"))
    store.pairs.rearrange([Step(pair=gone, action=Adopt(owner=bob, contact_id=ContactId(7)))])
    assert {uuid: link.contact for uuid, link in store.links().items()} == {bob: 7}


def test_two_linked_contacts_merged_leave_one_link(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    absorbed(store, ada, bob, 3)
    winner, loser = store.links()[ada], store.links()[bob]
    assert (winner.contact, winner.merged_through, winner.newest_seen, winner.stale_reads) == (3, None, None, 0)
    assert (loser.contact, loser.alive, loser.base) == (None, False, {})
    assert (store.customer(ada).contact_id, store.customer(bob).contact_id) == (3, None)
    assert (store.customer(bob).is_deleted, store.customer(bob).merged_into) == (True, ada)
    assert store.aliases() == {1: (ada, "merged"), 2: (ada, "merged")}
    assert store.marked()[f"u:{ada}"].is_due


def test_a_merge_that_keeps_the_primarys_id_makes_no_alias_of_it(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    absorbed(store, ada, bob, 1)
    assert store.links()[ada].contact == 1
    assert store.aliases() == {2: (ada, "merged")}


def test_a_survivor_that_led_to_the_loser_before_is_no_alias(store: Store) -> None:
    """The survivor may be a contact that once was the loser's: from now on it is the winner's own."""
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    attached(store, bob, 4)
    store.pass_time(60)
    absorbed(store, ada, bob, 2)
    assert store.links()[ada].contact == 2
    assert 2 not in store.aliases()


def test_in_a_chain_of_merges_every_old_id_leads_to_the_last_winner(store: Store) -> None:
    ada, bob, cid = (linked(store, n, email=f"{name}@x.org") for n, name in enumerate(("ada", "bob", "cid"), start=1))
    absorbed(store, bob, cid, 4)
    absorbed(store, ada, bob, 5)
    assert store.aliases() == dict.fromkeys((1, 2, 3, 4), (ada, "merged"))
    assert store.customer(bob).merged_into == store.customer(cid).merged_into == ada
    for old in (1, 2, 3, 4):
        store.pass_time(60)
        assert claimed(store, old).uuid == ada


def test_a_former_contact_of_the_loser_stays_one(store: Store) -> None:
    """Restored, it is looked at for itself: the winner has nothing to do with it."""
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    archived_and_back(store, bob)
    again = sent(store, pair(store, bob), IntentKind.CREATE, values={"email": "bob@x.org"})
    store.outbox.settle([(again, answered(3, later(5), email="bob@x.org"))])
    absorbed(store, ada, bob, 4)
    assert store.aliases() == {1: (ada, "merged"), 2: (ada, "former"), 3: (ada, "merged")}
    assert claimed(store, 2).uuid not in (ada, bob)


@pytest.mark.parametrize("is_winner", [True, False])
def test_nobody_is_merged_with_whoever_was_erased_meanwhile(store: Store, is_winner: bool) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    mine = pair(store, bob)
    store.pairs.rearrange([Step(pair=pair(store, ada), action=Erase())])
    winner, loser = (bob, ada) if is_winner else (ada, bob)
    merged = Absorb(winner=winner, loser=loser, contact_id=ContactId(1))
    store.pairs.rearrange([Step(pair=mine, action=merged)])
    assert store.links()[bob].contact == 2
    assert store.links().keys() == {bob}
    assert store.aliases() == {1: (None, "ignored")}
    assert not store.customer(bob).is_deleted
    assert store.marked()[f"u:{bob}"].is_due


def test_a_survivor_that_was_an_erased_persons_is_nobodys(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    mine = pair(store, bob)
    store.pairs.rearrange([Step(pair=pair(store, ada), action=Erase())])
    assert claimed(store, ada).uuid == ada
    merged = Absorb(winner=ada, loser=bob, contact_id=ContactId(1))
    store.pairs.rearrange([Step(pair=mine, action=merged)])
    assert (store.links()[ada].contact, store.links()[bob].contact) == (None, 2)
    assert store.aliases() == {1: (None, "ignored")}
    assert not store.customer(bob).is_deleted


def test_a_survivor_that_was_erased_meanwhile_makes_no_alias_of_the_contact_that_stays(store: Store) -> None:
    """An alias hides a contact from poll and sweep."""
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    mine = pair(store, bob)
    store.pairs.rearrange([Step(pair=pair(store, ada), action=Erase())])
    store.pairs.rearrange([Step(pair=mine, action=Attach(ContactId(1)))])
    assert store.links()[bob].contact == 2
    assert store.aliases() == {1: (None, "ignored")}


def test_a_claim_of_a_customer_whose_contact_was_handed_over_is_void(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.remove(ada)
    old = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="1"))
    kai = store.insert(email="ada@x.org")
    attached(store, kai, 1, former=ada)
    assert store.pairs.merge([Step(pair=old, action=Merge(agree={"phone": "1"}))]) == {ada}
    assert store.links()[ada].base == {}


def test_a_link_that_got_a_contact_meanwhile_is_not_forgotten(store: Store) -> None:
    """Its create was answered late, and the table refused the row: the contact is to be taken back in HubSpot."""
    kai = CustomerId(uuid4())
    (claim,) = store.customer_store.reserve([kai])
    values = {"email": "kai@x.org", "phone": "7"}
    create = sent(store, loaded(store, claim), IntentKind.CREATE, values=values, hubspot_first=True)
    store.pass_time(60)
    mine = pair(store, kai)
    with store.forbidden("phone", "7"):
        store.outbox.settle([(create, answered(1, later(5), **values))])
    store.pairs.rearrange([Step(pair=mine, action=Forget())])
    assert store.links()[kai].contact == 1


def test_the_loser_of_a_merge_has_nothing_parked_any_more(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    mine = pair(store, bob, contact(2, email="bob@x.org"))
    why = Block(reason=Reason.INVALID, fingerprint="f")
    store.pairs.merge([Step(pair=mine, blocks={"lifecyclestage": why})])
    absorbed(store, ada, bob, 3)
    assert store.links()[bob].blocks == {}


def test_what_the_loser_had_not_sent_yet_is_logged(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org", phone="0")
    store.update(bob, phone="1", company="")
    absorbed(store, ada, bob, 3)
    assert store.losers() == {(bob, "phone", "", "1")}


def test_what_is_on_its_way_to_a_losers_contact_reaches_the_survivor(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    sent(store, pair(store, bob), values={"phone": "1"}, hubspot_first=True)
    absorbed(store, ada, bob, 3)
    assert [(intent.uuid, intent.values) for intent in store.intents()] == [(ada, {"phone": "1"})]
    assert store.links()[ada].blind_pushes == {"phone": (NINE, None, ("1",))}


def test_a_losers_archive_ends_with_its_link(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    sent(store, pair(store, bob), IntentKind.ARCHIVE)
    absorbed(store, ada, bob, 3)
    assert not store.intents()


def test_the_workers_of_both_sides_of_a_merge_have_lost_their_claims(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    late = pair(store, bob, contact(2, later(5), email="bob@x.org", phone="1"))
    absorbed(store, ada, bob, 3)
    assert store.pairs.merge([Step(pair=late, action=Merge(pull={"phone": "1"}))]) == {bob}
    assert store.has(bob, "phone") is None
    assert not store.links()[ada].is_leased
    assert not store.links()[bob].is_leased


def test_a_survivor_that_a_third_one_links_is_not_taken_from_him(store: Store) -> None:
    ada, bob, cid = (linked(store, n, email=f"{name}@x.org") for n, name in enumerate(("ada", "bob", "cid"), start=1))
    before = store.links()
    mine = pair(store, ada)
    merged = Absorb(winner=ada, loser=bob, contact_id=ContactId(3))
    with pytest.raises(Transient):
        store.pairs.rearrange([Step(pair=mine, action=merged)])
    after = store.links()
    assert [after[each].contact for each in (ada, bob, cid)] == [before[each].contact for each in (ada, bob, cid)]
    assert not store.customer(bob).is_deleted
    assert not store.aliases()
