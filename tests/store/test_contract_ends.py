"""How links end: forgotten, ignored, detached, erased (rules 11, 13)."""

from uuid import uuid4

import pytest
from scenes import answered, claimed, contact, done, later, linked, loaded, pair, sent
from stores import Store

from reconciler.core.contact import ContactId, CustomerId, IntentKind
from reconciler.core.merge import Conflict, Verdict
from reconciler.core.ports import Lane, Subject
from reconciler.core.step import Absorb, Detach, Erase, Forget, Ignore, Step


def absorbed(store: Store, winner: CustomerId, loser: CustomerId, survivor: int) -> None:
    merged = Absorb(winner=winner, loser=loser, contact_id=ContactId(survivor))
    store.pairs.rearrange([Step(pair=pair(store, winner), action=merged)])


def test_a_link_of_nobody_is_forgotten(store: Store) -> None:
    store.pairs.rearrange([Step(pair=pair(store, 7), action=Forget())])
    assert not store.links()
    assert not store.aliases()


def test_a_link_whose_customer_is_there_is_not_forgotten(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    store.pairs.rearrange([Step(pair=pair(store, ada), action=Forget())])
    assert ada in store.links()


def test_a_forgotten_link_takes_what_it_closes_with_it(store: Store) -> None:
    kai = CustomerId(uuid4())
    (claim,) = store.customer_store.reserve([kai])
    create = sent(store, loaded(store, claim), IntentKind.CREATE, values={"email": "kai@x.org"}, hubspot_first=True)
    store.pairs.rearrange([Step(pair=loaded(store, claim), action=Forget(), closes=(create.intent,))])
    assert not store.intents()
    assert not store.links()


def test_an_erased_persons_contact_is_looked_at_no_more(store: Store) -> None:
    claim = claimed(store, 7)
    mine = loaded(store, claim, contact(7, email="kai@x.org"))
    store.pairs.rearrange([Step(pair=mine, action=Ignore())])
    done(store, claim)
    assert not store.links()
    assert store.aliases() == {7: (None, "ignored")}
    page = [contact(7, later(5), email="kai@x.org")]
    assert store.records.meet(page, lane=Lane.AUDIT, cursor="poll", value={}) == 0
    assert not store.marks.claim_page(page, lane=Lane.AUDIT, read_at=store.records.number())


def test_a_detached_pair_keeps_its_link(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.pairs.rearrange([Step(pair=pair(store, ada), action=Detach())])
    link = store.links()[ada]
    assert (link.is_detached, link.contact) == (True, 1)


def erased(store: Store, who: CustomerId) -> None:
    store.pairs.rearrange([Step(pair=pair(store, who), action=Erase())])


def test_an_erase_leaves_nothing_of_the_person_but_a_tombstone(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", firstname="Ada")
    mine = pair(store, ada)
    loser = Conflict(field="firstname", winner=Verdict.LOCAL, kept="Ada", lost="Adda")
    sent(store, mine, values={"phone": "1"}, conflicts=(loser,))
    store.marks.mark([Subject.contact(1), Subject.address("ada@x.org")], lane=Lane.FRESH)
    store.update(ada, company="A")
    store.pass_time(60)
    erased(store, ada)
    customer = store.customer(ada)
    assert customer.is_erased
    assert customer.is_deleted
    assert customer.contact_id is None
    assert not any(customer.raw.values())
    assert (store.links(), store.intents(), store.losers(), store.marked()) == ({}, [], set(), {})
    assert store.aliases() == {1: (None, "ignored")}
    assert store.pairs.context(addresses=["ada@x.org"], contacts=[]).tombstoned == {"ada@x.org"}


def test_an_erase_takes_the_closure_of_addresses_and_merges(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    eve = linked(store, 4, email="eve@x.org")
    store.remove(eve)
    absorbed(store, ada, bob, 3)
    store.update(ada, email="new@x.org")
    twin = store.insert(email="ada@x.org")
    erased(store, ada)
    people = {uuid: store.customer(uuid).is_erased for uuid in (ada, bob, twin, eve)}
    assert people == {ada: True, bob: True, twin: True, eve: False}
    addresses = ["ada@x.org", "bob@x.org", "new@x.org", "eve@x.org"]
    context = store.pairs.context(addresses=addresses, contacts=[])
    assert context.tombstoned == {"ada@x.org", "bob@x.org", "new@x.org"}
    assert {n: kind for n, (_, kind) in store.aliases().items()} == dict.fromkeys((1, 2, 3), "ignored")


def test_an_erase_takes_whoever_is_being_sent_to_hubspot_with_the_address(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), store.insert(email="bob@x.org")
    create = sent(store, pair(store, bob), IntentKind.CREATE, values={"email": "bob@x.org"})
    store.update(bob, email="new@x.org")
    store.update(ada, email="bob@x.org")
    erased(store, ada)
    assert store.customer(bob).is_erased
    store.outbox.settle([(create, answered(2, later(5), email="bob@x.org"))])
    assert (store.links(), store.intents()) == ({}, [])


def test_an_erase_takes_addresses_out_of_others_logs(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    lost = Conflict(field="email", winner=Verdict.LOCAL, kept="bob@x.org", lost="Ada@x.org")
    kept = Conflict(field="phone", winner=Verdict.LOCAL, kept="1", lost="2")
    sent(store, pair(store, bob), values={"phone": "1"}, conflicts=(lost, kept))
    erased(store, ada)
    assert (bob, "email", "bob@x.org", "Ada@x.org") not in store.losers()


def test_nobody_can_be_entered_under_an_erased_address(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    erased(store, ada)
    with pytest.raises(Exception, match="erased"):
        store.insert(email=" ADA@x.org")


@pytest.mark.parametrize("address", ["", " "])
def test_a_person_with_a_blank_address_is_erased(store: Store, address: str) -> None:
    ada = store.insert(email=address, firstname="Ada")
    store.pairs.rearrange([Step(pair=pair(store, ada), action=Erase())])
    assert store.customer(ada).is_erased
    assert store.has(ada, "firstname") is None
