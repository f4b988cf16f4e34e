"""Behind the shipped proxy: tokens that are not exactly right open nothing, and the proxy opens nothing by itself."""

from typing import Any

import pytest
from callers import Reply
from deployed import Behind
from forging import claims, segment, token
from systems import ISSUER_KEY, JWT_SECRET
from test_auth_tokens import ALGORITHMS, CLAIMS, DEMANDS, FORMS, HEAD, PAYLOADS, bearer
from wire import PROXY_S_OWN, ask, is_carried, is_the_proxy_s, sent

KAI = "/kai@hubspot.com"


def refused(reply: Reply, *, code: str = "invalid_token", may_be_the_proxy_s: bool = False) -> None:
    """Refused by the API in its words (or by the proxy, where no HTTP would carry the request)."""
    assert segment(b"admin") not in reply.text
    assert "kai" not in reply.text
    if may_be_the_proxy_s and is_the_proxy_s(reply):
        assert reply.status in PROXY_S_OWN
    else:
        assert (reply.status, reply.json["code"]) == (401, code)
        assert reply.headers["www-authenticate"].startswith("Bearer")


def read(behind: Behind, authorization: str | None) -> Reply:
    return ask(behind.proxy.api, "GET", KAI, Authorization=authorization)


def test_a_token_made_by_the_rules_is_accepted(behind: Behind) -> None:
    assert read(behind, bearer()).status == 200


def test_a_request_without_a_token_is_challenged(behind: Behind) -> None:
    reply = read(behind, None)
    assert (reply.status, reply.json["code"], reply.headers["www-authenticate"]) == (401, "token_missing", "Bearer")


@pytest.mark.parametrize("form", [form for form in FORMS if is_carried(form)])
def test_a_header_of_another_form_is_refused(behind: Behind, form: str) -> None:
    # The server hands on a header with other bytes than ASCII as an empty one.
    code = "invalid_token" if form.isascii() else "token_missing"
    refused(read(behind, form.format(good=token(JWT_SECRET, HEAD, claims()))), code=code)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_other_algorithm_is_accepted(behind: Behind, algorithm: Any) -> None:
    signed = bearer(head={"typ": "JWT", "alg": algorithm})
    refused(read(behind, signed))
    refused(read(behind, signed.rpartition(".")[0] + "."))


@pytest.mark.parametrize("more", DEMANDS, ids=lambda more: "-".join(more))
def test_a_head_that_asks_for_more_is_refused(behind: Behind, more: dict[str, Any]) -> None:
    refused(read(behind, bearer(head={**HEAD, **more})))


@pytest.mark.parametrize("changes", CLAIMS, ids=range(len(CLAIMS)))
def test_claims_that_are_not_exactly_right_are_refused(behind: Behind, changes: dict[str, Any]) -> None:
    refused(read(behind, bearer(**changes)))


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_a_payload_that_is_no_plain_object_is_refused(behind: Behind, payload: bytes) -> None:
    refused(read(behind, bearer(payload=payload)))


@pytest.mark.parametrize("size", [9_000, 15_000, 50_000])
def test_a_long_token_is_refused(behind: Behind, size: int) -> None:
    refused(read(behind, "Bearer " + "a" * size), may_be_the_proxy_s=size > 15_000)


@pytest.mark.parametrize("order", ["good first", "good last", "twice"])
def test_two_tokens_are_none(behind: Behind, order: str) -> None:
    good, bad = behind.authorization, bearer(key="x" * 40)
    lines = {"good first": [good, bad], "good last": [bad, good], "twice": [good, good]}[order]
    head = "\r\n".join([f"GET {KAI} HTTP/1.1", "Host: x", *(f"Authorization: {line}" for line in lines), "", ""])
    reply = sent(behind.proxy.api, "GET", head.encode())
    assert reply.status in (400, 401)
    assert "kai" not in reply.text


@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "jwt"])
def test_a_token_in_the_query_is_not_read(behind: Behind, name: str) -> None:
    reply = ask(behind.proxy.api, "GET", f"{KAI}?{name}={token(JWT_SECRET, HEAD, claims())}")
    assert (reply.status, reply.json["code"]) == (401, "token_missing")


@pytest.mark.parametrize(
    "path",
    [
        *("/metrics", "/metrics?", "/metrics?a=1", "/metrics/", "//metrics", "/./metrics", "/x/../metrics"),
        *("/%6detrics", "/metrics%00", "/metrics;a", "/metrics#a", "/METRICS", "http://x/metrics", "/metrics%2f"),
    ],
)
@pytest.mark.parametrize("more", [{}, {"X_Forwarded_For": ""}, {"X_Real_IP": "127.0.0.1"}], ids=repr)
def test_the_figures_are_not_shown_to_the_outside(behind: Behind, path: str, more: dict[str, str]) -> None:
    reply = ask(behind.proxy.api, "GET", path, **more)
    assert reply.status in (400, 401, 404)
    assert b"sync_" not in reply.body


def test_a_token_is_issued_for_the_key_only(behind: Behind) -> None:
    for key, status in ((None, 401), ("wrong", 401), (ISSUER_KEY, 200)):
        reply = ask(behind.proxy.api, "GET", "/get-token/user", X_Issuer_Key=key, X_Forwarded_For="127.0.0.1")
        assert reply.status == status
