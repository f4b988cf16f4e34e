"""A sorted set of integers that stays quick with a million members.

Buckets of bounded length keep insertion and removal cheap; a range can be counted without walking it.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

_BUCKET = 2000


class OrderedInts:
    """A sorted set of integers with counting and walking of half-open ranges."""

    def __init__(self, members: Iterable[int] = ()) -> None:
        ordered = sorted(set(members))
        self._buckets = [ordered[at : at + _BUCKET] for at in range(0, len(ordered), _BUCKET)]
        self._highest = [bucket[-1] for bucket in self._buckets]
        self._size = len(ordered)

    def __len__(self) -> int:
        return self._size

    def add(self, member: int) -> None:
        """Insert a member; one that is there already changes nothing."""
        if not self._buckets:
            self._buckets, self._highest, self._size = [[member]], [member], 1
            return
        place = min(bisect_left(self._highest, member), len(self._buckets) - 1)
        bucket = self._buckets[place]
        at = bisect_left(bucket, member)
        if at < len(bucket) and bucket[at] == member:
            return
        insort(bucket, member)
        self._size += 1
        self._highest[place] = bucket[-1]
        if len(bucket) > 2 * _BUCKET:
            self._split(place)

    def _split(self, place: int) -> None:
        bucket = self._buckets[place]
        self._buckets[place : place + 1] = [bucket[:_BUCKET], bucket[_BUCKET:]]
        self._highest[place : place + 1] = [bucket[_BUCKET - 1], bucket[-1]]

    def discard(self, member: int) -> None:
        """Remove a member; one that is not there changes nothing."""
        place, at = self._locate(member)
        if place == len(self._buckets) or self._buckets[place][at] != member:
            return
        bucket = self._buckets[place]
        del bucket[at]
        self._size -= 1
        if bucket:
            self._highest[place] = bucket[-1]
        else:
            del self._buckets[place], self._highest[place]

    def _locate(self, member: int) -> tuple[int, int]:
        """Return where the first member not below this one stands."""
        place = bisect_left(self._highest, member)
        return (place, bisect_left(self._buckets[place], member)) if place < len(self._buckets) else (place, 0)

    def count(self, low: int, high: int) -> int:
        """Count the members with low <= member < high."""
        return max(0, self._rank(high) - self._rank(low))

    def _rank(self, member: int) -> int:
        place, at = self._locate(member)
        return sum(map(len, self._buckets[:place])) + at

    def walk(self, low: int, high: int) -> Iterator[int]:
        """Yield the members with low <= member < high, ascending."""
        place, at = self._locate(low)
        for bucket in self._buckets[place:]:
            end = bisect_left(bucket, high)
            yield from bucket[at:end]
            if end < len(bucket):
                return
            at = 0

    def walk_back(self, low: int, high: int) -> Iterator[int]:
        """Yield the members with low <= member < high, descending."""
        place, _ = self._locate(high)
        for bucket in reversed(self._buckets[: place + 1]):
            start = bisect_left(bucket, low)
            yield from reversed(bucket[start : bisect_left(bucket, high)])
            if start:
                return
