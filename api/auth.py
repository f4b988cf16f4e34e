"""Bearer tokens: JSON Web Tokens of one hour, HS256, two roles. Everything about a token is checked exactly."""

import base64
import hmac
import time
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any
from uuid import uuid4

import jwt

from api.request_headers import hashed
from api.strict_json import BadJson, loads

ALGORITHM = "HS256"
ISSUER = "hubspot-reconciler"
AUDIENCE = "customers"
LIFETIME = 3600
"""Seconds a token lives, and the longest it may claim to."""

LEEWAY = 30
"""Seconds another clock may be ahead of ours."""

REMEMBERED = 1024
"""Verified tokens kept, so that a caller's next request need not be verified again."""

LONGEST = 8 * 1024
"""Bytes of a token; a longer one is not looked at."""


class Role(StrEnum):
    """Who the caller is: a user reads customers, an admin does everything."""

    USER = "user"
    ADMIN = "admin"


class NoToken(Exception):
    """No bearer token was sent."""


class BadToken(Exception):
    """The token is not one of ours, or no longer."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls."""

    subject: str
    role: Role

    @property
    def name(self) -> str:
        """What the caller is known by here."""
        return hashed(self.subject)


@dataclass(frozen=True, slots=True)
class _Claims:
    """What a token of ours says: who calls, and from when to when, in seconds since 1970."""

    caller: Caller
    begins: int
    expires: int


class Tokens:
    """Issues tokens with its first key and verifies them with each (two while rotating).

    What a good token says is remembered, its times are looked at anew.
    """

    def __init__(self, *keys: str) -> None:
        self._keys = keys
        self._known = lru_cache(REMEMBERED)(self._claims)

    def issue(self, role: Role) -> str:
        """Return a token for the role, valid for an hour."""
        now = int(time.time())
        claims = {"sub": str(uuid4()), "role": role, "iat": now, "exp": now + LIFETIME, "iss": ISSUER, "aud": AUDIENCE}
        return jwt.encode(claims, self._keys[0], algorithm=ALGORITHM)

    def verify(self, header: str | None) -> Caller:
        """Return who sent this Authorization header."""
        if not header:
            raise NoToken
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or len(token) > LONGEST or not token.isascii():
            raise BadToken
        good = self._known(token)
        if not good.begins <= time.time() < good.expires:
            raise BadToken
        return good.caller

    def _claims(self, token: str) -> _Claims:
        parts = token.split(".")
        if len(parts) != 3:
            raise BadToken
        # Unknown header parameters may ask for keys from elsewhere or change what is signed: none is taken.
        head = _segment(parts[0])
        if head.get("alg") != ALGORITHM or head.keys() - {"alg", "typ"}:
            raise BadToken
        claims = _segment(parts[1])
        if not any(_is_signed(token, key) for key in self._keys):
            raise BadToken
        return _read(claims)


def _is_signed(token: str, key: str) -> bool:
    """Whether a token was signed with the key, for us and by us."""
    try:
        jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "strict_aud": True},
        )
    except (jwt.PyJWTError, ValueError, TypeError):
        return False
    return True


def _segment(text: str) -> dict[str, Any]:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        found = loads(data)
    except (BadJson, ValueError) as error:
        raise BadToken from error
    if not isinstance(found, dict):
        raise BadToken
    return found


def _read(claims: dict[str, Any]) -> _Claims:
    issued, expires, begins = _moment(claims, "iat"), _moment(claims, "exp"), _moment(claims, "nbf", default=0)
    subject, role = claims.get("sub"), claims.get("role")
    if not isinstance(subject, str) or not subject or role not in list(Role) or not isinstance(role, str):
        raise BadToken
    if expires - issued > LIFETIME:
        raise BadToken
    return _Claims(Caller(subject=subject, role=Role(role)), max(issued, begins) - LEEWAY, expires)


def _moment(claims: dict[str, Any], name: str, default: int | None = None) -> int:
    value = claims.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadToken
    return value


def is_issuer(key: str | None, expected: str) -> bool:
    """Whether the X-Issuer-Key header is the configured one."""
    return key is not None and hmac.compare_digest(key.encode(), expected.encode())
