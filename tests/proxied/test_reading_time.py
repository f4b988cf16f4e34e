"""The time it takes to read what strangers send grows with its length and no faster."""

import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress

import pytest

from api.auth import BadToken, Tokens
from api.strict_json import BadJson, loads
from webhook.events import NotEvents, read

KIB = 1024
DEADLINE = 2.0
"""Seconds, for what takes milliseconds when it is read once."""

LONG: dict[str, Callable[[int], bytes]] = {
    "an endless string of quotes": lambda size: b'"' + b'\\"' * (size // 2),
    "quotes and broken lines": lambda size: b'"' + b'\\"' * (size // 4) + b"\\\n" * (size // 4),
    "backslashes": lambda size: b'"' + b"\\" * size,
    "empty strings": lambda size: b'""' * (size // 2),
    "brackets": lambda size: b"[" * size,
    "brackets in a string": lambda size: b'"' + b"[" * size,
    "objects": lambda size: b'{"a":' * (size // 5),
    "digits": lambda size: b"1" * size,
    "a fraction": lambda size: b"0." + b"1" * size,
    "an exponent": lambda size: b"1e" + b"1" * size,
    "spaces": lambda size: b" " * size,
    "commas": lambda size: b"[" + b"," * size,
    "escapes": lambda size: b'"' + b"\\u0041" * (size // 6),
    "surrogates": lambda size: b'["' + b"\\ud800" * (size // 6) + b'"]',
    "keys": lambda size: b"{" + b'"":1,' * (size // 5) + b"}",
}


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time that it takes: what else the machine does has no part in it."""
    started = time.thread_time()
    with suppress(BadJson, BadToken, NotEvents):
        work()
    return time.thread_time() - started


@pytest.mark.parametrize("kind", LONG)
def test_the_longest_body_of_a_customer_is_read_at_once(kind: str) -> None:
    body = LONG[kind](64 * KIB)
    assert seconds(lambda: loads(body)) < DEADLINE


@pytest.mark.parametrize("part", ["head", "claims"])
@pytest.mark.parametrize("kind", LONG)
def test_a_hundred_of_the_longest_tokens_are_refused_at_once(kind: str, part: str) -> None:
    text = urlsafe_b64encode(LONG[kind](6 * KIB - 40)).rstrip(b"=").decode()
    good = urlsafe_b64encode(b'{"alg":"HS256"}').rstrip(b"=").decode()
    header = "Bearer " + (f"{text}.e30.AAAA" if part == "head" else f"{good}.{text}.AAAA")
    tokens = Tokens("x" * 32)

    def verify_all() -> None:
        for _ in range(100):
            with suppress(BadToken):
                tokens.verify(header)

    assert seconds(verify_all) < DEADLINE


@pytest.mark.parametrize("kind", LONG)
def test_the_longest_delivery_is_read_at_once(kind: str) -> None:
    body = LONG[kind](8 * KIB * KIB)
    assert seconds(lambda: read(body, portal_id=1, app_id=2)) < DEADLINE
