"""Behind the shipped proxy: connections that send a byte now and then hold nobody up."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from deliveries import event, signed
from deployed import Behind
from wire import ask

EACH = 100
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Slow: "
BODY = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
PAUSE = 0.5
HONEST = 100
ELSEWHERE = "127.0.0.2"
"""The address of who is honest: one sender has twenty places at the webhook's door, and the crowd fills its own."""


@dataclass
class Crowd:
    """Connections that each send one more byte at every round."""

    connections: list[socket.socket] = field(default_factory=list)
    rounds: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    def join(self, port: int, start: bytes) -> None:
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connection.sendall(start)
        self.connections.append(connection)

    def drip(self) -> None:
        while not self.is_over.wait(PAUSE):
            for connection in self.connections:
                with suppress(OSError):
                    connection.sendall(b"a")
            self.rounds += 1

    def leave(self) -> None:
        self.is_over.set()
        for connection in self.connections:
            connection.close()


@pytest.fixture
def crowd(behind: Behind) -> Iterator[Crowd]:
    """A hundred connections that are slow with their head and a hundred that are slow with their body, at each port."""
    crowd = Crowd()
    for port in (behind.proxy.api, behind.proxy.webhook):
        for start in (HEAD, BODY):
            for _ in range(EACH):
                crowd.join(port, start)
    thread = threading.Thread(target=crowd.drip)
    thread.start()
    yield crowd
    crowd.leave()
    thread.join(10)


def test_an_honest_client_is_served_at_once_among_slow_ones(behind: Behind, crowd: Crowd) -> None:
    took = []
    while crowd.rounds < 2 or len(took) < HONEST:
        started = time.monotonic()
        reply = ask(behind.proxy.api, "GET", "/kai@hubspot.com", sender=ELSEWHERE, Authorization=behind.authorization)
        delivery = signed([event(101)])
        data = delivery.pop("data")
        taken = ask(behind.proxy.webhook, "POST", "/", data, sender=ELSEWHERE, **delivery)
        took.append(time.monotonic() - started)
        assert (reply.status, taken.status) == (200, 204)
    assert sorted(took)[len(took) * 99 // 100] < 1.0


def test_who_never_ends_a_head_is_hung_up_on(behind: Behind, crowd: Crowd) -> None:
    connection = crowd.connections[0]
    connection.settimeout(30)
    answer = b""
    with suppress(ConnectionError):
        while part := connection.recv(65_536):
            answer += part
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408")
