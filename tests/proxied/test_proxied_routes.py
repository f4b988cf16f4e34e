"""Behind the shipped proxy: every method on every path is in the route table with its policy, or is not there."""

import time
from uuid import UUID

import pytest
from callers import Reply
from deployed import Behind
from forging import claims, token
from forms import FORMS
from systems import JWT_SECRET
from wire import ask

from api.openapi import document, path_of
from api.routes import ROUTES, Access, Route

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "LOCK", "GETX"]
HEAD = {"alg": "HS256", "typ": "JWT"}
NOW = int(time.time())
STRANGERS = {
    "none": None,
    "expired": "Bearer " + token(JWT_SECRET, HEAD, claims(iat=NOW - 60, exp=NOW - 1)),
    "wrong key": "Bearer " + token("x" * 40, HEAD, claims()),
    "wrong role": "Bearer " + token(JWT_SECRET, HEAD, claims(role="root")),
}
MEMBERS = {role: "Bearer " + token(JWT_SECRET, HEAD, claims(role=role)) for role in ("user", "admin")}
OTHER_PATHS = ["/admin", "/sandbox/", "/debug", "/static/x", "/api/v1/customers", "/docs/", "/batch/x", "/healthz/x"]


def path_to(route: Route) -> str:
    """The path of a call about nobody."""
    return path_of(route).format(email="nobody@hubspot.com", role="user", uuid=UUID(int=1), contact=1)


PATHS = sorted({path_to(route) for route in ROUTES}) + OTHER_PATHS


def accesses(method: str, path: str) -> set[Access]:
    """Return the policy of a call; none when it is not in the table."""
    wanted = "GET" if method == "HEAD" else method
    return {route.access for route in ROUTES if (route.method, path_to(route)) == (wanted, path)}


def knock(behind: Behind, method: str, path: str, authorization: str | None) -> Reply:
    """Call with an empty body of JSON, so that nothing is done when it is let in."""
    return ask(behind.proxy.api, method, path, b"{}", Authorization=authorization, Content_Type="application/json")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("who", STRANGERS)
def test_a_stranger_gets_nothing_but_what_is_public(behind: Behind, who: str, path: str) -> None:
    before = behind.state()
    for method in METHODS:
        status = knock(behind, method, path, STRANGERS[who]).status
        match accesses(method, path):
            case found if found == {Access.PUBLIC}:
                assert status in (200, 503), method
            case found if found:
                # The proxy has no figures for anybody.
                assert status == (404 if path == "/metrics" else 401), method
            case _:
                assert status in (400, 404, 405), method
    assert behind.state() == before


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("role", MEMBERS)
def test_a_role_gets_what_the_table_says(behind: Behind, role: str, path: str) -> None:
    before = behind.state()
    for method in METHODS:
        status = knock(behind, method, path, MEMBERS[role]).status
        found = accesses(method, path)
        if not found or path == "/metrics":
            assert status in (400, 404, 405), method
        elif found == {Access.ADMIN}:
            assert (status == 403) == (role == "user"), method
        elif found == {Access.ISSUER}:
            assert status == 401, method
        else:
            assert status in (200, 404, 503), method
    assert behind.state() == before


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/readyz", "/kai@hubspot.com", "/batch"])
def test_the_receiver_has_two_calls_only(behind: Behind, path: str) -> None:
    for method in METHODS:
        status = ask(behind.proxy.webhook, method, path, b"{}", Authorization=MEMBERS["admin"]).status
        if (method, path) in {("GET", "/healthz"), ("HEAD", "/healthz")}:
            assert status == 200
        elif (method, path) == ("POST", "/"):
            assert status == 401
        else:
            assert status in (400, 404, 405), method


def test_a_route_without_a_policy_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="access"):
        Route(name="x", method="GET", path="/x", summary="", answers={})  # type: ignore[call-arg]


def test_the_document_says_which_calls_need_a_token() -> None:
    operations = [each for path in document(FORMS)["paths"].values() for each in path.values()]
    needing = {each["operationId"] for each in operations if each.get("security")}
    assert needing == {route.name for route in ROUTES if route.access not in (Access.PUBLIC, Access.ISSUER)}
