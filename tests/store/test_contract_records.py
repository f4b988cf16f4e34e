"""Where the walks stand, what their pages tell, and the brake's hour (rules 7, 11, 12, 15)."""

from uuid import UUID

import pytest
from scenes import NINE, answered, archived, claimed, contact, done, due_claims, later, linked, loaded, pair, sent
from stores import Store

from reconciler.core.blocks import Block, fingerprint, waiting_for
from reconciler.core.brake import Danger, Limit, Need
from reconciler.core.contact import Contact, ContactId, CustomerId, IntentKind
from reconciler.core.ports import ATTEMPTS, Ending, Lane, Subject
from reconciler.core.reasons import Reason
from reconciler.core.step import Delete, Detach, Step

FIRST, LAST = CustomerId(UUID(int=0)), CustomerId(UUID(int=2**128 - 1))


DELETE, BLANK, MISSING = Need(Danger.DELETE), Need(Danger.BLANK), Need(Danger.MISSING)


def met(store: Store, *contacts: Contact) -> set[int]:
    """Which of these contacts a poll's page marks."""
    count = store.records.meet(contacts, lane=Lane.BULK, cursor="poll", value={"since": "now"})
    marked = {contact.id for contact in contacts if f"c:{contact.id}" in store.marked()}
    assert count == len(marked)
    return set(marked)


def drifted(store: Store) -> set[str]:
    """Whose customers the sweep marks, when nothing else is marked."""
    store.marks.next_lane(list(Lane))
    for claim in due_claims(store):
        done(store, claim)
    assert not store.marked()
    last, count = store.records.drifted(after=FIRST, upto=LAST, limit=100, lane=Lane.AUDIT)
    assert last is not None
    assert len(store.marked()) == count
    return set(store.marked())


def test_a_walk_that_never_began_stands_nowhere(store: Store) -> None:
    assert store.records.cursor("poll") is None


def test_a_page_leaves_its_cursor_and_marks_what_is_news(store: Store) -> None:
    linked(store, 1, email="ada@x.org")
    news = met(store, contact(1, NINE), contact(2, NINE), contact(3, later(5)))
    assert news == {2, 3}
    assert store.marked().keys() == {"c:2", "c:3"}
    assert {mark.lane for mark in store.marked().values()} == {Lane.BULK}
    assert store.records.cursor("poll") == {"since": "now"}


def test_a_cursor_moves_on_with_each_page(store: Store) -> None:
    for n in (1, 2):
        store.records.save("walk", {"after": n})
    assert store.records.cursor("walk") == {"after": 2}
    assert store.records.cursor("poll") is None


def page_claims(store: Store, *contacts: int, read_at: int | None = None) -> set[int | None]:
    """The contacts that a sweep's page counts for; read just now, unless it was read at that number."""
    number = store.records.number() if read_at is None else read_at
    claims = store.marks.claim_page([contact(each) for each in contacts], lane=Lane.BULK, read_at=number)
    return {store.links()[claim.uuid].contact for claim in claims}


def test_a_page_claims_its_news_without_a_mark(store: Store) -> None:
    linked(store, 1, email="ada@x.org")
    assert page_claims(store, 1, 2, 3) == {2, 3}
    assert not store.marked()
    assert {link.contact for link in store.links().values() if link.is_leased} == {2, 3}


def test_what_was_told_of_is_not_the_pages(store: Store) -> None:
    store.marks.mark([Subject.contact(1)], lane=Lane.AUDIT)
    assert page_claims(store, 1, 2) == {2}
    assert store.marked()["c:1"].lane == Lane.BULK


def test_a_page_counts_for_no_pair_that_a_worker_has_had_since(store: Store) -> None:
    before, at_work = claimed(store, 1), claimed(store, 2)
    done(store, before)
    read_at = store.records.number()
    done(store, at_work)
    assert page_claims(store, 1, 2, 3, read_at=read_at) == {1, 3}
    assert store.marked().keys() == {"c:2"}


def test_a_page_counts_for_no_pair_that_a_worker_has(store: Store) -> None:
    claimed(store, 1)
    assert page_claims(store, 1, 2) == {2}


def test_a_pair_over_which_a_pages_worker_died_is_marked(store: Store) -> None:
    """A record that costs a worker its life must not end every sweep."""
    assert page_claims(store, 1, 2) == {1, 2}
    store.pass_time(60)
    assert page_claims(store, 1, 2, 3) == {3}
    assert store.marked().keys() == {"c:1", "c:2"}


