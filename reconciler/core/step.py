"""What a decision is made of and what it is: the owner's rules, the context of a batch, and the frozen `Step`."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto

from reconciler.core.contact import ContactId, CustomerId, IntentId, Pair, Trouble
from reconciler.core.errors import Code, Refused
from reconciler.core.fields import Policy, Value, Values
from reconciler.core.merge import Conflict

STALE_LOOKS = (1.0, 5.0, 30.0)
"""Seconds until the next look at a contact that reads older than it was seen; after the last it is believed."""

RECORD = "*"
"""The trouble key of the whole record."""

CREATE_UNKNOWN = "create_outcome_unknown"
"""The trouble of a customer without an address whose create was not answered: another might be a second contact."""


HELD = "held_"
"""Prefix of the trouble codes of the brake: an allowance ends them, or the end of what was held."""

ROWS_HIDDEN = "rows_hidden"
"""The cause that keeps a pair waiting whose row this role may not see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The owner's choices. `first_link` says which side wins where a pair has no base yet; `skew` is HubSpot's
    clock minus the database's.
    """

    policies: Mapping[str, Policy]
    first_link: Policy = Policy.NEWEST
    deletes_inbound: bool = True
    deletes_outbound: bool = True
    skew: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherLink:
    """Another link that matters to this pair: it holds a wanted address, or the same contact.

    `is_busy`: a worker of another batch is at it. `is_placeholder`: the link of a contact that is not known yet.
    `is_stuck`: its own address, or all of it, is parked.
    """

    uuid: CustomerId
    contact_id: ContactId | None
    email: Value
    created_at: datetime | None
    is_busy: bool = False
    is_alive: bool = True
    is_placeholder: bool = False
    base_email: Value = None
    is_stuck: bool = False

    def is_giving_up(self, address: Value, rules: Rules) -> bool:
        """Whether the address is about to leave the holder's contact: deleted or renamed here, not yet there."""
        if self.is_placeholder or self.is_stuck:
            return False
        if not self.is_alive:
            return rules.deletes_outbound
        return self.base_email == address != self.email


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a batch's pairs touch: `holders` by address (live customers and open creates), `owners` by contact id.

    `former` contacts were archived and replaced: one that is alive again was restored beside its successor. `ignored`
    ones belong to erased people. `suspended` columns (with our code) wait for HubSpot's schema.
    """

    holders: Mapping[str, OtherLink] = field(default_factory=dict)
    owners: Mapping[ContactId, OtherLink] = field(default_factory=dict)
    tombstoned: frozenset[str] = frozenset()
    former: frozenset[ContactId] = frozenset()
    ignored: frozenset[ContactId] = frozenset()
    suspended: Mapping[str, str] = field(default_factory=dict)
    has_nameless_create: bool = False


class Local(Enum):
    """What happens to the customer or its link, beside its columns."""

    INSERT = auto()
    DELETE = auto()
    REVIVE = auto()
    ERASE = auto()
    FORGET = auto()
    IGNORE = auto()
    DETACH = auto()
    REATTACH = auto()


class Remote(Enum):
    """What happens to the contact."""

    CREATE = auto()
    UPDATE = auto()
    ARCHIVE = auto()
    PURGE = auto()


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


@dataclass(frozen=True, slots=True)
class Absorb:
    """HubSpot merged two linked contacts into `contact_id`: `winner` keeps it, `loser` is merged into it."""

    winner: CustomerId
    loser: CustomerId
    contact_id: ContactId


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do about one pair. `again`: seconds until another look; None when this settles it.

    `is_missing`: it follows from a side that is absent, without proof that it was deleted. `waits`: the cause of the
    system that keeps it from being decided.
    """

    pair: Pair
    pull: Values = field(default_factory=dict)
    push: Values = field(default_factory=dict)
    agree: Values = field(default_factory=dict)
    alive: bool | None = None
    local: Local | None = None
    remote: Remote | None = None
    identity: Attach | Adopt | Absorb | None = None
    conflicts: tuple[Conflict, ...] = ()
    trouble: Mapping[str, Trouble] = field(default_factory=dict)
    closes: tuple[IntentId, ...] = ()
    again: float | None = None
    is_stale: bool = False
    needs_history: bool = False
    is_missing: bool = False
    waits: str | None = None

    @property
    def at(self) -> datetime | None:
        """HubSpot's time of the linked contact that was read."""
        contact = self.pair.contact
        return None if contact is None or contact.id != self.pair.link.contact_id else contact.updated_at

    @property
    def believes(self) -> bool:
        """Whether a contact older than what was seen is taken as it is: looked at often enough, or again later."""
        seen = self.pair.link.seen
        return self.is_stale or (seen is not None and self.at is not None and self.at < seen)

    @property
    def is_whole(self) -> bool:
        """Whether the contact is merged with nothing held back, so that poll and sweep may pass it over."""
        is_waiting = self.again is not None
        is_held_back = is_waiting or bool({"email", RECORD} & self.trouble.keys()) or self.local is Local.DELETE
        return self.at is not None and not is_held_back

    @property
    def has_checked_unseen(self) -> bool:
        """Whether the history has all that was overwritten by pushes without a read: not while one is under way."""
        contact = self.pair.contact
        return contact is not None and bool(contact.history) and not self.pair.is_pushed_ahead

    @property
    def changes_anything(self) -> bool:
        """Whether there is anything to commit here."""
        contact, link = self.pair.contact, self.pair.link
        is_news = contact is not None and link.read != contact.updated_at
        is_announced = self.pair.privacy and not link.privacy
        is_remembered = bool(self.agree or self.closes or self.trouble or self.conflicts or self.lifted)
        is_watched = bool(link.unseen or link.late)
        is_about_being = self.alive is not None or self.local is not None
        is_known = is_remembered or is_watched or is_announced
        return self.writes or is_news or is_known or is_about_being or self.is_stale

    @property
    def lifted(self) -> list[str]:
        """What was held and is not any more: it was let go, or there is nothing left to hold."""
        if not self.pair.link.trouble:
            return []
        held = {c for c, why in self.pair.link.trouble.items() if why.code.startswith(HELD)}
        return [] if self.waits or self.is_stale or self.needs_history else sorted(held - self.trouble.keys())

    @property
    def removes_anything(self) -> bool:
        """Whether a side goes, or is made anew in place of one that is gone."""
        return self.local in _REMOVING or self.remote in (Remote.ARCHIVE, Remote.CREATE)

    @property
    def touches_customer(self) -> bool:
        """Whether the customer's row is written: its columns, its being alive, or the times it shows."""
        customer = self.pair.customer
        if customer is None or self.local is Local.INSERT:
            return False
        is_news = self.at is not None and customer.remote_updated_at != self.at
        return bool(self.pull) or self.local in (Local.DELETE, Local.REVIVE) or is_news

    @property
    def rearranged(self) -> set[CustomerId]:
        """The customers whose rows a change of links writes."""
        match self.identity:
            case Attach(_, former):
                return {self.pair.uuid, *([] if former is None else [former])}
            case Adopt(owner, _):
                return {owner}
            case Absorb() as merged:
                return {merged.winner, merged.loser}
            case None:
                return {self.pair.uuid} if self.local is Local.ERASE else set()

    @property
    def freed_address(self) -> Value:
        """The address that the contact had, and has no more."""
        had = self.pair.link.base.get("email")
        is_given_up = self.local is Local.DELETE or {**self.agree, **self.pull}.get("email", had) != had
        return had if is_given_up else None

    @property
    def writes(self) -> bool:
        """Whether the step changes a customer or a contact (and not just what the sync remembers)."""
        return bool(self.pull or self.push or self.remote) or self.local in _WRITING


_WRITING = frozenset({Local.INSERT, Local.DELETE, Local.REVIVE, Local.ERASE})
# Not an erase: HubSpot has announced it, or a person asked for it.
_REMOVING = frozenset({Local.DELETE, Local.DETACH})


def fingerprint(column: str, value: Value) -> str:
    """Return what a failed value is recognised by."""
    return hashlib.sha256(f"{column}\x00{value}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def waiting_for(address: str) -> tuple[str, str]:
    """Return how a property and a record are recognised that are parked because another record has the address."""
    return fingerprint("email", address), fingerprint(RECORD, address)


def digest(values: Values) -> str:
    """Return one text for a set of values, for the fingerprint of a whole record."""
    return repr(sorted(values.items()))


def troubles(values: Values, refused: Refused) -> dict[str, Trouble]:
    """Return what a refusal parks: the columns that HubSpot named, else the record with these values."""
    named = {column: values[column] for column in refused.columns if column in values}
    if refused.code is Code.TAKEN and "email" in values:
        named = {"email": values["email"]}
    parked = named or {RECORD: digest(values)}
    return {
        column: Trouble(code=refused.code, fingerprint=fingerprint(column, value), detail=refused.detail)
        for column, value in parked.items()
    }
