"""What is not HubSpot's is refused and stores nothing; what is HubSpot's but unreadable is kept for a person."""

import hashlib
import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from callers import Stream
from deliveries import SECRET, URL, event, now_ms, signed, v3
from psycopg_pool import ConnectionPool
from systems import Hook

from reconciler.adapters.postgres.database import Database
from reconciler.adapters.postgres.inbox import PostgresInbox
from webhook.signature import WINDOW, Unsigned, Verifier

MIB = 1024 * 1024
VECTORS = Path(__file__).parents[1] / "reference" / "recordings" / "webhooks" / "signature-vectors.json"
NOW = 1_787_843_156_000


def vectors(version: str) -> list[Any]:
    found = json.loads(VECTORS.read_text())["vectors"]
    return [pytest.param(each, id=each["name"]) for each in found if each["version"] == version]


@pytest.fixture
def still(make_hook: Callable[..., Hook]) -> Hook:
    """A receiver whose clock stands at NOW."""
    return make_hook(clock=lambda: NOW / 1000)


def refused(hook: Hook, code: str, *, method_path: tuple[str, str] = ("POST", "/"), **request: Any) -> None:
    reply = hook.call(*method_path, **request)
    assert (reply.status, reply.json["code"]) == (401, code)
    assert hook.stored() == ({}, {}, [], 0)


@pytest.mark.parametrize("vector", vectors("v3"))
def test_the_published_signatures_are_ours(vector: dict[str, Any]) -> None:
    verifier = Verifier(vector["uri"], [vector["secret"].encode()])
    sent = {"signature": vector["expected"], "timestamp": str(vector["timestamp_ms"]), "body": vector["body"].encode()}
    for now in (vector["timestamp_ms"], vector["timestamp_ms"] + WINDOW, vector["timestamp_ms"] - WINDOW):
        verifier.verify(**sent, now_ms=now)
    with pytest.raises(Unsigned, match="timestamp_stale"):
        verifier.verify(**sent, now_ms=vector["timestamp_ms"] + WINDOW + 1)


@pytest.mark.parametrize("vector", [*vectors("v1"), *vectors("v2")])
def test_no_older_signature_passes_for_a_new_one(vector: dict[str, Any]) -> None:
    verifier = Verifier(vector.get("uri", URL), [vector["secret"].encode()])
    with pytest.raises(Unsigned, match="signature_invalid"):
        verifier.verify(signature=vector["expected"], timestamp=str(NOW), body=vector["body"].encode(), now_ms=NOW)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_older_signature_alone_is_no_signature(still: Hook, version: str) -> None:
    delivery = signed([event(101)], timestamp=NOW)
    del delivery["X_HubSpot_Signature_v3"]
    delivery["X_HubSpot_Signature_Version"] = version
    if version == "v2":
        source = SECRET.encode() + b"POST" + URL.encode() + delivery["data"]
        delivery["X_HubSpot_Signature"] = hashlib.sha256(source).hexdigest()
    refused(still, "signature_missing", **delivery)


