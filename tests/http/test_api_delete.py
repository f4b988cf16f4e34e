"""DELETE /:email deletes on both sides; how far that reaches is a setting."""

from collections.abc import Callable
from typing import Any

import pytest
from systems import KAI, ApiInProcess


@pytest.fixture
def kai(api: ApiInProcess) -> ApiInProcess:
    assert api.admin("POST", "/", KAI).status == 201
    return api


def test_a_deleted_customer_is_gone_on_both_sides(kai: ApiInProcess) -> None:
    reply = kai.admin("DELETE", "/kai@hubspot.com")
    assert (reply.status, reply.body) == (204, b"")
    assert "content-type" not in reply.headers
    assert kai.user("GET", "/kai@hubspot.com").status == 404
    assert kai.world.portal.contacts == []
    kai.world.quiet()
    kai.world.assert_equal()
    kai.world.assert_fixpoint()


def test_the_row_and_the_contact_are_kept_for_a_restore(kai: ApiInProcess) -> None:
    uuid, contact = (kai.user("GET", "/kai@hubspot.com").json[name] for name in ("uuid", "contactid"))
    kai.admin("DELETE", "/kai@hubspot.com")
    kai.world.portal.restore(int(contact))
    kai.world.event(contact)
    kai.world.quiet()
    assert kai.user("GET", "/kai@hubspot.com").json["uuid"] == uuid


def test_an_unknown_customer_cannot_be_deleted(shared_api: ApiInProcess) -> None:
    before = shared_api.state()
    reply = shared_api.admin("DELETE", "/nobody@hubspot.com")
    assert reply.status == 404
    assert reply.json["error"] == "Customer with email nobody@hubspot.com not found"
    assert shared_api.state() == before


def test_a_second_delete_finds_nobody(kai: ApiInProcess) -> None:
    assert [kai.admin("DELETE", "/kai@hubspot.com").status for _ in range(2)] == [204, 404]


def test_a_deleted_address_can_be_created_again(kai: ApiInProcess) -> None:
    old = kai.user("GET", "/kai@hubspot.com").json["uuid"]
    assert kai.admin("DELETE", "/kai@hubspot.com").status == 204
    reply = kai.admin("POST", "/", KAI)
    assert reply.status == 201
    assert reply.json["uuid"] != old
    kai.world.quiet()
    kai.world.assert_equal()


def test_a_contact_that_hubspot_deleted_already_is_no_trouble(kai: ApiInProcess) -> None:
    kai.world.portal.delete(kai.world.portal.contact("kai@hubspot.com").id)
    assert kai.admin("DELETE", "/kai@hubspot.com").status == 204
    kai.world.quiet()
    kai.world.assert_equal()


def test_a_customer_that_hubspot_never_had_is_deleted_here(api: ApiInProcess) -> None:
    api.world.insert(email="kai@hubspot.com")
    assert api.admin("DELETE", "/kai@hubspot.com").status == 204
    api.world.quiet()
    assert api.world.portal.contacts == []
    api.world.assert_equal()


@pytest.mark.parametrize("directions", ["inbound", "none"])
def test_a_deletion_stays_here_when_the_setting_says_so(make_api: Callable[..., ApiInProcess], directions: str) -> None:
    api = make_api(SYNC_DELETES=directions)
    assert api.admin("POST", "/", KAI).status == 201
    assert api.admin("DELETE", "/kai@hubspot.com").status == 204
    assert api.world.contact("kai@hubspot.com")
    assert api.user("GET", "/kai@hubspot.com").status == 404


@pytest.mark.parametrize(
    "fault",
    [{"action": "status", "status": 500}, {"action": "cut"}, {"action": "cut", "when": "after"}],
    ids=["refused", "cut before", "cut after"],
)
def test_a_failure_of_hubspot_is_told_and_settles_to_both_or_neither(kai: ApiInProcess, fault: dict[str, Any]) -> None:
    kai.world.portal.faults.add(**fault, path_contains="/batch/archive", times=None)
    reply = kai.admin("DELETE", "/kai@hubspot.com")
    assert (reply.status, reply.json["message"]) == (500, "Error deleting customer")
    kai.world.portal.faults.clear()
    kai.world.sql("update sync.intent set deadline = now() - interval '1 second'")
    kai.world.quiet()
    kai.world.assert_equal()
