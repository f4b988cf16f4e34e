"""HubSpot's answers, whenever they come and whoever holds the claim by then (rules 4, 5, 6, 8, 10, 11, 13)."""

from dataclasses import replace

import pytest
from scenes import (
    NINE,
    answered,
    archived,
    claimed,
    contact,
    done,
    ended_claim,
    filled,
    later,
    linked,
    loaded,
    pair,
    sent,
)
from stores import Store

from reconciler.core.blocks import Block, fingerprint, waiting_for
from reconciler.core.contact import ContactId, CustomerId, IntentKind, Pair
from reconciler.core.errors import Refused
from reconciler.core.ports import LEASE, Lane, Sent, Subject, Unanswered
from reconciler.core.reasons import Reason
from reconciler.core.step import Absorb, Attach, Erase, Insert, Merge, Step


def pushed(store: Store, who: CustomerId, **values: str | None) -> Sent:
    """A push of what somebody has written here."""
    store.update(who, **values)
    store.pass_time(60)
    return sent(store, pair(store, who), values=values)


def by_api(store: Store, mine: Pair, values: dict[str, str]) -> Sent:
    """An API update on its way: the row is to follow."""
    assert mine.customer is not None
    going = replace(mine, customer=mine.customer.to_hold(values))
    return sent(store, going, values=values, hubspot_first=True)


