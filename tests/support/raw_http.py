"""Bytes over a socket, for what no HTTP client sends; an honest client for the rest."""

import http.client
import re
import socket
from contextlib import suppress
from dataclasses import dataclass

DEADLINE = 3.0
"""Seconds in which a server that refuses a request must have closed its connection."""


@dataclass(frozen=True)
class Conversation:
    """All that a server sent, and whether it closed the connection by itself."""

    data: bytes
    closed: bool

    @property
    def statuses(self) -> list[int]:
        """The status of each answer, in order."""
        return [int(each) for each in re.findall(rb"HTTP/1\.[01] (\d{3}) [A-Z]", self.data)]


def talk(
    port: int, *pieces: bytes, answers: int = 2, half_close: bool = False, deadline: float = DEADLINE
) -> Conversation:
    """Send the pieces and read until the server closes, has sent that many answers, or is silent for the deadline."""
    with socket.create_connection(("127.0.0.1", port), timeout=deadline) as connection:
        with suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        said = Conversation(b"", closed=False)
        try:
            while part := connection.recv(65_536):
                said = Conversation(said.data + part, closed=False)
                if len(said.statuses) >= answers:
                    return said
        except TimeoutError:
            return said
        except ConnectionError:
            pass
        return Conversation(said.data, closed=True)


def ask(
    port: int, method: str, path: str, body: bytes | None = None, *, seconds: float = 30, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Send an honest request; return status, headers by lower-case name, and body.

    No part of the answer may take longer than these seconds.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()
