"""JSON from outside, taken only when it means one thing: no duplicate keys, NaN, huge numbers or deep nesting."""

import json
import math
import re
from typing import Any

DEEPEST = 32
LARGEST_INTEGER = 2**63 - 1

# Possessive, and an unterminated string is taken to the end: each character is looked at once.
_STRING = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)


class BadJson(ValueError):
    """The text is no JSON, or JSON that two readers would read differently."""


def loads(data: bytes) -> Any:
    """Return the value in a UTF-8 JSON text."""
    try:
        text = data.decode("utf-8")
        _refuse_deep(text)
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except (ValueError, RecursionError) as error:
        raise BadJson("not strict JSON") from error


def _refuse_deep(text: str) -> None:
    depth = deepest = 0
    for character in _STRING.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    if deepest > DEEPEST:
        raise BadJson("nested too deep")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson("duplicate key")
    return found


def _refuse_constant(text: str) -> Any:
    raise BadJson("not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadJson("number too large")
    return number


def _bounded(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > LARGEST_INTEGER:
        raise BadJson("integer too large")
    return int(text)
