"""Requests over a socket with whatever bytes a header shall have, and what may come back."""

import http.client
import socket
import time

from callers import Reply, check

PROXY_S_OWN = {400, 413, 414, 431}


def ask(
    port: int, method: str, path: str, data: bytes = b"", *, sender: str = "127.0.0.1", **headers: str | None
) -> Reply:
    """Send a request from an address; names of headers are written with underscores, None leaves one out."""
    named = {"Host": "x", "Connection": "close", "Content_Length": str(len(data)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items() if value is not None]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")
    return sent(port, method, head + data, sender=sender)


def sent(port: int, method: str, request: bytes, *, sender: str = "127.0.0.1") -> Reply:
    """Send the bytes of one request and return the answer; come again when the proxy says that it was too many."""
    while (reply := _once(port, method, request, sender)).status == 429:
        time.sleep(float(reply.headers["retry-after"]))
    if not is_the_proxy_s(reply):
        check(method, reply)
    return reply


def _once(port: int, method: str, request: bytes, sender: str) -> Reply:
    with socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(sender, 0)) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection, method=method)
        answer.begin()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def is_the_proxy_s(reply: Reply) -> bool:
    """Whether the proxy answered by itself."""
    return reply.headers.get("content-type", "").startswith("text/html")


def is_carried(value: str | None) -> bool:
    """Whether HTTP carries a header's value as it is: no controls, nothing trimmed, not too long for one line."""
    return value is None or (value.strip() == value and value.replace("\t", "").isprintable() and len(value) < 15_000)
