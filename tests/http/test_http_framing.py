"""Requests whose length two readers would see differently, and requests that are no HTTP: refused, the connection
closed, and what follows on it never taken for a request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from raw_http import Conversation, talk
from systems import ServedApi

REFUSALS = {400, 413, 414, 431, 501, 505}
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ZEROS = b"0" * 32
BODY = b'{"email": "first-%s@hubspot.com", "firstname": "F", "lastname": "L"}' % ZEROS
N, X = b"%d" % len(BODY), b"%x" % len(BODY)
CHUNKS = X + b"\r\n" + BODY + b"\r\n0\r\n\r\n"


def framed(
    headers: bytes, body: bytes = b"", *, line: bytes = b"POST / HTTP/1.1", host: bytes = b"Host: x\r\n"
) -> bytes:
    kind = b"Prefer: respond-async\r\nContent-Type: application/json\r\n"
    return line + b"\r\n" + host + b"AUTHORIZED" + kind + headers + b"\r\n" + body


def length(value: bytes) -> bytes:
    return b"Content-Length: " + value + b"\r\n"


LENGTHS = {
    "length and chunks": framed(length(b"6") + CHUNKED, CHUNKS),
    "chunks and length": framed(CHUNKED + length(b"6"), CHUNKS),
    "length over the next request, and chunks": framed(length(b"4000") + CHUNKED, CHUNKS),
    "chunked twice": framed(CHUNKED * 2, CHUNKS),
    "chunked, chunked": framed(b"Transfer-Encoding: chunked, chunked\r\n", CHUNKS),
    "xchunked": framed(b"Transfer-Encoding: xchunked\r\n", CHUNKS),
    "xchunked and length": framed(b"Transfer-Encoding: xchunked\r\n" + length(N), BODY),
    "chunked, identity": framed(b"Transfer-Encoding: chunked, identity\r\n", CHUNKS),
    "identity and length": framed(b"Transfer-Encoding: identity\r\n" + length(N), BODY),
    "gzip": framed(b"Transfer-Encoding: gzip\r\n", CHUNKS),
    "vertical tab before chunked": framed(b"Transfer-Encoding: \x0bchunked\r\n", CHUNKS),
    "empty encoding and length": framed(b"Transfer-Encoding:\r\n" + length(N), BODY),
    "two lengths": framed(length(N) + length(b"0"), BODY),
    "two lengths, the longer last": framed(length(b"0") + length(b"400"), b""),
    "two equal lengths": framed(length(N) * 2, BODY),
    "a list of lengths": framed(length(N + b", " + N), BODY),
    "length with plus": framed(length(b"+" + N), BODY),
    "negative length": framed(length(b"-1"), BODY),
    "hexadecimal length": framed(length(b"0x" + X), BODY),
    "length with underscore": framed(length(N[:1] + b"_" + N[1:]), BODY),
    "two words of length": framed(length(N[:1] + b" " + N[1:]), BODY),
    "no length": framed(length(b""), BODY),
    "length beyond every number": framed(length(b"9" * 40), BODY),
    "length of full-width digits": framed(length("９９".encode()), BODY),
    "chunk size of no digits": framed(CHUNKED, b"xyz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "empty chunk size": framed(CHUNKED, b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "negative chunk size": framed(CHUNKED, b"-1\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk size with plus": framed(CHUNKED, b"+" + X + b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk size with 0x": framed(CHUNKED, b"0x" + X + b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk size beyond every number": framed(CHUNKED, b"100000000000000" + X + b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk longer than told": framed(CHUNKED, b"4\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk lines with bare LF": framed(CHUNKED, X + b"\n" + BODY + b"\n0\n\n"),
    "chunk ended by anything": framed(CHUNKED, X + b"\r\n" + BODY + b"XX0\r\n\r\n"),
    "chunk extension with bare LF": framed(CHUNKED, X + b";a\nb\r\n" + BODY + b"\r\n0\r\n\r\n"),
}

SYNTAX = {
    "folded header": framed(b"X-Folded: a\r\n b\r\n" + length(N), BODY),
    "folded length": framed(b"Content-Length:\r\n " + N + b"\r\n", BODY),
    "folded first header": framed(length(N), BODY, host=b" folded: x\r\nHost: x\r\n"),
    "bare LF everywhere": framed(length(N)).replace(b"\r\n", b"\n") + BODY,
    "bare LF in a header": framed(b"X-A: a\nX-B: b\r\n" + length(N), BODY),
    "bare CR in a header": framed(b"X-A: a\rX-B: b\r\n" + length(N), BODY),
    "NUL in a value": framed(b"X-A: a\x00b\r\n" + length(N), BODY),
    "NUL in a name": framed(b"X-\x00A: a\r\n" + length(N), BODY),
    "space before the colon": framed(b"Content-Length : " + N + b"\r\n", BODY),
    "tab before the colon": framed(b"Transfer-Encoding\t: chunked\r\n" + length(N), BODY),
    "space in a name": framed(b"X A: a\r\n" + length(N), BODY),
    "no colon": framed(b"X-A\r\n" + length(N), BODY),
    "empty name": framed(b": a\r\n" + length(N), BODY),
    "no ASCII in a name": framed(b"X-\xc3\xa9: a\r\n" + length(N), BODY),
    "two hosts": framed(length(N), BODY, host=b"Host: x\r\nHost: y\r\n"),
    "no host": framed(length(N), BODY, host=b""),
    "HTTP/9.9": framed(length(N), BODY, line=b"POST / HTTP/9.9"),
    "HTTP/1.2": framed(length(N), BODY, line=b"POST / HTTP/1.2"),
    "http in small letters": framed(length(N), BODY, line=b"POST / http/1.1"),
    "no version": framed(length(N), BODY, line=b"POST /"),
    "two spaces": framed(length(N), BODY, line=b"POST  / HTTP/1.1"),
    "a tab for a space": framed(length(N), BODY, line=b"POST\t/\tHTTP/1.1"),
    "a space in the path": framed(length(N), BODY, line=b"POST / / HTTP/1.1"),
    "a control in the path": framed(length(N), BODY, line=b"POST /\x01 HTTP/1.1"),
    "no method": framed(length(N), BODY, line=b" / HTTP/1.1"),
    "a bracket in the method": framed(length(N), BODY, line=b"PO(ST / HTTP/1.1"),
    "a long header": framed(b"X-A: " + b"a" * 70_000 + b"\r\n" + length(N), BODY),
    "many headers": framed(b"".join(b"X-%d: a\r\n" % n for n in range(5000)) + length(N), BODY),
    "a long path": framed(length(N), BODY, line=b"POST /" + b"a" * 70_000 + b" HTTP/1.1"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32 + b"\r\n\r\n",
    "another protocol": b"set canary 0 0 3\r\nabc\r\n",
    "HTTP/2 without TLS": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
CASES = {**LENGTHS, **SYNTAX}

EFFECT = "hyper, granian's reader of HTTP, follows the chunks and drops what comes after, but runs the request"
EQUAL = "hyper takes lengths that are all equal for one"
BARE = "hyper takes a bare LF for the end of a line"
BROKEN = "granian ends a broken-off chunked body like a whole one"
NOT_REFUSED = {
    "length and chunks": EFFECT,
    "chunks and length": EFFECT,
    "length over the next request, and chunks": EFFECT,
    "chunk ended by anything": BROKEN,
}
NOT_SEEN = {"two equal lengths": EQUAL, "bare LF everywhere": BARE, "bare LF in a header": BARE}


def cases(*unlike: dict[str, str]) -> list[Any]:
    reasons = {case: reason for each in unlike for case, reason in each.items()}
    marks = {case: [pytest.mark.xfail(strict=True, reason=reason)] for case, reason in reasons.items()}
    return [pytest.param(case, marks=marks.get(case, ())) for case in CASES]


@dataclass(frozen=True)
class Outcome:
    """What the server said to a case and a canary after it, and which of the two left a customer behind."""

    said: Conversation
    first_ran: bool
    canary_ran: bool


@pytest.fixture(scope="module")
def outcome(served_api: ServedApi) -> Callable[[str], Outcome]:
    """Send a case, once for all tests, with a canary behind it."""
    known: dict[str, Outcome] = {}

    def send(case: str) -> Outcome:
        if case not in known:
            unique = uuid4().hex
            first = CASES[case].replace(ZEROS, unique.encode()).replace(b"AUTHORIZED", authorized(served_api))
            said = talk(served_api.server.port, first + canary(unique, served_api))
            known[case] = Outcome(said, *(exists(served_api, f"{who}-{unique}") for who in ("first", "canary")))
        return known[case]

    return send


def authorized(api: ServedApi) -> bytes:
    return f"Authorization: {api.authorization}\r\n".encode()


def exists(api: ServedApi, name: str) -> bool:
    return bool(api.world.sql("select 1 as one from customer where email = %s", f"{name}@hubspot.com"))


def canary(unique: str, api: ServedApi) -> bytes:
    """A request in order that leaves a customer behind when it is run."""
    body = BODY.replace(b"first-" + ZEROS, b"canary-" + unique.encode())
    return framed(length(b"%d" % len(body)), body).replace(b"AUTHORIZED", authorized(api))


@pytest.mark.parametrize("good", [framed(length(N), BODY), framed(CHUNKED, CHUNKS)], ids=["length", "chunks"])
def test_the_canary_is_run_after_a_request_that_is_in_order(served_api: ServedApi, good: bytes) -> None:
    unique = uuid4().hex
    first = good.replace(ZEROS, unique.encode()).replace(b"AUTHORIZED", authorized(served_api))
    assert talk(served_api.server.port, first + canary(unique, served_api)).statuses == [202, 202]
    assert exists(served_api, f"first-{unique}")
    assert exists(served_api, f"canary-{unique}")


@pytest.mark.parametrize("case", cases(NOT_SEEN))
def test_the_bytes_after_a_malformed_request_are_never_run(outcome: Callable[[str], Outcome], case: str) -> None:
    found = outcome(case)
    assert not found.canary_ran
    assert found.said.closed
    assert len(found.said.statuses) <= 1


@pytest.mark.parametrize("case", cases(NOT_SEEN, NOT_REFUSED))
def test_a_malformed_request_is_refused(outcome: Callable[[str], Outcome], case: str) -> None:
    found = outcome(case)
    assert not found.first_ran
    assert set(found.said.statuses) <= REFUSALS
    assert len(found.said.statuses) == 1 or found.said.data == b""
