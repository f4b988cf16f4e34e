"""The two checks of who sends: each target makes one input by its seed, gives it to the product, and holds the answer
to an oracle of its own."""

import hmac
import json
import re
import time
from base64 import b64decode
from hashlib import sha256, sha384, sha512
from random import Random
from typing import Any

import deliveries
import forging
import json_values
from mutations import Mutator
from wrong import Wrong

from api.auth import BadToken, NoToken, Tokens
from webhook.signature import Unsigned, Verifier

NOW = 1_787_843_156_000
WINDOW = 300_000
KEY = "a-jwt-secret-of-more-than-32-bytes-0123456789"


class Signature:
    """The check of HubSpot's signatures; a forgery is whatever passes and was not signed exactly so."""

    name = "signature"

    def __init__(self, random: Random) -> None:
        self._random, self._mutator = random, Mutator(random)
        self._secrets = [deliveries.SECRET, "another secret of the rotation"]
        self.url, self.secrets = deliveries.URL, [secret.encode() for secret in self._secrets]
        self.verifier = Verifier(self.url, self.secrets)
        self._seen = deliveries.v3(b"[]", NOW)

    def once(self) -> str:
        """Try one delivery."""
        sent, now_ms = self._delivery()
        try:
            self.verifier.verify(**sent, now_ms=now_ms)
        except Unsigned as error:
            if self._is_genuine(sent, now_ms):
                raise Wrong(f"refused a genuine delivery: {sent!r} {now_ms}") from error
            return error.code
        if not self._is_genuine(sent, now_ms):
            raise Wrong(f"accepted a forgery: {sent!r} {now_ms}")
        return "accepted"

    def _delivery(self) -> tuple[dict[str, Any], int]:
        random = self._random
        body = random.choice([b"[]", b"", b'[{"objectId": 101}]', self._mutator.noise()])
        timestamp = str(NOW + random.choice([0, 0, 0, 0, 1, -1, WINDOW, -WINDOW, WINDOW + 1, -WINDOW - 1]))
        if random.random() < 0.1:
            timestamp = self._spoilt("timestamp", timestamp)
        sent = {"signature": self._signed(body, timestamp), "timestamp": timestamp, "body": body}
        for name in set(
            random.choices(["signature", "body", "timestamp"], [8, 4, 1], k=random.choice([0, 1, 1, 1, 2]))
        ):
            sent[name] = self._spoilt(name, sent[name])
        self._seen = sent["signature"] or self._seen
        return sent, NOW

    def _signed(self, body: bytes, timestamp: str | None) -> str:
        how = self._random.choice([{}] * 8 + [{"secret": "wrong"}, {"method": "GET"}, {"url": "https://evil.example/"}])
        secret = {"secret": self._random.choice(self._secrets)}
        return deliveries.v3(body, timestamp, **{**secret, **how})

    def _spoilt(self, name: str, value: Any) -> Any:
        if value is None or name == "body":
            return value and self._mutator.changed(value)
        others: list[Any] = [self._seen, value.lower(), value[:8], value + value, f"{value},{value}", "", None]
        if name == "signature":
            others += [
                b64decode(value).hex(),
                value.rstrip("="),
                value.translate(str.maketrans("+/", "-_")),
                " " + value,
            ]
        else:
            others += [value[:10], value + "0", value.translate({48 + n: 0xFF10 + n for n in range(10)}), value + "\n"]
        return self._random.choice([*others, *[self._mutator.text(value)] * 10])

    def _is_genuine(self, sent: dict[str, Any], now_ms: int) -> bool:
        timestamp = sent["timestamp"]
        if timestamp is None or len(timestamp) != 13 or set(timestamp) - set("0123456789"):
            return False
        good = [deliveries.v3(sent["body"], timestamp, secret=secret) for secret in self._secrets]
        return abs(now_ms - int(timestamp)) <= WINDOW and sent["signature"] in good


