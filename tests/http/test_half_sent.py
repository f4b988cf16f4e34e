"""Clients that send half a request and stop: they are hung up on, and keep nobody waiting meanwhile."""

import os
import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import orjson
import pytest
import running_servers
from deliveries import event, signed
from raw_http import ask
from systems import ServedApi, as_admin
from test_http_framing import authorized
from test_http_servers import headers_of

from reconciler.process.bodies import DEADLINE
from reconciler.process.hanging import hang_up

pytestmark = pytest.mark.trial

MANY = 24
"""More than the threads that work."""

GIVEN_UP = DEADLINE + 20.0
"""Seconds after which a client of this test believes that nobody will hang up; the machine of a test may be slow."""

LENGTH = b"Content-Length: 1000\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HALVES = [(LENGTH, b"{"), (CHUNKED, b"3e8\r\n{"), (LENGTH, b"")] * (MANY // 3)


def put(served_api: ServedApi, framing: bytes) -> bytes:
    start = b"PUT /kai@hubspot.com HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    return start + authorized(served_api) + framing + b"\r\n"


@contextmanager
def half_sent(port: int, *requests: bytes) -> Iterator[list[socket.socket]]:
    """Clients that have sent this much each, and wait."""
    with ExitStack() as stack:
        clients = []
        for request in requests:
            clients.append(stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=GIVEN_UP)))
            clients[-1].sendall(request)
        yield clients


def heard(client: socket.socket, *, drip: bytes = b"") -> bytes:
    """Return all that a client is told until he is hung up on; he may send a byte now and then."""
    data = b""
    with suppress(ConnectionError):
        if drip:
            client.settimeout(0.5)
        for _ in range(int(GIVEN_UP / 0.5)):
            try:
                part = client.recv(65_536)
            except TimeoutError:
                assert drip, "nobody hung up"
                client.sendall(drip)
                continue
            if not part:
                return data
            data += part
        raise AssertionError("nobody hung up")
    return data


def refused(clients: list[socket.socket], drip: bytes = b"") -> list[bytes]:
    with ThreadPoolExecutor(len(clients)) as threads:
        return [said.split(b"\r\n")[0] for said in threads.map(lambda client: heard(client, drip=drip), clients)]


def test_half_sent_writes_keep_no_caller_of_the_api_waiting_and_are_hung_up_on(served_api: ServedApi) -> None:
    port = served_api.server.port
    admin = as_admin()
    with half_sent(port, *(put(served_api, framing) + body for framing, body in HALVES)) as slow:
        for n in range(3):
            assert ask(port, "GET", "/livez")[0] == 200
            assert ask(port, "GET", "/readyz")[0] == 200
            assert ask(port, "GET", "/kai@hubspot.com", **admin)[0] == 200
            assert ask(port, "PUT", "/kai@hubspot.com", b'{"phone": "%d"}' % n, **admin)[0] == 200
        assert set(refused(slow)) == {b"HTTP/1.1 408 Request Timeout"}
    assert ask(port, "GET", "/kai@hubspot.com", **admin)[0] == 200


def test_half_sent_deliveries_keep_no_other_waiting_and_are_hung_up_on(
    served_webhook: running_servers.Server,
) -> None:
    port, delivery = served_webhook.port, signed([event(101)])
    named = {name: str(value) for name, value in delivery.items() if name != "data"}
    with half_sent(port, *(headers_of(delivery, framing) + body for framing, body in HALVES)) as slow:
        for _ in range(3):
            assert ask(port, "GET", "/livez")[0] == 200
            assert ask(port, "GET", "/healthz")[0] == 200
            assert ask(port, "POST", "/", delivery["data"], **named)[0] == 204
        assert set(refused(slow)) == {b"HTTP/1.1 408 Request Timeout"}
    assert ask(port, "POST", "/", delivery["data"], **named)[0] == 204


@pytest.mark.parametrize("named", ["", "X-Forwarded-For: 203.0.113.7\r\n"], ids=["bare", "as a proxy"])
def test_a_client_who_drips_is_hung_up_on_too(served_webhook: running_servers.Server, named: str) -> None:
    request = headers_of(signed([event(101)]), LENGTH + named.encode())
    with half_sent(served_webhook.port, request) as slow:
        assert refused(slow, drip=b" ") == [b"HTTP/1.1 408 Request Timeout"]


def test_a_refusal_does_not_wait_for_a_body_that_does_not_come(served_webhook: running_servers.Server) -> None:
    """A proxy's request is read to its end, so that its client hears the refusal; whoever claims to be one is not."""
    request = b"POST / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.7\r\n" + LENGTH + b"\r\n{"
    with half_sent(served_webhook.port, *[request] * MANY) as slow:
        assert ask(served_webhook.port, "GET", "/healthz")[0] == 200
        assert set(refused(slow)) == {b"HTTP/1.1 401 Unauthorized"}


def test_whoever_waits_long_for_an_answer_is_not_hung_up_on_beside_them(served_api: ServedApi) -> None:
    port = served_api.server.port
    admin = as_admin()
    faults = served_api.world.portal.faults
    faults.add(action="delay", ms=int(DEADLINE * 700), path_contains="/batch/update", times=2)
    changes = orjson.dumps([{"op": "update", "email": "kai@hubspot.com", "phone": phone} for phone in ("1", "2")])
    with half_sent(port, *[put(served_api, LENGTH) + b"{"] * 4) as slow, ThreadPoolExecutor(1) as threads:
        patient = threads.submit(ask, port, "POST", "/batch", changes, **admin)
        assert set(refused(slow)) == {b"HTTP/1.1 408 Request Timeout"}
        status, _, outcomes = patient.result(60)
    assert (status, [each["status"] for each in orjson.loads(outcomes)]) == (207, [200, 200])


def test_nobody_is_hung_up_on_while_there_are_no_descriptors_and_nothing_breaks() -> None:
    used = len(os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used, hard))
        while True:
            try:
                stack.enter_context(open(os.devnull))
            except OSError:
                break
        hang_up(1, "127.0.0.1", count=1, waited=0.0)
