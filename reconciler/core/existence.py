"""Being alive, merged three-way like a property.

base   local  remote
alive  dead   alive    ARCHIVE   delete wins; what HubSpot changed meanwhile goes to the log
alive  alive  dead     DELETE    soft; what Postgres changed meanwhile goes to the log
dead   dead   alive    REVIVE    the same customer, HubSpot's values
dead   alive  dead     CREATE    a new contact (HubSpot cannot restore); the old id becomes a former one
-      -      alive    INSERT    a contact that is not known here
-      dead   alive    ARCHIVE   a create of ours that landed after the customer was deleted
any    alive  alive    MERGE
any    dead   dead     AGREE
"""

from enum import Enum, auto

from reconciler.core.contact import IntentKind, Pair


class Existence(Enum):
    """What to do about a pair before its properties are looked at."""

    MERGE = auto()
    ARCHIVE = auto()
    DELETE = auto()
    REVIVE = auto()
    CREATE = auto()
    INSERT = auto()
    AGREE = auto()


def existence(pair: Pair) -> Existence:
    """Decide from the three values of being alive; a never-created side counts as dead."""
    local = pair.customer is not None and pair.customer.is_alive
    remote = pair.remote is not None and pair.remote.is_alive
    if local == remote:
        return Existence.MERGE if local else Existence.AGREE
    base = base_of_being(pair)
    if local:
        return Existence.DELETE if base else Existence.CREATE
    if base is None:
        return Existence.INSERT if pair.customer is None and not is_created_by_us(pair) else Existence.ARCHIVE
    return Existence.ARCHIVE if base else Existence.REVIVE


def base_of_being(pair: Pair) -> bool | None:
    """Return the base of existence; a contact that is dead by our own open archive intent was agreed dead.

    Not if that intent was an API write's: the row follows, it was alive when the intent was stored.
    """
    archived_by_us = any(intent.kind is IntentKind.ARCHIVE and not intent.is_ahead for intent in pair.intents)
    if archived_by_us and pair.remote is not None and not pair.remote.is_alive:
        return False
    return pair.link.alive


def is_created_by_us(pair: Pair) -> bool:
    """Whether a create of a customer that existed here is open: its contact belongs to that customer, alive or not."""
    return any(intent.kind is IntentKind.CREATE and not intent.reserved for intent in pair.intents)
