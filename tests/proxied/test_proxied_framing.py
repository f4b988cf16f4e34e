"""Behind the shipped proxy: requests that two readers would see differently are refused, the connection is closed,
and what follows on it is never taken for a request."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from deployed import Behind
from raw_http import talk
from systems import ServedApi
from test_http_framing import (
    BODY,
    CASES,
    CHUNKED,
    CHUNKS,
    REFUSALS,
    ZEROS,
    N,
    Outcome,
    authorized,
    canary,
    exists,
    framed,
    length,
)

LINGERING = 12.0
"""Seconds the proxy may go on dropping bytes after it has refused a request."""

NORMALISED = {
    "no colon": "taken for a header without a value",
    "no ASCII in a name": "passed on as the same bytes, and refused behind it",
    "HTTP/1.2": "HTTP/1 of any minor version is answered as HTTP/1.1, as its specification asks",
    "two spaces": "passed on with one space",
    "bare LF everywhere": "a line ends at LF as well, as its specification allows; passed on with CRLF",
    "bare LF in a header": "the same",
    "chunk lines with bare LF": "read as chunks, passed on with a length",
}
"""What the proxy takes, reads in one way, and passes on in good form: nothing is left for a second reader to doubt."""


@pytest.fixture(scope="module")
def served(behind: Behind) -> ServedApi:
    return ServedApi(behind.world, behind.api, behind.authorization)


@pytest.fixture(scope="module")
def outcome(behind: Behind, served: ServedApi) -> Callable[[str], Outcome]:
    """Send a case, once for all tests, with a canary behind it."""
    known: dict[str, Outcome] = {}

    def send(case: str) -> Outcome:
        if case not in known:
            known[case] = said_with_a_canary_behind(behind, served, CASES[case])
        return known[case]

    return send


def said_with_a_canary_behind(behind: Behind, served: ServedApi, request: bytes) -> Outcome:
    unique = uuid4().hex
    first = request.replace(ZEROS, unique.encode()).replace(b"AUTHORIZED", authorized(served))
    said = talk(behind.proxy.api, first + canary(unique, served), deadline=LINGERING)
    return Outcome(said, *(exists(served, f"{who}-{unique}") for who in ("first", "canary")))


@pytest.mark.parametrize("good", [framed(length(N), BODY), framed(CHUNKED, CHUNKS)], ids=["length", "chunks"])
def test_the_canary_is_run_after_a_request_that_is_in_order(behind: Behind, served: ServedApi, good: bytes) -> None:
    found = said_with_a_canary_behind(behind, served, good)
    assert (found.said.statuses, found.first_ran, found.canary_ran) == ([202, 202], True, True)


@pytest.mark.parametrize("case", [case for case in CASES if case not in NORMALISED])
def test_a_malformed_request_is_refused_and_nothing_after_it_is_run(
    outcome: Callable[[str], Outcome], case: str
) -> None:
    found = outcome(case)
    assert not found.first_ran
    assert not found.canary_ran
    assert found.said.closed
    assert set(found.said.statuses) <= REFUSALS
    assert len(found.said.statuses) == 1 or is_without_a_status_line(case)


def is_without_a_status_line(case: str) -> bool:
    """A request without a version is one of HTTP/0.9, whose answers have no head."""
    return case == "no version"


@pytest.mark.parametrize("case", NORMALISED)
def test_what_the_proxy_brings_into_form_is_one_request_for_everybody(
    outcome: Callable[[str], Outcome], case: str
) -> None:
    found = outcome(case)
    first, behind_it = found.said.statuses
    assert found.first_ran == (first == 202)
    assert first in {202, *REFUSALS}
    assert (behind_it, found.canary_ran) == (202, True)


@pytest.mark.parametrize("at", [1, len(CHUNKS) // 2, len(CHUNKS) - 1], ids=["head", "middle", "last byte"])
@pytest.mark.parametrize("kind", ["chunks", "length"])
def test_a_body_that_is_broken_off_is_never_run(behind: Behind, served: ServedApi, kind: str, at: int) -> None:
    unique = uuid4().hex
    whole = framed(CHUNKED, CHUNKS) if kind == "chunks" else framed(length(b"4000"), CHUNKS)
    end = len(whole) - len(CHUNKS) + at
    first = whole[:end].replace(ZEROS, unique.encode()).replace(b"AUTHORIZED", authorized(served))
    said = talk(behind.proxy.api, first, half_close=True, deadline=LINGERING)
    assert said.closed
    assert set(said.statuses) <= REFUSALS
    assert not exists(served, f"first-{unique}")


@pytest.mark.parametrize("case", ["length and chunks", "two lengths", "chunk longer than told", "NUL in a value"])
def test_the_receiver_s_port_refuses_the_same(behind: Behind, case: str) -> None:
    before = behind.state()
    smuggled: Any = CASES[case].replace(b"AUTHORIZED", b"") + CASES["two lengths"].replace(b"AUTHORIZED", b"")
    said = talk(behind.proxy.webhook, smuggled, deadline=LINGERING)
    assert said.closed
    assert set(said.statuses) <= REFUSALS
    assert len(said.statuses) == 1
    assert behind.state() == before
