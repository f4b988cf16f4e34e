"""What may mean work, and who works on it: both stores keep the same promises (rules 2, 3, 16)."""

from uuid import uuid4

from scenes import claimed, contact, done, due_claims, ended_claim, later, linked, loaded
from stores import Store

from reconciler.core.contact import ContactId, CustomerId
from reconciler.core.ports import ATTEMPTS, LEASE, Ending, Lane, Subject
from reconciler.core.step import Absorb, Attach, Ignore, Merge, Step

HUNDRED = range(100, 200)


def test_what_somebody_writes_in_sql_is_due_at_the_next_look(store: Store) -> None:
    ada = store.insert(email="ada@x.org", phone="1")
    (claim,) = due_claims(store)
    assert claim.uuid == ada
    assert claim.attempts == 0
    assert not claim.privacy
    assert store.links()[ada].edited == {"email", "phone"}
    assert [subject for subject, _ in claim.marks] == [f"u:{ada}"]


def test_the_most_urgent_lane_with_due_marks_is_named(store: Store) -> None:
    assert store.marks.next_lane(list(Lane)) is None
    store.marks.mark([Subject.contact(1)], lane=Lane.AUDIT)
    assert store.marks.next_lane(list(Lane)) == (Lane.AUDIT, False)
    store.marks.mark([Subject.contact(2)], lane=Lane.FRESH)
    assert store.marks.next_lane(list(Lane)) == (Lane.FRESH, False)
    assert store.marks.next_lane([Lane.INTERACTIVE]) is None
    store.marks.mark([Subject.address("kai@x.org")], lane=Lane.FRESH)
    assert store.marks.next_lane(list(Lane)) == (Lane.FRESH, True)


