"""Who is let in: bearer tokens of one hour, HS256, two roles, everything about them checked exactly."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha512
from typing import Any

import jwt
import pytest
from forging import claims, segment, token
from systems import ISSUER_KEY, JWT_SECRET, ApiInProcess

from api.auth import LEEWAY, Role, Tokens

HEAD = {"alg": "HS256", "typ": "JWT"}
INVALID = 'Bearer error="invalid_token"'


@dataclass(frozen=True)
class Now:
    """So many seconds from when the token is made, as this type."""

    plus: float = 0
    kind: Callable[[float], Any] = int

    def __repr__(self) -> str:
        return f"{self.kind.__name__}(now{self.plus:+g})"

    def __call__(self) -> Any:
        return self.kind(int(time.time()) + self.plus)


def in_a_list(value: float) -> list[int]:
    return [int(value)]


def bearer(*, head: Any = HEAD, key: str = JWT_SECRET, payload: Any = None, **changes: Any) -> str:
    changes = {name: value() if isinstance(value, Now) else value for name, value in changes.items()}
    return "Bearer " + token(key, head, claims(**changes) if payload is None else payload)


def test_a_token_made_by_the_rules_is_accepted(shared_api: ApiInProcess) -> None:
    for head in (HEAD, {"alg": "HS256"}):
        assert shared_api.anyone("GET", "/kai@hubspot.com", Authorization=bearer(head=head)).status == 200
    assert (
        shared_api.anyone("GET", "/kai@hubspot.com", Authorization=bearer().replace("Bearer", "bearer")).status == 200
    )


def test_a_request_without_a_token_is_challenged(shared_api: ApiInProcess) -> None:
    for header in (None, ""):
        reply = shared_api.anyone("GET", "/kai@hubspot.com", Authorization=header)
        assert (reply.status, reply.json["code"]) == (401, "token_missing")
        assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["token", "access_token", "authorization", "jwt"])
def test_a_token_in_the_query_is_not_read(shared_api: ApiInProcess, name: str) -> None:
    good = token(JWT_SECRET, HEAD, claims())
    reply = shared_api.anyone("GET", f"/kai@hubspot.com?{name}={good}")
    assert (reply.status, reply.json["code"]) == (401, "token_missing")


FORMS: list[Any] = [
    *(
        "Basic a2FpOmthaQ==",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "Bearer x",
        "Bearer a.b",
        "Bearer a.b.c.d",
        "Bearer ...",
    ),
    *("Token {good}", "{good}", "Bearer Bearer {good}", "Bearer {good} {good}", "Bearer {good}, Bearer {good}"),
    *("Bearer {good} ", "Bearer\t{good}", "Bearer {good}\n", "Bearer .{good}", 'Bearer "{good}"'),
    *("Bearer \xe9\xff", "Bearer {good}\xff", "Bearer \ufffd".encode().decode("latin-1"), "Bearer {good}\x00"),
]


@pytest.mark.parametrize(
    "header",
    FORMS,
)
def test_a_header_of_another_form_is_refused(shared_api: ApiInProcess, header: str) -> None:
    good = token(JWT_SECRET, HEAD, claims())
    refused(shared_api, header.format(good=good))


ALGORITHMS: list[Any] = ["none", "None", "NONE", "nOnE", None, [], ["HS256"], {}, 1, True, "", "hs256", "HS256 "]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_other_algorithm_is_accepted(shared_api: ApiInProcess, algorithm: Any) -> None:
    head = {"typ": "JWT", "alg": algorithm}
    refused(shared_api, bearer(head=head))
    unsigned = bearer(head=head).rpartition(".")[0] + "."
    refused(shared_api, unsigned)


def test_a_token_without_an_algorithm_or_a_signature_is_refused(shared_api: ApiInProcess) -> None:
    refused(shared_api, bearer(head={"typ": "JWT"}))
    refused(shared_api, bearer().rpartition(".")[0])
    refused(shared_api, bearer().rpartition(".")[0] + ".")
    refused(shared_api, bearer()[:-1])


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA"])
def test_our_key_under_another_algorithm_is_refused(shared_api: ApiInProcess, algorithm: str) -> None:
    head = {"typ": "JWT", "alg": algorithm}
    refused(shared_api, bearer(head=head))
    refused(shared_api, "Bearer " + token(JWT_SECRET, head, claims(), digest=sha512))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "secret",
        "x" * 64,
        JWT_SECRET + " ",
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYI\n-----END PUBLIC KEY-----\n",
    ],
)
def test_another_key_is_refused(shared_api: ApiInProcess, key: str) -> None:
    refused(shared_api, bearer(key=key))


def test_a_pem_as_our_own_key_does_no_harm() -> None:
    tokens = Tokens("-----BEGIN PUBLIC KEY-----\n" + "A" * 64 + "\n-----END PUBLIC KEY-----\n")
    with pytest.raises(jwt.InvalidKeyError):
        tokens.issue(Role.ADMIN)


DEMANDS: list[Any] = [
    {"crit": ["exp"]},
    {"crit": ["unknown"], "unknown": 1},
    {"b64": False, "crit": ["b64"]},
    {"b64": False},
    {"kid": "../../../../dev/null"},
    {"kid": "http://127.0.0.1:1/key"},
    {"jku": "http://127.0.0.1:1/keys"},
    {"x5u": "http://127.0.0.1:1/chain"},
    {"jwk": {"kty": "oct", "k": "AAAA"}},
    {"x5c": ["AAAA"]},
    {"zip": "DEF"},
    {"cty": "JWT"},
]


@pytest.mark.parametrize(
    "more",
    DEMANDS,
    ids=lambda more: "-".join(more),
)
def test_a_head_that_asks_for_more_is_refused(shared_api: ApiInProcess, more: dict[str, Any]) -> None:
    refused(shared_api, bearer(head={**HEAD, **more}))


CLAIMS: list[Any] = [
    *(
        {"exp": Now(-1)},
        {"exp": Now(-3600), "iat": Now(-7200)},
        {"exp": ...},
        {"exp": Now(+60, str)},
        {"exp": None},
    ),
    *(
        {"exp": Now(+60, in_a_list)},
        {"exp": True},
        {"exp": {}},
        {"exp": Now(+60.5, float)},
        {"exp": -1},
        {"exp": 0},
        {"exp": 2**62},
    ),
    *({"exp": Now(+8000)}, {"iat": Now(-60), "exp": Now(+3600)}, {"iat": ...}, {"iat": None}, {"iat": Now(0, str)}),
    *(
        {"iat": Now(+600), "exp": Now(+1200)},
        {"iat": True},
        {"nbf": Now(+600)},
        {"nbf": "0"},
        {"nbf": None},
        {"nbf": True},
    ),
    *(
        {"sub": ...},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"sub": ["a"]},
        {"iss": ...},
        {"iss": "other"},
        {"iss": ["x"]},
    ),
    *({"aud": ...}, {"aud": "other"}, {"aud": ["customers"]}, {"aud": ["customers", "other"]}, {"aud": None}),
    *({"role": ...}, {"role": None}, {"role": "root"}, {"role": ["admin"]}, {"role": "admin "}, {"role": "Admin"}),
    *({"role": ""}, {"role": 1}, {"role": True}, {"role": {"admin": 1}}, {"role": "ADMIN"}, {"role": "admin\x00"}),
    *({"role": "\u0430dmin"}, {"role": "admin,user"}),
]


@pytest.mark.parametrize(
    "changes",
    CLAIMS,
    ids=lambda changes: repr({name: "-" if value is ... else value for name, value in changes.items()})[:40],
)
def test_claims_that_are_not_exactly_right_are_refused(shared_api: ApiInProcess, changes: dict[str, Any]) -> None:
    refused(shared_api, bearer(**changes))


PAYLOADS: list[Any] = [
    b"",
    b"x",
    b"[]",
    b"null",
    b'"admin"',
    b"{}",
    b"\xff\xfe",
    b"[" * 5000 + b"]" * 5000,
    b'{"role":"user","role":"admin","sub":"a","iat":%(now)d,"exp":%(soon)d,"iss":"hubspot-reconciler","aud":"customers"}',
    b'{"role":"admin","sub":"a","iat":%(now)d,"exp":Infinity,"iss":"hubspot-reconciler","aud":"customers"}',
    b'{"role":"admin","sub":"a","iat":%(now)d,"exp":1e400,"iss":"hubspot-reconciler","aud":"customers"}',
    b'{"role":"admin","sub":"a","iat":%(now)d,"exp":NaN,"iss":"hubspot-reconciler","aud":"customers"}',
    b'{"role":"admin","sub":"a","iat":%(now)d,"exp":%(large)s,"iss":"hubspot-reconciler","aud":"customers"}',
    b'\xef\xbb\xbf{"role":"admin","sub":"a","iat":%(now)d,"exp":%(soon)d,"iss":"hubspot-reconciler","aud":"customers"}',
]


@pytest.mark.parametrize(
    "payload",
    PAYLOADS,
    ids=lambda payload: repr(payload[:30] + payload[-60:-30]),
)
def test_a_payload_that_is_no_plain_object_is_refused(shared_api: ApiInProcess, payload: bytes) -> None:
    now = int(time.time())
    times = {b"now": now, b"soon": now + 60, b"large": b"9" * 5000}
    refused(shared_api, bearer(payload=payload % times))


def test_a_clock_that_is_a_little_ahead_is_tolerated(shared_api: ApiInProcess) -> None:
    ahead = int(time.time()) + LEEWAY - 10
    early: list[dict[str, Any]] = [{"iat": ahead, "exp": ahead + 60}, {"nbf": ahead}]
    for changes in early:
        assert shared_api.anyone("GET", "/kai@hubspot.com", Authorization=bearer(**changes)).status == 200


def test_a_long_token_is_refused_before_it_is_looked_at(shared_api: ApiInProcess) -> None:
    refused(shared_api, bearer(sub="x" * 9000))
    refused(shared_api, "Bearer " + "a" * 50_000)
    assert shared_api.anyone("GET", "/kai@hubspot.com", Authorization=bearer(sub="x" * 5000)).status == 200


def test_the_last_characters_of_a_signature_count(shared_api: ApiInProcess) -> None:
    """Base64 has spare bits: several texts decode to one signature."""
    good = bearer()
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        if last != good[-1]:
            status = shared_api.anyone("GET", "/kai@hubspot.com", Authorization=good[:-1] + last).status
            assert status in (200, 401)
    refused(shared_api, good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1])


def test_a_token_of_the_api_has_exactly_the_documented_claims(shared_api: ApiInProcess) -> None:
    reply = shared_api.anyone("GET", "/get-token/user", X_Issuer_Key=ISSUER_KEY)
    assert (reply.status, list(reply.json)) == (200, ["token"])
    found = jwt.decode(
        reply.json["token"], JWT_SECRET, algorithms=["HS256"], audience="customers", issuer="hubspot-reconciler"
    )
    assert set(found) == {"sub", "role", "iat", "exp", "iss", "aud"}
    assert (found["role"], found["exp"] - found["iat"]) == ("user", 3600)
    assert jwt.get_unverified_header(reply.json["token"]) == {"alg": "HS256", "typ": "JWT"}


def refused(api: ApiInProcess, header: str) -> None:
    reply = api.anyone("GET", "/kai@hubspot.com", Authorization=header)
    assert (reply.status, reply.json["code"]) == (401, "invalid_token")
    assert reply.headers["www-authenticate"] == INVALID
    assert segment(b"admin") not in reply.text
