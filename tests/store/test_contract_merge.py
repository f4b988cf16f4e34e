"""Committing what was decided here: by compare-and-set, and the base only with what took (rules 2, 5, 6, 7)."""

from dataclasses import replace

import pytest
from scenes import NINE, claimed, contact, done, due_claims, ended_claim, later, linked, loaded, pair, sent
from stores import Store

from reconciler.core.blocks import RECORD, Block, fingerprint, waiting_for
from reconciler.core.contact import ContactId
from reconciler.core.errors import Transient
from reconciler.core.merge import Conflict, Verdict
from reconciler.core.reasons import Reason
from reconciler.core.step import Detach, Forget, Insert, Merge, Step, Wait


def taken(address: str) -> Block:
    return Block(reason=Reason.TAKEN, fingerprint=waiting_for(address)[0])


def test_a_contacts_new_value_comes_into_the_row_and_the_base(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="1"))
    assert not store.pairs.merge([Step(pair=mine, action=Merge(pull={"phone": "1"}))])
    assert store.has(ada, "phone") == "1"
    link = store.links()[ada]
    assert link.base == {"email": "ada@x.org", "phone": "1"}
    assert (link.merged_through, link.newest_seen) == (later(5), later(5))


def test_the_syncs_own_writes_are_no_news(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    claim = claimed(store, ada)
    mine = loaded(store, claim, contact(1, later(5), email="ada@x.org", phone="1"))
    store.pairs.merge([Step(pair=mine, action=Merge(pull={"phone": "1"}))])
    done(store, claim)
    assert not due_claims(store)


def test_an_emptied_property_is_emptied_here_and_leaves_the_base(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org"))
    store.pairs.merge([Step(pair=mine, action=Merge(pull={"phone": None}))])
    assert store.has(ada, "phone") is None
    assert store.links()[ada].base == {"email": "ada@x.org"}


def test_a_column_changed_meanwhile_is_left_out_and_the_others_are_written(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0", company="A")
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="1", company="B"))
    store.update(ada, phone="9")
    assert store.pairs.merge([Step(pair=mine, action=Merge(pull={"phone": "1", "company": "B"}))]) == {ada}
    assert (store.has(ada, "phone"), store.has(ada, "company")) == ("9", "B")
    link = store.links()[ada]
    assert (link.base["phone"], link.base["company"]) == ("0", "B")
    assert link.merged_through == NINE, "what was left out must be met again by poll and sweep"
    assert link.newest_seen == later(5)


def test_empty_text_and_null_are_two_stored_values_for_compare_and_set(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="")
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="1"))
    assert not store.pairs.merge([Step(pair=mine, action=Merge(pull={"phone": "1"}))])
    assert store.has(ada, "phone") == "1"


def test_what_is_equal_on_both_sides_moves_only_the_base(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    store.update(ada, phone="1")
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="1"))
    store.pairs.merge([Step(pair=mine, action=Merge(agree={"phone": "1"}))])
    assert store.links()[ada].base["phone"] == "1"


def test_whoever_lost_his_claim_merges_nothing(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    old = claimed(store, ada)
    mine = loaded(store, old, contact(1, later(5), email="ada@x.org", phone="1"))
    ended_claim(store, old, ada)
    before = store.links()
    loser = Conflict(field="phone", winner=Verdict.REMOTE, kept="1", lost="0")
    assert store.pairs.merge([Step(pair=mine, action=Merge(pull={"phone": "1"}), conflicts=(loser,))]) == {ada}
    assert store.has(ada, "phone") == "0"
    assert store.links() == before
    assert not store.losers()


def test_a_snapshot_older_than_what_was_seen_is_left_out(store: Store) -> None:
    ada = linked(store, 1, later(10), email="ada@x.org", phone="0")
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="1"))
    early = replace(mine, link=replace(mine.link, newest_seen=later(1)))
    assert store.pairs.merge([Step(pair=early, action=Merge(pull={"phone": "1"}))]) == {ada}
    assert store.has(ada, "phone") == "0"
    assert store.links()[ada].newest_seen == later(10)


