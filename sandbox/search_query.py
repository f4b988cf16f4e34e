"""A search body as a value, refused where HubSpot refuses it, with each filter turned into a predicate.

Predicates see a document of the search index, never the store.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from sandbox.clock import parse_ms
from sandbox.contact import Contact
from sandbox.errors import bad_json, invalid
from sandbox.reading import names
from sandbox.records import as_id
from sandbox.schema import Property, Schema
from sandbox.values import SEPARATOR
from sandbox.view import Json, value_of

Predicate = Callable[[Contact], bool]

_MOST_GROUPS = 5
_MOST_FILTERS = 6
_MOST_FILTERS_IN_ALL = 18
_MOST_ROWS = 200
_MOST_RESULTS = 10_000
_LONGEST_QUERY = 3000
_DIRECTIONS = ("ASCENDING", "DESCENDING")
_TIMES = ("date", "datetime")
_RANGES = ("EQ", "NEQ", "LT", "LTE", "GT", "GTE", "BETWEEN")
_SETS = ("IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY", "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN")
# Of several choices one has to be meant, or none of them.
_OVER_CHOICES: dict[str, Callable[[Iterable[bool]], bool]] = {"EQ": any, "IN": any, "NEQ": all, "NOT_IN": all}
_OPERATORS = frozenset((*_RANGES, *_SETS))


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition; operands are numbers for numbers and times, texts otherwise."""

    prop: Property
    operator: str
    operands: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The property's name."""
        return self.prop.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A whole search; groups are alternatives, a group's filters must all hold."""

    groups: tuple[tuple[Filter, ...], ...]
    words: tuple[str, ...]
    sort: Property | None
    descending: bool
    limit: int
    offset: int
    properties: tuple[str, ...]


def read_query(body: Json, schema: Schema) -> Query:
    """Read a search body, or refuse it."""
    limit, offset = _number(body, "limit", 10), _number(body, "after", 0)
    if not 0 <= limit <= _MOST_ROWS:
        raise invalid(f"Invalid limit: {limit}. The maximum number of results per page is {_MOST_ROWS}")
    if offset + limit > _MOST_RESULTS:
        raise invalid(f"The maximum number of results of a search is {_MOST_RESULTS}; after is {offset}")
    sort, descending = _read_sort(body.get("sorts") or [], schema)
    return Query(
        groups=_read_groups(body.get("filterGroups") or [], schema),
        words=_read_words(body.get("query")),
        sort=sort,
        descending=descending,
        limit=limit,
        offset=offset,
        properties=names(body.get("properties")),
    )


def _number(body: Json, name: str, default: int) -> int:
    value = body.get(name)
    if value is None or value == "":
        return default
    number = None if isinstance(value, bool) else as_id(str(value))
    if number is None:
        raise invalid(f"Invalid {name}: {value}")
    return number


def _read_words(query: object) -> tuple[str, ...]:
    if query is None:
        return ()
    if not isinstance(query, str):
        raise bad_json()
    if len(query) > _LONGEST_QUERY:
        raise invalid(f"query is longer than {_LONGEST_QUERY} characters")
    return tuple(query.lower().split())


def _read_sort(sorts: object, schema: Schema) -> tuple[Property | None, bool]:
    if not isinstance(sorts, list):
        raise bad_json()
    if len(sorts) > 1:
        raise invalid(f"too many sorts (count: {len(sorts)}, max allowed: 1)")
    if not sorts:
        return None, False
    match sorts[0]:
        case {"propertyName": str(name), **rest} if rest.get("direction", "ASCENDING") in _DIRECTIONS:
            descending = rest.get("direction") == "DESCENDING"
        case str(text):
            name, descending = text.lstrip("-"), text.startswith("-")
        case _:
            raise bad_json(["propertyName"])
    return _known(name, schema), descending


def _known(name: str, schema: Schema) -> Property:
    prop = schema.get(name)
    if prop is None:
        raise invalid(f"There was a problem with the request. Property {name} does not exist")
    return prop


def _read_groups(groups: object, schema: Schema) -> tuple[tuple[Filter, ...], ...]:
    if not isinstance(groups, list):
        raise bad_json()
    if len(groups) > _MOST_GROUPS:
        raise invalid(f"too many filterGroups (count: {len(groups)}, max allowed: {_MOST_GROUPS})")
    read = tuple(_read_group(group, schema) for group in groups)
    total = sum(map(len, read))
    if total > _MOST_FILTERS_IN_ALL:
        raise invalid(f"too many filters (count: {total}, max allowed: {_MOST_FILTERS_IN_ALL})")
    return read


def _read_group(group: object, schema: Schema) -> tuple[Filter, ...]:
    filters = group.get("filters") if isinstance(group, dict) else None
    if not isinstance(filters, list):
        raise bad_json(["filters"])
    if len(filters) > _MOST_FILTERS:
        raise invalid(f"too many filters in a group (count: {len(filters)}, max allowed: {_MOST_FILTERS})")
    return tuple(_read_filter(each, schema) for each in filters)


