"""Faults: which calls are struck, whether the effect happens, what the caller sees on the wire."""

import http.client
import socket
import time

import pytest

from sandbox import Fault, Sandbox, start
from sandbox.routes import OBJECTS

CUT = (http.client.RemoteDisconnected, ConnectionResetError)


def strike(sandbox: Sandbox, action: str, **fields: object) -> int:
    return sandbox.portal.faults.add(action=action, **fields)


def test_a_rule_spares_some_calls_strikes_some_and_is_over(call, sandbox: Sandbox) -> None:
    strike(sandbox, "status", status=503, skip=1, times=2)
    assert [call("GET", OBJECTS).status for _ in range(5)] == [200, 503, 503, 200, 200]
    (rule,) = sandbox.portal.faults.listed()
    assert (rule["seen"], rule["struck"]) == (5, 2)


def test_a_rule_strikes_only_what_it_names(call, sandbox: Sandbox) -> None:
    strike(sandbox, "status", method="post", path_contains="/search", body_contains="needle", times=None)
    assert call("GET", OBJECTS).status == 200
    assert call.search().status == 200
    assert call("POST", f"{OBJECTS}/search", {"query": "needle"}).status == 500
    sandbox.portal.faults.clear()
    assert call("POST", f"{OBJECTS}/search", {"query": "needle"}).status == 200


def test_before_the_effect_nothing_happens(call, sandbox: Sandbox) -> None:
    strike(sandbox, "status", status=502)
    assert call("POST", OBJECTS, {"properties": {"firstname": "Maria"}}).status == 502
    assert sandbox.portal.contacts == []


def test_after_the_effect_only_the_answer_is_lost(call, sandbox: Sandbox) -> None:
    strike(sandbox, "cut", when="after")
    with pytest.raises(CUT):
        call("POST", OBJECTS, {"properties": {"firstname": "Maria"}})
    assert len(sandbox.portal.contacts) == 1
    assert sandbox.portal.calls.recent[-1].status == 0


def test_a_cut_before_the_effect(call, sandbox: Sandbox) -> None:
    strike(sandbox, "cut")
    with pytest.raises(CUT):
        call("POST", OBJECTS, {"properties": {"firstname": "Maria"}})
    assert sandbox.portal.contacts == []


def test_a_status_with_a_body_and_headers_of_ones_own(call, sandbox: Sandbox) -> None:
    strike(sandbox, "status", status=477, body={"message": "migrating"}, headers={"Retry-After": "86400"})
    reply = call("GET", OBJECTS)
    assert (reply.status, reply.message, reply.headers["Retry-After"]) == (477, "migrating", "86400")
    strike(sandbox, "status", status=521, body="down")
    assert call("GET", OBJECTS).body == b"down"


def test_a_page_instead_of_json(call, sandbox: Sandbox) -> None:
    strike(sandbox, "html200")
    reply = call("GET", OBJECTS)
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/html")


def test_an_empty_answer(call, sandbox: Sandbox) -> None:
    strike(sandbox, "empty")
    reply = call("GET", OBJECTS)
    assert (reply.status, reply.body) == (200, b"")


def test_half_an_answer(call, sandbox: Sandbox) -> None:
    strike(sandbox, "truncate")
    with pytest.raises(http.client.IncompleteRead):
        call("GET", OBJECTS)


def test_a_redirect(call, sandbox: Sandbox) -> None:
    strike(sandbox, "redirect", status=308, location="http://127.0.0.1:9/evil")
    reply = call("GET", OBJECTS)
    assert (reply.status, reply.headers["Location"]) == (308, "http://127.0.0.1:9/evil")


def test_a_drip_comes_byte_by_byte(call, sandbox: Sandbox) -> None:
    strike(sandbox, "drip", ms=1)
    assert call("GET", OBJECTS).json == {"results": []}


def test_a_stop_ends_a_drip() -> None:
    with start() as sandbox:
        strike(sandbox, "drip", ms=600_000)
        connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=10)
        connection.request("GET", OBJECTS, headers={"Authorization": f"Bearer {sandbox.token}"})
        answer = connection.getresponse()
    with pytest.raises((http.client.HTTPException, OSError)):
        answer.read()
    connection.close()


