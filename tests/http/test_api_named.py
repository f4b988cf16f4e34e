"""A customer is named by address, uuid or contact id; addresses that are another's no more lead to where it is now."""

from typing import Any
from uuid import uuid4

import pytest
from systems import KAI, ApiInProcess
from test_api_held import taken_in

from reconciler.commands.erase import erase


@pytest.fixture
def kai(api: ApiInProcess) -> dict[str, Any]:
    customer: dict[str, Any] = api.admin("POST", "/", KAI).json
    return customer


@pytest.mark.parametrize("how", ["uuid", "contact"])
def test_a_customer_is_read_changed_and_deleted_however_it_is_named(
    api: ApiInProcess, kai: dict[str, Any], how: str
) -> None:
    path = f"/uuid/{kai['uuid']}" if how == "uuid" else f"/contact/{kai['contactid']}"
    read = api.user("GET", path)
    assert (read.status, read.json) == (200, kai)
    assert api.user("GET", path, If_None_Match=read.headers["etag"]).status == 304
    assert api.admin("PUT", path, {"phone": "1"}, If_Match='"other"').status == 412
    assert api.admin("PUT", path, {"phone": "1"}, If_Match=read.headers["etag"]).status == 200
    assert api.user("GET", f"/{kai['email']}").json["phone"] == "1"
    assert api.world.portal.contact(kai["contactid"]).get("phone") == "1"
    assert api.admin("DELETE", path).status == 204
    assert api.world.portal.contact(kai["contactid"]).archived
    assert [api.admin(method, path, *body).status for method, *body in (("GET",), ("PUT", {"phone": "2"}))] == [
        404,
        404,
    ]


def test_a_uuid_is_found_in_capitals(api: ApiInProcess, kai: dict[str, Any]) -> None:
    assert api.user("GET", f"/uuid/{kai['uuid'].upper()}").json == kai


def test_nobody_is_told_so_by_the_name_that_was_asked_for(shared_api: ApiInProcess) -> None:
    for how, name in (("uuid", str(uuid4())), ("contact", "999999999999999999")):
        reply = shared_api.user("GET", f"/{how}/{name}")
        assert (reply.status, reply.json["code"]) == (404, "not_found")
        assert reply.json["error"] == f"Customer with {how} {name} not found"


@pytest.mark.parametrize(
    "path",
    ["/uuid/1", "/uuid/", "/uuid/x-y", "/contact/", "/contact/-1", "/contact/1e3", "/contact/9999999999999999999"],
)
def test_what_is_no_name_is_no_path(shared_api: ApiInProcess, path: str) -> None:
    assert shared_api.user("GET", path).status == 404


def test_a_body_may_repeat_the_address_that_its_customer_has_whatever_its_form(api: ApiInProcess) -> None:
    taken_in(api, "kai@localhost")
    uuid = api.user("GET", "/kai@localhost").json["uuid"]
    assert api.admin("PUT", f"/uuid/{uuid}", {"email": "kai@localhost", "phone": "1"}).status == 200
    assert api.user("GET", f"/uuid/{uuid}").json["phone"] == "1"


def test_a_write_by_uuid_is_made_once_for_its_key(api: ApiInProcess, kai: dict[str, Any]) -> None:
    for _ in range(2):
        assert api.admin("PUT", f"/uuid/{kai['uuid']}", {"phone": "1"}, Idempotency_Key="k").status == 200
    assert api.admin("PUT", f"/uuid/{kai['uuid']}", {"phone": "2"}, Idempotency_Key="k").status == 422


def test_an_address_that_the_contact_has_beside_its_own_leads_to_the_customer(
    api: ApiInProcess, kai: dict[str, Any]
) -> None:
    api.world.sql("update sync.link set former = '{old@hubspot.com}'")
    reply = api.user("GET", "/Old@hubspot.com")
    assert (reply.status, reply.headers["location"], reply.body) == (301, f"/uuid/{kai['uuid']}", b"")
    assert api.user("GET", reply.headers["location"]).json == kai
    assert api.admin("PUT", "/old@hubspot.com", {"phone": "1"}).status == 404
    assert api.admin("DELETE", "/old@hubspot.com").status == 404


def test_an_address_that_was_changed_leads_to_the_customer(api: ApiInProcess, kai: dict[str, Any]) -> None:
    assert api.admin("PUT", f"/{kai['email']}", {"email": "new@hubspot.com"}).status == 200
    api.world.event(kai["contactid"])
    api.world.quiet()
    assert api.user("GET", f"/{kai['email']}").headers["location"] == f"/uuid/{kai['uuid']}"


