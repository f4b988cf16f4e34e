"""Paths, methods and queries: what there is none of is 404, what is not allowed 405, nothing overrides either."""

from uuid import uuid4

import pytest
from systems import ApiInProcess

from api.openapi import path_of
from api.routes import ROUTES

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "G\u00cbT")
PATHS = {path_of(route) for route in ROUTES}
ALLOWED = {path: {route.method for route in ROUTES if path_of(route) == path} for path in PATHS}


@pytest.mark.parametrize("path", sorted(PATHS))
def test_another_method_is_405_with_what_is_allowed(shared_api: ApiInProcess, path: str) -> None:
    before = shared_api.state()
    real = path.format(email="kai@hubspot.com", role="user", uuid=uuid4(), contact=1)
    for method in METHODS:
        if method in ALLOWED[path]:
            continue
        reply = shared_api.admin(method, real)
        assert (reply.status, reply.json["code"]) == (405, "method_not_allowed")
        allowed = {name.strip() for name in reply.headers["allow"].split(",")}
        assert allowed - {"HEAD"} == ALLOWED[path]
    assert shared_api.state() == before


@pytest.mark.parametrize(
    "header", ["X_HTTP_Method_Override", "X_Method_Override", "X_HTTP_Method", "X_Original_URL", "X_Rewrite_URL"]
)
def test_a_header_does_not_override_method_or_path(shared_api: ApiInProcess, header: str) -> None:
    before = shared_api.state()
    value = "DELETE" if "Method" in header else "/nobody@hubspot.com"
    reply = shared_api.admin("GET", "/kai@hubspot.com", **{header: value})
    assert (reply.status, reply.json["email"]) == (200, "kai@hubspot.com")
    assert shared_api.admin("POST", "/kai@hubspot.com", **{header: value}).status == 405
    assert shared_api.state() == before


@pytest.mark.parametrize(
    "path",
    [
        *("/x", "/canary-path", "/batch/", "/batch/x", "/healthz/", "/get-token", "/get-token/", "/get-token/admin/x"),
        *(
            "/favicon.ico",
            "/.env",
            "/admin",
            "/docs/",
            "/openapi.json/",
            "/metrics/x",
            "//",
            "/;",
            "/%2e%2e/%2e%2e/etc",
        ),
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_path_is_404_in_json(shared_api: ApiInProcess, method: str, path: str) -> None:
    reply = shared_api.admin(method, path)
    assert (reply.status, reply.headers["content-type"]) == (404, "application/json")
    assert "canary" not in reply.text


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "cursor=x", "x", "email=nobody@hubspot.com", "%ff=%00"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_query_parameter_that_no_call_has_is_refused(shared_api: ApiInProcess, method: str, query: str) -> None:
    before = shared_api.state()
    assert shared_api.admin(method, f"/nobody@hubspot.com?{query}").status == 400
    assert shared_api.state() == before


def test_a_preflight_from_elsewhere_opens_nothing(shared_api: ApiInProcess) -> None:
    for path in ("/", "/kai@hubspot.com", "/batch", "/healthz"):
        reply = shared_api.anyone("OPTIONS", path, Origin="https://evil.example", Access_Control_Request_Method="POST")
        assert reply.status == 405
        assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.parametrize("name", ["Idempotency_Key", "Prefer", "If_Match", "If_None_Match", "X_Request_Id", "Origin"])
@pytest.mark.parametrize("value", ["x\r\nX-Evil: 1", "\x00", "\xff", "x" * 60_000, "\u00e9"])
def test_no_header_of_a_request_reaches_a_header_of_the_answer(shared_api: ApiInProcess, name: str, value: str) -> None:
    before = shared_api.state()
    for method, path, body in (
        ("GET", "/kai@hubspot.com", {}),
        ("PUT", "/nobody@hubspot.com", {"json": {"phone": "1"}}),
    ):
        reply = shared_api.admin(method, path, **body, **{name: value})
        assert reply.status in (200, 400, 404, 412)
        assert "x-evil" not in reply.headers
        assert value not in reply.headers.values()
    assert shared_api.state() == before


def test_every_answer_has_a_request_id_of_its_own(shared_api: ApiInProcess) -> None:
    replies = [shared_api.anyone("GET", "/kai@hubspot.com", X_Request_Id="mine") for _ in range(2)]
    ids = {reply.headers["x-request-id"] for reply in replies}
    assert len(ids) == 2
    assert "mine" not in ids
    assert all(reply.json["request_id"] == reply.headers["x-request-id"] for reply in replies)
