"""A row that another transaction holds, or that is hidden, is left for later, and only it: the same in both stores."""

from dataclasses import replace
from uuid import uuid4

import pytest
from scenes import answered, archived, claimed, contact, due_claims, later, linked, loaded, pair, sent
from stores import Store

from reconciler.core.contact import ContactId, CustomerId, IntentKind
from reconciler.core.ports import DELAYS, Ending, Lane, Sent, Settled, Write
from reconciler.core.step import Absorb, Erase, Merge, Step


def two(store: Store) -> tuple[CustomerId, CustomerId]:
    """Ada, whose row is going to be held, and Bob."""
    return linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")


def written(store: Store, uuid: CustomerId, number: int, *, hubspot_first: bool = False) -> Sent:
    """A write that HubSpot is just being sent."""
    return sent(store, pair(store, uuid, contact(number)), values={"phone": "1"}, hubspot_first=hubspot_first)


def put(store: Store, uuid: CustomerId, number: int, **values: str) -> Sent:
    """An API write that HubSpot is just being sent."""
    mine = pair(store, uuid, contact(number))
    assert mine.customer is not None
    edited = mine.customer.to_hold(values)
    return sent(store, replace(mine, customer=edited), values=values, hubspot_first=True)


def test_a_merge_leaves_a_held_row_out(store: Store) -> None:
    ada, bob = two(store)
    steps = [
        Step(pair=pair(store, uuid, contact(number, later(5), phone="1")), action=Merge(pull={"phone": "1"}))
        for uuid, number in ((ada, 1), (bob, 2))
    ]
    with store.held(ada):
        assert store.pairs.merge(steps) == {ada}
    assert (store.has(ada, "phone"), store.has(bob, "phone")) == (None, "1")
    assert "phone" not in store.links()[ada].base


@pytest.mark.parametrize("hubspot_first", [True, False])
def test_an_answer_about_a_held_row_stays_to_be_settled_and_is_marked(store: Store, hubspot_first: bool) -> None:
    ada, bob = two(store)
    writes = [written(store, ada, 1, hubspot_first=hubspot_first), written(store, bob, 2, hubspot_first=hubspot_first)]
    answers = [answered(1, later(5), phone="1"), answered(2, later(5), phone="1")]
    with store.held(ada):
        assert store.outbox.settle(list(zip(writes, answers, strict=True))).held == {writes[0].intent}
    assert [intent.uuid for intent in store.intents()] == [ada]
    assert "phone" not in store.links()[ada].base
    assert store.links()[bob].base["phone"] == "1"
    assert store.marked()[f"u:{ada}"].is_due
    assert store.outbox.settle([(writes[0], answers[0])]) == Settled()
    assert store.intents() == []
    assert store.links()[ada].base["phone"] == "1"


def test_an_answer_about_a_hidden_row_stays_to_be_settled_and_is_marked(store: Store) -> None:
    ada, bob = two(store)
    writes = [put(store, ada, 1, phone="1"), put(store, bob, 2, phone="1")]
    answers = [answered(1, later(5), phone="1"), answered(2, later(5), phone="1")]
    with store.hidden(ada):
        assert store.outbox.settle(list(zip(writes, answers, strict=True))).held == {writes[0].intent}
    assert [intent.uuid for intent in store.intents()] == [ada]
    assert "phone" not in store.links()[ada].base
    assert (store.has(ada, "phone"), store.has(bob, "phone")) == (None, "1")
    assert store.marked()[f"u:{ada}"].is_due
    assert store.outbox.settle([(writes[0], answers[0])]) == Settled()
    assert store.has(ada, "phone") == store.links()[ada].base["phone"] == "1"


def test_a_row_that_was_deleted_is_not_waited_for_where_others_are_hidden(store: Store) -> None:
    ada, bob = two(store)
    write = put(store, ada, 1, phone="1")
    store.delete(ada)
    with store.hidden(bob):
        assert store.outbox.settle([(write, answered(1, later(5), phone="1"))]) == Settled()
    assert store.intents() == []


def test_a_new_customer_is_not_waited_for_where_others_are_hidden(store: Store) -> None:
    ada, eve = linked(store, 1, email="ada@x.org"), CustomerId(uuid4())
    reserved = store.customer_store.reserve([eve])
    create = sent(
        store, loaded(store, reserved[0]), IntentKind.CREATE, values={"email": "eve@x.org"}, hubspot_first=True
    )
    with store.hidden(ada):
        assert store.outbox.settle([(create, answered(2, later(5), email="eve@x.org"))]) == Settled()
    assert store.has(eve, "email") == "eve@x.org"


