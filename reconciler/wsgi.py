"""What both HTTP servers share under their frameworks: reading a body with a cap, answering, serving a WSGI app.

The body is read here and nowhere else: the server has already undone the chunking, a framework that does it again
answers 400 to every valid chunked request.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Mapping
from http.client import responses
from typing import Any, NamedTuple

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

CHUNK = 64 * 1024
LARGEST_DROPPED = 8 * 1024 * 1024
FORWARDED = {"HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA"}
"""What proxies say about whom they speak for."""

HOSTLESS = {"HTTP/1.0", "HTTP/1"}
"""Versions of HTTP that need no Host header, as servers write them: some load balancers still probe by them."""

BACKLOG = 1024
LARGEST_HEAD = 32 * 1024
"""Bytes the server buffers; a request's head may reach twice that."""


class TooLarge(Exception):
    """The body is larger than the route takes."""


class CutOff(Exception):
    """The body ended before its announced length."""


class Ambiguous(Exception):
    """The request's framing can be read in two ways."""


class Response(NamedTuple):
    """An answer; `headers` are our own words in ASCII."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    def send(
        self, environ: dict[str, Any], start_response: Callable[..., object], *more: tuple[str, str]
    ) -> list[bytes]:
        """Answer a WSGI request, with more headers."""
        start_response(f"{self.status} {responses[self.status]}", [*self.headers.items(), *more, *_ALWAYS])
        if self.status >= 400:
            _drop_body(environ)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [self.body]


_ALWAYS = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))


def refuse_ambiguous(environ: dict[str, Any]) -> None:
    """Raise `Ambiguous` for what the server lets through although proxies refuse it, or disagree on it."""
    host = environ.get("HTTP_HOST", "")
    is_lost = not host and environ["SERVER_PROTOCOL"] not in HOSTLESS
    encoding = environ.get("HTTP_TRANSFER_ENCODING", "chunked").strip().lower()
    # A target without a path (`x:80`) would be read as the root.
    if is_lost or "," in host or encoding != "chunked" or not environ["PATH_INFO"]:
        raise Ambiguous


def read_body(environ: dict[str, Any], cap: int) -> bytes:
    """Return the whole body; raise `TooLarge` without reading further than the cap, `CutOff` if it is not whole."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdigit() and int(length) > cap:
        raise TooLarge
    stream, parts, size = environ["wsgi.input"], [], 0
    while part := stream.read(min(CHUNK, cap + 1 - size)):
        parts.append(part)
        size += len(part)
        if size > cap:
            raise TooLarge
    if length.isdigit() and size != int(length):
        raise CutOff
    return b"".join(parts)


def _drop_body(environ: dict[str, Any]) -> None:
    """Read what is left of a refused request's body that a proxy has buffered: unread, it would cost the answer."""
    if environ.keys() & FORWARDED:
        left = LARGEST_DROPPED
        while left > 0 and (part := environ["wsgi.input"].read(CHUNK)):
            left -= len(part)


def serve(target: str, *, host: str, port: int, processes: int, threads: int) -> None:
    """Serve the app that the factory `target` (module:function) returns, until a signal ends it."""
    Granian(
        target,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=processes,
        blocking_threads=threads,
        backlog=BACKLOG,
        factory=True,
        log_level=LogLevels.warning,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
        http1_settings=HTTP1Settings(header_read_timeout=10_000, keep_alive=True, max_buffer_size=LARGEST_HEAD),
    ).serve()


def end_with_parent() -> None:
    """End this process when its parent ends, however that ends (Linux)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(1, signal.SIGTERM)
        if os.getppid() == 1:
            os.kill(os.getpid(), signal.SIGTERM)