def test_a_push_moves_the_base_to_what_hubspot_answered(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    push = pushed(store, ada, phone="1")
    store.outbox.settle([(push, answered(1, later(5), phone="+1"))])
    link = store.links()[ada]
    assert link.base["phone"] == "+1"
    assert (link.newest_seen, link.merged_through) == (later(5), NINE)
    assert store.has(ada, "phone") == "+1", "the row takes the answered value"
    assert not store.intents()


def test_a_row_changed_meanwhile_keeps_its_value_and_the_base_moves(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    push = pushed(store, ada, phone="1")
    store.update(ada, phone="2")
    store.outbox.settle([(push, answered(1, later(5), phone="+1"))])
    assert store.has(ada, "phone") == "2"
    assert store.links()[ada].base["phone"] == "+1"


def test_a_push_that_hubspot_has_after_an_api_write_leaves_a_row_to_look_at(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    push = pushed(store, ada, phone="1")
    assert push.write.pair.customer is not None
    put = by_api(store, push.write.pair, {"phone": "2"})
    store.outbox.settle([(put, answered(1, later(5), phone="2"))])
    assert not store.marked()[f"u:{ada}"].is_due
    store.outbox.settle([(push, answered(1, later(6), phone="1"))])
    assert (store.has(ada, "phone"), store.links()[ada].base["phone"]) == ("2", "1")
    assert store.marked()[f"u:{ada}"].is_due


def test_an_answer_moves_the_base_even_when_the_claim_is_lost(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    push = pushed(store, ada, phone="1")
    store.pass_time(60)
    claimed(store, ada)
    store.outbox.settle([(push, answered(1, later(5), phone="1"))])
    assert store.links()[ada].base["phone"] == "1"
    assert store.links()[ada].is_leased


def test_the_base_follows_the_order_of_hubspots_time(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    first = pushed(store, ada, phone="1")
    second = pushed(store, ada, phone="2")
    store.outbox.settle([(second, answered(1, later(6), phone="2"))])
    store.outbox.settle([(first, answered(1, later(5), phone="1"))])
    link = store.links()[ada]
    assert (link.base["phone"], link.newest_seen) == ("2", later(6))
    assert store.has(ada, "phone") == "2"
    assert not store.intents()


def test_a_property_missing_from_the_answer_stays_open(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0", lifecyclestage="customer")
    push = pushed(store, ada, phone="1", lifecyclestage="lead")
    store.outbox.settle([(push, answered(1, later(5), phone="1"))])
    (intent,) = store.intents()
    assert intent.values == {"lifecyclestage": "lead"}
    assert store.links()[ada].base["lifecyclestage"] == "customer"


def test_an_answer_cures_what_it_was_about_and_the_record(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    why = {c: Block(reason=Reason.REFUSED, fingerprint=fingerprint(c, "x")) for c in ("phone", "company", "*")}
    claim = claimed(store, ada)
    store.pairs.merge([Step(pair=loaded(store, claim), blocks=why)])
    done(store, claim)
    store.outbox.settle([(pushed(store, ada, phone="1"), answered(1, later(5), phone="1"))])
    assert store.links()[ada].blocks.keys() == {"company"}


def test_what_hubspot_makes_of_a_value_is_no_conflict_however_often_it_is_sent(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    store.outbox.settle([(pushed(store, ada, phone="one"), answered(1, later(5), phone="1"))])
    store.outbox.settle([(pushed(store, ada, phone="one"), answered(1, later(6), phone="1"))])
    assert not store.losers()
    assert not store.links()[ada].blocks


def test_a_refusal_parks_the_property_that_hubspot_named(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    push = pushed(store, ada, phone="1", company="A")
    refused = Refused(reason=Reason.INVALID, fields=frozenset({"phone"}))
    store.outbox.settle([(push, refused)])
    link = store.links()[ada]
    assert link.blocks == {"phone": "invalid_value"}
    assert (link.base["phone"], link.newest_seen) == ("0", NINE)
    assert not store.intents()


@pytest.mark.parametrize("reason", [Reason.TAKEN, Reason.GONE])
def test_what_the_caller_resolves_blocks_nothing(store: Store, reason: Reason) -> None:
    ada = linked(store, 1, email="ada@x.org")
    push = pushed(store, ada, email="new@x.org")
    store.outbox.settle([(push, Refused(reason=reason, fields=frozenset({"email"}), holder=ContactId(2)))])
    assert not store.links()[ada].blocks
    assert not store.intents()


def test_an_api_writes_refusal_parks_nothing(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    push = sent(store, pair(store, ada), values={"phone": "1"}, hubspot_first=True)
    store.outbox.settle([(push, Refused(reason=Reason.INVALID, fields=frozenset({"phone"})))])
    assert not store.links()[ada].blocks
    assert not store.intents()


@pytest.mark.parametrize("nothing", [Unanswered.OMITTED, Unanswered.UNKNOWN])
def test_what_was_not_answered_stays_open(store: Store, nothing: Unanswered) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    push = pushed(store, ada, phone="1")
    store.outbox.settle([(push, nothing)])
    (intent,) = store.intents()
    assert intent.values == {"phone": "1"}
    assert store.links()[ada].base["phone"] == "0"


def test_an_answer_ends_what_earlier_calls_left_open(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    pushed(store, ada, phone="1")
    again = pushed(store, ada, phone="1")
    store.outbox.settle([(again, answered(1, later(5), phone="1"))])
    assert not store.intents()


def test_an_answer_that_comes_after_the_erase_brings_nothing_back(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    push = by_api(store, pair(store, ada), {"phone": "1"})
    store.pass_time(60)
    store.pairs.rearrange([Step(pair=pair(store, ada), action=Erase())])
    store.outbox.settle([(push, answered(1, later(5), phone="1"))])
    customer = store.customer(ada)
    assert (filled(customer.raw), customer.contact_id) == ({}, None)
    assert not store.links()
    assert not store.losers()


def test_an_answer_that_comes_after_a_merge_gives_the_loser_nothing_back(store: Store) -> None:
    """Rule 11: the loser has no link; nobody but the survivor may show a contact."""
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    push = pushed(store, bob, phone="1")
    merged = Absorb(winner=ada, loser=bob, contact_id=ContactId(3))
    store.pairs.rearrange([Step(pair=pair(store, ada), action=merged)])
    store.outbox.settle([(push, answered(2, later(5), phone="1"))])
    assert store.links()[bob].contact is None
    assert store.customer(bob).contact_id is None
    assert store.links()[ada].contact == 3


def test_an_answer_of_a_contact_that_the_link_has_left_does_not_show_it_again(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    push = sent(store, loaded(store, claim), values={"phone": "1"}, hubspot_first=True)
    store.pairs.rearrange([Step(pair=loaded(store, claim), action=Attach(ContactId(3)))])
    store.outbox.settle([(push, answered(1, later(5), phone="1"))])
    assert store.links()[ada].contact == 3
    assert store.customer(ada).contact_id == 3


def test_an_answer_of_a_former_contact_does_not_link_it_again(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    push = sent(store, pair(store, ada), values={"phone": "1"}, hubspot_first=True)
    store.pass_time(60)
    claim = claimed(store, ada)
    archive = sent(store, loaded(store, claim, contact(1, email="ada@x.org")), IntentKind.ARCHIVE)
    store.outbox.settle([(archive, archived(1))])
    store.restore(ada)
    sent(store, loaded(store, claim), IntentKind.CREATE, values={"email": "ada@x.org"})
    store.outbox.settle([(push, answered(1, later(1), phone="1"))])
    assert store.links()[ada].contact is None


def test_an_archive_deletes_the_customer_and_agrees_on_that(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    mine = pair(store, ada)
    archive = sent(store, mine, IntentKind.ARCHIVE, hubspot_first=True)
    store.outbox.settle([(archive, archived(1))])
    link = store.links()[ada]
    assert (link.alive, link.contact, link.newest_seen, link.base) == (False, 1, NINE, {"email": "ada@x.org"})
    assert store.customer(ada).is_deleted
    assert not store.intents()


def test_an_archive_frees_the_address_for_whoever_waits(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    claim = claimed(store, ada)
    wants = Block(reason=Reason.TAKEN, fingerprint=waiting_for("bob@x.org")[0])
    store.pairs.merge([Step(pair=loaded(store, claim), blocks={"email": wants})])
    done(store, claim)
    archive = sent(store, pair(store, bob), IntentKind.ARCHIVE, hubspot_first=True)
    store.outbox.settle([(archive, archived(2))])
    assert not store.links()[ada].blocks
    assert store.marked()[f"u:{ada}"].is_due


def test_an_api_write_follows_in_the_row_unless_that_was_edited_since(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0", company="A")
    values = {"phone": "1", "company": "B"}
    push = by_api(store, pair(store, ada), values)
    store.update(ada, phone="2")
    store.outbox.settle([(push, answered(1, later(5), **values))])
    assert (store.has(ada, "phone"), store.has(ada, "company")) == ("2", "B")
    assert store.links()[ada].base == {"email": "ada@x.org", "phone": "1", "company": "B"}
    assert store.losers() == {(ada, "phone", "2", "1")}


def test_an_answer_for_a_customer_dropped_meanwhile_keeps_the_link_right(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    push = pushed(store, ada, phone="1")
    store.delete(ada)
    store.outbox.settle([(push, answered(1, later(5), phone="1"))])
    assert store.links()[ada].base["phone"] == "1"
    assert not store.customer_store.by_uuid([ada])


def test_the_syncs_own_mirror_is_no_news(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    claim = claimed(store, ada)
    create = sent(store, loaded(store, claim), IntentKind.CREATE, values={"email": "ada@x.org"})
    store.outbox.settle([(create, answered(1, later(5), email="ada@x.org", lifecyclestage="lead"))])
    done(store, claim)
    assert store.marks.next_lane(list(Lane)) is None
    assert not store.marks.claim(10, only=[Subject.customer(ada)])


def test_one_answer_of_a_batch_that_cannot_be_taken_harms_no_other(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org", phone="0"), linked(store, 2, email="bob@x.org", phone="0")
    one, other = pushed(store, ada, phone="1"), pushed(store, bob, phone="1")
    refused = Refused(reason=Reason.INVALID, fields=frozenset({"phone"}))
    store.outbox.settle([(one, refused), (other, answered(2, later(5), phone="1"))])
    assert store.links()[ada].blocks == {"phone": "invalid_value"}
    assert store.links()[bob].base["phone"] == "1"


def test_a_claim_made_anew_sees_what_was_settled(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    old = claimed(store, ada)
    push = sent(store, loaded(store, old), values={"phone": "1"})
    new = ended_claim(store, old, ada)
    assert [intent.id for intent in loaded(store, new).intents] == [push.intent]
    store.outbox.settle([(push, answered(1, later(5), phone="1"))])
    assert not loaded(store, new).intents


def test_a_customer_deleted_in_sql_keeps_its_link_when_its_contact_is_archived(store: Store) -> None:
    """It came from HubSpot and was never edited here: nothing else remembers it."""
    kai = pair(store, 7, contact(7, later(5), email="kai@x.org"))
    store.pairs.merge([Step(pair=kai, action=Insert({"email": "kai@x.org"}))])
    store.pass_time(LEASE + 1)
    store.delete(kai.uuid)
    push = sent(store, pair(store, kai.uuid, contact(7, later(5), email="kai@x.org")), IntentKind.ARCHIVE)
    store.outbox.settle([(push, archived(7))])
    assert store.links()[kai.uuid].alive is False


def test_a_merge_does_not_take_back_that_an_api_write_ended_both(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="1"))
    delete = sent(store, replace(mine, fence=0), IntentKind.ARCHIVE, hubspot_first=True)
    store.outbox.settle([(delete, archived(1))])
    store.pairs.merge([Step(pair=mine, action=Merge(pull={"phone": "1"}))])
    assert store.links()[ada].alive is False