def test_a_stale_look_is_counted_and_nothing_else(store: Store) -> None:
    ada = linked(store, 1, later(10), email="ada@x.org", phone="0")
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="1"))
    assert not store.pairs.merge([Step(pair=mine, action=Wait.STALE, again=1.0)])
    link = store.links()[ada]
    assert (link.stale_reads, link.newest_seen, link.merged_through) == (1, later(10), later(10))


def test_a_snapshot_that_stays_old_is_believed_and_sets_what_was_seen_back(store: Store) -> None:
    ada = linked(store, 1, later(10), email="ada@x.org", phone="0")
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="1"))
    assert not store.pairs.merge([Step(pair=mine, action=Merge(pull={"phone": "1"}))])
    link = store.links()[ada]
    assert store.has(ada, "phone") == "1"
    assert (link.stale_reads, link.newest_seen, link.merged_through) == (0, later(5), later(5))


def test_an_address_that_another_holds_by_now_is_left_out(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    mine = pair(store, ada, contact(1, later(5), email="new@x.org", phone="1"))
    store.insert(email=" New@x.org")
    assert store.pairs.merge([Step(pair=mine, action=Merge(pull={"email": "new@x.org", "phone": "1"}))]) == {ada}
    assert (store.has(ada, "email"), store.has(ada, "phone")) == ("ada@x.org", "1")
    assert store.links()[ada].base == {"email": "ada@x.org", "phone": "1"}


def test_two_addresses_change_hands_in_one_transaction(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    steps = [
        Step(pair=pair(store, ada, contact(1, later(5), email="bob@x.org")), action=Merge(pull={"email": "bob@x.org"})),
        Step(pair=pair(store, bob, contact(2, later(5), email="ada@x.org")), action=Merge(pull={"email": "ada@x.org"})),
    ]
    assert not store.pairs.merge(steps)
    assert (store.has(ada, "email"), store.has(bob, "email")) == ("bob@x.org", "ada@x.org")
    assert store.links()[ada].base == {"email": "bob@x.org"}
    assert store.links()[bob].base == {"email": "ada@x.org"}


def test_an_address_that_could_not_move_after_all_stays(store: Store) -> None:
    """Rule 6: a field that is not written keeps its value; whoever lets addresses go must give back what stays."""
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    steps = [
        Step(pair=pair(store, ada, contact(1, later(5), email="one@x.org")), action=Merge(pull={"email": "one@x.org"})),
        Step(pair=pair(store, bob, contact(2, later(5), email="two@x.org")), action=Merge(pull={"email": "two@x.org"})),
    ]
    store.insert(email="one@x.org")
    assert store.pairs.merge(steps) == {ada}
    assert store.has(ada, "email") == "ada@x.org"
    assert store.has(bob, "email") == "two@x.org"
    assert store.links()[ada].base == {"email": "ada@x.org"}


def test_a_row_whose_address_could_not_move_was_not_edited(store: Store) -> None:
    """Rule 14: when a row was last edited decides conflicts; it is no edit to take an address off and give it back."""
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    before = store.customer(ada).updated_at
    steps = [
        Step(pair=pair(store, ada, contact(1, later(5), email="one@x.org")), action=Merge(pull={"email": "one@x.org"})),
        Step(pair=pair(store, bob, contact(2, later(5), email="two@x.org")), action=Merge(pull={"email": "two@x.org"})),
    ]
    store.insert(email="one@x.org")
    store.pairs.merge(steps)
    assert store.customer(ada).updated_at == before


def test_a_swap_of_which_one_row_was_changed_meanwhile_moves_the_other_only_if_free(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    steps = [
        Step(pair=pair(store, ada, contact(1, later(5), email="bob@x.org")), action=Merge(pull={"email": "bob@x.org"})),
        Step(pair=pair(store, bob, contact(2, later(5), email="ada@x.org")), action=Merge(pull={"email": "ada@x.org"})),
    ]
    store.update(bob, email="else@x.org")
    assert store.pairs.merge(steps) == {bob}
    assert (store.has(ada, "email"), store.has(bob, "email")) == ("bob@x.org", "else@x.org")


def test_two_who_want_one_address_do_not_both_get_it(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    steps = [
        Step(pair=pair(store, ada, contact(1, later(5), email="new@x.org")), action=Merge(pull={"email": "new@x.org"})),
        Step(pair=pair(store, bob, contact(2, later(5), email="new@x.org")), action=Merge(pull={"email": "new@x.org"})),
    ]
    before = store.links()
    with pytest.raises(Transient):
        store.pairs.merge(steps)
    assert (store.has(ada, "email"), store.has(bob, "email")) == ("ada@x.org", "bob@x.org")
    assert store.links() == before


def test_a_read_in_which_something_is_held_back_is_not_remembered(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    linked(store, 2, email="bob@x.org")
    mine = pair(store, ada, contact(1, later(5), email="bob@x.org", phone="1"))
    step = Step(pair=mine, action=Merge(pull={"phone": "1"}), blocks={"email": taken("bob@x.org")})
    assert not store.pairs.merge([step])
    link = store.links()[ada]
    assert (link.merged_through, link.newest_seen, link.blocks) == (NINE, later(5), {"email": "address_taken"})


def test_what_moves_is_cured_of_its_trouble(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    why = {c: Block(reason=Reason.INVALID, fingerprint=fingerprint(c, "x")) for c in ("phone", "company", RECORD)}
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="1"))
    store.pairs.merge([Step(pair=mine, blocks=why)])
    store.pairs.merge([Step(pair=mine, action=Merge(pull={"phone": "1"}))])
    assert store.links()[ada].blocks.keys() == {"company", RECORD}


def test_a_given_up_address_wakes_whoever_waits_for_it(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    waiting = claimed(store, ada)
    store.pairs.merge([Step(pair=loaded(store, waiting), blocks={"email": taken("bob@x.org")})])
    done(store, waiting)
    mine = pair(store, bob, contact(2, later(5), email="new@x.org"))
    store.pairs.merge([Step(pair=mine, action=Merge(pull={"email": "new@x.org"}))])
    assert not store.links()[ada].blocks
    assert store.marked()[f"u:{ada}"].is_due


def test_settled_intents_end_with_the_merge(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org"))
    push = sent(store, mine, values={"phone": "1"})
    store.pairs.merge([Step(pair=mine, closes=(push.intent,))])
    assert not store.intents()


def test_an_announced_privacy_deletion_is_remembered(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    mine = replace(pair(store, ada, contact(1, email="ada@x.org")), privacy=True)
    store.pairs.merge([Step(pair=mine)])
    assert store.links()[ada].privacy
    store.pass_time(60)
    assert pair(store, ada).privacy


def test_a_detached_pair_whose_sides_both_live_is_attached_again(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    store.pairs.rearrange([Step(pair=loaded(store, claim), action=Detach())])
    assert store.links()[ada].is_detached
    store.pairs.merge([Step(pair=loaded(store, claim), action=Merge())])
    assert not store.links()[ada].is_detached


def test_what_a_step_pushes_is_not_agreed_yet(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    store.update(ada, phone="1")
    mine = pair(store, ada, contact(1, later(5), email="ada@x.org", phone="0"))
    assert not store.pairs.merge([Step(pair=mine, action=Merge(push={"phone": "1"}))])
    assert store.links()[ada].base["phone"] == "0"


def test_a_step_that_changes_nothing_commits_nothing(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    before = store.links()[ada]
    claim = claimed(store, ada)
    assert not store.pairs.merge([Step(pair=loaded(store, claim, contact(1, email="ada@x.org")))])
    done(store, claim)
    assert store.links()[ada] == before


def test_a_step_about_a_link_that_is_gone_is_left_out(store: Store) -> None:
    mine = pair(store, 7, contact(7, email="kai@x.org"))
    store.pairs.rearrange([Step(pair=mine, action=Forget())])
    step = Step(pair=mine, action=Insert({"email": "kai@x.org"}))
    assert store.pairs.merge([step]) == {mine.uuid}
    assert not store.customer_store.by_uuid([mine.uuid])
    assert ContactId(7) not in {link.contact for link in store.links().values()}