def test_a_delay_before_or_after_the_effect(call, sandbox: Sandbox) -> None:
    strike(sandbox, "delay", ms=40)
    strike(sandbox, "delay", ms=40, when="after", skip=1)
    for _ in range(2):
        started = time.monotonic()
        assert call("GET", OBJECTS).status == 200
        assert time.monotonic() - started >= 0.04


@pytest.mark.parametrize("retry_after", [None, "0", "-1", "soon", "1000000000"])
def test_a_429_with_and_without_retry_after(call, sandbox: Sandbox, retry_after: str | None) -> None:
    strike(sandbox, "429", policy="DAILY", retry_after=retry_after)
    reply = call("GET", OBJECTS)
    assert (reply.status, reply.json["policyName"], reply.headers["Retry-After"]) == (
        429,
        "DAILY",
        retry_after,
    )
    assert reply.message == "You have reached your daily limit."


def test_a_huge_answer_can_be_left_unread(sandbox: Sandbox, call) -> None:
    strike(sandbox, "huge", megabytes=500)
    connection = http.client.HTTPConnection(sandbox.url.removeprefix("http://"), timeout=10)
    connection.request("GET", OBJECTS, headers={"Authorization": f"Bearer {sandbox.token}"})
    answer = connection.getresponse()
    assert answer.headers["Content-Length"] == str(500 << 20)
    assert len(answer.read(1000)) == 1000
    connection.close()
    assert call("GET", OBJECTS).status == 200


@pytest.mark.parametrize(("when", "seen"), [("before", "Zoë"), ("after", "Maria")])
def test_something_happens_just_before_or_after_a_call(call, sandbox: Sandbox, when: str, seen: str) -> None:
    contact = call.create(firstname="Maria")
    strike(sandbox, "run", when=when, run=lambda: sandbox.portal.edit(contact, {"firstname": "Zoë"}))
    assert call.read(contact, "firstname")["firstname"] == seen
    assert sandbox.portal.contact(contact).get("firstname") == "Zoë"


def test_bad_weather_strikes_any_call(call, sandbox: Sandbox) -> None:
    sandbox.portal.set(fail_429=1)
    assert call("GET", OBJECTS).status == 429
    sandbox.portal.set(fail_429=0, fail_5xx=1)
    assert call("GET", OBJECTS).status in (500, 502, 503)
    sandbox.portal.set(fail_5xx=0, fail_lost=1)
    with pytest.raises(CUT):
        call("POST", OBJECTS, {"properties": {"firstname": "Maria"}})
    assert len(sandbox.portal.contacts) == 1
    sandbox.portal.set(fail_lost=0, fail_cut=1)
    with pytest.raises(CUT):
        call("POST", OBJECTS, {"properties": {"firstname": "Maria"}})
    assert len(sandbox.portal.contacts) == 1


def test_weather_is_the_same_for_the_same_seed(caller) -> None:
    def statuses() -> list[int]:
        with start(fail_5xx=0.5, seed=7) as sandbox:
            return [caller(sandbox)("GET", OBJECTS).status for _ in range(20)]

    assert statuses() == statuses()


def test_latency_delays_every_answer(call, sandbox: Sandbox) -> None:
    sandbox.portal.set(latency_ms=30, latency_jitter_ms=5)
    call("GET", OBJECTS)
    assert sandbox.portal.calls.recent[-1].ms >= 30


def test_a_rule_must_make_sense() -> None:
    with pytest.raises(ValueError, match="action"):
        Fault(action="explode")
    with pytest.raises(ValueError, match="unknown"):
        Fault(action="cut", unknown=1)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Transfer-Encoding: chunked", b"411"),
        (b"Content-Length: -1", b"400"),
        (b"Content-Length: x", b"400"),
    ],
)
def test_a_body_of_unknown_length_is_refused(sandbox: Sandbox, head: bytes, status: bytes) -> None:
    host, port = sandbox.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 " + status)
