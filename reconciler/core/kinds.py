"""The kinds of value a field can hold: HubSpot's text of a property -> its one canonical text -> the API's JSON value.

Both borders canonicalise with these before anything is compared, so that two texts of one value are no change. A value
that a kind does not hold is refused, never bent, and never told: it is personal data.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from math import isfinite

from reconciler.core.values import Value, normalise_email, normalise_text

Json = bool | int | float | str | list[str] | None
"""What the API shows of a value; None is the one empty value."""

DIGITS = 1000
"""Digits a number may have before its point, and after it: more than any double needs."""

LARGEST_INTEGER = 2**63 - 1
"""The largest JSON integer that is read back as one; beyond it parsers make it a double."""

SEPARATOR = ";"
"""Stands between the elements of a set."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MILLISECONDS = re.compile(r"-?[0-9]{1,15}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"(Z|[+-][0-9]{2}(?::?[0-9]{2}){0,2})",
    re.IGNORECASE,
)
_TOO_LONG = f"a number of more than {DIGITS} digits before or after its point"


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    EMAIL = "email"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    ENUM = "enum"
    SET = "set"


class Direction(StrEnum):
    """Which way a field's changes go."""

    BOTH = "both"
    TO_HUBSPOT = "to_hubspot"
    TO_POSTGRES = "to_postgres"


class WhenEmpty(StrEnum):
    """What an emptying does on the other side."""

    CLEAR = "clear"
    KEEP = "keep"


class Unfit(ValueError):
    """A value that its kind does not hold; says what is wrong, without the value."""


def canonical(kind: Kind, raw: str | None) -> Value:
    """Return the one text of the value that HubSpot's text means, None for the empty one; raise `Unfit`."""
    return _READ[kind](raw) if raw else None


def to_json(kind: Kind, value: Value) -> Json:
    """Return a canonical value as the API shows it."""
    if value is None:
        return None
    match kind:
        case Kind.NUMBER:
            return _json_number(value)
        case Kind.BOOLEAN:
            return value == "true"
        case Kind.SET:
            return list(value.split(SEPARATOR))
        case _:
            return value


def from_json(kind: Kind, value: object) -> Value:
    """Return the canonical value of what the API was given: the inverse of `to_json`; raise `Unfit`."""
    if value is None or value == "":
        return None
    match kind:
        case Kind.NUMBER:
            return canonical(kind, _number_text(value))
        case Kind.BOOLEAN:
            return _boolean_text(value)
        case Kind.SET:
            return _set_text(value)
        case _ if isinstance(value, str):
            return canonical(kind, value)
        case _:
            raise Unfit("not a JSON string")


def _number(raw: str) -> Value:
    text = raw.strip()
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise Unfit("not a decimal number")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Unfit(_TOO_LONG) from None
    if not number:
        return "0"
    # Before it is written out: an exponent alone would take memory.
    if abs(number.adjusted()) > DIGITS:
        raise Unfit(_TOO_LONG)
    return _within_digits(f"{number:f}")


def _within_digits(plain: str) -> str:
    whole, _, fraction = plain.partition(".")
    fraction = fraction.rstrip("0")
    if max(len(whole.lstrip("-")), len(fraction)) > DIGITS:
        raise Unfit(_TOO_LONG)
    return f"{whole}.{fraction}" if fraction else whole


def _boolean(raw: str) -> Value:
    text = raw.strip().lower()
    if text not in ("", "true", "false"):
        raise Unfit("neither true nor false")
    return text or None


def _date(raw: str) -> Value:
    text = raw.strip()
    if not text:
        return None
    if _DATE.fullmatch(text):
        return _valid(text).date().isoformat()
    moment = _moment(text, "a date as YYYY-MM-DD")
    if moment.time() != time():
        raise Unfit("not a date: its time is not midnight in UTC")
    return moment.date().isoformat()


def _datetime(raw: str) -> Value:
    text = raw.strip()
    if not text:
        return None
    moment = _moment(text, "a time in ISO 8601 with an offset")
    # isoformat truncates; it never rounds.
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _moment(text: str, wanted: str) -> datetime:
    """Return the time in UTC that milliseconds since 1970 or an ISO text mean, with microseconds at most."""
    if _MILLISECONDS.fullmatch(text):
        try:
            return _EPOCH + timedelta(milliseconds=int(text))
        except OverflowError:
            raise Unfit("a time outside the years 1 to 9999") from None
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise Unfit(f"neither {wanted} nor milliseconds since 1970")
    day, minute, second, fraction, offset = found.groups(default="")
    moment = _valid(f"{day}T{minute}:{second or '00'}{offset.upper()}")
    return moment.replace(microsecond=int(f"{fraction[:6]:0<6}"))


def _valid(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise Unfit("a time that no calendar has between the years 1 and 9999") from None


def _set(raw: str) -> Value:
    elements = {normalise_text(element) for element in raw.split(SEPARATOR)}
    return SEPARATOR.join(sorted(element for element in elements if element)) or None


_READ: Mapping[Kind, Callable[[str], Value]] = {
    Kind.TEXT: normalise_text,
    Kind.EMAIL: normalise_email,
    Kind.NUMBER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
    Kind.DATETIME: _datetime,
    Kind.ENUM: normalise_text,
    Kind.SET: _set,
}


def _json_number(value: str) -> int | float | str:
    """Return a number that reads back as this very value, else its text."""
    if "." not in value:
        return int(value) if abs(int(value)) <= LARGEST_INTEGER else value
    number = float(value)
    return number if isfinite(number) and _number(repr(number)) == value else value


def _number_text(value: object) -> str:
    match value:
        case bool():
            raise Unfit("not a JSON number")
        case str():
            return value
        # Python refuses to write out very long ones.
        case int() if value.bit_length() > DIGITS * 4:
            raise Unfit(_TOO_LONG)
        case int():
            return str(value)
        case float() if isfinite(value):
            return repr(value)
        case _:
            raise Unfit("not a JSON number")


def _boolean_text(value: object) -> str:
    if not isinstance(value, bool):
        raise Unfit("not a JSON boolean")
    return "true" if value else "false"


def _set_text(value: object) -> Value:
    if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
        raise Unfit("not a JSON list of strings")
    if any(SEPARATOR in element for element in value):
        raise Unfit(f"an element holds {SEPARATOR!r}, which separates elements")
    return _set(SEPARATOR.join(value))
