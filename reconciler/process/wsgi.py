"""What both HTTP servers share under their frameworks: answering, and serving a WSGI app."""

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

from reconciler.process.bodies import MOST

ASIDE = 24
"""Threads beside those that work, wait for their turn or read a body: for what is answered at once."""

HOSTLESS = {"HTTP/1.0", "HTTP/1"}
"""Versions of HTTP that need no Host header, as servers write them: some load balancers still probe by them."""

BACKLOG = 1024
LARGEST_HEAD = 32 * 1024
"""Bytes the server buffers; a request's head may reach twice that."""


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


def serve(target: str, *, host: str, port: int, processes: int, threads: int) -> None:
    """Serve the app that the factory `target` (module:function) returns, until a signal ends it.

    `threads` is how many requests may be at work or wait for that; bodies and what is answered at once have others.
    """
    Granian(
        target,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=processes,
        blocking_threads=threads + MOST + ASIDE,
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