def _read_filter(data: object, schema: Schema) -> Filter:
    if not isinstance(data, dict):
        raise bad_json()
    lacking = [key for key in ("propertyName", "operator") if not isinstance(data.get(key), str)]
    if lacking:
        raise bad_json(lacking)
    if data["operator"] not in _OPERATORS:
        raise invalid(f"Invalid operator: {data['operator']}")
    prop = _known(data["propertyName"], schema)
    return Filter(prop, data["operator"], tuple(_operand(prop, each) for each in _raw_operands(data)))


def _raw_operands(data: Json) -> list[object]:
    match data["operator"]:
        case "HAS_PROPERTY" | "NOT_HAS_PROPERTY":
            return []
        case "BETWEEN":
            wanted = [data.get("value"), data.get("highValue")]
        case "IN" | "NOT_IN":
            values = data.get("values")
            wanted = values if isinstance(values, list) and values else [None]
        case _:
            wanted = [data.get("value")]
    if None in wanted:
        raise invalid(f"operator {data['operator']} lacks a value for property {data['propertyName']}")
    return wanted


def _operand(prop: Property, value: object) -> Any:
    text = str(value)
    if prop.type in _TIMES:
        number: float | None = parse_ms(text)
    elif prop.type == "number":
        number = _as_number(text)
    else:
        return text
    if number is None:
        raise invalid(f"Invalid value {text} for property {prop.name} of type {prop.type}")
    return number


def _as_number(text: str) -> float | None:
    if text.lstrip("-").isdecimal():
        # Ids are longer than what a float holds exactly.
        return int(text) if len(text) < 20 else None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def comparable(contact: Contact, prop: Property) -> Any:
    """Return a document's value for comparing: None when empty, case ignored but for enumerations."""
    if prop.name == "lastmodifieddate":
        return contact.modified
    if prop.name == "hs_object_id":
        return contact.id
    text = value_of(contact, prop.name)
    if not text:
        return None
    if prop.type in _TIMES:
        return parse_ms(text)
    if prop.type == "number":
        return _as_number(text)
    return text if prop.type in ("enumeration", "bool") else text.lower()


def predicate(condition: Filter, secondary: bool) -> Predicate:
    """Turn a filter into a predicate; `secondary` lets e-mail match any address."""
    prop, test = condition.prop, _test(condition)
    if secondary and prop.name == "email":
        return lambda contact: any(test(address.lower()) for address in contact.addresses or ("",))
    if prop.several and (over := _OVER_CHOICES.get(condition.operator)):
        return lambda contact: over(map(test, _choices(comparable(contact, prop))))
    return lambda contact: test(comparable(contact, prop))


def _choices(value: str | None) -> Sequence[str | None]:
    return value.split(SEPARATOR) if value else (None,)


def _test(condition: Filter) -> Callable[[Any], bool]:
    text = condition.prop.type not in ("number", "enumeration", "bool", *_TIMES)
    # Lists must be lower case to match: HubSpot folds the stored text, not the listed values.
    listed = condition.operands
    folded = tuple(each.lower() for each in listed) if text else listed
    match condition.operator:
        case "HAS_PROPERTY":
            return lambda value: value is not None
        case "NOT_HAS_PROPERTY":
            return lambda value: value is None
        case "IN":
            return lambda value: value is not None and value in listed
        case "NOT_IN":
            return lambda value: value is not None and value not in listed
        case "CONTAINS_TOKEN":
            return lambda value: value is not None and has_token(str(value), folded[0])
        case "NOT_CONTAINS_TOKEN":
            return lambda value: value is not None and not has_token(str(value), folded[0])
        case operator:
            return _comparison(operator, folded)


def _comparison(operator: str, operands: Sequence[Any]) -> Callable[[Any], bool]:
    low, high = operands[0], operands[-1]
    compare: dict[str, Callable[[Any], bool]] = {
        "EQ": lambda value: value == low,
        "NEQ": lambda value: value != low,
        "LT": lambda value: value < low,
        "LTE": lambda value: value <= low,
        "GT": lambda value: value > low,
        "GTE": lambda value: value >= low,
        "BETWEEN": lambda value: low <= value <= high,
    }
    test = compare[operator]
    return lambda value: value is not None and test(value)


def has_token(text: str, pattern: str) -> bool:
    """Whether words of a text follow each other as those of a pattern, with * for any characters."""
    words, wanted = _words(text), _words(pattern)
    starts = range(len(words) - len(wanted) + 1)
    return any(all(map(fnmatchcase, words[start:], wanted)) for start in starts)


def _words(text: str) -> list[str]:
    spaced = (character if character.isalnum() or character == "*" else " " for character in text.lower())
    return "".join(spaced).split()


def words_predicate(words: Sequence[str]) -> Predicate:
    """Return the predicate of the free-text `query`: every word starts some word of the main properties."""
    searched = ("firstname", "lastname", "email", "phone", "company")

    def matches(contact: Contact) -> bool:
        texts = [contact.get(name) or "" for name in searched]
        return all(any(has_token(text, f"{word}*") for text in texts) for word in words)

    return matches
