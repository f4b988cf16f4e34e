"""Tokens as an attacker or a careless client would make them."""

import hmac
import time
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

import orjson

from api.auth import AUDIENCE, ISSUER


def segment(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good admin token, changed; ... leaves one out."""
    now = int(time.time())
    good = {"sub": "somebody", "role": "admin", "iat": now, "exp": now + 3600, "iss": ISSUER, "aud": AUDIENCE}
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def token(key: str, head: Any, payload: Any, *, digest: Any = sha256) -> str:
    """A token with this head and payload (as they are when bytes), signed with the key."""
    parts = [part if isinstance(part, bytes) else orjson.dumps(part) for part in (head, payload)]
    signed = ".".join(segment(part) for part in parts)
    return f"{signed}.{segment(hmac.new(key.encode(), signed.encode(), digest).digest())}"
