"""What the simulation's HubSpot answers to writes is what the real gateway answers (rules 6, 10, 16)."""

from datetime import timedelta

import pytest
from remotes import NOBODY, Opened, Remote, alive, refused, written

from reconciler.core.errors import Transient
from reconciler.core.ports import Unanswered
from reconciler.core.reasons import Reason


def test_a_create_answers_each_draft_in_order(remote: Remote) -> None:
    remote.clock.forward(1)
    drafts = [{"email": f"p{n}@x.org", "phone": str(n)} for n in range(5)]
    contacts = [written(answer) for answer in remote.create(*drafts)]
    assert [contact.values["email"] for contact in contacts] == [draft["email"] for draft in drafts]
    assert [contact.values["phone"] for contact in contacts] == [draft["phone"] for draft in drafts]
    assert {contact.values["lifecyclestage"] for contact in contacts} == {"lead"}
    assert all(alive(remote, contact.id) for contact in contacts)


def test_an_answered_create_says_nothing_of_what_was_not_sent(remote: Remote) -> None:
    (answer,) = remote.create({"email": "ada@x.org"})
    assert written(answer).values == {"email": "ada@x.org", "lifecyclestage": "lead"}


@pytest.mark.parametrize("form", ["409", "400"])
def test_a_taken_address_is_refused_alone(opened: Opened, form: str) -> None:
    remote = opened(create_conflict=form)
    ada = remote.person("ada@x.org")
    taken, made = remote.create({"email": "ada@x.org"}, {"email": "bob@x.org"})
    assert refused(taken).reason is Reason.TAKEN
    assert refused(taken).holder == ada
    assert written(made).values["email"] == "bob@x.org"


def test_an_address_that_is_anothers_second_one_is_taken(remote: Remote) -> None:
    ada = remote.person("ada@x.org")
    remote.portal.add_address(ada, "second@x.org")
    (answer,) = remote.create({"email": "second@x.org"})
    assert refused(answer).reason is Reason.TAKEN
    assert refused(answer).holder in (None, ada)


def test_of_two_drafts_with_one_address_one_is_created(remote: Remote) -> None:
    one, other = remote.create({"email": "ada@x.org", "phone": "1"}, {"email": "ada@x.org", "phone": "2"})
    assert written(one).values["phone"] == "1"
    assert refused(other).reason is Reason.TAKEN


def test_a_bad_value_is_refused_alone_and_named(remote: Remote) -> None:
    bad, made = remote.create({"email": "ada@x.org", "lifecyclestage": "nonsense"}, {"email": "bob@x.org"})
    assert refused(bad).reason is Reason.INVALID
    assert refused(bad).fields == {"lifecyclestage"}
    assert alive(remote, written(made).id)


def test_an_erased_persons_address_is_blocked(remote: Remote) -> None:
    remote.portal.erase(remote.person("ada@x.org"))
    (answer,) = remote.create({"email": "ada@x.org"})
    assert refused(answer).reason is Reason.ADDRESS_BLOCKED


def test_an_update_answers_what_was_sent_and_the_stage(remote: Remote) -> None:
    ada = remote.person("ada@x.org", phone="1", company="A")
    (answer,) = remote.port.update([(ada, {"phone": "2", "company": None})])
    assert written(answer).values == {"phone": "2", "company": None, "lifecyclestage": "lead"}
    contact = remote.read(ada)
    assert contact is not None
    assert (contact.values["phone"], contact.values["company"]) == ("2", None)


def test_a_cleared_property_is_answered_as_empty(remote: Remote) -> None:
    ada = remote.person("ada@x.org", company="A")
    (answer,) = remote.port.update([(ada, {"company": None})])
    values = written(answer).values
    assert "company" in values
    assert values["company"] is None


def test_an_update_of_what_is_not_alive_says_so(remote: Remote) -> None:
    ada, bob = remote.person("ada@x.org"), remote.person("bob@x.org")
    remote.portal.delete(bob)
    here, binned, nobody = remote.port.update([(each, {"phone": "1"}) for each in (ada, bob, NOBODY)])
    assert written(here).id == ada
    assert refused(binned).reason is Reason.GONE
    assert refused(nobody).reason is Reason.GONE


