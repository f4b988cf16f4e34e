"""JSON values made by a seed, and what strict JSON is, said a second time and in another way than the product does."""

import json
import math
from random import Random
from typing import Any

import orjson

TEXTS = ["", "kai@hubspot.com", "admin", "\x00", "\ud800", "é", "😀", "\u202e", "x" * 200, "[{", "1", "null"]
NUMBERS = [0, 1, -1, 2**31, 2**53, 2**63 - 1, -(2**63), 2**63, 2**64, 10**30, 0.1, 1e308, -0.0]
DEEPEST = 32


def value(random: Random, depth: int = 4) -> Any:
    """Return any JSON value."""
    kind = random.randrange(6 if depth else 4)
    match kind:
        case 0:
            return random.choice(TEXTS)
        case 1:
            return random.choice(NUMBERS)
        case 2:
            return random.choice([None, True, False])
        case 3:
            return random.randint(-(10**6), 10**6)
        case 4:
            return [value(random, depth - 1) for _ in range(random.randint(0, 4))]
        case _:
            return {random.choice(TEXTS): value(random, depth - 1) for _ in range(random.randint(0, 4))}


def text(found: Any) -> bytes:
    """Return a value as JSON, lone surrogates escaped."""
    return json.dumps(found).encode()


def nested(random: Random) -> bytes:
    """Return a value around the greatest depth."""
    depth = random.randint(DEEPEST - 3, DEEPEST + 3)
    opening = [random.choice([b"[", b'{"a":']) for _ in range(depth)]
    closing = [b"]" if each == b"[" else b"}" for each in reversed(opening)]
    return b"".join(opening) + b"1" + b"".join(closing)


class NotStrict(Exception):
    """The text is no strict JSON."""


def strict(data: bytes) -> Any:
    """Return the value of a strict JSON text, by the standard library's reader and a look at all it found."""
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_pairs, parse_constant=_constant)
        _check(found, 0)
    except (ValueError, RecursionError) as error:
        raise NotStrict from error
    return _plain(found)


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written."""


def _pairs(pairs: list[tuple[str, Any]]) -> _Pairs:
    return _Pairs(pairs)


def _constant(_: str) -> Any:
    raise NotStrict


def _check(found: Any, depth: int) -> None:
    if isinstance(found, _Pairs):
        names = [name for name, _ in found]
        if len(names) != len(set(names)):
            raise NotStrict
        found = [each for _, each in found]
    if isinstance(found, list):
        if depth == DEEPEST:
            raise NotStrict
        for each in found:
            _check(each, depth + 1)
    elif isinstance(found, float) and not math.isfinite(found) or isinstance(found, int) and abs(found) >= 2**63:
        raise NotStrict


def _plain(found: Any) -> Any:
    if isinstance(found, _Pairs):
        return {name: _plain(each) for name, each in found}
    return [_plain(each) for each in found] if isinstance(found, list) else found


def is_json(data: bytes) -> bool:
    """Whether any reader takes it for JSON."""
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            json.loads(data.decode("utf-8"))
        except (ValueError, RecursionError):
            return False
    return True
