"""HubSpot's v3 request signatures: HMAC-SHA-256 over method, configured URL, raw body and timestamp.

Older signature versions carry no timestamp and could be replayed for ever: they are not accepted.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import unquote, unquote_to_bytes, urlsplit

WINDOW = 300_000
"""Milliseconds a timestamp may be away from now, either way."""

_TIMESTAMP = re.compile(r"[0-9]{13}")
_DECODED = re.compile(r"%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)


class Unsigned(Exception):
    """The request is not HubSpot's; `code` says what is wrong with it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Verifier:
    """Verifies requests to one URL with the app's secrets (two while rotating), which are gone through each time."""

    def __init__(self, url: str, secrets: Iterable[bytes]) -> None:
        self.path = unquote_to_bytes(urlsplit(url).path).decode("latin-1") or "/"
        """The path of the URL, as WSGI shows it."""
        self._signed = b"POST" + decoded(url).encode()
        self._secrets = secrets

    def verify(self, *, signature: str | None, timestamp: str | None, body: bytes, now_ms: int) -> None:
        """Raise `Unsigned` unless the body was signed by HubSpot within the window."""
        if signature is None:
            raise Unsigned("signature_missing")
        if timestamp is None or not _TIMESTAMP.fullmatch(timestamp):
            raise Unsigned("timestamp_invalid")
        if abs(now_ms - int(timestamp)) > WINDOW:
            raise Unsigned("timestamp_stale")
        message = self._signed + body + timestamp.encode()
        # Bytes on both sides: compare_digest refuses text that is not ASCII.
        sent = signature.encode("latin-1", "replace")
        matches = [hmac.compare_digest(sent, sign(secret, message)) for secret in self._secrets]
        if not any(matches):
            raise Unsigned("signature_invalid")


def sign(secret: bytes, message: bytes) -> bytes:
    """Return the signature of a message."""
    return b64encode(hmac.new(secret, message, hashlib.sha256).digest())


def decoded(url: str) -> str:
    """Return the URL as HubSpot signs it: only these twelve escapes are decoded."""
    return _DECODED.sub(lambda escape: unquote(escape[0]), url)