def test_an_address_that_two_had_leads_nowhere(api: ApiInProcess, kai: dict[str, Any]) -> None:
    api.admin("POST", "/", {**KAI, "email": "eva@hubspot.com"})
    api.world.sql("update sync.link set former = '{old@hubspot.com}'")
    assert api.user("GET", "/old@hubspot.com").status == 404


def test_an_id_that_hubspot_merged_away_leads_to_the_customer(api: ApiInProcess, kai: dict[str, Any]) -> None:
    other = api.admin("POST", "/", {**KAI, "email": "eva@hubspot.com"}).json
    api.world.portal.merge(kai["contactid"], other["contactid"])
    api.world.event(kai["contactid"], other["contactid"])
    api.world.quiet()
    survivors = {api.user("GET", f"/contact/{each['contactid']}").json["uuid"] for each in (kai, other)}
    assert len(survivors) == 1


def test_an_id_that_is_another_customers_by_now_leads_to_that_one(api: ApiInProcess) -> None:
    for n in range(20):
        api.world.insert(email=f"p{n}@hubspot.com")
    rows = api.world.sql("select uuid from customer order by uuid")
    for n, row in enumerate(rows):
        api.world.sql("insert into sync.link (uuid, contact, alive) values (%s, %s, true)", row["uuid"], n)
        api.world.sql("insert into sync.alias values (%s, %s, 'former')", n, rows[n - 1]["uuid"])
    found = [api.user("GET", f"/contact/{n}").json["uuid"] for n in range(20)]
    assert found == [str(row["uuid"]) for row in rows]


def test_an_id_whose_own_customer_is_deleted_leads_to_nobody_else(api: ApiInProcess, kai: dict[str, Any]) -> None:
    eva = api.admin("POST", "/", {**KAI, "email": "eva@hubspot.com"}).json
    api.world.sql("insert into sync.alias values (%s, %s, 'former')", kai["contactid"], eva["uuid"])
    api.world.sql("update customer set deletedat = now() where uuid = %s", kai["uuid"])
    assert api.admin("DELETE", f"/contact/{kai['contactid']}").status == 404
    assert api.user("GET", f"/uuid/{eva['uuid']}").status == 200


def test_a_uuid_that_was_merged_away_leads_to_the_winner(api: ApiInProcess, kai: dict[str, Any]) -> None:
    eva = api.admin("POST", "/", {**KAI, "email": "eva@hubspot.com"}).json
    api.world.portal.merge(kai["contactid"], eva["contactid"])
    api.world.event(kai["contactid"], eva["contactid"])
    api.world.quiet()
    found = {api.user("GET", f"/uuid/{each['uuid']}").json["uuid"] for each in (kai, eva)}
    assert len(found) == 1


def renamed(api: ApiInProcess, kai: dict[str, Any]) -> dict[str, Any]:
    """Kai has another address by now, and Bea has his old one."""
    assert api.admin("PUT", f"/{kai['email']}", {"email": "new@hubspot.com"}).status == 200
    api.world.event(kai["contactid"])
    api.world.quiet()
    bea: dict[str, Any] = api.admin("POST", "/", {**KAI, "firstname": "Bea"}).json
    return bea


def test_the_address_of_an_erased_person_leads_to_nobody(api: ApiInProcess, kai: dict[str, Any]) -> None:
    bea = renamed(api, kai)
    assert erase(api.world.parts, bea["email"])
    assert api.user("GET", f"/{kai['email']}").status == 404
    assert api.world.sql("select from sync.link where former @> array[%s]", kai["email"]) == []


def test_the_address_of_a_deleted_customer_leads_to_nobody(api: ApiInProcess, kai: dict[str, Any]) -> None:
    bea = renamed(api, kai)
    assert api.admin("DELETE", f"/uuid/{bea['uuid']}").status == 204
    assert api.user("GET", f"/{kai['email']}").status == 404


@pytest.mark.parametrize("end", ["%0A", "%0D", "/", "%00"])
def test_nothing_may_follow_a_name(api: ApiInProcess, kai: dict[str, Any], end: str) -> None:
    for path in (f"/uuid/{kai['uuid']}", f"/contact/{kai['contactid']}"):
        assert api.user("GET", path + end).status == 404
