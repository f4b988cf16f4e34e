"""What the gateway makes of HubSpot's answers, on cassettes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from reconciler.adapters.gateway.client import Gateway
from reconciler.adapters.gateway.parse import json_of
from reconciler.adapters.gateway.requests import CONTACTS, Request
from reconciler.core.contact import Contact, ContactId
from reconciler.core.errors import Refused
from reconciler.core.ports import Door, Written
from reconciler.core.reasons import Reason

NOBODY = ContactId(1)


@contextmanager
def contacts(gateway: Gateway, *names: str, **more: str) -> Iterator[list[Contact]]:
    """Contacts with addresses of these names, archived again at the end."""
    drafts = [{"email": f"{name}@gateway-test.example.com", "firstname": name, **more} for name in names]
    answers = gateway.create(drafts)
    made = [answer.contact for answer in answers if isinstance(answer, Written)]
    assert len(made) == len(names)
    try:
        yield made
    finally:
        gateway.archive([contact.id for contact in made])


def refused(answer: Any) -> Refused:
    assert isinstance(answer, Refused)
    return answer


def test_a_create_answers_the_contact_with_what_hubspot_added(gateway: Gateway) -> None:
    with contacts(gateway, "kai") as (kai,):
        assert kai.values["email"] == "kai@gateway-test.example.com"
        assert kai.values["firstname"] == "kai"
        assert kai.values["lifecyclestage"] == "lead"
        assert not kai.archived


def test_a_taken_address_is_refused_alone_and_names_its_holder(gateway: Gateway) -> None:
    with contacts(gateway, "kai") as (kai,):
        taken, made = gateway.create(
            [{"email": "kai@gateway-test.example.com"}, {"email": "uwe@gateway-test.example.com", "firstname": "uwe"}]
        )
        assert refused(taken).reason is Reason.TAKEN
        assert refused(taken).holder == kai.id
        assert isinstance(made, Written)
        assert made.contact.values["email"] == "uwe@gateway-test.example.com"
        gateway.archive([made.contact.id])


def test_one_bad_value_is_singled_out_and_the_others_are_written(gateway: Gateway) -> None:
    with contacts(gateway, "ada", "bob", "cid") as (ada, bob, cid):
        answers = gateway.update(
            [(ada.id, {"company": "A"}), (bob.id, {"lifecyclestage": "no such stage"}), (cid.id, {"company": "C"})]
        )
        assert refused(answers[1]).reason is Reason.INVALID
        assert refused(answers[1]).fields == {"lifecyclestage"}
        read = gateway.read([ada.id, bob.id, cid.id])
        found = [read[each.id].contact for each in (ada, bob, cid)]
        companies = [contact.values["company"] for contact in found if contact is not None]
        assert companies == ["A", None, "C"]


def test_an_update_of_a_contact_that_is_gone_says_so(gateway: Gateway) -> None:
    with contacts(gateway, "kai") as (kai,):
        here, gone = gateway.update([(kai.id, {"company": "A"}), (NOBODY, {"company": "B"})])
        assert isinstance(here, Written)
        assert refused(gone).reason is Reason.GONE


def test_an_update_answers_only_what_was_sent(gateway: Gateway) -> None:
    with contacts(gateway, "kai") as (kai,):
        (answer,) = gateway.update([(kai.id, {"company": "Acme"})])
        assert isinstance(answer, Written)
        assert answer.contact.values["company"] == "Acme"
        assert "firstname" not in answer.contact.values


def test_a_read_tells_living_archived_and_unknown_ids_apart(gateway: Gateway) -> None:
    with contacts(gateway, "kai", "uwe") as (kai, uwe):
        gateway.archive([uwe.id])
        read = gateway.read([kai.id, uwe.id, NOBODY])
        assert read[kai.id].is_alive
        assert read[uwe.id].contact is not None
        assert not read[uwe.id].is_alive
        assert read[NOBODY].contact is None


def test_a_merged_id_leads_to_the_survivor(gateway: Gateway) -> None:
    with contacts(gateway, "kai", "uwe") as (kai, uwe):
        body = {"primaryObjectId": str(kai.id), "objectIdToMerge": str(uwe.id)}
        gateway._calls.send(Request("POST", f"{CONTACTS}/merge", json_of, Door.WRITE, body=body))
        read = gateway.read([kai.id, uwe.id])
        survivors = {snapshot.contact.id for snapshot in read.values() if snapshot.contact is not None}
        assert len(survivors) == 1
        survivor = read[uwe.id].contact
        assert survivor is not None
        assert "uwe@gateway-test.example.com" in survivor.other_addresses
        gateway.archive(sorted(survivors))


def test_addresses_are_found_whatever_the_order(gateway: Gateway) -> None:
    with contacts(gateway, "ada", "bob") as (ada, bob):
        found = gateway.find(
            ["bob@gateway-test.example.com", "ada@gateway-test.example.com", "nobody@gateway-test.example.com"]
        )
        assert {address: contact.id for address, contact in found.items()} == {
            "ada@gateway-test.example.com": ada.id,
            "bob@gateway-test.example.com": bob.id,
        }


def test_archiving_twice_is_no_error(gateway: Gateway) -> None:
    with contacts(gateway, "kai") as (kai,):
        gateway.archive([kai.id])
        assert all(isinstance(answer, Written) for answer in gateway.archive([kai.id]))


def test_an_empty_value_clears_the_property(gateway: Gateway) -> None:
    with contacts(gateway, "kai", company="Acme") as (kai,):
        gateway.update([(kai.id, {"company": None})])
        snapshot = gateway.read([kai.id])[kai.id]
        assert snapshot.contact is not None
        assert snapshot.contact.values["company"] is None


def test_the_history_tells_who_wrote_what_and_when(gateway: Gateway) -> None:
    with contacts(gateway, "kai", company="A") as (kai,):
        gateway.update([(kai.id, {"company": "B"})])
        snapshot = gateway.read([kai.id], history=True)[kai.id]
        assert snapshot.contact is not None
        entries = snapshot.contact.history["company"]
        assert [entry.value for entry in entries] == ["B", "A"]
        assert entries[0].at > entries[1].at


def test_the_search_finds_what_changed_in_a_window_by_id(gateway: Gateway, patiently: Callable[..., Any]) -> None:
    with contacts(gateway, "ada", "bob") as (ada, bob):
        since, before = ada.created_at - timedelta(seconds=5), min(ada.id, bob.id) - 1

        def found() -> bool:
            page = gateway.changed(since=since, until=None, after=f"{before}:0")
            return {ada.id, bob.id} <= {contact.id for contact in page.contacts}

        patiently(found)
        behind = gateway.changed(since=since, until=None, after=f"{max(ada.id, bob.id)}:0")
        assert {ada.id, bob.id}.isdisjoint(contact.id for contact in behind.contacts)


def test_a_walk_lists_contacts_by_id_from_where_it_is_told(gateway: Gateway) -> None:
    with contacts(gateway, "ada", "bob") as (ada, bob):
        page = gateway.walk(str(min(ada.id, bob.id)))
        ids = [contact.id for contact in page.contacts]
        assert ids == sorted(ids)
        assert {ada.id, bob.id} <= set(ids)


def test_the_account_and_its_properties_are_known(gateway: Gateway) -> None:
    assert gateway.account().portal > 0
    properties = gateway.properties()
    assert {"email", "lifecyclestage", "phone"} <= properties.keys()
