"""Reads the bodies of requests, each with a cap and a deadline; both HTTP servers take theirs from here.

The body is read here and nowhere else: the server has already undone the chunking, a framework that does it again
answers 400 to every valid chunked request.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import BoundedSemaphore, Event, Thread
from time import monotonic
from typing import Any

from reconciler.process.hanging import hang_up

CHUNK = 64 * 1024
LARGEST_DROPPED = 8 * 1024 * 1024
FORWARDED = {"HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA"}
"""What proxies say about the client they speak for."""

MOST = 32
"""Bodies that a process reads at a time: each may be as large as the largest."""

DEADLINE = 10.0
"""Seconds in which a body must have come, as a head must."""

LOOK = 0.5
"""Seconds between looks whether one has not, and longer than a request's head is on its way before it."""


class TooLarge(Exception):
    """The body is larger than the route takes."""


class CutOff(Exception):
    """The body ended before its announced length."""


class TooSlow(Exception):
    """The body did not come in time."""


class TooMany(Exception):
    """There are as many requests of this kind under way as can be."""


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """A body that is being read, of a request to a port from an address."""

    port: int
    address: str
    began: float

    def is_late(self, deadline: float) -> bool:
        return monotonic() - self.began > deadline


class Bodies:
    """Knows what is being read: so many at a time, and none for longer than the deadline once `watch` is called."""

    def __init__(self, *, most: int = MOST, deadline: float = DEADLINE) -> None:
        self._places, self._deadline = BoundedSemaphore(most), deadline
        self._under_way: dict[int, _Reading] = {}

    def read(self, environ: dict[str, Any], cap: int) -> bytes:
        """Return the whole body; raise `TooLarge` without reading further than the cap, `CutOff` if it is not whole.

        Raises `TooSlow` when it did not come in time, `TooMany` while as many others are being read as can be.
        """
        length = environ.get("CONTENT_LENGTH") or ""
        if length.isdigit() and int(length) > cap:
            raise TooLarge
        with self._reading(environ):
            body = _whole(environ["wsgi.input"], cap)
        if length.isdigit() and len(body) != int(length):
            raise CutOff
        return body

    def drop(self, environ: dict[str, Any]) -> None:
        """Read what is left of a refused request's body that a proxy has buffered: unread, it would cost the answer."""
        if environ.keys() & FORWARDED:
            with suppress(TooSlow, TooMany), self._reading(environ):
                left = LARGEST_DROPPED
                while left > 0 and (part := environ["wsgi.input"].read(CHUNK)):
                    left -= len(part)

    @contextmanager
    def _reading(self, environ: dict[str, Any]) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise TooMany
        reading = _Reading(int(environ["SERVER_PORT"]), environ.get("REMOTE_ADDR", ""), monotonic())
        self._under_way[id(reading)] = reading
        try:
            yield
        finally:
            del self._under_way[id(reading)]
            self._places.release()
        if reading.is_late(self._deadline):
            raise TooSlow

    def watch(self) -> None:
        """Hang up, from now on, on clients that do not send a body in time."""
        Thread(target=self._watch, daemon=True, name="bodies").start()

    def _watch(self) -> None:
        rest = Event()
        while not rest.wait(LOOK):
            late = [each for each in list(self._under_way.values()) if each.is_late(self._deadline)]
            for (port, address), count in Counter((each.port, each.address) for each in late).items():
                hang_up(port, address, count=count, waited=self._deadline + LOOK)


def _whole(stream: Any, cap: int) -> bytes:
    parts, size = [], 0
    while part := stream.read(min(CHUNK, cap + 1 - size)):
        parts.append(part)
        size += len(part)
        if size > cap:
            raise TooLarge
    return b"".join(parts)
