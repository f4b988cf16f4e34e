"""One webhook request on the wire, and the means to break it off when the sandbox stops."""

import contextlib
import http.client
import socket
import threading
from urllib.parse import urlsplit


class Poster:
    """Sends requests; `close` breaks off those in flight."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[http.client.HTTPConnection] = set()
        self._closed = False

    def post(self, url: str, body: bytes, headers: dict[str, str], timeout: float) -> int:
        """Return the status of the answer; 0 for none in time. Redirects are not followed."""
        try:
            connection = _connection(url, timeout)
        except (ValueError, http.client.HTTPException):
            return 0
        with self._lock:
            if self._closed:
                return 0
            self._open.add(connection)
        try:
            connection.request("POST", _target(url), body, headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def close(self) -> None:
        """Refuse further requests and end the waiting of those in flight."""
        with self._lock:
            self._closed = True
            for connection in self._open:
                if connection.sock is not None:
                    # Closing alone would leave the reader waiting.
                    with contextlib.suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    return make(parts.hostname or "", parts.port, timeout=timeout)


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
