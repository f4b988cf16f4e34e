"""The desk: everything that people and the API can do to contacts, without HTTP.

Methods act as a person in HubSpot's pages unless `by` says otherwise; they raise `HubSpotError` for what
HubSpot refuses. Each is one session of the ledger: safe from any thread, all or nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from sandbox.contact import IMPORT, USER, Contact, Origin
from sandbox.errors import (
    invalid,
    no_properties,
    no_such_record,
    resource_not_found,
    value_taken,
)
from sandbox.imports import imported
from sandbox.ledger import Ledger
from sandbox.lifecycle import STAGE
from sandbox.merging import merged
from sandbox.records import EMAIL, as_id, fold
from sandbox.settings import Settings, Switches
from sandbox.writes import ADDITIONAL, Gate

_CHUNK = 1000
_MOST_MERGES = 250
_RESTORABLE_MS = 90 * 86_400_000


class Desk:
    """The verbs."""

    def __init__(self, switches: Switches, ledger: Ledger, gate: Gate) -> None:
        self.switches = switches
        self.ledger = ledger
        self.gate = gate

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.switches.current

    @property
    def contacts(self) -> list[Contact]:
        """Every live contact by id."""
        with self.ledger.session():
            return [self.ledger.records.contacts[each] for each in self.ledger.records.live.walk(0, 1 << 62)]

    def contact(self, key: int | str) -> Contact | None:
        """Return a contact by id (archived ones too, merged ids followed) or by any of its addresses."""
        with self.ledger.session():
            return self.find(key, EMAIL if "@" in str(key) else None)

    def find(self, key: int | str, id_property: str | None = None, archived: bool | None = None) -> Contact | None:
        """Return what a key names; `archived` restricts it to the bin or to what is not in the bin."""
        records = self.ledger.records
        if id_property in (None, "hs_object_id"):
            number = as_id(str(key))
            contact = None if number is None else records.by_id(number)
        elif archived:
            contact = records.archived_by_value(id_property or EMAIL, str(key))
        else:
            contact = records.by_value(id_property or EMAIL, str(key))
        fits = contact is not None and (archived is None or contact.archived is archived)
        return contact if fits else None

    def page(self, after: int, limit: int, archived: bool) -> tuple[list[Contact], int | None]:
        """Return contacts from an id on, and the id from which to go on."""
        with self.ledger.session():
            records = self.ledger.records
            walk = (records.bin if archived else records.live).walk(after, 1 << 62)
            found = [records.contacts[each] for each in islice(walk, limit + 1)]
            page = found[:limit]
            return page, page[-1].id + 1 if len(found) > limit else None

    def matching(self, text: str, limit: int, archived: bool) -> list[Contact]:
        """Return the first contacts in which a text occurs, whatever the case."""
        wanted = text.lower()
        with self.ledger.session():
            records = self.ledger.records
            walk = (records.bin if archived else records.live).walk(0, 1 << 62)
            every = (records.contacts[each] for each in walk)
            return list(islice((each for each in every if _occurs(wanted, each)), limit))

    def create(self, properties: Mapping[str, Any], *, by: Origin = USER) -> Contact:
        """Create a contact."""
        with self.ledger.session() as now:
            cleaned = self.gate.joined(None, self.gate.clean(properties))
            values = {name: value for name, value in cleaned.items() if value}
            self.gate.refuse_blocklisted(values)
            self.gate.refuse_taken(None, values)
            secondary = tuple(filter(None, values.pop(ADDITIONAL, "").split(";")))
            if self.settings.default_stage:
                values.setdefault(STAGE, self.settings.default_stage)
            new = Contact(
                id=self.ledger.new_id(),
                created=now,
                modified=now,
                origin=by,
                values=values,
                secondary=secondary,
            )
            self.ledger.put(new)
            self.ledger.emit("creation", new.id, by)
            if self.settings.webhook_creation_properties:
                self.ledger.emit_values(new.id, values, by)
            self.ledger.touch_later(new.id, now)
            return new

    def edit(
        self,
        key: int | str,
        properties: Mapping[str, Any],
        *,
        by: Origin = USER,
        id_property: str | None = None,
    ) -> Contact:
        """Write properties of a live contact; equal values change nothing."""
        with self.ledger.session() as now:
            contact = self._live(key, id_property)
            if not properties:
                raise no_properties()
            cleaned = self.gate.joined(contact, self.gate.clean(properties))
            values = self.gate.stage(contact, cleaned, by)
            self.gate.refuse_blocklisted(values)
            self.gate.refuse_taken(contact, values)
            return self._write(contact, values, now, by)

    def _write(self, contact: Contact, values: dict[str, str], now: int, by: Origin) -> Contact:
        additional = values.pop(ADDITIONAL, None)
        changes = {name: value for name, value in values.items() if value != (contact.get(name) or "")}
        secondary = _secondary_after(contact, changes.get(EMAIL), additional)
        self.ledger.emit_values(contact.id, values if self.settings.webhook_noop_events else changes, by)
        if not changes and secondary == contact.secondary:
            return contact
        return self.ledger.put(replace(contact.with_values(changes, now, by), secondary=secondary))

    def add_address(self, key: int | str, address: str) -> Contact:
        """Give a contact a secondary address, as a person would."""
        with self.ledger.session() as now:
            contact = self._live(key, None)
            self.gate.refuse_taken(contact, {EMAIL: address})
            return self.ledger.put(replace(contact, secondary=(*contact.secondary, address.strip()), modified=now))

    def delete(self, key: int | str, *, by: Origin = USER) -> None:
        """Move a contact to the recycle bin."""
        with self.ledger.session() as now:
            contact = self._live(key, None)
            self.ledger.put(replace(contact, archived_at=now))
            self.ledger.emit("deletion", contact.id, by)

    def restore(self, contact_id: int | str, *, by: Origin = USER) -> Contact:
        """Bring a contact back within 90 days; only people can."""
        with self.ledger.session() as now:
            contact = self.find(contact_id, None, archived=True)
            if contact is None or contact.archived_at is None or now - contact.archived_at > _RESTORABLE_MS:
                raise no_such_record()
            contact = self._with_free_address(contact)
            restored = self.ledger.put(replace(contact, archived_at=None, modified=now))
            self.ledger.emit("restore", restored.id, by)
            return restored

    def _with_free_address(self, contact: Contact) -> Contact:
        taken = [each for each in contact.addresses if self.ledger.records.by_value(EMAIL, each)]
        if not taken:
            return contact
        holder = self.ledger.records.by_value(EMAIL, taken[0])
        if self.settings.restore_taken == "refuse" and holder is not None:
            raise value_taken(self.settings.portal_id, EMAIL, taken[0], (contact.id, holder.id))
        values = {name: value for name, value in contact.values.items() if name != EMAIL or value not in taken}
        secondary = tuple(each for each in contact.secondary if each not in taken)
        return replace(contact, values=values, secondary=secondary)

    def erase(self, key: int | str, *, by: Origin = USER, id_property: str | None = None) -> None:
        """Erase a contact for good (privacy deletion); an unknown address is blocklisted all the same."""
        with self.ledger.session():
            id_property = id_property or (EMAIL if "@" in str(key) else None)
            contact = self.find(key, id_property) or self.find(key, id_property, archived=True)
            if contact is None and "@" not in str(key):
                raise no_such_record()
            if contact is None:
                self.ledger.block((fold(str(key).strip()),))
                return
            self.ledger.block(tuple(map(fold, contact.addresses)))
            self.ledger.remove(contact.id)
            # Both are told, in no certain order.
            for kind in self.ledger.random.sample(["deletion", "privacyDeletion"], 2):
                self.ledger.emit(kind, contact.id, by)

    def merge(self, primary_id: int | str, other_id: int | str, *, by: Origin = USER) -> Contact:
        """Merge two live contacts; usually into a third id to which both old ones lead."""
        with self.ledger.session() as now:
            primary, other = self._live(primary_id, None), self._live(other_id, None)
            if primary.id == other.id:
                raise invalid("A contact cannot be merged with itself")
            if len(primary.merged) + len(other.merged) >= _MOST_MERGES:
                raise invalid(f"A record cannot take part in more than {_MOST_MERGES} merges")
            keeps = self.settings.preserve_primary_id
            survivor, moved = merged(primary, other, primary.id if keeps else self.ledger.new_id(), now)
            self._absorb([other] if keeps else [primary, other], survivor)
            self.ledger.put(survivor)
            self._tell_merge((primary, other), survivor, moved, by)
            return survivor

    def _absorb(self, lost: Iterable[Contact], survivor: Contact) -> None:
        for contact in lost:
            self.ledger.remove(contact.id)
            self.ledger.alias(contact.id, survivor.id)

    def _tell_merge(self, pair: tuple[Contact, Contact], survivor: Contact, moved: int, by: Origin) -> None:
        primary, other = pair
        extra = {
            "primaryObjectId": primary.id,
            "mergedObjectIds": [other.id],
            "newObjectId": survivor.id,
            "numberOfPropertiesMoved": moved,
        }
        if self.settings.merge_creation_event and survivor.id != primary.id:
            self.ledger.emit("creation", survivor.id, by)
        self.ledger.emit("merge", survivor.id, by, extra=extra)
        for lost in pair:
            if lost.id != survivor.id:
                self.ledger.emit("deletion", lost.id, by)

    def load(self, count: int, prefix: str, *, by: Origin = IMPORT) -> int:
        """Import many contacts, a thousand to a session so that others get their turn."""
        numbers = range(1, count + 1)
        for first in range(0, count, _CHUNK):
            with self.ledger.session():
                for number in numbers[first : first + _CHUNK]:
                    self.create(imported(prefix, number), by=by)
        return count

    def _live(self, key: int | str, id_property: str | None) -> Contact:
        contact = self.find(key, id_property, archived=False)
        if contact is None:
            raise no_such_record() if self.settings.not_found_form == "html" else resource_not_found()
        return contact


def _occurs(wanted: str, contact: Contact) -> bool:
    texts = (str(contact.id), *contact.values.values(), *contact.secondary)
    return any(wanted in each.lower() for each in texts)


def _secondary_after(contact: Contact, email: str | None, additional: str | None) -> tuple[str, ...]:
    secondary = contact.secondary
    if additional is not None:
        secondary = tuple(filter(None, additional.split(";")))
    promoted = email and fold(email) in map(fold, secondary)
    if promoted:
        # The old primary address stays with its person when a secondary one takes its place.
        others = (each for each in secondary if fold(each) != fold(email or ""))
        secondary = (*others, contact.email) if contact.email else tuple(others)
    return secondary