class Token:
    """The check of bearer tokens; a forgery is whatever passes without our key or with claims that are not right."""

    name = "token"

    def __init__(self, random: Random) -> None:
        self._random, self._mutator = random, Mutator(random)
        self.tokens = Tokens(KEY)
        self._old = forging.token(KEY, {"alg": "HS256"}, forging.claims(role="user"))

    def once(self) -> str:
        """Try one header."""
        header = self._random.choice(
            [self._good, self._changed, self._claimed, self._headed, self._forged, self._mixed]
        )()
        try:
            caller = self.tokens.verify(header)
        except (BadToken, NoToken) as error:
            if self._role(header) is not None and _is_written_plainly(header):
                raise Wrong(f"refused a good token: {header!r}") from error
            return type(error).__name__
        # Padding and spare bits are not how a token is written, but change nothing of what was signed.
        if self._role(header.rstrip("=")) != caller.role.value:
            raise Wrong(f"accepted a forgery: {header!r}")
        return "accepted"

    def _good(self) -> str:
        return "Bearer " + forging.token(KEY, {"alg": "HS256", "typ": "JWT"}, self._claims())

    def _claims(self, **changes: Any) -> dict[str, Any]:
        return forging.claims(**{"role": self._random.choice(["user", "admin"]), **changes})

    def _changed(self) -> str:
        return self._mutator.text(self._good())

    def _claimed(self) -> str:
        """Claims of any kind, signed with our key: what they say must be checked all the same."""
        now = int(time.time())
        values = [
            *(..., None, True, 0, -1, now - 100, now + 100, now + 10_000, 2**62, 2**70, float(now + 60), str(now + 60)),
            *([], ["admin"], {}, "", "admin", "user", "root", "Admin", "admin ", "customers", ["customers"], "\x00"),
        ]
        names = self._random.sample(
            ["sub", "role", "iat", "exp", "nbf", "iss", "aud", "more"], self._random.randint(1, 2)
        )
        payload: Any = self._claims(**{name: self._random.choice(values) for name in names})
        text = json.dumps(payload).encode()
        if self._random.random() < 0.5:
            text = self._random.choice(
                [self._mutator.changed(text), text[:-1] + b"," + text[1:], json_values.nested(self._random)]
            )
        return "Bearer " + forging.token(KEY, {"alg": "HS256"}, text)

    def _headed(self) -> str:
        """Heads of any kind, signed with our key."""
        head: Any = {
            "alg": "HS256",
            self._random.choice(["kid", "jku", "crit", "b64", "alg", "typ", "zip", "x5u"]): self._odd(),
        }
        text = json.dumps(head).encode()
        if self._random.random() < 0.3:
            text = self._mutator.changed(text)
        return "Bearer " + forging.token(
            KEY, text, self._claims(), digest=self._random.choice([sha256, sha384, sha512])
        )

    def _odd(self) -> Any:
        return self._random.choice(
            ["none", "None", "HS512", "RS256", "HS256", "JWT", None, [], ["exp"], False, "http://x/", 1]
        )

    def _forged(self) -> str:
        key = self._random.choice(["", "secret", KEY[:-1], KEY + "0", KEY.upper(), "-----BEGIN PUBLIC KEY-----\n"])
        made = forging.token(key, {"alg": self._random.choice(["HS256", "none", "RS256"])}, self._claims())
        return "Bearer " + self._random.choice([made, made.rpartition(".")[0] + ".", made.rpartition(".")[0]])

    def _mixed(self) -> str:
        """Parts of two good tokens, in any order."""
        parts = [*self._good().removeprefix("Bearer ").split("."), *self._old.split(".")]
        self._old = ".".join(parts[:3])
        return self._random.choice(["Bearer ", "bearer ", "Basic ", ""]) + ".".join(
            self._random.choices(parts, k=self._random.choice([1, 2, 3, 3, 3, 4]))
        )

    def _role(self, header: str) -> str | None:
        """Return the role a header is good for, by the rules and not by the product."""
        scheme, _, token = header.partition(" ")
        parts = token.split(".")
        if scheme.lower() != "bearer" or not token.isascii() or len(token) > 8192 or len(parts) != 3:
            return None
        try:
            head, claims = (json_values.strict(_unpadded(part)) for part in parts[:2])
            mac = _unpadded(parts[2])
        except (ValueError, json_values.NotStrict):
            return None
        good = hmac.new(KEY.encode(), f"{parts[0]}.{parts[1]}".encode(), sha256).digest()
        is_ours = (
            isinstance(head, dict) and head.get("alg") == "HS256" and not head.keys() - {"alg", "typ"} and mac == good
        )
        return claims["role"] if is_ours and _is_in_order(claims) else None


def _unpadded(part: str) -> bytes:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", part):
        raise ValueError
    return b64decode(part + "=" * (-len(part) % 4), altchars=b"-_")


def _is_written_plainly(header: str) -> bool:
    """Whether the signature is the one text that its bytes have."""
    signature = header.rpartition(".")[2]
    return forging.segment(_unpadded(signature)) == signature


def _is_in_order(claims: Any) -> bool:
    if not isinstance(claims, dict):
        return False
    now = time.time()
    times = [claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)]
    if not all(type(each) is int for each in times):
        return False
    issued, expires, begins = times
    return (
        (claims.get("iss"), claims.get("aud")) == (forging.ISSUER, forging.AUDIENCE)
        and isinstance(claims.get("sub"), str)
        and bool(claims["sub"])
        and claims.get("role") in ("user", "admin")
        and now < expires <= issued + 3600
        and max(issued, begins) <= now + 30
    )
