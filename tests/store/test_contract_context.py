"""What is around a pair: who holds an address, who is linked with a contact, who joins (rules 2, 10, 11, 13)."""

from uuid import uuid4

import pytest
from scenes import NINE, archived, claimed, contact, done, ended_claim, later, linked, loaded, pair, sent
from stores import Store

from reconciler.core.blocks import Block, fingerprint
from reconciler.core.contact import ContactId, CustomerId, IntentKind
from reconciler.core.reasons import Reason
from reconciler.core.step import Forget, Merge, Step


def held(store: Store, address: str, *ours: CustomerId):  # type: ignore[no-untyped-def]
    return store.pairs.context(addresses=[address], contacts=[], ours=ours).holders.get(address)


def owned(store: Store, contact_id: int, *ours: CustomerId):  # type: ignore[no-untyped-def]
    found = store.pairs.context(addresses=[], contacts=[ContactId(contact_id)], ours=ours)
    return found.owners.get(ContactId(contact_id))


def parked(field: str, reason: str, value: str) -> dict[str, Block]:
    return {field: Block(reason=Reason(reason), fingerprint=fingerprint(field, value))}


def test_a_linked_customer_holds_his_address_however_it_is_written(store: Store) -> None:
    ada = linked(store, 1, email=" Ada@X.org ")
    holder = held(store, "ada@x.org")
    assert (holder.uuid, holder.contact_id, holder.email) == (ada, 1, "ada@x.org")
    assert (holder.base_email, holder.is_alive, holder.is_placeholder) == ("ada@x.org", True, False)
    assert (holder.is_busy, holder.is_blocked) == (False, False)
    assert holder.created_at is not None


