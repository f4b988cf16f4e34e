"""Columns that a new row cannot be without -> the simplest SQL that fits each: part of a proposal."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from reconciler.mapping.catalogue import NUMBERS, Column, Found
from reconciler.mapping.names import LOGINS, plain

_SECRETS = ("password", "passwd", "passphrase", "pwhash")
_UUID = "gen_random_uuid()"
_UUID_LENGTH = 36
_FIXED = {
    "date": "current_date",
    "timestamp": "now()",
    "timestamptz": "now()",
    "bool": "false",
    "json": "'{}'",
    "jsonb": "'{}'",
    "uuid": _UUID,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """SQL by column, and the columns for which nobody can know it."""

    known: dict[str, str] = field(default_factory=dict)
    unknown: list[Column] = field(default_factory=list)


def values_of(found: Found, but: Iterable[str]) -> Values:
    """Return the values of a new row, for what has neither a default nor is one of `but`."""
    values = Values()
    given = set(but)
    for column in found.columns:
        if column.lacks_value and column.name not in given:
            sql = _value(column, found)
            if sql is None:
                values.unknown.append(column)
            else:
                values.known[column.name] = sql
    return values


def _value(column: Column, found: Found) -> str | None:
    if column.references is not None or column.is_domain:
        return None
    is_unique = any(set(each.columns) == {column.name} for each in found.uniques)
    if column.is_array:
        return "'{}'"
    if column.is_text:
        return _text(column, is_unique=is_unique)
    if column.labels:
        return _quoted(column.labels[0])
    if column.base in NUMBERS:
        return None if is_unique else "0"
    return _FIXED.get(column.base)


def _text(column: Column, *, is_unique: bool) -> str | None:
    name = plain(column.name)
    if name in LOGINS:
        login = "$email" if column.limit is None else f"left($email, {column.limit})"
        return f"lower({login})" if "lower" in name or "normalized" in name else login
    if any(secret in name for secret in _SECRETS):
        return "'!'"
    if not is_unique:
        return "''"
    return f"{_UUID}::text" if column.limit is None or column.limit >= _UUID_LENGTH else None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
