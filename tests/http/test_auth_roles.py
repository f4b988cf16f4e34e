"""Every route against every kind of caller, from the route table; and who may have a token."""

import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from callers import Caller, Reply
from forging import claims, token
from systems import ISSUER_KEY, JWT_SECRET, ApiInProcess

from api.app import Handlers
from api.openapi import path_of
from api.routes import ROUTES, Access, Route

NOBODY = {"email": "nobody@hubspot.com", "uuid": str(uuid4()), "contact": "999999999", "role": "user"}
"""Names that lead to nobody, and a role."""

HEAD = {"alg": "HS256", "typ": "JWT"}
LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
OPEN = {Access.PUBLIC, Access.ISSUER}

ALLOWED = {
    "none": OPEN,
    "user": OPEN | {Access.USER},
    "admin": set(Access),
    "expired": OPEN,
    "wrong key": OPEN,
    "wrong role": OPEN,
}


def authorization(kind: str) -> str | None:
    now = int(time.time())
    match kind:
        case "none":
            return None
        case "expired":
            return "Bearer " + token(JWT_SECRET, HEAD, claims(iat=now - 60, exp=now - 1))
        case "wrong key":
            return "Bearer " + token("x" * 40, HEAD, claims())
        case "wrong role":
            return "Bearer " + token(JWT_SECRET, HEAD, claims(role="root"))
        case role:
            return "Bearer " + token(JWT_SECRET, HEAD, claims(role=role))


def knock(caller: Caller, route: Route, **more: Any) -> Reply:
    """Call a route so that it does nothing when it lets us in: about nobody, with an empty body."""
    path = path_of(route)
    for name, value in NOBODY.items():
        path = path.replace(f"{{{name}}}", value)
    body = {"json": [] if route.is_list else {}} if route.body else {}
    return caller(route.method, path, **body, **more)


@pytest.mark.parametrize("kind", sorted(ALLOWED))
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_route_lets_in_whom_the_table_says_and_nobody_else(shared_api: ApiInProcess, route: Route, kind: str) -> None:
    before = shared_api.state()
    reply = knock(shared_api.anyone, route, Authorization=authorization(kind), X_Issuer_Key=ISSUER_KEY)
    if route.access in ALLOWED[kind]:
        assert reply.status not in (401, 403)
    elif kind == "user":
        assert (reply.status, reply.json["code"]) == (403, "insufficient_scope")
        assert reply.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'
    else:
        assert reply.status == 401
        assert reply.headers["www-authenticate"].startswith("Bearer")
    assert shared_api.state() == before


def test_every_route_has_a_policy_and_every_handler_a_route() -> None:
    assert {route.access for route in ROUTES} <= set(Access)
    handlers = {name for name in vars(Handlers) if not name.startswith("_")} - {"authorised"}
    assert handlers == {route.handler for route in ROUTES}


def test_users_may_only_read() -> None:
    assert {route.method for route in ROUTES if route.access is Access.USER} == {"GET"}
    assert {route.handler for route in ROUTES if route.access is Access.USER} == {"page", "read"}
    assert all(route.access is Access.ADMIN for route in ROUTES if route.method != "GET")


def test_who_may_not_write_does_not_learn_who_exists(shared_api: ApiInProcess) -> None:
    for path in ("/kai@hubspot.com", "/nobody@hubspot.com"):
        assert shared_api.user("PUT", path, {"phone": "1"}).status == 403
        assert shared_api.user("DELETE", path).status == 403
        assert shared_api.anyone("GET", path).status == 401


def test_a_body_is_not_read_before_the_caller_is_known(shared_api: ApiInProcess) -> None:
    from callers import Stream

    for caller, status in ((shared_api.anyone, 401), (shared_api.user, 403)):
        body = Stream(b"{" * 100_000)
        assert caller("POST", "/", data=body, Content_Type="application/json").status == status
        assert body.taken == 0


@pytest.mark.parametrize(
    "key", [None, "", "wrong", ISSUER_KEY[:-1], ISSUER_KEY + " ", ISSUER_KEY.upper(), "\xff\xfe", "x" * 50_000]
)
def test_a_token_is_issued_for_the_key_only(shared_api: ApiInProcess, key: str | None) -> None:
    reply = shared_api.anyone("GET", "/get-token/admin", X_Issuer_Key=key)
    assert reply.status == 401
    assert "token" not in reply.json


@pytest.mark.parametrize("key", ["", None, ISSUER_KEY])
def test_no_token_is_issued_while_no_key_is_set(make_api: Callable[..., ApiInProcess], key: str | None) -> None:
    api = make_api(TOKEN_ISSUER_KEY="")
    assert api.anyone("GET", "/get-token/admin", X_Issuer_Key=key).status == 401


@pytest.mark.parametrize(
    ("host", "status"), [("127.0.0.1", 200), ("localhost", 200), ("::1", 200), ("0.0.0.0", 401), ("10.0.0.1", 401)]
)
def test_an_open_issuer_is_open_on_loopback_only(make_api: Callable[..., ApiInProcess], host: str, status: int) -> None:
    api = make_api(TOKEN_ISSUER_KEY="", OPEN_TOKEN_ISSUER="true", API_HOST=host)
    assert api.anyone("GET", "/get-token/admin", environ=LOCAL).status == status
    assert api.anyone("GET", "/get-token/admin").status == 401


@pytest.mark.parametrize("role", ["root", "Admin", "admin%20", "%61dmin%00", "ADMIN", "%ff"])
def test_a_token_for_another_role_is_refused(shared_api: ApiInProcess, role: str) -> None:
    reply = shared_api.anyone("GET", f"/get-token/{role}", X_Issuer_Key=ISSUER_KEY)
    assert reply.status == (404 if role == "%ff" else 400)
    assert "token" not in reply.json
    assert shared_api.anyone("GET", f"/get-token/{role}").status in (401, 404)


@pytest.mark.parametrize("role", ["admin", "user"])
def test_an_issued_token_opens_what_its_role_may(shared_api: ApiInProcess, role: str) -> None:
    issued = shared_api.anyone("GET", f"/get-token/{role}", X_Issuer_Key=ISSUER_KEY).json["token"]
    caller = shared_api.anyone.with_headers(Authorization=f"Bearer {issued}")
    assert caller("GET", "/kai@hubspot.com").status == 200
    assert caller("DELETE", "/nobody@hubspot.com").status == (404 if role == "admin" else 403)


def test_the_figures_are_for_this_host_and_admins(shared_api: ApiInProcess) -> None:
    assert shared_api.anyone("GET", "/metrics", environ=LOCAL).status == 200
    assert shared_api.anyone("GET", "/metrics", environ={"REMOTE_ADDR": "::1"}).status == 200
    assert shared_api.anyone("GET", "/metrics", environ=LOCAL, X_Forwarded_For="203.0.113.9").status == 401
    assert shared_api.anyone("GET", "/metrics", environ=LOCAL, Forwarded="for=203.0.113.9").status == 401
    assert shared_api.anyone("GET", "/metrics").status == 401
    assert shared_api.user("GET", "/metrics").status == 403
    assert shared_api.admin("GET", "/metrics").status == 200
