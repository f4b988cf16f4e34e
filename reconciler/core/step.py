"""A decision about one pair: one action of a closed set, and beside it what is logged, blocked, closed, looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, auto

from reconciler.core.blocks import RECORD, Block, Blocks, is_blocked
from reconciler.core.contact import ContactId, CustomerId, IntentId, Pair
from reconciler.core.merge import Conflict
from reconciler.core.values import Value, Values

STALE_LOOKS = (1.0, 5.0, 30.0)
"""Seconds until the next look at a contact that reads older than it was seen; after the last it is believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Both are alive: `pull` goes into Postgres, `push` to HubSpot, `agree` into the base alone."""

    pull: Values = field(default_factory=dict)
    push: Values = field(default_factory=dict)
    agree: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Insert:
    """A new customer with the contact's values."""

    pull: Values


@dataclass(frozen=True, slots=True)
class Revive:
    """The deleted customer lives again, with the contact's values."""

    pull: Values


@dataclass(frozen=True, slots=True)
class Delete:
    """The customer follows its contact: it is soft-deleted."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The contact follows its customer."""


@dataclass(frozen=True, slots=True)
class Create:
    """A new contact with the customer's values."""

    push: Values


@dataclass(frozen=True, slots=True)
class Agree:
    """Both are dead, and that is agreed."""


@dataclass(frozen=True, slots=True)
class Attach:
    """The link's contact is `contact_id` from now on; the id it had is an alias. `former` hands it over."""

    contact_id: ContactId
    former: CustomerId | None = None


@dataclass(frozen=True, slots=True)
class Adopt:
    """The contact belongs to the customer `owner`, who had none; this link was a placeholder."""

    owner: CustomerId
    contact_id: ContactId


@dataclass(frozen=True, slots=True, kw_only=True)
class Absorb:
    """HubSpot merged two linked contacts into `contact_id`: `winner` keeps it, `loser` is merged into it."""

    winner: CustomerId
    loser: CustomerId
    contact_id: ContactId


@dataclass(frozen=True, slots=True)
class Detach:
    """One side is gone, and the owner's rules let the other one stay: the link is kept, and does nothing."""


@dataclass(frozen=True, slots=True)
class Forget:
    """The link leads nowhere: a reservation that came to nothing, a contact that is to become no customer."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """The contact belongs to an erased person: it is never looked at again."""


@dataclass(frozen=True, slots=True)
class Erase:
    """Everything about the person goes. `purges`: first in HubSpot."""

    purges: bool = False


class Wait(Enum):
    """Nothing can be decided yet: the read is older than what was seen, or lacks the properties' history; the table
    hides the row; the contact was not read; a create is under way; the holder of the address is busy, or about to
    release it.
    """

    STALE = auto()
    HISTORY = auto()
    HIDDEN = auto()
    UNREAD = auto()
    CREATE = auto()
    BUSY = auto()
    RELEASE = auto()


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is to be done; blocks say why, where there is a reason."""


Action = (
    Merge
    | Insert
    | Revive
    | Delete
    | Archive
    | Create
    | Agree
    | Attach
    | Adopt
    | Absorb
    | Detach
    | Forget
    | Ignore
    | Erase
    | Wait
    | Rest
)