def test_an_update_of_a_merged_away_id_is_left_out(remote: Remote) -> None:
    ada, bob, cid = (remote.person(f"{name}@x.org") for name in ("ada", "bob", "cid"))
    survivor = remote.portal.merge(ada, bob)
    omitted, made = remote.port.update([(bob, {"phone": "1"}), (cid, {"phone": "1"})])
    assert omitted is Unanswered.OMITTED
    assert written(made).id == cid
    contact = remote.read(survivor.id)
    assert contact is not None
    assert contact.values["phone"] is None


def test_one_bad_update_harms_no_other(remote: Remote) -> None:
    people = [remote.person(f"p{n}@x.org") for n in range(7)]
    edits = [(each, {"phone": "1"} if n != 4 else {"lifecyclestage": "nonsense"}) for n, each in enumerate(people)]
    answers = remote.port.update(edits)
    assert refused(answers[4]).reason is Reason.INVALID
    assert refused(answers[4]).fields == {"lifecyclestage"}
    assert [written(answer).id for n, answer in enumerate(answers) if n != 4] == [*people[:4], *people[5:]]


@pytest.mark.parametrize("form", ["409", "400"])
def test_an_address_that_another_has_cannot_be_taken(opened: Opened, form: str) -> None:
    remote = opened(update_conflict=form)
    ada, bob = remote.person("ada@x.org"), remote.person("bob@x.org")
    (answer,) = remote.port.update([(bob, {"email": "ada@x.org", "phone": "1"})])
    assert refused(answer).reason is Reason.TAKEN
    assert refused(answer).holder in (None, ada)
    contact = remote.read(bob)
    assert contact is not None
    assert (contact.values["email"], contact.values["phone"]) == ("bob@x.org", None)


def test_writing_what_is_there_is_no_change(remote: Remote) -> None:
    ada = remote.person("ada@x.org", phone="1")
    before, revision = remote.read(ada), remote.portal.revision
    remote.clock.forward(5)
    (answer,) = remote.port.update([(ada, {"phone": "1"})])
    assert written(answer).values["phone"] == "1"
    assert remote.portal.revision == revision
    assert remote.read(ada) == before


def test_an_update_tells_when_hubspot_took_it(remote: Remote) -> None:
    ada = remote.person("ada@x.org", phone="1")
    remote.clock.forward(5)
    (answer,) = remote.port.update([(ada, {"phone": "2"})])
    assert written(answer).updated_at - written(answer).created_at == timedelta(seconds=5)


def test_archiving_twice_or_the_unknown_is_no_error(remote: Remote) -> None:
    ada, bob = remote.person("ada@x.org"), remote.person("bob@x.org")
    for _ in range(2):
        answers = remote.port.archive([ada, bob, NOBODY])
        assert [written(answer).id for answer in answers] == [ada, bob, NOBODY]
        assert all(written(answer).archived for answer in answers)
        assert not any(written(answer).values for answer in answers)
    assert not alive(remote, ada)


def test_purging_leaves_nothing_and_again_is_no_error(remote: Remote) -> None:
    ada = remote.person("ada@x.org")
    for _ in range(2):
        remote.port.purge(ada)
        assert remote.read(ada) is None
    (answer,) = remote.create({"email": "ada@x.org"})
    assert refused(answer).reason is Reason.ADDRESS_BLOCKED


def test_nothing_is_sent_after_its_time(remote: Remote) -> None:
    ada = remote.person("ada@x.org", phone="1")
    revision = remote.portal.revision
    with pytest.raises(Transient):
        remote.port.update([(ada, {"phone": "2"})], until=-1.0)
    with pytest.raises(Transient):
        remote.port.archive([ada], until=-1.0)
    assert remote.portal.revision == revision


def test_a_stage_is_answered_as_the_portal_answers_it(opened: Opened) -> None:
    for echo in (True, False):
        remote = opened(echo_ignored_stage=echo)
        ada = remote.person("ada@x.org", lifecyclestage="customer")
        (answer,) = remote.port.update([(ada, {"lifecyclestage": "lead"})])
        assert written(answer).values == {"lifecyclestage": "lead" if echo else "customer"}
        contact = remote.read(ada)
        assert contact is not None
        assert contact.values["lifecyclestage"] == "customer"
