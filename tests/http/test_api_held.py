"""Customers whose address no new one may have, but HubSpot or the table holds: reachable as they are."""

from typing import Any
from urllib.parse import quote

import pytest
from raw_http import ask
from systems import KAI, ApiInProcess, ServedApi, as_admin

from sandbox.contact import USER

ODD = [
    *(
        "kai@localhost",
        "kai@b.co.",
        "kai@b..co",
        "k..i@b.co",
        "kai@.b.co",
        "kai@b.c",
        "kai@@b.co",
        "k@i@b.co",
        "@b.co",
        "kai@",
    ),
    *('"kai krueger"@b.co', '"k@i"@b.co', "kai krueger@b.co", "kai,k@b.co", "kai;k@b.co", "<kai>@b.co", "kai\\k@b.co"),
    *(
        "kai@[127.0.0.1]",
        "mailto:kai@b.co",
        "(kai)@b.co",
        "k" * 70 + "@b.co",
        "k" * 400 + "@b.co",
        "kai@b\u3002co",
        "@",
    ),
    *("k/i@local", "/kai@local", "//kai@local", "k%i@local", "k%2fi@local", "k?i@local", "k#i@local", "k i@local"),
    *(
        "k+i@local",
        "k&i=1@local",
        "k\ti@local",
        "k\r\ni@local",
        "k\x01i@local",
        "../kai@local",
        "x/get-token/kai@local",
    ),
    *("jörg@örtlich", "🦊@local", "k\u200bi@local", "e\u0301@local"),
]
NAMED = {"ids": lambda address: repr(address)[:24] + str(len(address))}


def path(address: str) -> str:
    return "/" + quote(address, safe="")


def taken_in(api: ApiInProcess, address: str) -> None:
    """HubSpot has a contact with the address, from before it had rules for them, and the sync took it in."""
    portal = api.world.portal
    contact = portal.create({**KAI, "email": "before@hubspot.com"})
    with portal.ledger.session() as now:
        portal.ledger.put(contact.with_values({"email": address}, now, USER))
    api.world.event(contact.id)
    api.world.quiet()
    assert api.world.customer(address)


@pytest.mark.parametrize("address", ODD, **NAMED)
def test_an_address_that_hubspot_holds_is_read_changed_and_deleted(api: ApiInProcess, address: str) -> None:
    taken_in(api, address)
    shown = api.user("GET", path(address))
    assert (shown.status, shown.json["email"]) == (200, address)
    assert api.admin("PUT", path(address), {"phone": "1"}, If_Match=shown.headers["etag"]).status == 200
    assert api.world.contact(address)["phone"] == "1"
    assert api.admin("DELETE", path(address)).status == 204
    assert api.world.contact(address) is None
    assert api.user("GET", path(address)).status == 404


@pytest.mark.parametrize("address", ODD, **NAMED)
def test_what_get_shows_of_such_a_customer_is_taken_by_put(api: ApiInProcess, address: str) -> None:
    taken_in(api, address)
    shown = {field: api.user("GET", path(address)).json[field] for field in KAI}
    assert api.admin("PUT", path(address), {**shown, "phone": "1"}).status == 200
    assert api.admin("PUT", path(address), shown).status == 200
    assert api.admin("PUT", path(address), {"email": address}).status == 200
    assert {field: api.user("GET", path(address)).json[field] for field in KAI} == shown
    api.world.quiet()
    api.world.assert_equal()


@pytest.mark.parametrize("address", ODD, **NAMED)
def test_a_batch_reaches_such_a_customer_too(api: ApiInProcess, address: str) -> None:
    taken_in(api, address)
    ops: list[dict[str, Any]] = [
        {"op": "read", "email": address},
        {"op": "update", "email": address, "phone": "1"},
        {"op": "upsert", "email": address, "phone": "2"},
        {"op": "delete", "email": address},
        {"op": "read", "email": address},
    ]
    outcomes = api.admin("POST", "/batch", ops).json
    assert [outcome["status"] for outcome in outcomes] == [200, 200, 200, 204, 400]
    assert api.world.contact(address) is None


@pytest.mark.parametrize("address", ["kai@localhost", "kai@b.co.", '"k i"@b.co', "k" * 70 + "@b.co"], **NAMED)
def test_a_new_customer_still_needs_a_common_address(api: ApiInProcess, address: str) -> None:
    before = api.state()
    assert api.admin("POST", "/", {**KAI, "email": address}).json["code"] == "invalid_field"
    ops = [{"op": "create", **KAI, "email": address}, {"op": "upsert", "email": address, "firstname": "K"}]
    ops += [
        {"op": op, "email": address, **({"phone": "1"} if op == "update" else {})}
        for op in ("read", "update", "delete")
    ]
    outcomes = api.admin("POST", "/batch", ops).json
    assert [(each["status"], each["code"]) for each in outcomes] == [(400, "invalid_field")] * 5
    assert [each["details"][0]["field"] for each in outcomes] == ["email"] * 5
    for method, body in (("GET", {}), ("PUT", {"json": {"phone": "1"}}), ("DELETE", {})):
        reply = api.admin(method, path(address), **body)
        assert (reply.status, reply.json["message"]) == (404, "Not found")
    assert api.state() == before


def test_an_odd_address_is_no_other_customers(api: ApiInProcess) -> None:
    taken_in(api, "kai@localhost")
    api.admin("POST", "/", KAI)
    before = api.state()
    for held, wanted in (
        ("kai@localhost", "kai@otherhost"),
        (KAI["email"], "kai@localhost"),
        (KAI["email"], "x@localhost"),
    ):
        reply = api.admin("PUT", path(held), {"email": wanted})
        assert (reply.status, reply.json["code"]) == (400, "invalid_field")
    assert api.state() == before
    assert api.admin("PUT", path("kai@localhost"), {"email": "kai@b.co"}).status == 200
    assert api.world.contact("kai@b.co")


@pytest.mark.parametrize("address", [*ODD, "k\u00a0i@local", "k'i@local", "k\u2028i@local"], **NAMED)
def test_such_an_address_is_reached_over_the_wire(served_api: ServedApi, address: str) -> None:
    served_api.world.insert(email=address, firstname="K", lastname="K")
    admin = as_admin()
    assert ask(served_api.server.port, "GET", path(address), **admin)[0] == 200
    assert ask(served_api.server.port, "DELETE", path(address), **admin)[0] == 204
    assert ask(served_api.server.port, "GET", path(address), **admin)[0] == 404
