"""The answers to creates: whose contact it is, whoever found it first (rules 8, 10, 13)."""

from uuid import uuid4

import pytest
from scenes import (
    NINE,
    answered,
    claimed,
    done,
    later,
    linked,
    loaded,
    pair,
    sent,
)
from stores import Store

from reconciler.core.blocks import RECORD, Block
from reconciler.core.contact import CustomerId, IntentKind
from reconciler.core.errors import Transient
from reconciler.core.ports import Sent
from reconciler.core.reasons import Reason
from reconciler.core.step import Ignore, Step


def reserved(store: Store, uuid: CustomerId, **values: str) -> Sent:
    """An API create on its way to HubSpot."""
    (claim,) = store.customer_store.reserve([uuid])
    return sent(store, loaded(store, claim), IntentKind.CREATE, values=values, hubspot_first=True)


def test_a_create_links_its_customer_and_takes_what_hubspot_added(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    create = sent(store, pair(store, ada), IntentKind.CREATE, values={"email": "ada@x.org"})
    store.outbox.settle([(create, answered(1, later(5), email="ada@x.org", lifecyclestage="lead"))])
    link = store.links()[ada]
    assert (link.contact, link.alive) == (1, True)
    assert link.base == {"email": "ada@x.org", "lifecyclestage": "lead"}
    customer = store.customer(ada)
    assert (customer.contact_id, customer.remote_created_at, customer.values["lifecyclestage"]) == (1, NINE, "lead")


def test_what_was_entered_while_a_create_was_parked_is_looked_at(store: Store) -> None:
    ada = store.insert(firstname="Ada")
    create = sent(store, pair(store, ada), IntentKind.CREATE, values={"firstname": "Ada"})
    store.update(ada, phone="1")
    store.pass_time(60)
    claim = claimed(store, ada)
    why = Block(reason=Reason.CREATE_UNKNOWN, fingerprint="1")
    store.pairs.merge([Step(pair=loaded(store, claim), blocks={RECORD: why})])
    done(store, claim)
    assert not store.marked()
    store.outbox.settle([(create, answered(1, later(65), firstname="Ada", lifecyclestage="lead"))])
    assert store.links()[ada].blocks == {}
    assert f"u:{ada}" in store.marked()


def test_a_create_whose_row_stayed_as_it_was_leaves_nothing_to_look_at(store: Store) -> None:
    ada = store.insert(firstname="Ada")
    claim = claimed(store, ada)
    create = sent(store, loaded(store, claim), IntentKind.CREATE, values={"firstname": "Ada"})
    store.outbox.settle([(create, answered(1, later(5), firstname="Ada", lifecyclestage="lead"))])
    done(store, claim)
    assert not store.marked()


def test_a_created_contacts_own_event_does_not_keep_it_from_its_customer(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    create = sent(store, pair(store, ada), IntentKind.CREATE, values={"email": "ada@x.org"})
    placeholder = claimed(store, 1)
    store.outbox.settle([(create, answered(1, later(5), email="ada@x.org"))])
    assert store.links().keys() == {ada}
    done(store, placeholder)
    assert "c:1" in store.marked(), "what was told of the contact is its customer's to look at"


def test_a_created_contact_that_somebody_else_links_by_now_stays_his(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    create = sent(store, pair(store, ada), IntentKind.CREATE, values={"email": "ada@x.org"})
    bob = linked(store, 1, email="bob@x.org")
    store.outbox.settle([(create, answered(1, later(5), email="ada@x.org"))])
    assert store.links()[bob].contact == 1
    assert store.links()[ada].contact is None
    assert not store.intents()
    assert store.marked()["c:1"].is_due


def test_a_reservation_whose_contact_somebody_else_links_ends(store: Store) -> None:
    kai = CustomerId(uuid4())
    create = reserved(store, kai, email="kai@x.org")
    bob = linked(store, 1, email="bob@x.org")
    store.outbox.settle([(create, answered(1, later(5), email="kai@x.org"))])
    assert store.links()[bob].contact == 1
    assert kai not in store.links()
    assert not store.intents()
    assert not store.customer_store.by_uuid([kai])


def test_an_api_create_gets_its_customer(store: Store) -> None:
    kai = CustomerId(uuid4())
    create = reserved(store, kai, email="kai@x.org", firstname="Kai")
    store.outbox.settle([(create, answered(1, later(5), email="kai@x.org", firstname="Kai", lifecyclestage="lead"))])
    customer = store.customer(kai)
    assert (customer.contact_id, customer.values["firstname"], customer.values["lifecyclestage"]) == (1, "Kai", "lead")
    link = store.links()[kai]
    assert (link.contact, link.alive) == (1, True)
    assert link.base == {"email": "kai@x.org", "firstname": "Kai", "lifecyclestage": "lead"}
    assert not store.intents()
    assert kai not in {row for row in store.links() if store.links()[row].edited}


def test_an_api_create_whose_address_was_entered_meanwhile_leaves_its_contact_to_be_adopted(store: Store) -> None:
    kai = CustomerId(uuid4())
    create = reserved(store, kai, email="kai@x.org")
    store.insert(email="Kai@x.org")
    store.outbox.settle([(create, answered(1, later(5), email="kai@x.org"))])
    assert not store.customer_store.by_uuid([kai])
    assert kai not in store.links()
    assert not store.intents()
    assert store.marked()["c:1"].is_due


def test_an_api_create_of_an_erased_address_gets_no_customer(store: Store) -> None:
    kai = CustomerId(uuid4())
    create = reserved(store, kai, email="kai@x.org")
    store.bury("kai@x.org")
    with pytest.raises(Transient):
        store.outbox.settle([(create, answered(1, later(5), email="kai@x.org"))])
    assert not store.customer_store.by_uuid([kai])


def test_who_was_erased_while_he_was_created_is_erased_with_his_customer(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    create = sent(store, pair(store, ada), IntentKind.CREATE, values={"email": "ada@x.org"})
    ignored = claimed(store, 1)
    store.pairs.rearrange([Step(pair=loaded(store, ignored), action=Ignore())])
    store.outbox.settle([(create, answered(1, later(5), email="ada@x.org"))])
    assert store.customer(ada).is_erased
    assert store.has(ada, "email") is None
    assert not store.links()


def test_a_create_that_is_answered_while_another_worker_has_the_customer_is_looked_at_again(store: Store) -> None:
    """HubSpot sets a stage of its own; here one was set meanwhile."""
    ada = store.insert(firstname="Ada")
    create = sent(store, pair(store, ada), IntentKind.CREATE, values={"firstname": "Ada"})
    store.update(ada, lifecyclestage="customer")
    store.pass_time(60)
    claim = claimed(store, ada)
    store.outbox.settle([(create, answered(1, later(65), firstname="Ada", lifecyclestage="lead"))])
    done(store, claim)
    assert f"u:{ada}" in store.marked()