Rearranging = Attach | Adopt | Absorb | Detach | Forget | Ignore | Erase
"""Actions that change which customer and contact are linked, and nothing else: the next look merges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do about one pair. `again`: seconds until another look; None when this settles it."""

    pair: Pair
    action: Action = Rest()
    conflicts: tuple[Conflict, ...] = ()
    blocks: Blocks = field(default_factory=dict)
    closes: tuple[IntentId, ...] = ()
    again: float | None = None

    @property
    def pull(self) -> Values:
        """What goes into the row."""
        return self.action.pull if isinstance(self.action, Merge | Insert | Revive) else {}

    @property
    def push(self) -> Values:
        """What goes into the contact."""
        return self.action.push if isinstance(self.action, Merge | Create) else {}

    @property
    def agree(self) -> Values:
        """What goes into the base alone. A new row has nothing of what was agreed with one that is gone."""
        match self.action:
            case Merge(agree=agree):
                return agree
            case Insert(pull=pull):
                return {field: None for field in self.pair.link.base if field not in pull}
            case _:
                return {}

    @property
    def alive(self) -> bool | None:
        """The base of being alive that it leaves; None: as it is."""
        match self.action:
            case Merge():
                # Where it is agreed already, another worker's answer may say otherwise by now.
                return None if self.pair.link.alive else True
            case Insert() | Revive():
                return True
            case Delete() | Agree():
                return False
            case _:
                return None

    @property
    def becomes_alive(self) -> bool | None:
        """Whether the customer dies or lives again; None: neither."""
        match self.action:
            case Delete():
                return False
            case Revive():
                return True
            case _:
                return None

    @property
    def at(self) -> datetime | None:
        """HubSpot's time of the linked contact that was read."""
        contact = self.pair.contact
        return None if contact is None or contact.id != self.pair.link.contact_id else contact.updated_at

    @property
    def believes(self) -> bool:
        """Whether a contact older than what was seen is taken as it is: looked at often enough, or again later."""
        seen = self.pair.link.newest_seen
        return self.action is Wait.STALE or (seen is not None and self.at is not None and self.at < seen)

    @property
    def is_whole(self) -> bool:
        """Whether the contact is merged with nothing held back, so that poll and sweep may pass it over."""
        is_waiting = self.again is not None or isinstance(self.action, Wait)
        is_held_back = is_waiting or bool({"email", RECORD} & self.blocks.keys()) or isinstance(self.action, Delete)
        return self.at is not None and not is_held_back

    @property
    def has_checked_blind_pushes(self) -> bool:
        """Whether the history has all that was overwritten by pushes without a read: not while one is under way."""
        contact = self.pair.contact
        return contact is not None and bool(contact.history) and not self.pair.is_pushed_unread

    @property
    def changes_anything(self) -> bool:
        """Whether there is anything to commit here."""
        contact, link = self.pair.contact, self.pair.link
        is_news = contact is not None and link.merged_through != contact.updated_at
        is_announced = self.pair.privacy and not link.privacy
        is_remembered = bool(self.agree or self.closes or self.blocks or self.conflicts or self.lifted or self.outlived)
        is_watched = bool(link.blind_pushes or link.late)
        is_about_being = self.reattaches or self.alive not in (None, link.alive)
        is_known = is_remembered or is_watched or is_announced
        return self.writes or is_news or is_known or is_about_being or self.action is Wait.STALE

    @property
    def lifted(self) -> list[str]:
        """What the brake held and holds no more: it was let go, or there is nothing left to hold."""
        if not self.pair.link.blocks or isinstance(self.action, Wait):
            return []
        held = {field for field, block in self.pair.link.blocks.items() if block.reason.is_held}
        return sorted(held - self.blocks.keys())

    @property
    def cured(self) -> list[str]:
        """The blocks that end with it, beside those of the fields that move."""
        if not isinstance(self.action, Merge | Insert | Revive):
            return self.lifted
        return [*self.lifted, *self.outlived, *([] if isinstance(self.action, Merge) else [RECORD])]

    @property
    def outlived(self) -> list[str]:
        """The fields that are blocked by a value which neither side has any more."""
        customer, contact = self.pair.customer, self.pair.contact
        if not self.pair.link.blocks or not isinstance(self.action, Merge) or customer is None or contact is None:
            return []
        blocks = {field: block for field, block in self.pair.link.blocks.items() if field in contact.values}
        return [
            field
            for field in sorted(blocks.keys() - self.blocks.keys())
            if not any(is_blocked(blocks, field, side.values.get(field)) for side in (customer, contact))
        ]

    @property
    def is_missing(self) -> bool:
        """Whether a side goes, or is made anew, because the other one is absent: without proof that it was deleted."""
        is_absent = self.pair.is_row_missing or self.pair.is_contact_missing
        return is_absent and isinstance(self.action, Delete | Archive | Create | Detach)

    @property
    def reattaches(self) -> bool:
        """Whether a detached link has both its sides again."""
        return isinstance(self.action, Merge) and self.pair.link.is_detached

    @property
    def touches_customer(self) -> bool:
        """Whether the customer's row is written: its fields, its being alive, or the times it shows."""
        customer = self.pair.customer
        if customer is None or isinstance(self.action, Insert):
            return False
        is_news = self.at is not None and customer.remote_updated_at != self.at
        return bool(self.pull) or self.becomes_alive is not None or is_news

    @property
    def rearranged(self) -> set[CustomerId]:
        """The customers whose rows a change of links writes."""
        match self.action:
            case Attach(_, former):
                return {self.pair.uuid, *([] if former is None else [former])}
            case Adopt(owner, _):
                return {owner}
            case Absorb() as merged:
                return {merged.winner, merged.loser}
            case Erase():
                return {self.pair.uuid}
            case _:
                return set()

    @property
    def freed_address(self) -> Value:
        """The address that the contact had, and has no more."""
        had = self.pair.link.base.get("email")
        is_given_up = isinstance(self.action, Delete) or {**self.agree, **self.pull}.get("email", had) != had
        return had if is_given_up else None

    @property
    def ends(self) -> bool:
        """Whether nothing is left to do once it is committed here: no call of HubSpot, no other look."""
        calls = isinstance(self.action, Archive | Create) or bool(self.push)
        return self.again is None and not calls and not isinstance(self.action, Wait)

    @property
    def writes(self) -> bool:
        """Whether the step changes a customer or a contact (and not just what the sync remembers)."""
        match self.action:
            case Merge(pull=pull, push=push):
                return bool(pull or push)
            case Insert() | Revive() | Delete() | Archive() | Create() | Erase():
                return True
            case _:
                return False


def without_fields(step: Step, blocks: Mapping[str, Block]) -> Step:
    """Return the step in which these fields stay as they are, on both sides, and why."""
    action = step.action
    assert isinstance(action, Merge | Insert | Revive)
    pull = {field: value for field, value in step.pull.items() if field not in blocks}
    push = {field: value for field, value in step.push.items() if field not in blocks}
    moving = replace(action, pull=pull, push=push) if isinstance(action, Merge) else replace(action, pull=pull)
    return replace(step, action=moving, blocks={**step.blocks, **blocks})
