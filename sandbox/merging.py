"""Two contacts become one: which values, addresses and histories the survivor has. Pure."""

from dataclasses import replace

from sandbox.contact import MERGE, Contact, Entry
from sandbox.records import fold


def merged(primary: Contact, other: Contact, survivor_id: int, now: int) -> tuple[Contact, int]:
    """Return the survivor and how many values moved: the primary's win unless they are empty."""
    moved = {name: value for name, value in other.values.items() if value and not primary.get(name)}
    base = replace(
        primary,
        id=survivor_id,
        created=min(primary.created, other.created),
        history=_joined_history(primary, other),
        merged=_absorbed(survivor_id, primary, other),
    )
    survivor = base.with_values(moved, now, MERGE)
    return replace(survivor, secondary=_addresses(survivor, primary, other)), len(moved)


def _joined_history(primary: Contact, other: Contact) -> dict[str, tuple[Entry, ...]]:
    """Join both histories; the first line stays the primary's where it has a value."""
    joined = {}
    for name in {*primary.values, *primary.history, *other.values, *other.history}:
        own, foreign = primary.entries(name), other.entries(name)
        older = sorted((*own[1:], *foreign), key=lambda line: line.timestamp, reverse=True)
        joined[name] = (*own[:1], *older)
    return joined


def _addresses(survivor: Contact, primary: Contact, other: Contact) -> tuple[str, ...]:
    seen = {fold(survivor.email)}
    kept = []
    for address in (*primary.addresses, *other.addresses):
        if fold(address) not in seen:
            seen.add(fold(address))
            kept.append(address)
    return tuple(kept)


def _absorbed(survivor_id: int, primary: Contact, other: Contact) -> tuple[int, ...]:
    ids = (*primary.merged, *other.merged, primary.id, other.id)
    return tuple(each for each in dict.fromkeys(ids) if each != survivor_id)
