"""The search index: a copy of the live contacts that may lag behind the store.

Filters see this copy, answers show the store; that is why a search can return a record that does not match.
"""

import heapq
from collections.abc import Iterator

from sandbox.contact import Contact
from sandbox.ordered import OrderedInts
from sandbox.records import fold

_ID_BITS = 48
_ID_MASK = (1 << _ID_BITS) - 1


def pack(modified: int, contact_id: int = 0) -> int:
    """Return a key that sorts by time, then by id."""
    return modified << _ID_BITS | contact_id


def unpack_id(key: int) -> int:
    """Return the id of a key."""
    return key & _ID_MASK


class SearchIndex:
    """Documents by id, by address and by (lastmodifieddate, id)."""

    def __init__(self) -> None:
        self.documents: dict[int, Contact] = {}
        self.by_id = OrderedInts()
        self.by_modified = OrderedInts()
        self._by_address: dict[str, tuple[int, ...]] = {}
        self._waiting: list[tuple[int, int, int, Contact | None]] = []
        self._applied: dict[int, int] = {}
        self._writes = 0

    def load(self, contacts: list[Contact]) -> None:
        """Fill an empty index quickly."""
        self.documents = {contact.id: contact for contact in contacts}
        self.by_id = OrderedInts(self.documents)
        self.by_modified = OrderedInts(pack(contact.modified, contact.id) for contact in contacts)
        for contact in contacts:
            self._add_addresses(contact)

    def note(self, contact_id: int, contact: Contact | None, due: int | None) -> None:
        """Take a new version (None: no longer live) into the index, at once or when it is due."""
        self._writes += 1
        if due is None:
            self._apply(self._writes, contact_id, contact)
        else:
            heapq.heappush(self._waiting, (due, self._writes, contact_id, contact))

    def catch_up(self, now: int | None = None) -> None:
        """Apply what is due; without a time, everything."""
        while self._waiting and (now is None or self._waiting[0][0] <= now):
            _, write, contact_id, contact = heapq.heappop(self._waiting)
            self._apply(write, contact_id, contact)
        if not self._waiting:
            self._applied.clear()

    def with_address(self, address: str) -> tuple[int, ...]:
        """Return the ids of documents that hold an address."""
        return self._by_address.get(fold(address), ())

    def modified_between(self, low: int, high: int) -> Iterator[int]:
        """Yield ids of documents with packed low <= key < high."""
        return map(unpack_id, self.by_modified.walk(low, high))

    def _apply(self, write: int, contact_id: int, contact: Contact | None) -> None:
        # With a random lag an older version can come due after a newer one.
        if write < self._applied.get(contact_id, 0):
            return
        if self._waiting:
            self._applied[contact_id] = write
        self._drop(contact_id)
        if contact is not None:
            self._add(contact)

    def _add(self, contact: Contact) -> None:
        self.documents[contact.id] = contact
        self.by_id.add(contact.id)
        self.by_modified.add(pack(contact.modified, contact.id))
        self._add_addresses(contact)

    def _add_addresses(self, contact: Contact) -> None:
        for address in map(fold, contact.addresses):
            self._by_address[address] = (*self._by_address.get(address, ()), contact.id)

    def _drop(self, contact_id: int) -> None:
        old = self.documents.pop(contact_id, None)
        if old is None:
            return
        self.by_id.discard(contact_id)
        self.by_modified.discard(pack(old.modified, contact_id))
        for address in map(fold, old.addresses):
            left = tuple(each for each in self._by_address.get(address, ()) if each != contact_id)
            if left:
                self._by_address[address] = left
            else:
                self._by_address.pop(address, None)