SPOILT: dict[str, Callable[[str], str]] = {
    "empty": lambda good: "",
    "truncated": lambda good: good[:-2],
    "plus to space": lambda good: good.replace("+", " ").replace("/", "_") + " ",
    "lower case": str.lower,
    "hex": lambda good: b64decode(good).hex(),
    "url-safe or no padding": lambda good: good.rstrip("="),
    "very long": lambda good: "A" * 50_000,
    "not ASCII": lambda good: good[:-1] + "\xe9",
    "two": lambda good: f"{good}, {good}",
    "two and wrong": lambda good: f"{good},x",
    "quoted": lambda good: f'"{good}"',
    "a space before": lambda good: " " + good,
    "v1 in its place": lambda good: hashlib.sha256(SECRET.encode()).hexdigest(),
    "NUL": lambda good: good + "\x00",
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_signature_is_refused(still: Hook, how: str) -> None:
    delivery = signed([event(101)], timestamp=NOW)
    delivery["X_HubSpot_Signature_v3"] = SPOILT[how](delivery["X_HubSpot_Signature_v3"])
    refused(still, "signature_invalid", **delivery)


TIMESTAMPS: list[Any] = [
    *(
        None,
        "",
        "abc",
        "1e13",
        "NaN",
        "-1",
        "0",
        str(NOW // 1000),
        f"{NOW}0",
        f"0{NOW}",
        f"+{NOW}",
        f" {NOW}",
        f"{NOW}.0",
    ),
    *(
        "".join(chr(0xFF10 + int(digit)) for digit in str(NOW)),
        f"{NOW},{NOW}",
        f"{NOW}\n",
        "9" * 10_000,
        f"{NOW}\x00",
    ),
]


@pytest.mark.parametrize(
    "timestamp",
    TIMESTAMPS,
    ids=lambda value: repr(value)[:24],
)
def test_a_timestamp_of_another_form_is_refused(still: Hook, timestamp: str | None) -> None:
    delivery = signed([event(101)], timestamp=NOW if timestamp is None else timestamp)
    wire = None if timestamp is None else timestamp.encode().decode("latin-1")
    refused(still, "timestamp_invalid", **{**delivery, "X_HubSpot_Request_Timestamp": wire})


@pytest.mark.parametrize("away", [-WINDOW - 1, WINDOW + 1, -86_400_000, 365 * 86_400_000])
def test_a_timestamp_far_away_either_way_is_refused(still: Hook, away: int) -> None:
    refused(still, "timestamp_stale", **signed([event(101)], timestamp=NOW + away))


@pytest.mark.parametrize("away", [-WINDOW, -1, 0, 1, WINDOW])
def test_a_timestamp_within_five_minutes_either_way_is_taken(still: Hook, away: int) -> None:
    assert still.call("POST", "/", **signed([event(101)], timestamp=NOW + away)).status == 204


OVER_ANYTHING_ELSE: list[Any] = [
    {"url": URL + "/"},
    {"url": URL + "?a=1"},
    {"url": URL.replace("https", "http")},
    {"url": URL.replace("hooks", "evil")},
    {"method": "GET"},
    {"method": "post"},
    {"secret": "another secret"},
    {"secret": ""},
    {"secret": SECRET + " "},
]


@pytest.mark.parametrize(
    "how",
    OVER_ANYTHING_ELSE,
    ids=repr,
)
def test_a_signature_over_anything_else_is_refused(still: Hook, how: dict[str, str]) -> None:
    refused(still, "signature_invalid", **signed([event(101)], timestamp=NOW, **how))


def test_every_byte_of_body_and_timestamp_is_signed(still: Hook) -> None:
    good = signed(b'[{"objectId": 101}]', timestamp=NOW)
    for body in (
        b'[{"objectId": 102}]',
        b'[{"objectId":101}]',
        b'[{"objectId": 101}] ',
        b"",
        b'\xef\xbb\xbf[{"objectId": 101}]',
    ):
        refused(still, "signature_invalid", **{**good, "data": body})
    refused(still, "signature_invalid", **{**good, "X_HubSpot_Request_Timestamp": str(NOW + 1)})


@pytest.mark.parametrize("name", ["X_Forwarded_Host", "X_Forwarded_Proto", "Host", "X_Original_URL", "Forwarded"])
def test_the_signed_address_is_the_configured_one_whatever_the_request_says(still: Hook, name: str) -> None:
    assert still.call("POST", "/", **signed([event(101)], timestamp=NOW), **{name: "evil.example"}).status == 204
    evil = signed([event(101)], timestamp=NOW, url="https://evil.example/hubspot/contacts")
    assert still.call("POST", "/", **evil, **{name: "evil.example"}).status == 401


def test_escapes_in_the_address_are_decoded_as_hubspot_documents(make_hook: Callable[..., Hook]) -> None:
    url = "https://hooks.example.com/a%3Ab%2fc?d=%40%21%24%27%28%29%2A%2C%3B%20%25%c3%a9"
    hook = make_hook(verifier=Verifier(url, [SECRET.encode()]))
    as_signed = "https://hooks.example.com/a:b/c?d=@!$'()*,;%20%25%c3%a9"
    assert hook.call("POST", "/", **signed([event(101)], url=as_signed)).status == 204
    assert hook.call("POST", "/", **signed([event(101)], url=url)).status == 401


def test_while_secrets_rotate_either_is_accepted(make_hook: Callable[..., Hook]) -> None:
    hook = make_hook(verifier=Verifier(URL, [b"old", b"new"]))
    statuses = [
        hook.call("POST", "/", **signed([event(101)], secret=each)).status
        for each in ("old", "new", "oldnew", "old,new")
    ]
    assert statuses == [204, 204, 401, 401]


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "\xff"]
)
def test_a_signed_delivery_is_not_lost_over_its_content_type(hook: Hook, kind: str | None) -> None:
    assert hook.call("POST", "/", **{**signed([event(101)]), "Content_Type": kind}).status == 204
    assert set(hook.marks()) == {"c:101"}


