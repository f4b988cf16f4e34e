"""What HubSpot's answers to the writes of one call come to here. Pure: a store gathers the facts and applies it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from reconciler.core.blocks import Blocks
from reconciler.core.contact import ContactId, CustomerId, IntentId
from reconciler.core.errors import Refused
from reconciler.core.mirror import Accepted, blocked_write
from reconciler.core.ports import Answer, Lane, Sent, Subject, Written
from reconciler.core.reasons import Reason
from reconciler.core.values import Values


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkNow:
    """The link of a write as it is when its answer is committed. `is_held`: another transaction has locked its row, or
    the table hides it.
    """

    contact_id: ContactId | None
    fence: int
    is_held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known when answers come: the writes' `links`, as far as they are there; the `owners` of new contacts;
    and which of these are `ignored`, for their person was erased.
    """

    links: Mapping[CustomerId, LinkNow] = field(default_factory=dict)
    owners: Mapping[ContactId, CustomerId] = field(default_factory=dict)
    ignored: Collection[ContactId] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """How a link moves: the base with what was `pushed`, where no later answer is known than that of time `at`.

    `contact_id`: its contact, if it has none. `alive`: the base of being alive; None: it stays.
    """

    uuid: CustomerId
    contact_id: ContactId | None = None
    pushed: Values = field(default_factory=dict)
    at: datetime | None = None
    seen: datetime | None = None
    alive: bool | None = None
    cured: Sequence[str] = ()
    blocks: Blocks = field(default_factory=dict)


class Fate(Enum):
    """What becomes of an answer: the row follows it, or cannot now; another link has the new contact; the link has
    another contact by now; the person was erased while the contact was made.
    """

    TAKEN = auto()
    HELD = auto()
    LOST = auto()
    LATE = auto()
    ERASED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The answers by what becomes of them. `behind` are new contacts whose link another worker has a claim on by now,
    which decided without them and may be about to clear the customer's mark.
    """

    taken: tuple[Accepted, ...] = ()
    held: tuple[Accepted, ...] = ()
    lost: tuple[Accepted, ...] = ()
    late: tuple[Accepted, ...] = ()
    behind: tuple[Accepted, ...] = ()
    erased: tuple[CustomerId, ...] = ()
    refused: tuple[tuple[Sent, Refused], ...] = ()

    @property
    def moves(self) -> list[Move]:
        """How the links move. A new contact belongs to its customer at once, whenever the row can follow."""
        taken = [_moved(each) for each in self.taken]
        linked = [_linked(each) for each in self.held if each.is_new]
        return taken + linked + [_blocked(sent, why) for sent, why in self.refused]

    @property
    def ended(self) -> list[IntentId]:
        """The intents that are over: answered as a whole, refused, or about a contact that is not the link's."""
        over = [each.sent for each in (*self.late, *(each for each in self.taken if each.is_whole))]
        return [sent.intent for sent in (*over, *(sent for sent, _ in self.refused))]

    @property
    def partly(self) -> dict[IntentId, Values]:
        """The intents of which a part was answered; the rest stays open."""
        return {each.sent.intent: each.pushed for each in self.taken if not each.is_whole}

    @property
    def given_up(self) -> list[IntentId]:
        """Intents that these answers settle too: those whose calls ended long ago."""
        return [intent for each in self.taken for intent in each.earlier]

    @property
    def suspends(self) -> dict[str, Reason]:
        """The fields that HubSpot takes from no caller at the moment."""
        return {field: why.reason for _, why in self.refused for field in why.suspends}

    @property
    def marks(self) -> Iterator[tuple[Lane, Subject]]:
        """What is to be looked at again."""
        for each in self.lost:
            yield Lane.INTERACTIVE, Subject.contact(each.contact.id)
            yield Lane.INTERACTIVE, Subject.customer(each.uuid)
        for each in self.late:
            yield Lane.FRESH, Subject.contact(each.contact.id)
        for each in (*self.behind, *self.held):
            yield Lane.FRESH, Subject.customer(each.uuid)


def settle(answered: Sequence[tuple[Sent, Answer]], facts: Facts, *, mirrors: bool) -> Settlement:
    """Say what becomes of the answers of one call. `mirrors`: rows are to follow them, else none is waited for."""
    accepted = [Accepted(sent, answer.contact) for sent, answer in answered if isinstance(answer, Written)]
    fates = [(each, _fate(each, facts, mirrors=mirrors)) for each in accepted]

    def of(*fate: Fate) -> tuple[Accepted, ...]:
        return tuple(each for each, its in fates if its in fate)

    home = (each for each in of(Fate.TAKEN, Fate.HELD) if each.is_new)
    return Settlement(
        taken=of(Fate.TAKEN),
        held=of(Fate.HELD),
        lost=of(Fate.LOST),
        late=of(Fate.LATE),
        behind=tuple(each for each in home if each.write.pair.fence != facts.links[each.uuid].fence),
        erased=tuple(each.uuid for each in of(Fate.ERASED)),
        refused=tuple((sent, answer) for sent, answer in answered if isinstance(answer, Refused)),
    )


def _fate(each: Accepted, facts: Facts, *, mirrors: bool) -> Fate:
    link, contact_id = facts.links.get(each.uuid), each.contact.id
    if each.is_new and contact_id in facts.ignored:
        return Fate.ERASED
    if each.is_new and facts.owners.get(contact_id, each.uuid) != each.uuid:
        return Fate.LOST
    if link is None or not (link.contact_id == contact_id or (each.is_new and link.contact_id is None)):
        return Fate.LATE
    return Fate.HELD if mirrors and link.is_held else Fate.TAKEN


def _moved(each: Accepted) -> Move:
    return Move(
        uuid=each.uuid,
        contact_id=each.contact.id,
        pushed=each.pushed,
        at=each.contact.updated_at,
        seen=None if each.is_archived else each.contact.updated_at,
        alive=each.alive,
        cured=each.cured,
    )


def _linked(each: Accepted) -> Move:
    return Move(uuid=each.uuid, contact_id=each.contact.id, alive=each.alive)


def _blocked(sent: Sent, refused: Refused) -> Move:
    return Move(uuid=sent.write.pair.uuid, blocks=blocked_write(sent.write, refused))
