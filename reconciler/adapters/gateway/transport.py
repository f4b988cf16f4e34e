"""The wire under the official client: bounded answers, a total deadline, no redirects, bytes parsed once.

The client's own REST layer reads answers without a bound and turns them into models; it is handed a connection
pool that has read the body already.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ssl import SSLCertVerificationError
from typing import Any, Protocol

from urllib3.exceptions import HTTPError, MaxRetryError, SSLError
from urllib3.response import BaseHTTPResponse

from reconciler.core.ports import CALL_DEADLINE

CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 10.0
LARGEST_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer after decompression."""

CHUNK = 64 * 1024


class TooSlow(HTTPError):
    """The answer took longer than the total deadline."""


class Oversized(HTTPError):
    """The answer is larger than what is taken."""


class NoTrust(HTTPError):
    """The other end could not prove that it is HubSpot; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Rejected(Exception):
    """HubSpot answered something else than 2xx."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"HTTP {reply.status}")
        self.reply = reply


class Pool(Protocol):
    """What is used of urllib3's pool manager."""

    def request(self, method: str, url: str, **options: Any) -> BaseHTTPResponse: ...


class BoundedPool:
    """Stands in for the pool manager inside the client."""

    def __init__(self, pool: Pool, clock: Callable[[], float]) -> None:
        self._pool, self._clock = pool, clock

    def request(self, method: str, url: str, **options: Any) -> Reply:
        """Send a request; raise `Rejected` for anything but 2xx, urllib3's errors when there is no answer."""
        deadline = self._clock() + CALL_DEADLINE
        response = self._send(method, url, options)
        try:
            body = self._read(response, deadline)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        reply = Reply(status=response.status, headers=response.headers, body=body)
        if not 200 <= reply.status <= 299:
            raise Rejected(reply)
        return reply

    def _send(self, method: str, url: str, options: Mapping[str, Any]) -> BaseHTTPResponse:
        try:
            return self._pool.request(method, url, **{**options, "preload_content": False})
        except MaxRetryError as error:
            raise _of_tls(error.reason) or error from error
        except SSLError as error:
            # The client would stumble over urllib3's own.
            raise _of_tls(error) or HTTPError("TLS failed") from error

    def _read(self, response: BaseHTTPResponse, deadline: float) -> bytes:
        parts, size = [], 0
        while part := response.read1(CHUNK):
            parts.append(part)
            size += len(part)
            if size > LARGEST_ANSWER:
                raise Oversized("answer too large")
            if self._clock() > deadline:
                raise TooSlow("answer too slow")
        return b"".join(parts)


def _of_tls(error: BaseException | None) -> HTTPError | None:
    """Return what a certificate that is not trusted means; None for any other failure."""
    causes = [error, getattr(error, "__cause__", None), *getattr(error, "args", ())]
    is_certificate = any(isinstance(each, SSLCertVerificationError) for each in causes)
    return NoTrust("certificate not trusted") if is_certificate else None
