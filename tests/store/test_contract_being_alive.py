"""Customers that come, go and come back with their contacts: the same compare-and-set (rules 6, 12, 13)."""

import pytest
from scenes import NINE, contact, later, linked, pair
from stores import Store

from reconciler.core.errors import Transient
from reconciler.core.step import Delete, Insert, Merge, Revive, Step


def test_an_unknown_contact_becomes_a_customer(store: Store) -> None:
    mine = pair(store, 7, contact(7, later(5), email="kai@x.org", firstname="Kai"))
    step = Step(pair=mine, action=Insert({"email": "kai@x.org", "firstname": "Kai"}))
    assert not store.pairs.merge([step])
    kai = store.customer(mine.uuid)
    assert (kai.values["email"], kai.values["phone"]) == ("kai@x.org", None)
    assert (kai.contact_id, kai.remote_created_at, kai.remote_updated_at) == (7, NINE, later(5))
    link = store.links()[mine.uuid]
    assert (link.alive, link.merged_through, link.base) == (True, later(5), {"email": "kai@x.org", "firstname": "Kai"})


def test_a_contact_whose_address_somebody_has_by_now_is_not_inserted(store: Store) -> None:
    mine = pair(store, 7, contact(7, later(5), email="kai@x.org"))
    store.insert(email="KAI@x.org")
    step = Step(pair=mine, action=Insert({"email": "kai@x.org"}))
    assert store.pairs.merge([step]) == {mine.uuid}
    assert not store.customer_store.by_uuid([mine.uuid])
    link = store.links()[mine.uuid]
    assert (link.alive, link.merged_through, link.base) == (None, None, {})


def test_an_erased_address_never_comes_back(store: Store) -> None:
    mine = pair(store, 7, contact(7, later(5), email="kai@x.org"))
    store.bury("kai@x.org")
    with pytest.raises(Transient):
        store.pairs.merge([Step(pair=mine, action=Insert({"email": "kai@x.org"}))])
    assert not store.customer_store.by_uuid([mine.uuid])


def test_nobody_takes_an_erased_address_from_his_contact(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    mine = pair(store, ada, contact(1, later(5), email="kai@x.org"))
    store.bury("kai@x.org")
    with pytest.raises(Transient):
        store.pairs.merge([Step(pair=mine, action=Merge(pull={"email": "kai@x.org"}))])
    assert store.has(ada, "email") == "ada@x.org"


def test_an_archived_contacts_customer_is_deleted_softly(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org"))
    assert not store.pairs.merge([Step(pair=mine, action=Delete())])
    assert store.customer(ada).is_deleted
    link = store.links()[ada]
    assert (link.alive, link.contact, link.merged_through) == (False, 1, NINE)


def test_a_customer_restored_meanwhile_is_left_out_of_a_delete(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.remove(ada)
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="1"))
    store.restore(ada)
    step = Step(pair=mine, action=Revive({"phone": "1"}))
    assert store.pairs.merge([step]) == {ada}
    assert not store.customer(ada).is_deleted
    assert store.links()[ada].merged_through == NINE


def test_a_restored_contact_revives_the_same_customer(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    store.remove(ada)
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="1"))
    step = Step(pair=mine, action=Revive({"email": "ada@x.org", "phone": "1"}))
    assert not store.pairs.merge([step])
    assert not store.customer(ada).is_deleted
    assert store.has(ada, "phone") == "1"
    assert store.links()[ada].alive is True


def test_nobody_is_revived_over_somebody_with_his_address(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.remove(ada)
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org"))
    store.insert(email="ada@x.org")
    with pytest.raises(Transient):
        store.pairs.merge([Step(pair=mine, action=Revive({}))])
    assert store.customer(ada).is_deleted


def test_a_customer_dropped_meanwhile_wants_another_look(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="1"))
    store.delete(ada)
    assert store.pairs.merge([Step(pair=mine, action=Merge(pull={"phone": "1"}))]) == {ada}
    assert not store.customer_store.by_uuid([ada])
    assert store.links()[ada].base == {"email": "ada@x.org"}