def test_a_merge_that_leaves_nothing_to_do_ends_its_claim(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.marks.mark([Subject.contact(1)], lane=Lane.FRESH)
    (claim,) = store.marks.claim(10, only=[Subject.contact(1)])
    seen = loaded(store, claim, contact(1, later(5), email="ada@x.org", phone="1"))
    assert not store.pairs.merge([Step(pair=seen, action=Merge(pull={"phone": "1"}))], {ada: claim})
    assert (store.links()[ada].is_leased, store.marked()) == (False, {})
    # Whoever was about to end it has nothing to say any more.
    store.marks.mark([Subject.contact(1)], lane=Lane.FRESH)
    store.marks.finish([Ending(claim=claim, again=600.0)])
    assert store.marked()["c:1"].due_in == 0


def test_what_a_merge_leaves_out_keeps_its_claim_and_its_marks(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    store.marks.mark([Subject.contact(1)], lane=Lane.FRESH)
    (claim,) = store.marks.claim(10, only=[Subject.contact(1)])
    seen = loaded(store, claim, contact(1, later(5), email="ada@x.org", phone="1"))
    store.update(ada, phone="2")
    assert store.pairs.merge([Step(pair=seen, action=Merge(pull={"phone": "1"}))], {ada: claim}) == {ada}
    assert store.links()[ada].is_leased
    assert "c:1" in store.marked()


def test_a_mark_made_while_its_subject_is_merged_outlives_the_claim(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.marks.mark([Subject.contact(1)], lane=Lane.FRESH)
    (claim,) = store.marks.claim(10, only=[Subject.contact(1)])
    seen = loaded(store, claim, contact(1, later(5), email="ada@x.org", phone="1"))
    store.marks.mark([Subject.contact(1)], lane=Lane.FRESH)
    store.pairs.merge([Step(pair=seen, action=Merge(pull={"phone": "1"}))], {ada: claim})
    assert (store.links()[ada].is_leased, store.marked()["c:1"].due_in) == (False, 0)


def test_only_the_lanes_that_are_asked_for_are_claimed(store: Store) -> None:
    store.marks.mark([Subject.contact(1)], lane=Lane.BULK)
    store.marks.mark([Subject.contact(2)], lane=Lane.FRESH)
    (claim,) = store.marks.claim(10, lanes=[Lane.FRESH])
    assert claim.marks[0][0] == "c:2"
    assert store.links()[claim.uuid].contact == 2


def test_a_mark_made_again_keeps_the_most_urgent_lane_and_the_privacy_bit(store: Store) -> None:
    subject = Subject.contact(1)
    store.marks.mark([subject], lane=Lane.FRESH, privacy=True)
    store.marks.mark([subject], lane=Lane.AUDIT)
    assert store.marked()["c:1"].lane == Lane.FRESH
    (claim,) = store.marks.claim(10)
    assert claim.privacy


def test_no_more_pairs_are_claimed_than_asked_for(store: Store) -> None:
    store.marks.mark([Subject.contact(each) for each in HUNDRED], lane=Lane.FRESH)
    first, second = store.marks.claim(60), store.marks.claim(60)
    assert len(first) == 60
    assert len(second) == 40
    assert not {claim.uuid for claim in first} & {claim.uuid for claim in second}
    assert not store.marks.claim(60)


def test_the_marks_of_both_ends_of_a_pair_are_one_claim(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    subjects = [Subject.contact(1), Subject.customer(ada)]
    store.marks.mark(subjects, lane=Lane.FRESH)
    (claim,) = store.marks.claim(10)
    assert claim.uuid == ada
    assert {subject for subject, _ in claim.marks} == {subject.key for subject in subjects}


def test_a_claim_lasts_for_its_lease_and_no_longer(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    first = claimed(store, ada)
    store.pass_time(LEASE - 5)
    assert not due_claims(store)
    store.pass_time(10)
    (second,) = due_claims(store)
    assert second.uuid == ada
    assert second.fence > first.fence


def test_a_pair_that_somebody_works_on_is_left_for_a_second(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claimed(store, ada)
    store.marks.mark([Subject.contact(1)], lane=Lane.FRESH)
    assert not store.marks.claim(10)
    mark = store.marked()["c:1"]
    assert 0 < mark.due_in <= 1
    assert mark.crashes == 0


def test_only_the_named_subjects_are_claimed_due_or_not(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    claim = claimed(store, ada)
    store.marks.finish([Ending(claim=claim, again=300.0)])
    store.marks.mark([Subject.customer(bob)], lane=Lane.FRESH)
    (again,) = store.marks.claim(10, only=[Subject.customer(ada)])
    assert again.uuid == ada
    assert store.marked()[f"u:{bob}"].is_due


def test_a_subject_without_a_mark_cannot_be_claimed(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    assert not store.marks.claim(10, only=[Subject.customer(ada), Subject.contact(77)])


def test_an_unknown_contact_gets_a_link_that_knows_nothing_yet(store: Store) -> None:
    claim = claimed(store, 7)
    link = store.links()[claim.uuid]
    assert (link.contact, link.base, link.alive, link.merged_through) == (7, {}, None, None)
    mine = loaded(store, claim)
    assert mine.customer is None
    assert mine.fence == claim.fence


def test_a_mark_about_nobody_goes_away(store: Store) -> None:
    store.marks.mark([Subject.customer(CustomerId(uuid4()))], lane=Lane.FRESH)
    assert not store.marks.claim(10)
    assert not store.marked()


def test_a_merged_away_contact_leads_to_the_survivors_pair(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    store.pairs.rearrange([Step(pair=loaded(store, claim), action=Attach(ContactId(3)))])
    done(store, claim)
    assert claimed(store, 1).uuid == ada


def test_an_erased_persons_contact_leads_nowhere(store: Store) -> None:
    claim = claimed(store, 7)
    store.pairs.rearrange([Step(pair=loaded(store, claim, contact(7)), action=Ignore())])
    done(store, claim)
    assert store.aliases() == {7: (None, "ignored")}
    store.marks.mark([Subject.contact(7)], lane=Lane.FRESH)
    assert not store.marks.claim(10)
    assert not store.marked()
    assert not store.links()


def test_what_was_settled_is_cleared(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    done(store, claimed(store, ada))
    assert not store.marked()
    assert not store.links()[ada].is_leased


def test_a_mark_made_while_its_subject_is_worked_on_survives(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    store.marks.mark([Subject.customer(ada)], lane=Lane.FRESH)
    done(store, claim)
    mark = store.marked()[f"u:{ada}"]
    assert mark.crashes == 0
    assert [claim.uuid for claim in due_claims(store)] == [ada]


def test_a_mark_made_while_its_subject_is_worked_on_is_due_when_that_is_put_off(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    store.marks.mark([Subject.customer(ada)], lane=Lane.FRESH)
    store.marks.finish([Ending(claim=claim, again=300.0)])
    assert store.marked()[f"u:{ada}"].is_due


def test_whoever_lost_his_claim_says_nothing_about_the_marks(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    old = claimed(store, ada)
    new = ended_claim(store, old, ada)
    before = store.marked()
    store.marks.finish([Ending(claim=old)])
    store.marks.finish([Ending(claim=old, again=0.0, spend=True)])
    assert store.marked().keys() == before.keys()
    assert store.marked()[f"u:{ada}"].attempts == 0
    assert store.links()[ada].is_leased
    done(store, new)
    assert not store.marked()


def test_what_is_put_off_is_due_after_its_delay(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    store.marks.finish([Ending(claim=claim, again=30.0)])
    assert not due_claims(store)
    assert not store.links()[ada].is_leased
    store.pass_time(31)
    (again,) = due_claims(store)
    assert again.uuid == ada
    assert again.attempts == 0


def test_another_look_at_a_pair_that_no_mark_led_to_makes_one(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    (claim,) = store.customer_store.lease([ada])
    assert not claim.marks
    store.marks.finish([Ending(claim=claim, again=30.0)])
    assert 29 < store.marked()[f"u:{ada}"].due_in <= 30


def test_failed_looks_are_counted_and_back_off(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    store.marks.finish([Ending(claim=claim, again=0.0, spend=True)])
    mark = store.marked()[f"u:{ada}"]
    assert mark.attempts == 1
    assert 1 < mark.due_in <= 2


def test_a_record_is_parked_when_its_attempts_are_spent(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    for _ in range(ATTEMPTS):
        store.marks.finish([Ending(claim=claimed(store, ada), again=0.0, spend=True)])
    assert not store.marked()
    assert store.links()[ada].blocks == {"*": "attempts_exhausted"}


def test_editing_a_record_unparks_it(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    for _ in range(ATTEMPTS):
        store.marks.finish([Ending(claim=claimed(store, ada), again=0.0, spend=True)])
    store.update(ada, phone="2")
    (claim,) = due_claims(store)
    assert claim.uuid == ada
    assert not store.links()[ada].blocks


def test_claims_whose_worker_did_not_come_back_count_as_attempts(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claimed(store, ada)
    for count in range(1, 4):
        store.pass_time(LEASE + 1)
        (claim,) = due_claims(store)
        assert claim.attempts == count


def test_who_cost_workers_their_lives_is_claimed_alone_and_last(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claimed(store, ada)
    store.pass_time(LEASE + 1)
    due_claims(store)
    store.pass_time(LEASE + 1)
    bob = linked(store, 2, email="bob@x.org")
    store.marks.mark([Subject.customer(bob)], lane=Lane.AUDIT)
    assert [claim.uuid for claim in due_claims(store)] == [bob]
    assert [claim.uuid for claim in due_claims(store)] == [ada]


def test_a_mark_of_a_merges_loser_leads_to_the_winner(store: Store) -> None:
    ada, bob = linked(store, 1, email="ada@x.org"), linked(store, 2, email="bob@x.org")
    claim = claimed(store, ada)
    merged = Absorb(winner=ada, loser=bob, contact_id=ContactId(3))
    store.pairs.rearrange([Step(pair=loaded(store, claim), action=merged)])
    store.update(bob, phone="9")
    assert {claim.uuid for claim in due_claims(store)} == {ada}
