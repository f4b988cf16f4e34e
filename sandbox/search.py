"""Search: filters run on the index, values come from the store.

The usual questions (by time of change, by id, by address) are answered from an ordered index without looking
at other records; everything else is a scan.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sandbox.contact import Contact
from sandbox.portal import Portal
from sandbox.reading import Reading, Wanted
from sandbox.refusals import internal_error
from sandbox.search_index import SearchIndex, pack, unpack_id
from sandbox.search_query import Filter, Predicate, Query, comparable, predicate, read_query, words_predicate
from sandbox.view import Json

_RANGES = frozenset({"EQ", "GT", "GTE", "LT", "LTE", "BETWEEN"})
_TOP = 1 << 47


@dataclass(frozen=True, slots=True)
class Bounds:
    """A half-open range."""

    low: int = 0
    high: int = _TOP

    @property
    def single(self) -> bool:
        """Whether one value is left."""
        return self.high == self.low + 1

    @property
    def open(self) -> bool:
        """Whether everything is left."""
        return self == Bounds()


@dataclass(frozen=True, slots=True)
class Found:
    """Matching ids in the order of the answer: how many, and those from an offset on."""

    total: int
    rows: list[int]


class Search:
    """The search endpoint of a portal."""

    def __init__(self, portal: Portal, reading: Reading) -> None:
        self._portal = portal
        self._reading = reading

    def run(self, body: Json) -> Json:
        """Answer a search body."""
        query = read_query(body, self._portal.schema)
        if self._portal.settings.search_epoch_zero_fails and _is_from_zero(query):
            raise internal_error()
        with self._portal.ledger.session():
            index = self._portal.ledger.index
            index.catch_up(self._portal.ledger.steady())
            found = self._find(index, query)
            contacts = map(self._portal.ledger.records.contacts.get, found.rows)
            # Erased, merged and archived records that the index still has shrink the page, not the total.
            fresh = [contact for contact in contacts if contact is not None and not contact.archived]
            wanted = Wanted(self._shown(query.properties))
            answer: Json = {
                "total": found.total,
                "results": [self._reading.render(contact, wanted) for contact in fresh],
            }
        after = query.offset + query.limit
        return answer | {"paging": {"next": {"after": str(after)}}} if after < found.total else answer

    def _shown(self, properties: tuple[str, ...]) -> tuple[str, ...]:
        hides = not self._portal.settings.search_merged_ids
        return tuple(name for name in properties if not (hides and name == "hs_merged_object_ids"))

    def _find(self, index: SearchIndex, query: Query) -> Found:
        secondary = self._portal.settings.search_secondary
        groups = [_Group(filters, secondary) for filters in query.groups] or [_Group((), secondary)]
        if not query.words and len(groups) == 1 and (quick := _from_order(index, groups[0], query)):
            return quick
        matching = set().union(*(group.matching(index) for group in groups))
        if query.words:
            matches = words_predicate(query.words)
            matching = {each for each in matching if matches(index.documents[each])}
        rows = sorted(matching, key=_sort_key(index, query), reverse=query.descending)
        return Found(len(rows), rows[query.offset : query.offset + query.limit])


def _is_from_zero(query: Query) -> bool:
    conditions = (each for group in query.groups for each in group)
    return any(each.name == "lastmodifieddate" and 0 in each.operands for each in conditions)


def _sort_key(index: SearchIndex, query: Query) -> Callable[[int], Any]:
    sort = query.sort
    if sort is None or sort.name == "hs_object_id":
        return lambda each: each

    def key(each: int) -> tuple[bool, Any, int]:
        value = comparable(index.documents[each], sort)
        return value is not None, "" if value is None else value, each

    return key


class _Group:
    """The filters of one group, sorted by what the index can answer."""

    def __init__(self, filters: Sequence[Filter], secondary: bool) -> None:
        self.times, rest = _narrow(filters, "lastmodifieddate")
        self.ids, rest = _narrow(rest, "hs_object_id")
        self.rest: list[Predicate] = [predicate(each, secondary) for each in rest]
        self.addresses = next((each.operands for each in rest if _names_address(each)), None)

    def matching(self, index: SearchIndex) -> Iterable[int]:
        """Return the ids of all documents that match."""
        candidates = self._candidates(index)
        if not self.rest:
            return candidates
        documents = index.documents
        return (each for each in candidates if self._holds(documents[each]))

    def _holds(self, document: Contact) -> bool:
        return all(test(document) for test in self.rest)

    def _candidates(self, index: SearchIndex) -> Iterator[int]:
        if self.addresses is not None:
            named = (each for address in self.addresses for each in index.with_address(address))
            return (each for each in named if self._in_bounds(index.documents[each]))
        if self.times.open:
            return index.by_id.walk(self.ids.low, self.ids.high)
        return (each for each in map(unpack_id, self._keys(index)) if self.ids.low <= each < self.ids.high)

    def _in_bounds(self, document: Contact) -> bool:
        times, ids = self.times, self.ids
        return times.low <= document.modified < times.high and ids.low <= document.id < ids.high

    def _keys(self, index: SearchIndex) -> Iterator[int]:
        return index.by_modified.walk(*self.key_range())

    def key_range(self) -> tuple[int, int]:
        """Return the range of packed keys; exact when there is a single time or no bound on ids."""
        if self.times.single:
            return pack(self.times.low, self.ids.low), pack(self.times.low, self.ids.high)
        return pack(self.times.low), pack(self.times.high)


def _narrow(filters: Sequence[Filter], name: str) -> tuple[Bounds, list[Filter]]:
    """Fold the range filters on one number into bounds; return the other filters with them."""
    bounds, rest = Bounds(), []
    for each in filters:
        if each.name == name and each.operator in _RANGES and all(isinstance(o, int) for o in each.operands):
            low, high = _bounds(each.operator, each.operands)
            bounds = Bounds(max(bounds.low, low), min(bounds.high, high))
        else:
            rest.append(each)
    return bounds, rest


def _bounds(operator: str, operands: Sequence[int]) -> tuple[int, int]:
    first, last = operands[0], operands[-1]
    low = {"EQ": first, "GT": first + 1, "GTE": first, "BETWEEN": first}.get(operator, 0)
    high = {"EQ": first + 1, "LT": first, "LTE": first + 1, "BETWEEN": last + 1}.get(operator, _TOP)
    return low, high


def _names_address(condition: Filter) -> bool:
    return condition.name == "email" and condition.operator in ("EQ", "IN")


def _from_order(index: SearchIndex, group: _Group, query: Query) -> Found | None:
    """Answer from an ordered index when it has exactly this question's order; None when it has not."""
    if group.rest:
        return None
    sort = query.sort.name if query.sort else "hs_object_id"
    by_time = sort == "lastmodifieddate" and (group.ids.open or group.times.single)
    if by_time or (sort == "hs_object_id" and group.times.single):
        low, high = group.key_range()
        ordered = index.by_modified
    elif sort == "hs_object_id" and group.times.open:
        low, high = group.ids.low, group.ids.high
        ordered = index.by_id
    else:
        return None
    walk = ordered.walk_back(low, high) if query.descending else ordered.walk(low, high)
    rows = islice(walk, query.offset, query.offset + query.limit)
    return Found(ordered.count(low, high), [unpack_id(each) for each in rows])
