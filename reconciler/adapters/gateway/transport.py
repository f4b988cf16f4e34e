"""The wire under the official client: bounded answers, a total deadline, no redirects, bytes parsed once.

The client's own REST layer reads answers without a bound and turns them into models; it is handed a connection
pool that has read the body already.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from urllib3 import PoolManager, ProxyManager, make_headers
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError, ProxyError, SSLError
from urllib3.response import BaseHTTPResponse

from reconciler.adapters.gateway.way import Way, trust
from reconciler.core.errors import Unavailable, Untrusted
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


HANDSHAKE = {
    *("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"),
    *("SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_UNRECOGNIZED_NAME"),
}
"""OpenSSL's words for a connection that did not come about: nothing was sent over it."""

HANDSHAKE_DELAY = 30.0
"""Seconds until a look whether it comes about by now."""


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


def open_connections(way: Way, size: int) -> PoolManager:
    """Return the connections to HubSpot, `size` at once: no call is repeated or redirected in here."""
    tls = trust(way.bundle)
    options: dict[str, Any] = {"maxsize": size, "retries": False, "ssl_context": tls}
    if way.proxy is None:
        return PoolManager(**options)
    parts = urlsplit(way.proxy)
    password = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    credentials = make_headers(proxy_basic_auth=password) if parts.username else None
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return ProxyManager(url, proxy_headers=credentials, proxy_ssl_context=tls, **options)


class BoundedPool:
    """Stands in for the pool manager inside the client."""

    def __init__(self, pool: Pool, clock: Callable[[], float]) -> None:
        self._pool, self._clock = pool, clock

    def request(self, method: str, url: str, **options: Any) -> Reply:
        """Send a request; raise `Rejected` for anything but 2xx, `Unavailable` when there was no way to send it.

        urllib3's errors mean that there is no answer.
        """
        with _in_words():
            reply = self._request(method, url, options)
        if not 200 <= reply.status <= 299:
            raise Rejected(reply)
        return reply

    def _request(self, method: str, url: str, options: dict[str, Any]) -> Reply:
        deadline = self._clock() + CALL_DEADLINE
        response = self._pool.request(method, url, **{**options, "preload_content": False})
        try:
            body = self._read(response, deadline)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return Reply(status=response.status, headers=response.headers, body=body)

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


@contextmanager
def _in_words() -> Iterator[None]:
    """Say why there was no way to HubSpot. The client itself would stumble over urllib3's errors of TLS."""
    try:
        yield
    except MaxRetryError as error:
        raise _of_tls(error.reason) or error from error
    except SSLError as error:
        raise _of_tls(error) or HTTPError("TLS failed") from error
    except ProxyError as error:
        raise Unavailable("the proxy to HubSpot could not be reached") from error
    except ProtocolError as error:
        if "Tunnel connection failed" not in str(error):
            raise
        raise Unavailable("the proxy refuses to connect to HubSpot") from error


def _of_tls(error: BaseException | None) -> Exception | None:
    """Return what a connection means that did not come about; None for any other failure."""
    causes = [error, getattr(error, "__cause__", None), *getattr(error, "args", ())]
    reasons = {each.reason for each in causes if isinstance(each, ssl.SSLError)}
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in causes):
        return NoTrust("certificate not trusted")
    if reasons & HANDSHAKE:
        return Untrusted("no secure connection with HubSpot comes about", delay=HANDSHAKE_DELAY)
    return None
