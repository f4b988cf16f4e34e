"""Behind the shipped proxy: bodies that no honest client sends are refused, nothing is changed, nothing echoed."""

from typing import Any

import orjson
import pytest
from callers import Reply
from deployed import Behind
from systems import KAI
from test_api_hostile import ADDRESSES, NOT_JSON, NOT_SAID
from wire import ask, is_the_proxy_s, sent

MIB = 1024 * 1024
CANARY = "canary-7f3a"
NEW = {**KAI, "email": f"{CANARY}@hubspot.com"}


def refused(behind: Behind, method: str, data: bytes, *, path: str = "/", **headers: str | None) -> Reply:
    before = behind.state()
    kind = {"Content_Type": "application/json", "Authorization": behind.authorization}
    reply = ask(behind.proxy.api, method, path, data, **{**kind, **headers})
    assert behind.state() == before
    assert CANARY not in reply.text
    return reply


@pytest.mark.parametrize("data", NOT_JSON, ids=range(len(NOT_JSON)))
def test_what_is_no_strict_json_object_is_refused(behind: Behind, data: bytes) -> None:
    reply = refused(behind, "POST", data)
    assert (reply.status, reply.json["message"], reply.json["code"]) == (400, "Invalid body", "bad_json")


@pytest.mark.parametrize("kind", NOT_SAID)
def test_a_body_that_does_not_say_it_is_json_is_refused(behind: Behind, kind: str | None) -> None:
    reply = refused(behind, "POST", orjson.dumps(NEW), Content_Type=kind)
    assert (reply.status, reply.json["code"]) == (415, "not_json")


@pytest.mark.parametrize("address", ADDRESSES, ids=range(len(ADDRESSES)))
def test_what_is_no_address_is_refused(behind: Behind, address: str) -> None:
    reply = refused(behind, "POST", orjson.dumps({**NEW, "email": address}))
    assert (reply.status, reply.json["code"]) == (400, "invalid_field")


@pytest.mark.parametrize("name", ["uuid", "contactid", "erasedat", "role", "__proto__", f"{CANARY} <script>"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/"), ("PUT", "/kai@hubspot.com")])
def test_a_field_that_is_not_the_caller_s_is_refused(behind: Behind, method: str, path: str, name: str) -> None:
    reply = refused(behind, method, orjson.dumps({**NEW, name: "x"}), path=path)
    assert (reply.status, reply.json["code"]) == (400, "unknown_field")


@pytest.mark.parametrize(("size", "status"), [(MIB, 400), (8 * MIB, 400), (8 * MIB + 1, 413)])
def test_a_body_beyond_the_cap_is_refused_by_the_proxy(behind: Behind, size: int, status: int) -> None:
    reply = refused(behind, "POST", b" " * size)
    assert (reply.status, is_the_proxy_s(reply)) == (status, status == 413)


@pytest.mark.parametrize(
    ("port", "path", "is_known", "status"),
    [
        ("api", "/", True, 400),
        ("api", "/batch", False, 401),
        ("webhook", "/", False, 401),
        ("webhook", "/x", False, 404),
    ],
)
@pytest.mark.parametrize("size", [100_000, 4 * MIB])
def test_a_refusal_arrives_however_long_the_body_is(
    behind: Behind, port: str, path: str, is_known: bool, status: int, size: int
) -> None:
    who = behind.authorization if is_known else None
    found = {
        ask(
            getattr(behind.proxy, port), "POST", path, b" " * size, Content_Type="application/json", Authorization=who
        ).status
        for _ in range(20)
    }
    assert found == {status}


@pytest.mark.parametrize("tag", ['"no-tag-of-ours"', '"\xe9\xff"', ""])
def test_a_garbled_precondition_is_not_none(behind: Behind, tag: str) -> None:
    reply = refused(behind, "PUT", orjson.dumps({"phone": "1"}), path="/kai@hubspot.com", If_Match=tag)
    assert (reply.status, reply.json["code"]) == (412, "precondition_failed")


def test_a_body_in_chunks_is_taken_like_any_other(behind: Behind) -> None:
    data = orjson.dumps({"phone": "1"})
    chunks = b"".join(b"1\r\n" + bytes([each]) + b"\r\n" for each in data) + b"0\r\n\r\n"
    head = (
        f"PUT /nobody@hubspot.com HTTP/1.1\r\nHost: x\r\nAuthorization: {behind.authorization}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    reply = sent(behind.proxy.api, "PUT", head.encode() + chunks)
    assert (reply.status, reply.json["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    [
        *("/x", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%00", "/%ff@x.co", "/" + "9" * 5000),
        *("/a@b.co/../kai@hubspot.com", "//kai@hubspot.com", "/%E2%80%AEkai@hubspot.com", "/kai@hubspot.com%0d%0aX:1"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_path_that_names_nobody_finds_nobody(behind: Behind, method: str, path: str) -> None:
    reply = refused(behind, method, b"", path=path, Content_Type=None)
    assert reply.status in (400, 404, 405)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PATCH", "PROPFIND", "OPTIONS"])
def test_another_method_is_refused(behind: Behind, method: str) -> None:
    reply = refused(behind, method, b"", path="/kai@hubspot.com", X_HTTP_Method_Override="DELETE")
    assert reply.status in (400, 405)
    assert not [name for name in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("name", ["Idempotency_Key", "If_Match", "If_None_Match", "Prefer", "X_Request_Id", "Origin"])
def test_whatever_a_header_says_it_is_never_part_of_an_answer_s_head(behind: Behind, name: str) -> None:
    odd: list[Any] = [CANARY, f"{CANARY}\xe9\xff", f"{CANARY}\t\xa0x", f'W/"{CANARY}"', CANARY + "x" * 5000]
    for value in odd:
        reply = ask(behind.proxy.api, "GET", "/kai@hubspot.com", Authorization=behind.authorization, **{name: value})
        assert reply.status == 200
        assert CANARY not in reply.text
