"""All contacts of the portal with the indexes that name them: ids, unique values, aliases of merged ids.

Memory only; the portal decides what may be put here and writes it to the state file.
"""

from collections.abc import Callable, Iterator

from sandbox.contact import Contact
from sandbox.ordered import OrderedInts

EMAIL = "email"


def fold(value: str) -> str:
    """Return the form in which unique values are compared."""
    lowered = value.lower()
    # One object less for each of a million addresses that are lower case already.
    return value if lowered == value else lowered


def as_id(text: str) -> int | None:
    """Read a record id; None when it cannot be one."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


class Records:
    """The store; only live contacts hold their unique values."""

    def __init__(self, unique_names: Callable[[], list[str]]) -> None:
        self.contacts: dict[int, Contact] = {}
        self.live = OrderedInts()
        self.bin = OrderedInts()
        self.aliases: dict[int, int] = {}
        self.blocklist: set[str] = set()
        self._unique_names = unique_names
        self._holders: dict[str, dict[str, int]] = {}

    def load(self, contacts: list[Contact]) -> None:
        """Fill an empty store quickly."""
        self.contacts = {contact.id: contact for contact in contacts}
        self.live = OrderedInts(contact.id for contact in contacts if not contact.archived)
        self.bin = OrderedInts(contact.id for contact in contacts if contact.archived)
        for contact in contacts:
            if not contact.archived:
                self._hold(contact)

    def clear(self) -> None:
        """Forget everything."""
        self.load([])
        self.aliases, self.blocklist, self._holders = {}, set(), {}

    def put(self, contact: Contact) -> None:
        """Store a new version of a contact."""
        before = self.contacts.get(contact.id)
        if before is not None:
            self._release(before)
        self.contacts[contact.id] = contact
        if contact.archived:
            self.live.discard(contact.id)
            self.bin.add(contact.id)
        else:
            self.bin.discard(contact.id)
            self.live.add(contact.id)
            self._hold(contact)

    def remove(self, contact_id: int) -> None:
        """Forget a contact altogether."""
        self._release(self.contacts.pop(contact_id))
        self.live.discard(contact_id)
        self.bin.discard(contact_id)

    def resolve(self, contact_id: int) -> int:
        """Follow merges to the id that is in use."""
        while contact_id in self.aliases:
            contact_id = self.aliases[contact_id]
        return contact_id

    def by_id(self, contact_id: int) -> Contact | None:
        """Return the contact with this id or the one it was merged into, archived or not."""
        return self.contacts.get(self.resolve(contact_id))

    def by_value(self, name: str, value: str) -> Contact | None:
        """Return the live contact that holds a unique value; an address may be a secondary one."""
        holder = self._holders.get(name, {}).get(fold(value.strip()))
        return None if holder is None else self.contacts[holder]

    def archived_by_value(self, name: str, value: str) -> Contact | None:
        """Return the youngest archived contact with a value."""
        wanted = fold(value.strip())
        found = (self.contacts[each] for each in self.bin.walk_back(0, 1 << 62))
        return next((each for each in found if (name, wanted) in self._keys(each)), None)

    def _hold(self, contact: Contact) -> None:
        for name, value in self._keys(contact):
            self._holders.setdefault(name, {})[value] = contact.id

    def _release(self, contact: Contact) -> None:
        for name, value in self._keys(contact):
            held = self._holders.get(name, {})
            if held.get(value) == contact.id:
                del held[value]

    def _keys(self, contact: Contact) -> Iterator[tuple[str, str]]:
        for address in contact.addresses:
            yield EMAIL, fold(address)
        for name in self._unique_names():
            if name not in (EMAIL, "hs_additional_emails") and (value := contact.get(name)):
                yield name, fold(value)