def test_what_a_page_leaves_for_later_is_marked(store: Store) -> None:
    (claim,) = store.marks.claim_page([contact(1)], lane=Lane.BULK, read_at=store.records.number())
    store.marks.finish([Ending(claim=claim, again=5.0)])
    (mark,) = store.marked().values()
    assert 0 < mark.due_in <= 5
    assert not store.links()[claim.uuid].is_leased


def test_what_is_newer_than_the_last_full_read_is_news_whatever_was_seen(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    store.update(ada, phone="1")
    push = sent(store, pair(store, ada), values={"phone": "1"})
    store.outbox.settle([(push, answered(1, later(5), phone="1"))])
    assert store.links()[ada].newest_seen == later(5)
    assert met(store, contact(1, later(5))) == {1}


def test_an_older_page_is_no_news(store: Store) -> None:
    linked(store, 1, later(5), email="ada@x.org")
    assert not met(store, contact(1, NINE), contact(1, later(5)))


def test_a_contact_that_lives_although_it_was_agreed_dead_is_news(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    mine = pair(store, ada, contact(1, email="ada@x.org"))
    store.pairs.merge([Step(pair=mine, action=Delete())])
    assert met(store, contact(1, NINE)) == {1}


def test_a_contact_whose_link_was_never_read_is_news(store: Store) -> None:
    claim = claimed(store, 7)
    done(store, claim)
    assert met(store, contact(7, NINE)) == {7}


def test_a_former_contact_that_is_listed_again_is_news(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.remove(ada)
    claim = claimed(store, ada)
    archive = sent(store, loaded(store, claim, contact(1, email="ada@x.org")), IntentKind.ARCHIVE)
    store.outbox.settle([(archive, archived(1))])
    store.restore(ada)
    sent(store, loaded(store, claim), IntentKind.CREATE, values={"email": "ada@x.org"})
    assert store.aliases() == {1: (ada, "former")}
    assert met(store, contact(1, later(5))) == {1}


def test_linked_contacts_that_a_walk_did_not_meet_are_marked(store: Store) -> None:
    for n in (1, 2, 3, 5):
        linked(store, n, email=f"p{n}@x.org")
    assert store.records.miss(after=1, upto=4, met=[ContactId(2)], lane=Lane.AUDIT) == 1
    assert store.marked().keys() == {"c:3"}


def test_contacts_that_were_agreed_dead_are_not_missed(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    mine = loaded(store, claim, contact(1, email="ada@x.org"))
    store.pairs.merge([Step(pair=mine, action=Delete())])
    done(store, claim)
    assert store.records.miss(after=0, upto=100, met=[], lane=Lane.AUDIT) == 0


def test_pairs_that_are_equal_to_their_base_have_not_drifted(store: Store) -> None:
    linked(store, 1, email=" Ada@X.org ", phone="", company="A")
    linked(store, 2, firstname="Bob")
    assert not drifted(store)


def test_a_customer_that_differs_from_its_base_has_drifted(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org", phone="0")
    store.update(ada, phone="1")
    assert drifted(store) == {f"u:{ada}"}


def test_a_customer_without_a_contact_has_drifted(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    assert drifted(store) == {f"u:{ada}"}


def test_a_customer_deleted_here_and_alive_there_has_drifted(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    store.remove(ada)
    assert drifted(store) == {f"u:{ada}"}


def test_a_dead_customer_without_a_contact_has_not_drifted(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    store.remove(ada)
    assert not drifted(store)


def test_whoever_is_parked_without_a_contact_waits_for_an_edit(store: Store) -> None:
    ada = store.insert(email="ada@x.org")
    for _ in range(ATTEMPTS):
        store.marks.finish([Ending(claim=claimed(store, ada), again=0.0, spend=True)])
    assert store.records.drifted(after=FIRST, upto=LAST, limit=10, lane=Lane.AUDIT) == (ada, 0)


def test_whoever_waits_for_an_address_is_looked_at_at_each_sweep(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    why = Block(reason=Reason.TAKEN, fingerprint=waiting_for("bob@x.org")[0])
    store.pairs.merge([Step(pair=loaded(store, claim), blocks={"email": why})])
    done(store, claim)
    assert drifted(store) == {f"u:{ada}"}


def test_a_detached_pair_is_left_alone_by_the_sweep(store: Store) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    why = Block(reason=Reason.TAKEN, fingerprint=waiting_for("bob@x.org")[0])
    store.pairs.merge([Step(pair=loaded(store, claim), blocks={"email": why})])
    store.pairs.rearrange([Step(pair=loaded(store, claim), action=Detach())])
    done(store, claim)
    store.update(ada, phone="1")
    assert not drifted(store)


def test_a_page_of_customers_ends_where_the_next_begins(store: Store) -> None:
    people = sorted(linked(store, n, email=f"p{n}@x.org") for n in range(1, 6))
    first, _ = store.records.drifted(after=FIRST, upto=LAST, limit=2, lane=Lane.AUDIT)
    assert first == people[1]
    second, _ = store.records.drifted(after=first, upto=LAST, limit=10, lane=Lane.AUDIT)
    assert second == people[-1]
    assert store.records.drifted(after=second, upto=LAST, limit=10, lane=Lane.AUDIT) == (None, 0)


def test_customers_beyond_the_last_one_asked_for_are_not_looked_at(store: Store) -> None:
    people = sorted(linked(store, n, email=f"p{n}@x.org") for n in range(1, 6))
    last, _ = store.records.drifted(after=people[0], upto=people[2], limit=10, lane=Lane.AUDIT)
    assert last == people[2]
    assert store.records.drifted(after=people[2], upto=people[2], limit=10, lane=Lane.AUDIT) == (None, 0)


def test_only_living_linked_contacts_are_counted(store: Store) -> None:
    linked(store, 1, email="ada@x.org")
    bob = linked(store, 2, email="bob@x.org")
    store.insert(email="cid@x.org")
    claimed(store, 7)
    mine = pair(store, bob, contact(2, email="bob@x.org"))
    store.pairs.merge([Step(pair=mine, action=Delete())])
    assert store.records.linked() == 1


def test_the_brake_grants_a_hundred_an_hour_of_each_kind(store: Store) -> None:
    assert store.records.grant({DELETE: 60}) == {DELETE: 60}
    assert store.records.grant({DELETE: 60, BLANK: 5}) == {DELETE: 40, BLANK: 5}
    assert store.records.grant({DELETE: 1}) == {DELETE: 0}


def test_rewrites_are_counted_by_column(store: Store) -> None:
    phone, company = Need(Danger.REWRITE, "phone"), Need(Danger.REWRITE, "company")
    assert store.records.grant({phone: 1000, company: 400}) == {phone: 1000, company: 400}
    assert store.records.grant({phone: 1, company: 700}) == {phone: 0, company: 600}


def test_nothing_that_is_only_missing_passes_before_it_is_allowed(store: Store) -> None:
    assert store.records.grant({MISSING: 3}) == {MISSING: 0}
    store.records.allow(Danger.MISSING, 2)
    assert store.records.grant({MISSING: 3}) == {MISSING: 2}
    assert store.records.grant({MISSING: 3}) == {MISSING: 0}


def test_what_is_allowed_is_used_up_by_what_passes_beyond_the_hour(store: Store) -> None:
    store.records.allow(Danger.DELETE, 50)
    assert store.records.grant({DELETE: 120}) == {DELETE: 120}
    assert store.records.grant({DELETE: 100}) == {DELETE: 30}
    store.pass_time(3601)
    assert store.records.grant({DELETE: 150}) == {DELETE: 100}


def test_no_hour_passes_more_than_is_left_of_the_day(store: Store) -> None:
    brake = store.limited({Danger.DELETE: Limit(number=100, daily=150)})
    assert brake.grant({DELETE: 120}) == {DELETE: 100}
    store.pass_time(3661)
    assert brake.grant({DELETE: 120}) == {DELETE: 50}
    store.pass_time(24 * 3600)
    assert brake.grant({DELETE: 120}) == {DELETE: 100}


def test_the_brakes_hour_rolls_on(store: Store) -> None:
    store.records.grant({DELETE: 70})
    store.pass_time(1800)
    store.records.grant({DELETE: 30})
    assert store.records.grant({DELETE: 1}) == {DELETE: 0}
    store.pass_time(1861)
    assert store.records.grant({DELETE: 100}) == {DELETE: 70}


@pytest.mark.parametrize("field", ["email", "*"])
def test_a_page_met_twice_marks_once(store: Store, field: str) -> None:
    ada = linked(store, 1, email="ada@x.org")
    claim = claimed(store, ada)
    why = Block(reason=Reason.DUPLICATE, fingerprint=fingerprint(field, "bob@x.org"))
    store.pairs.merge([Step(pair=loaded(store, claim), blocks={field: why})])
    done(store, claim)
    assert met(store, contact(1, later(5))) == met(store, contact(1, later(5))) == {1}
    assert store.marked().keys() == {"c:1"}
