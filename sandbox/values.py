"""What may be written to a property of some type, and the text that is stored and read back.

type           taken                                          stored
string         any text                                       as sent; addresses without the blanks around them
number         decimal or scientific notation                 as sent
bool           true, false                                    as sent
date           YYYY-MM-DD, or milliseconds at midnight UTC    YYYY-MM-DD
datetime       ISO with its offset, or milliseconds           ISO in UTC
enumeration    an option                                      as sent
… checkbox     options joined by ;                            as sent, each once; a leading ; adds to what is there

Nothing is repaired but an address. What is wrong is told in HubSpot's words.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import isfinite

from sandbox.clock import iso
from sandbox.errors import Problem
from sandbox.schema import Option, Property

SEPARATOR = ";"

_LONGEST = 65_536
_ADDRESS = re.compile(r"[^@\s,;:<>()\[\]\\\"]+@(?:[\w](?:[\w-]*[\w])?\.)+[^\W\d_]{2,}")
_ADDRESSES = ("email", "hs_additional_emails")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
_MILLISECONDS = re.compile(r"-?\d{1,15}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Blanks of every kind, and what is not seen at all: controls and zero-width characters.
_UNSEEN = frozenset(("Zs", "Zl", "Zp", "Cc", "Cf"))


def clean_value(prop: Property, value: str) -> str | Problem:
    """Return what would be stored, or what is wrong; an empty text clears and is always right."""
    if prop.read_only:
        text = f'"{prop.name}" is a read only property; its value cannot be set.'
        return Problem(prop.name, text, "READ_ONLY_VALUE")
    if len(value) > _LONGEST:
        text = f"{prop.name} is longer than the {_LONGEST} characters allowed"
        return Problem(prop.name, text, "PROPERTY_VALUE_TOO_LONG")
    if not value:
        return value
    return _clean_addresses(prop.name, value) if prop.name in _ADDRESSES else _clean_typed(prop, value)


def _clean_typed(prop: Property, value: str) -> str | Problem:
    clean = _TYPED.get(prop.type)
    if clean is None:
        return value
    if any(map(is_padded, value.split(SEPARATOR) if prop.several else [value])):
        text = f'"{value}" includes leading or trailing whitespace.'
        return Problem(prop.name, text, "LEADING_TRAILING_WHITESPACE")
    return clean(prop, value)


def is_padded(text: str) -> bool:
    """Whether a text begins or ends with something that is not seen."""
    return any(unicodedata.category(each) in _UNSEEN for each in (text[:1], text[-1:]) if each)


def _clean_addresses(name: str, value: str) -> str | Problem:
    addresses = [part.strip() for part in (value.split(SEPARATOR) if name != "email" else [value])]
    for address in addresses:
        if not is_address(address):
            return Problem(name, f"Email address {address} is invalid", "INVALID_EMAIL")
    return SEPARATOR.join(addresses)


def is_address(text: str) -> bool:
    """Whether HubSpot would take this as an e-mail address."""
    local = text.partition("@")[0]
    dots_right = ".." not in text and not local.startswith(".") and not local.endswith(".")
    return len(text) <= 254 and dots_right and _ADDRESS.fullmatch(text) is not None


def _clean_option(prop: Property, value: str) -> str | Problem:
    if prop.external_options and not prop.options:
        return value
    allowed = prop.option_values or ["true", "false"]
    adds = prop.several and value.startswith(SEPARATOR)
    chosen = value.removeprefix(SEPARATOR).split(SEPARATOR) if prop.several else [value]
    for one in chosen:
        if one not in allowed:
            text = f"{one} was not one of the allowed options: [{_dump(prop.options)}]"
            return Problem(prop.name, text, "INVALID_OPTION")
    return SEPARATOR * adds + join_choices(chosen)


def join_choices(chosen: list[str]) -> str:
    """Return choices as one value, each once, in the order of their first mention."""
    return SEPARATOR.join(dict.fromkeys(chosen))


def _dump(options: tuple[Option, ...]) -> str:
    """Render options the way HubSpot's error texts do."""
    return ", ".join(
        f'label: "{option.label}"\nvalue: "{option.value}"\ndisplay_order: {option.order(place)}\ndouble_data: 0.0\n'
        f'hidden: {str(option.hidden).lower()}\ndescription: "{option.description}"\nread_only: false\n'
        for place, option in enumerate(options)
    )


def _clean_number(prop: Property, value: str) -> str | Problem:
    if _NUMBER.fullmatch(value) and isfinite(float(value)):
        return value
    return Problem(prop.name, f"{value} was not a valid number.", "INVALID_INTEGER")


def plain_number(text: str) -> str:
    """Return a number without exponent and needless zeros."""
    plain = f"{Decimal(text):f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _clean_date(prop: Property, value: str) -> str | Problem:
    moment = _moment(value)
    if moment is None and _DATE.fullmatch(value) and _is_day(value):
        return value
    if moment is None:
        return Problem(prop.name, f"{value} was not a valid date.", "INVALID_DATE")
    if moment.time() != datetime.min.time():
        clock = f"{moment.hour}:{moment.minute}:{moment.second}.{moment.microsecond // 1000}"
        return Problem(prop.name, f"{value} is at {clock} UTC, not midnight!", "INVALID_DATE")
    if _MOMENT.fullmatch(value):
        return Problem(prop.name, f"{value} was not a valid date.", "INVALID_DATE")
    return moment.date().isoformat()


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _clean_datetime(prop: Property, value: str) -> str | Problem:
    moment = _moment(value)
    if moment is None:
        return Problem(prop.name, f"{value} was not a valid long.", "INVALID_LONG")
    return iso((moment - _EPOCH) // timedelta(milliseconds=1))


def _moment(text: str) -> datetime | None:
    """Return the time in UTC that milliseconds or an ISO text with its offset name; None for anything else."""
    try:
        if _MILLISECONDS.fullmatch(text):
            return _EPOCH + timedelta(milliseconds=int(text))
        return datetime.fromisoformat(text).astimezone(UTC) if _MOMENT.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None


_TYPED: Mapping[str, Callable[[Property, str], str | Problem]] = {
    "number": _clean_number,
    "bool": _clean_option,
    "enumeration": _clean_option,
    "date": _clean_date,
    "datetime": _clean_datetime,
}
