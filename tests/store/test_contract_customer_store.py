"""Customers as the API sees them (rules 2, 8, 9)."""

from uuid import uuid4

from scenes import claimed, contact, done, due_claims, ended_claim, linked, loaded, pair, sent
from stores import Store

from reconciler.core.contact import CustomerId, IntentKind
from reconciler.core.ports import LEASE, Ending
from reconciler.core.step import Forget, Merge, Step


def test_living_customers_are_found_by_their_addresses(store: Store) -> None:
    ada, bob = linked(store, 1, email=" Ada@X.org"), store.insert(email="bob@x.org")
    store.remove(store.insert(email="eve@x.org"))
    found = store.customer_store.by_address(["ada@x.org", "bob@x.org", "eve@x.org", "nobody@x.org"])
    assert {address: customer.uuid for address, customer in found.items()} == {"ada@x.org": ada, "bob@x.org": bob}
    assert (found["ada@x.org"].contact_id, found["bob@x.org"].contact_id) == (1, None)


def test_customers_are_found_by_uuid_dead_or_alive(store: Store) -> None:
    ada, eve = store.insert(email="ada@x.org"), store.insert(email="eve@x.org")
    store.remove(eve)
    found = {
        customer.uuid: customer.is_alive for customer in store.customer_store.by_uuid([ada, eve, CustomerId(uuid4())])
    }
    assert found == {ada: True, eve: False}


def test_a_reservation_is_a_leased_link_before_there_is_a_customer(store: Store) -> None:
    kai = CustomerId(uuid4())
    (claim,) = store.customer_store.reserve([kai])
    link = store.links()[kai]
    assert (claim.uuid, link.contact, link.alive, link.is_leased) == (kai, None, None, True)
    mine = loaded(store, claim)
    assert mine.customer is None
    assert mine.fence == claim.fence


def test_a_reservation_whose_caller_died_is_looked_at_when_its_lease_has_ended(store: Store) -> None:
    kai = CustomerId(uuid4())
    store.customer_store.reserve([kai])
    assert not due_claims(store)
    store.pass_time(LEASE + 1)
    (claim,) = due_claims(store)
    assert claim.uuid == kai


def test_a_reservation_that_ends_well_leaves_no_mark(store: Store) -> None:
    kai = CustomerId(uuid4())
    (claim,) = store.customer_store.reserve([kai])
    store.marks.finish([Ending(claim=claim)])
    assert not store.marked()
    assert not store.links()[kai].is_leased


def test_several_are_reserved_at_once(store: Store) -> None:
    people = [CustomerId(uuid4()) for _ in range(5)]
    claims = store.customer_store.reserve(people)
    assert {claim.uuid for claim in claims} == set(people)
    assert len({claim.fence for claim in claims}) == 5
    assert {mine.uuid for mine in store.pairs.load(claims)} == set(people)


def test_a_reservation_made_again_voids_the_first(store: Store) -> None:
    kai = CustomerId(uuid4())
    (old,) = store.customer_store.reserve([kai])
    mine = loaded(store, old)
    (new,) = store.customer_store.reserve([kai])
    assert new.fence > old.fence
    store.pairs.rearrange([Step(pair=mine, action=Forget())])
    assert kai in store.links()


def test_pairs_are_leased_and_the_busy_ones_left_out(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    busy = claimed(store, bob)
    (claim,) = store.customer_store.lease([ada, bob])
    assert claim.uuid == ada
    assert not store.customer_store.lease([ada, bob])
    done(store, claim, busy)
    assert {each.uuid for each in store.customer_store.lease([ada, bob])} == {ada, bob}


def test_a_customer_whom_nobody_has_looked_at_yet_can_be_leased(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    (claim,) = store.customer_store.lease([ada])
    assert loaded(store, claim).customer == store.customer(ada)


def test_a_leased_pair_is_not_claimed_by_the_reconciler(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.update(ada, phone="1")
    (claim,) = store.customer_store.lease([ada])
    assert not due_claims(store)
    done(store, claim)
    store.pass_time(2)
    assert [each.uuid for each in due_claims(store)] == [ada]


def test_a_lease_that_ended_can_be_taken_over(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    (old,) = store.customer_store.lease([ada])
    mine = loaded(store, old, contact(1, email="ada@x.org", phone="1"))
    new = ended_claim(store, old, ada)
    assert new.fence > old.fence
    assert store.pairs.merge([Step(pair=mine, action=Merge(pull={"phone": "1"}))]) == {ada}


def test_a_customer_removed_at_the_desk_is_removed_as_anybody_would(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.customer_store.remove(ada)
    assert store.customer(ada).is_deleted
    assert [claim.uuid for claim in due_claims(store)] == [ada]


def test_removing_twice_is_no_news(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.remove(ada)
    for claim in due_claims(store):
        done(store, claim)
    store.customer_store.remove(ada)
    assert not due_claims(store)


def test_an_open_create_keeps_its_address_from_other_callers(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    sent(store, pair(store, ada), IntentKind.CREATE, values={"email": "ada@x.org"})
    store.delete(ada)
    context = store.pairs.context(addresses=["ada@x.org"], contacts=[])
    assert context.holders["ada@x.org"].uuid == ada
