"""What the simulation reads in HubSpot is what the real gateway reads on the running sandbox (rules 6, 11)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from remotes import NOBODY, Opened, Remote

from reconciler.core.contact import Contact, ContactId
from reconciler.core.ports import Page
from simulation.clock import BEGINNING
from simulation.mapped import FIELDS


def found(remote: Remote, *addresses: str) -> dict[str, int]:
    return {address: contact.id for address, contact in remote.port.find(addresses).items()}


def walked(pages: Callable[[str | None], Page]) -> list[Contact]:
    """Return the contacts of all pages."""
    contacts: list[Contact] = []
    after: str | None = None
    while True:
        page = pages(after)
        contacts += page.contacts
        after = page.after
        if after is None:
            return contacts


def changed(remote: Remote, **window: Any) -> list[int]:
    """Return the contacts that the search finds in a window, by id."""
    remote.portal.refresh_index()
    how = {"since": BEGINNING, "until": None, **window}
    return [contact.id for contact in walked(lambda after: remote.port.changed(after=after or "0:0", **how))]


def test_a_read_tells_every_mapped_property_and_its_emptiness(remote: Remote) -> None:
    ada = remote.person("Ada@X.org", firstname="Ada", phone="1")
    contact = remote.read(ada)
    assert contact is not None
    assert contact.values.keys() == set(FIELDS)
    assert {field: value for field, value in contact.values.items() if value} == {
        "email": "ada@x.org",
        "firstname": "Ada",
        "phone": "1",
        "lifecyclestage": "lead",
    }
    assert (contact.id, contact.archived, contact.other_addresses) == (ada, False, frozenset())
    assert contact.created_at == contact.updated_at


def test_living_archived_and_unknown_contacts_are_told_apart(remote: Remote) -> None:
    ada, bob = remote.person("ada@x.org"), remote.person("bob@x.org")
    remote.portal.delete(bob)
    read = remote.port.read([ada, bob, NOBODY])
    assert read[ada].is_alive
    assert read[bob].contact is not None
    assert read[bob].contact.archived
    assert read[NOBODY].contact is None


def test_an_erased_contact_is_gone(remote: Remote) -> None:
    ada = remote.person("ada@x.org")
    remote.portal.erase(ada)
    assert remote.read(ada) is None


@pytest.mark.parametrize("keeps", [False, True])
def test_merged_away_ids_lead_to_the_survivor(opened: Opened, keeps: bool) -> None:
    remote = opened(preserve_primary_id=keeps)
    ada, bob = remote.person("ada@x.org"), remote.person("bob@x.org", phone="1")
    survivor = remote.portal.merge(ada, bob)
    read = remote.port.read([ada, bob, ContactId(survivor.id)])
    contacts = {each: snapshot.contact for each, snapshot in read.items()}
    assert {contact.id for contact in contacts.values() if contact is not None} == {survivor.id}
    contact = contacts[bob]
    assert contact is not None
    assert contact.values["email"] == "ada@x.org"
    assert contact.values["phone"] == "1"
    assert contact.other_addresses == {"bob@x.org"}
    assert (survivor.id == ada) is keeps


def test_a_chain_of_merges_leads_to_its_end(remote: Remote) -> None:
    ada, bob, cid = (remote.person(f"{name}@x.org") for name in ("ada", "bob", "cid"))
    first = remote.portal.merge(ada, bob)
    last = remote.portal.merge(first.id, cid)
    for old in (ada, bob, cid, first.id):
        contact = remote.read(old)
        assert contact is not None
        assert contact.id == last.id


def test_ids_merged_into_a_contact_follow_it_into_the_bin_and_out_of_the_world(remote: Remote) -> None:
    ada, bob = remote.person("ada@x.org"), remote.person("bob@x.org")
    survivor = remote.portal.merge(ada, bob)
    remote.portal.delete(survivor.id)
    contact = remote.read(bob)
    assert contact is not None
    assert (contact.id, contact.archived) == (survivor.id, True)
    remote.portal.restore(survivor.id)
    remote.portal.erase(survivor.id)
    assert remote.read(bob) is None


def test_the_history_is_told_newest_first(remote: Remote) -> None:
    ada = remote.person("ada@x.org", phone="1")
    remote.clock.forward(10)
    remote.portal.edit(ada, {"phone": "2"})
    contact = remote.read(ada, history=True)
    assert contact is not None
    entries = contact.history["phone"]
    assert [entry.value for entry in entries] == ["2", "1"]
    assert entries[0].at - entries[1].at == timedelta(seconds=10)
    assert entries[0].at == contact.updated_at


def test_a_read_without_history_has_none(remote: Remote) -> None:
    contact = remote.read(remote.person("ada@x.org", phone="1"))
    assert contact is not None
    assert not contact.history


def test_contacts_are_found_by_primary_and_by_other_addresses(remote: Remote) -> None:
    ada, bob = remote.person("Ada@X.org"), remote.person("bob@x.org")
    remote.portal.add_address(bob, "Bobby@x.org")
    remote.portal.delete(remote.person("eve@x.org"))
    addresses = ("ada@x.org", "bobby@x.org", "bob@x.org", "eve@x.org", "nobody@x.org")
    assert found(remote, *addresses) == {"ada@x.org": ada, "bobby@x.org": bob, "bob@x.org": bob}
    assert found(remote, "nobody@x.org") == {}


def test_the_search_finds_what_changed_in_a_window_by_id(remote: Remote) -> None:
    people = [remote.person(f"p{n}@x.org") for n in range(8)]
    remote.portal.delete(people[7])
    remote.clock.forward(60)
    remote.portal.edit(people[2], {"phone": "1"})
    middle = BEGINNING + timedelta(seconds=30)
    assert changed(remote) == sorted(people[:7])
    assert changed(remote, since=middle) == [people[2]]
    assert changed(remote, until=middle) == sorted({*people[:7]} - {people[2]})


def test_a_window_has_its_first_moment_and_not_its_last(remote: Remote) -> None:
    ada = remote.person("ada@x.org")
    contact = remote.read(ada)
    assert contact is not None
    assert changed(remote, since=contact.updated_at) == [ada]
    assert changed(remote, until=contact.updated_at) == []
    assert changed(remote, since=contact.updated_at + timedelta(milliseconds=1)) == []


def test_a_search_tells_when_its_contacts_changed_and_what_time_it_is_there(remote: Remote) -> None:
    ada = remote.person("ada@x.org")
    remote.clock.forward(60)
    remote.portal.refresh_index()
    page = remote.port.changed(since=BEGINNING, until=None, after="0:0")
    contact = remote.read(ada)
    assert contact is not None
    assert [(each.id, each.updated_at) for each in page.contacts] == [(ada, contact.updated_at)]
    assert page.after is None
    assert timedelta(seconds=59) < page.served_at - contact.updated_at <= timedelta(seconds=60)


def test_a_walk_meets_every_living_contact_once_with_all_it_has(remote: Remote) -> None:
    people = [remote.person(f"p{n}@x.org", phone=str(n)) for n in range(8)]
    remote.portal.delete(people[3])
    remote.portal.merge(people[5], people[6])
    contacts = walked(remote.port.walk)
    assert [contact.id for contact in contacts] == sorted(each.id for each in remote.portal.contacts)
    assert all(contact.values.keys() == set(FIELDS) for contact in contacts)
    assert {contact.values["phone"] for contact in contacts} >= {"0", "1", "2", "4", "7"}


def test_the_highest_id_is_that_of_the_newest_contact(remote: Remote) -> None:
    ids = [remote.person(f"{n}@x.org") for n in range(5)]
    remote.portal.refresh_index()
    assert remote.port.highest() == max(ids)


def test_an_empty_portal_has_one_empty_page(remote: Remote) -> None:
    page = remote.port.walk(None)
    assert (list(page.contacts), page.after) == ([], None)