UNREADABLE: list[Any] = [
    *(b"", b"x", b"{", b"{}", b"null", b"7", b'"x"', b'{"objectId": 101}', b"[", b"[1,]", b"\xff\xfe", b'["\xff"]'),
    *(b"[" * 50_000 + b"]" * 50_000, b'[{"a":' * 50_000, b"\x00" * 9000),
]


@pytest.mark.parametrize(
    "body",
    UNREADABLE,
    ids=lambda body: repr(body[:16]) + str(len(body)),
)
def test_a_signed_body_that_cannot_be_read_is_taken_and_quarantined(hook: Hook, body: bytes, logged: Any) -> None:
    assert hook.call("POST", "/", **signed(body)).status == 204
    ((reason, size, digest),) = hook.quarantined()
    assert (size, digest) == (len(body), hashlib.sha256(body).hexdigest())
    assert reason
    assert hook.marks() == {}
    assert "error" in {each["level"] for each in logged}


def test_a_body_beyond_eight_mebibytes_is_refused_without_being_read(hook: Hook) -> None:
    headers = {name: value for name, value in signed(b"[]").items() if name != "data"}
    told = Stream(b"[]")
    reply = hook.call("POST", "/", data=told, length=str(8 * MIB + 1), **headers)
    assert (reply.status, reply.headers["connection"], told.taken) == (413, "close", 0)
    streamed = Stream(b" " * (9 * MIB))
    reply = hook.call("POST", "/", data=streamed, length="", **headers)
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert streamed.taken <= 8 * MIB + 1
    assert hook.stored() == ({}, {}, [], 0)


def test_a_signed_body_of_eight_mebibytes_is_taken(hook: Hook) -> None:
    assert hook.call("POST", "/", **signed(b"[]" + b" " * (8 * MIB - 2))).status == 204


def test_an_unsigned_body_is_not_even_read(hook: Hook) -> None:
    body = Stream(b"x" * MIB)
    assert hook.call("POST", "/", data=body).status == 401
    assert body.taken == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_another_method_is_405(hook: Hook, method: str) -> None:
    reply = hook.call(method, "/", **signed([event(101)]))
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert hook.marks() == {}


@pytest.mark.parametrize("path", ["/x", "/healthz/x", "//", "/hubspot", "/%ff", "/%00"])
def test_another_path_is_404(hook: Hook, path: str) -> None:
    assert hook.call("POST", path, **signed([event(101)])).status == 404
    assert hook.marks() == {}


@pytest.mark.parametrize("body", [[event(101)], {}], ids=["events", "quarantine"])
def test_without_a_database_hubspot_is_told_to_come_again(make_hook: Callable[..., Hook], body: Any) -> None:
    nowhere = "host=127.0.0.1 port=1 dbname=x password=canary connect_timeout=1"
    with ConnectionPool(nowhere, min_size=1, timeout=0.05, open=True) as pool:
        hook = make_hook(inbox=PostgresInbox(Database(pool)))
        reply = hook.call("POST", "/", **signed(body))
    assert (reply.status, reply.headers["retry-after"]) == (503, "60")
    assert "canary" not in reply.text
    assert hook.woken == 0


def test_a_refusal_does_not_say_why_a_time_is_wrong_but_the_log_does(still: Hook, logged: Any) -> None:
    refused(still, "timestamp_stale", **signed([event(101)], timestamp=now_ms() + 10 * WINDOW))
    texts = [repr(each) for each in logged]
    assert any("timestamp_stale" in text for text in texts)
    assert v3(b"", 0) not in "".join(texts)