def test_a_hidden_customer_is_not_forgotten_when_somebody_else_has_the_contact_made_for_it(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    store.marks.next_lane(list(Lane))
    create = sent(store, pair(store, ada), IntentKind.CREATE, values={"email": "ada@x.org"})
    bob = linked(store, 1, email="bob@x.org")
    with store.hidden(ada):
        store.outbox.settle([(create, answered(1, later(5), email="ada@x.org"))])
    assert store.links()[bob].contact == 1
    assert store.links()[ada].edited == {"email"}
    assert store.marked()[f"u:{ada}"].is_due


def test_an_archive_of_a_held_rows_contact_stays_to_be_settled(store: Store) -> None:
    ada, _ = two(store)
    archive = sent(store, pair(store, ada, contact(1)), IntentKind.ARCHIVE, hubspot_first=True)
    with store.held(ada):
        assert store.outbox.settle([(archive, archived(1))]).held == {archive.intent}
    assert not store.customer(ada).is_deleted
    assert store.links()[ada].alive


def test_a_contact_made_for_a_held_row_is_its_contact_at_once(store: Store) -> None:
    ada = store.insert(firstname="Ada")
    create = sent(store, loaded(store, claimed(store, ada)), IntentKind.CREATE, values={"firstname": "Ada"})
    with store.held(ada):
        assert store.outbox.settle([(create, answered(1, later(5), firstname="Ada"))]).held == {create.intent}
    link = store.links()[ada]
    assert (link.contact, link.alive, link.base) == (1, True, {})


def test_nobody_is_merged_or_erased_while_a_row_is_held(store: Store) -> None:
    ada, bob = two(store)
    mine = pair(store, bob)
    with store.held(ada):
        merged = Absorb(winner=bob, loser=ada, contact_id=ContactId(2))
        assert store.pairs.rearrange([Step(pair=mine, action=merged)]) == {bob}
        erased = pair(store, ada)
        assert store.pairs.rearrange([Step(pair=erased, action=Erase())]) == {ada}
    assert store.customer(ada).merged_into is None
    assert not store.customer(ada).is_erased
    assert store.pairs.rearrange([Step(pair=erased, action=Erase())]) == set()
    assert store.customer(ada).is_erased


def test_of_one_call_the_owner_refuses_one_row_another_is_held_and_the_rest_is_settled(store: Store) -> None:
    (ada, bob), eve = two(store), linked(store, 3, email="eve@x.org")
    phones = {ada: "1", bob: "7", eve: "1"}
    writes = [put(store, uuid, n, phone=phone) for n, (uuid, phone) in enumerate(phones.items(), start=1)]
    answers = [answered(n, later(5), phone=phone) for n, phone in enumerate(phones.values(), start=1)]
    with store.forbidden("phone", "7"), store.held(ada):
        settled = store.outbox.settle(list(zip(writes, answers, strict=True)))
    assert (settled.held, settled.refused.keys()) == ({writes[0].intent}, {bob})
    assert [store.has(uuid, "phone") for uuid in phones] == [None, None, "1"]
    assert [intent.uuid for intent in store.intents()] == [ada]
    assert store.links()[bob].base["phone"] == "7"
    assert {f"u:{uuid}" for uuid in (ada, bob)} <= store.marked().keys()


def test_whether_a_held_row_would_be_refused_shows_when_it_is_free(store: Store) -> None:
    ada, bob = two(store)
    pairs = [pair(store, uuid, contact(n, later(5), phone="7")) for n, uuid in enumerate((ada, bob), start=1)]
    writes = [Write(pair=each, kind=IntentKind.UPDATE, values={"phone": "7"}) for each in pairs]
    steps = [Step(pair=each, action=Merge(pull={"phone": "7"})) for each in pairs]
    with store.forbidden("phone", "7"):
        with store.held(ada):
            assert store.customer_store.rehearse(writes).keys() == {bob}
            assert ada in store.pairs.merge(steps)
        assert (store.links()[ada].blocks, store.links()[bob].blocks.keys()) == ({}, {"phone"})
        assert store.customer_store.rehearse(writes).keys() == {ada, bob}


def test_a_held_row_is_not_leased_for_a_write(store: Store) -> None:
    ada, bob = two(store)
    with store.held(ada):
        assert [claim.uuid for claim in store.customer_store.lease([ada, bob])] == [bob]
        assert store.customer_store.held([ada, bob]) == {ada}
    assert store.customer_store.held([ada, bob]) == set()
    assert [claim.uuid for claim in store.customer_store.lease([ada])] == [ada]


def test_what_is_left_out_again_and_again_is_looked_at_more_seldom_and_never_alone(store: Store) -> None:
    ada, bob = two(store)
    pauses = []
    for _ in range(DELAYS + 2):
        for uuid in (ada, bob):
            store.update(uuid, phone=str(len(pauses)))
        claims = {claim.uuid: claim for claim in due_claims(store)}
        assert claims.keys() == {ada, bob}
        assert claims[ada].attempts == 0
        ending = Ending(claim=claims[ada], again=0.0, left_out=True)
        pauses.append(ending.delay)
        store.marks.finish([ending, Ending(claim=claims[bob])])
        assert store.marked()[f"u:{ada}"].due_in == pytest.approx(pauses[-1], abs=1)
    assert pauses == sorted(pauses)
    assert pauses[0] <= 1
    assert 30 <= pauses[-1] <= 60
    settled = replace(claimed(store, ada), delays=0)
    store.marks.finish([Ending(claim=settled)])
    assert f"u:{ada}" not in store.marked()
