"""Merges and privacy deletions: third ids, aliases, survivors' values, blocklisted addresses."""

import pytest

from sandbox import HubSpotError, Sandbox
from sandbox.routes import OBJECTS


@pytest.fixture
def pair(call) -> tuple[str, str]:
    one = call.create(email="one@hubspot.com", firstname="One", company="ACME")
    two = call.create(email="two@hubspot.com", firstname="Two", phone="2")
    return one, two


def test_a_merge_makes_a_third_contact_that_both_ids_lead_to(call, pair: tuple[str, str]) -> None:
    reply = call("POST", f"{OBJECTS}/merge", {"primaryObjectId": pair[0], "objectIdToMerge": pair[1]})
    assert reply.status == 200
    survivor = reply.json["id"]
    assert survivor not in pair
    for old in pair:
        read = call("GET", f"{OBJECTS}/{old}?properties=hs_merged_object_ids,email,hs_additional_emails,firstname")
        assert read.json["id"] == survivor
    assert read.json["properties"]["hs_merged_object_ids"] == f"{pair[0]};{pair[1]}"
    assert read.json["properties"]["email"] == "one@hubspot.com"
    assert read.json["properties"]["hs_additional_emails"] == "two@hubspot.com"


def test_the_primary_wins_unless_it_is_empty(sandbox: Sandbox, pair: tuple[str, str]) -> None:
    survivor = sandbox.portal.merge(*pair)
    values = {name: survivor.get(name) for name in ("firstname", "company", "phone")}
    assert values == {"firstname": "One", "company": "ACME", "phone": "2"}
    assert survivor.entries("phone")[0].origin.source_type == "MERGE_OBJECTS"
    assert [line.value for line in survivor.entries("firstname")] == ["One", "Two"]


def test_a_second_merge_keeps_the_history_of_what_was_emptied_before_the_first(
    call, sandbox: Sandbox, pair: tuple[str, str]
) -> None:
    call("PATCH", f"{OBJECTS}/{pair[1]}", {"properties": {"phone": ""}})
    first = sandbox.portal.merge(*pair)
    last = sandbox.portal.merge(first.id, sandbox.portal.create({"email": "three@hubspot.com"}).id)
    assert [line.value for line in last.entries("phone")] == ["", "2"]


def test_an_update_by_an_old_id_acts_on_the_survivor(call, sandbox: Sandbox, pair: tuple[str, str]) -> None:
    survivor = sandbox.portal.merge(*pair)
    reply = call("PATCH", f"{OBJECTS}/{pair[1]}", {"properties": {"firstname": "Both"}})
    assert (reply.status, reply.json["id"]) == (200, str(survivor.id))


def test_aliases_follow_a_chain_of_merges(sandbox: Sandbox, pair: tuple[str, str]) -> None:
    first = sandbox.portal.merge(*pair)
    third = sandbox.portal.create({"email": "three@hubspot.com"})
    last = sandbox.portal.merge(third.id, first.id)
    for old in (*pair, first.id, third.id):
        found = sandbox.portal.contact(old)
        assert found is not None
        assert found.id == last.id
    assert last.secondary == ("one@hubspot.com", "two@hubspot.com")
    assert set(last.merged) == {int(pair[0]), int(pair[1]), first.id, third.id}


def test_a_portal_may_keep_the_primary_id(sandbox: Sandbox, pair: tuple[str, str]) -> None:
    sandbox.portal.set(preserve_primary_id=True)
    survivor = sandbox.portal.merge(*pair)
    assert str(survivor.id) == pair[0]
    assert survivor.merged == (int(pair[1]),)


def test_a_merge_needs_two_live_contacts(call, sandbox: Sandbox, pair: tuple[str, str]) -> None:
    def merge(one: str, two: str) -> int:
        return call("POST", f"{OBJECTS}/merge", {"primaryObjectId": one, "objectIdToMerge": two}).status

    assert merge(pair[0], pair[0]) == 400
    assert merge(pair[0], "77") == 404
    reply = call("POST", f"{OBJECTS}/merge", {})
    assert "Some required fields were not set: [primaryObjectId, objectIdToMerge]" in reply.message


def test_an_erased_contact_is_gone_everywhere_and_its_addresses_are_blocked(call, sandbox: Sandbox) -> None:
    contact = call.create(email="one@hubspot.com")
    sandbox.portal.add_address(contact, "uno@hubspot.com")
    assert call("POST", f"{OBJECTS}/gdpr-delete", {"objectId": contact}).status == 204
    assert call("GET", f"{OBJECTS}/{contact}").status == 404
    assert call("GET", f"{OBJECTS}/{contact}?archived=true").status == 404
    assert call("POST", f"{OBJECTS}", {"properties": {"email": "UNO@hubspot.com"}}).status == 400
    other = call.create(email="other@hubspot.com")
    assert call("PATCH", f"{OBJECTS}/{other}", {"properties": {"email": "one@hubspot.com"}}).status == 400
    sandbox.portal.set(blocklisted="409")
    assert call("POST", f"{OBJECTS}", {"properties": {"email": "one@hubspot.com"}}).status == 409
    sandbox.portal.set(blocklisted="allow")
    assert call("POST", f"{OBJECTS}", {"properties": {"email": "one@hubspot.com"}}).status == 201


def test_an_unknown_address_is_blocked_and_an_unknown_id_is_a_404(call) -> None:
    by_email = {"objectId": "nobody@hubspot.com", "idProperty": "email"}
    assert call("POST", f"{OBJECTS}/gdpr-delete", by_email).status == 204
    assert call("POST", f"{OBJECTS}", {"properties": {"email": "nobody@hubspot.com"}}).status == 400
    assert call("POST", f"{OBJECTS}/gdpr-delete", {"objectId": "77"}).status == 404


def test_erasing_by_address_reaches_into_the_bin(call, sandbox: Sandbox) -> None:
    contact = call.create(email="one@hubspot.com")
    sandbox.portal.delete(contact)
    call("POST", f"{OBJECTS}/gdpr-delete", {"objectId": "one@hubspot.com", "idProperty": "email"})
    assert sandbox.portal.contact(contact) is None


def test_erasing_by_a_merged_id_erases_the_survivor(sandbox: Sandbox, pair: tuple[str, str]) -> None:
    survivor = sandbox.portal.merge(*pair)
    sandbox.portal.erase(pair[1])
    assert sandbox.portal.contact(survivor.id) is None
    with pytest.raises(HubSpotError):
        sandbox.portal.create({"email": "two@hubspot.com"})