def test_a_customer_whom_nobody_has_looked_at_yet_holds_his_address(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    holder = held(store, "ada@x.org")
    assert (holder.uuid, holder.contact_id, holder.base_email, holder.is_busy) == (ada, None, None, False)


def test_a_deleted_customer_holds_nothing(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.remove(ada)
    assert held(store, "ada@x.org") is None
    store.restore(ada)
    assert held(store, "ada@x.org").uuid == ada


def test_a_renamed_customer_holds_the_new_address_and_his_base_the_old_one(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.update(ada, email="new@x.org")
    assert held(store, "ada@x.org") is None
    assert held(store, "new@x.org").base_email == "ada@x.org"
    assert held(store, "new@x.org").uuid == ada


def test_an_open_create_holds_its_address_before_its_customer_exists(store: Store) -> None:
    kai = CustomerId(uuid4())
    (claim,) = store.customer_store.reserve([kai])
    sent(store, loaded(store, claim), IntentKind.CREATE, values={"email": "kai@x.org"}, hubspot_first=True)
    holder = held(store, "kai@x.org")
    assert (holder.uuid, holder.contact_id, holder.created_at, holder.is_busy) == (kai, None, None, True)
    assert not held(store, "kai@x.org", kai).is_busy


def test_an_open_create_holds_the_address_that_its_customer_has_no_more(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    create = sent(store, pair(store, ada), IntentKind.CREATE, values={"email": "ada@x.org"})
    store.update(ada, email="new@x.org")
    assert held(store, "ada@x.org").uuid == ada
    assert held(store, "new@x.org").uuid == ada
    store.outbox.withdraw([create])
    assert held(store, "ada@x.org") is None


def test_a_pair_is_busy_for_others_and_not_for_its_own_worker(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    assert held(store, "ada@x.org").is_busy
    assert owned(store, 1).is_busy
    assert not held(store, "ada@x.org", ada).is_busy
    assert not owned(store, 1, ada).is_busy
    done(store, claim)
    assert not held(store, "ada@x.org").is_busy


@pytest.mark.parametrize(("field", "is_blocked"), [("email", True), ("*", True), ("phone", False)])
def test_a_holder_whose_address_is_parked_is_blocked(store: Store, field: str, is_blocked: bool) -> None:
    ada = linked(store, 1, email="ada@x.org")
    mine = pair(store, ada, contact(1, email="ada@x.org"))
    store.pairs.merge([Step(pair=mine, blocks=parked(field, "invalid_value", "x"))])
    assert held(store, "ada@x.org").is_blocked is is_blocked
    assert owned(store, 1).is_blocked is is_blocked


def test_the_owner_of_a_contact_is_known_dead_or_alive(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    owner = owned(store, 1)
    assert (owner.uuid, owner.contact_id, owner.email, owner.is_alive) == (ada, 1, "ada@x.org", True)
    store.remove(ada)
    assert not owned(store, 1).is_alive
    store.delete(ada)
    owner = owned(store, 1)
    assert (owner.uuid, owner.email, owner.is_alive, owner.is_placeholder) == (ada, None, False, False)


def test_the_link_of_a_contact_nobody_knows_yet_is_a_placeholder(store: Store) -> None:
    claim = claimed(store, 7)
    owner = owned(store, 7)
    assert (owner.uuid, owner.is_placeholder, owner.is_alive) == (claim.uuid, True, False)


def test_a_contact_that_was_archived_and_replaced_is_former(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.remove(ada)
    claim = claimed(store, ada)
    mine = loaded(store, claim, contact(1, email="ada@x.org"))
    archive = sent(store, mine, IntentKind.ARCHIVE)
    store.outbox.settle([(archive, archived(1))])
    store.restore(ada)
    revived = loaded(store, claim)
    sent(store, revived, IntentKind.CREATE, values={"email": "ada@x.org"})
    context = store.pairs.context(addresses=[], contacts=[ContactId(1), ContactId(2)])
    assert context.former == {1}
    assert store.links()[ada].contact is None
    assert store.aliases() == {1: (ada, "former")}


def test_an_erased_address_is_tombstoned(store: Store) -> None:
    store.bury("kai@x.org")
    context = store.pairs.context(addresses=["kai@x.org", "uwe@x.org"], contacts=[])
    assert context.tombstoned == {"kai@x.org"}


def test_an_open_create_without_an_address_is_known(store: Store) -> None:
    ada = store.insert(firstname="Ada")
    assert not store.pairs.context(addresses=[], contacts=[]).has_nameless_create
    create = sent(store, pair(store, ada), IntentKind.CREATE, values={"firstname": "Ada"})
    assert store.pairs.context(addresses=[], contacts=[]).has_nameless_create
    store.outbox.withdraw([create])
    assert not store.pairs.context(addresses=[], contacts=[]).has_nameless_create


def wants_here(store: Store, who: CustomerId, contact_id: int, address: str) -> Step:
    """A step that cannot take the address its contact has, because somebody here holds it."""
    mine = pair(store, who, contact(contact_id, later(5), email=address))
    return Step(pair=mine, blocks=parked("email", "address_taken", address))


def wants_there(store: Store, who: CustomerId, address: str) -> Step:
    """A step that pushes an address that another contact may still have."""
    return Step(pair=pair(store, who, contact(1)), action=Merge(push={"email": address}))


def test_the_holder_of_a_wanted_address_joins_the_batch(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    (joined,) = store.pairs.join([wants_here(store, ada, 1, "bob@x.org")])
    assert joined.uuid == bob
    assert not joined.marks
    assert store.links()[bob].is_leased


def test_whose_contact_has_a_wanted_address_joins_the_batch(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    store.update(bob, email="new@x.org")
    store.update(ada, email="bob@x.org")
    (joined,) = store.pairs.join([wants_there(store, ada, "bob@x.org")])
    assert joined.uuid == bob


def test_a_busy_holder_does_not_join_and_whoever_is_in_the_batch_neither(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    step = wants_here(store, ada, 1, "bob@x.org")
    claim = claimed(store, bob)
    assert not store.pairs.join([step])
    ours = Step(pair=loaded(store, claim, contact(2, email="bob@x.org")))
    assert not store.pairs.join([step, ours])


def test_a_holder_without_a_contact_does_not_join(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.insert(email="bob@x.org")
    assert not store.pairs.join([wants_here(store, ada, 1, "bob@x.org")])


def test_nobody_joins_where_no_address_is_wanted(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    linked(store, 2, email="bob@x.org")
    assert not store.pairs.join([Step(pair=pair(store, ada, contact(1, email="ada@x.org")))])


def test_a_claim_joined_is_a_claim_like_any_other(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    (joined,) = store.pairs.join([wants_here(store, ada, 1, "bob@x.org")])
    mine = loaded(store, joined, contact(2, later(5), email="bob@x.org", phone="1"))
    other = ended_claim(store, joined, bob)
    assert store.pairs.merge([Step(pair=mine, action=Merge(pull={"phone": "1"}))]) == {bob}
    assert store.has(bob, "phone") is None
    done(store, other)


def test_a_pair_is_loaded_with_both_what_is_here_and_what_is_open(store: Store) -> None:
    ada = linked(store, 1, email=" Ada@X.org ", phone="")
    claim = claimed(store, ada)
    first = sent(store, loaded(store, claim), values={"phone": "1"})
    second = sent(store, loaded(store, claim), values={"phone": "2"}, hubspot_first=True)
    mine = loaded(store, claim)
    assert mine.customer is not None
    assert mine.customer.raw["email"] == " Ada@X.org "
    assert mine.customer.raw["phone"] == ""
    assert (mine.customer.values["email"], mine.customer.values["phone"]) == ("ada@x.org", None)
    assert (mine.link.contact_id, mine.link.alive, mine.link.merged_through) == (1, True, NINE)
    assert [intent.id for intent in mine.intents] == [first.intent, second.intent]
    assert [intent.hubspot_first for intent in mine.intents] == [False, True]
    assert mine.fence == claim.fence


def test_a_claim_whose_link_is_gone_loads_nothing(store: Store) -> None:
    claim = claimed(store, 7)
    store.pairs.rearrange([Step(pair=loaded(store, claim), action=Forget())])
    assert not store.pairs.load([claim])
