"""The decision about one pair: both sides, the base and the context in, one frozen `Step` out.

Nothing below knows why the pair was marked; nothing here writes. Being alive is merged three-way like a property:

    base   local  remote
    any    alive  alive    the properties are merged (`both_alive.py`)
    alive  alive  dead     Delete     soft; what Postgres changed meanwhile goes to the log
    alive  dead   alive    Archive    what HubSpot changed meanwhile goes to the log
    dead   alive  dead     Create     a new contact (HubSpot cannot restore); the old id becomes a former one
    dead   dead   alive    Revive     the same customer, HubSpot's values
    -      -      alive    Insert     a contact that is not known here
    -      dead   alive    Archive    a create of ours that landed after the customer was deleted
    any    dead   dead     Agree

Steps that change links do only that, and the next look merges.
"""

from dataclasses import replace

from reconciler.core.blocking import is_row_blocked
from reconciler.core.blocks import RECORD, Block, blocked, digest, is_blocked
from reconciler.core.both_alive import merged, sendable
from reconciler.core.contact import Contact, ContactId, IntentId, IntentKind, Pair
from reconciler.core.context import Context, OtherLink, Rules
from reconciler.core.fields import Fields
from reconciler.core.judge import overwritten_blindly
from reconciler.core.kinds import WhenEmpty
from reconciler.core.merge import Conflict, Verdict
from reconciler.core.reasons import Reason
from reconciler.core.step import (
    STALE_LOOKS,
    Absorb,
    Adopt,
    Agree,
    Archive,
    Attach,
    Create,
    Delete,
    Detach,
    Erase,
    Forget,
    Ignore,
    Insert,
    Merge,
    Rest,
    Revive,
    Step,
    Wait,
)
from reconciler.core.values import Value, Values

HIDDEN_LOOK = 30.0
"""Seconds until another look at a pair whose row this role may not see."""


def decide(pair: Pair, context: Context, rules: Rules) -> Step:
    """Decide about one pair. What is settled by it ends the intents whose calls are long over."""
    if pair.is_hidden:
        return Step(pair=pair, action=Wait.HIDDEN, again=HIDDEN_LOOK)
    step = _told_unfit(_decide(pair, context, rules))
    overdue = [intent.id for intent in pair.intents if intent.is_overdue and intent.id not in step.closes]
    is_open = step.again is not None or isinstance(step.action, Attach | Adopt | Absorb | Wait)
    return replace(step, closes=(*step.closes, *overdue)) if overdue and not is_open else step


def _told_unfit(step: Step) -> Step:
    """Block, where values move, what one side holds and the other cannot; the reason itself is no value."""
    unfit = step.pair.unfit if isinstance(step.action, Merge | Insert | Revive | Create) else {}
    blocks = {field: Block.of(Reason.UNFIT, field, why, why) for field, why in unfit.items()}
    return replace(step, blocks={**blocks, **step.blocks}) if blocks else step


def _decide(pair: Pair, context: Context, rules: Rules) -> Step:
    if pair.link.is_erase_due:
        return _erase(pair)
    if pair.customer is not None and (pair.customer.is_erased or pair.customer.merged_into):
        return Step(pair=pair)
    if pair.link.contact_id is None:
        return _unlinked(pair, context, rules)
    if pair.remote is None:
        return Step(pair=pair, action=Wait.UNREAD, again=STALE_LOOKS[0])
    contact = pair.contact
    if contact is None and pair.privacy:
        return Step(pair=pair, action=Erase())
    if contact is not None and contact.id != pair.link.contact_id:
        return _merged_away(pair, contact.id, contact.values.get("email"), context)
    if contact is not None and _is_stale(pair):
        return Step(pair=pair, action=Wait.STALE, again=STALE_LOOKS[pair.link.stale_reads])
    return _linked(pair, context, rules)


def _erase(pair: Pair) -> Step:
    """Erase on request: HubSpot first. A create under way is waited for, or its contact would outlive its person."""
    if any(intent.kind is IntentKind.CREATE and not intent.is_overdue for intent in pair.intents):
        return Step(pair=pair, action=Wait.CREATE, again=STALE_LOOKS[1])
    if pair.contact is not None and not pair.contact.history and pair.link.contact_id is not None:
        # With the contact goes the history of its addresses.
        return Step(pair=pair, action=Wait.HISTORY)
    return Step(pair=pair, action=Erase(purges=pair.link.contact_id is not None or pair.contact is not None))


def _is_stale(pair: Pair) -> bool:
    contact, seen = pair.contact, pair.link.newest_seen
    is_older = contact is not None and seen is not None and contact.updated_at < seen
    return is_older and pair.link.stale_reads < len(STALE_LOOKS)


def _unlinked(pair: Pair, context: Context, rules: Rules) -> Step:
    """A customer without a contact, or a reservation without a customer; an overdue create was looked up by address."""
    creates = tuple(intent for intent in pair.intents if intent.kind is IntentKind.CREATE)
    if any(not intent.is_overdue for intent in creates):
        return Step(pair=pair, action=Wait.CREATE, again=STALE_LOOKS[1])
    closes = tuple(intent.id for intent in creates)
    if creates and pair.contact is not None:
        owner = context.owners.get(pair.contact.id)
        is_ours = (owner is None or owner.is_placeholder) and pair.contact.id not in context.ignored
        if is_ours:
            return Step(pair=pair, action=Attach(pair.contact.id), again=0)
        # Another customer's, or an erased person's.
        return Step(pair=pair, closes=closes, again=0)
    if pair.customer is None:
        return Step(pair=pair, action=Forget(), closes=closes)
    if any(intent.values.get("email") is None for intent in creates):
        # No key would show a second contact to be one: never repeat such a create, not after a restore either.
        return Step(pair=pair, blocks=blocked(Reason.CREATE_UNKNOWN, RECORD, None), closes=closes)
    if not pair.customer.is_alive or pair.link.is_detached:
        return Step(pair=pair, closes=closes)
    return _create(pair, context, rules, closes)


def _create(pair: Pair, context: Context, rules: Rules, closes: tuple[IntentId, ...]) -> Step:
    assert pair.customer is not None
    going = rules.fields.outbound(pair.customer.values)
    filled = {field: value for field, value in going.items() if value is not None}
    values = sendable(pair, filled, context)
    if not values or ("email" in filled and "email" not in values):
        return Step(pair=pair, closes=closes)
    return Step(pair=pair, action=Create(values), closes=closes)


def _merged_away(pair: Pair, contact_id: ContactId, address: Value, context: Context) -> Step:
    if contact_id in context.ignored:
        return Step(pair=pair, blocks=blocked(Reason.ERASED, RECORD, address))
    rival = context.owners.get(contact_id)
    if rival is None or rival.uuid == pair.uuid:
        return Step(pair=pair, action=Attach(contact_id), again=0)
    me = OtherLink(
        uuid=pair.uuid,
        contact_id=pair.link.contact_id,
        email=None if pair.customer is None else pair.customer.values.get("email"),
        created_at=None if pair.customer is None else pair.customer.created_at,
    )
    winner, loser = sorted((me, rival), key=lambda each: _precedence(each, address))
    return Step(pair=pair, action=Absorb(winner=winner.uuid, loser=loser.uuid, contact_id=contact_id))


def _precedence(one: OtherLink, address: Value) -> tuple[bool, bool, float, str]:
    """Order by state alone, so that every order of discovery ends the same: address, then age, then uuid."""
    born = one.created_at.timestamp() if one.created_at else 0.0
    return (one.email is None or one.email != address, one.created_at is None, born, str(one.uuid))


def _linked(pair: Pair, context: Context, rules: Rules) -> Step:
    if not pair.link.blind_pushes or pair.contact is None:
        return _by_being(pair, context, rules)
    if not pair.contact.history:
        return Step(pair=pair, action=Wait.HISTORY)
    step = _by_being(pair, context, rules)
    again = STALE_LOOKS[1] if step.again is None and pair.is_pushed_unread else step.again
    return replace(step, conflicts=(*step.conflicts, *overwritten_blindly(pair)), again=again)


def _by_being(pair: Pair, context: Context, rules: Rules) -> Step:
    """Decide from the three values of being alive; a side that never was counts as dead."""
    local = pair.customer is not None and pair.customer.is_alive
    remote = pair.remote is not None and pair.remote.is_alive
    match _base_of_being(pair), local, remote:
        case _, True, True:
            return merged(pair, context, rules)
        case _, False, False:
            return Step(pair=pair, action=Agree(), closes=_open(pair))
        case True, True, False:
            return _delete(pair, rules)
        case _, True, False:
            return (
                Step(pair=pair, closes=_open(pair))
                if pair.link.is_detached
                else _create(pair, context, rules, _open(pair))
            )
        case False, False, True:
            return _revive(pair, context, rules)
        case None, False, True if pair.customer is None and not _is_created_by_us(pair):
            return _insert(pair, context, rules)
        case _:
            return _archive(pair, rules)


def _base_of_being(pair: Pair) -> bool | None:
    """Return the base of existence; a contact that is dead by our own open archive intent was agreed dead.

    Not if that intent was an API write's: the row follows, it was alive when the intent was stored.
    """
    archived_by_us = any(intent.kind is IntentKind.ARCHIVE and not intent.hubspot_first for intent in pair.intents)
    if archived_by_us and pair.remote is not None and not pair.remote.is_alive:
        return False
    return pair.link.alive


def _is_created_by_us(pair: Pair) -> bool:
    """Whether a create of a customer that existed here is open: its contact belongs to that customer, alive or not."""
    return any(intent.kind is IntentKind.CREATE and not intent.reserved for intent in pair.intents)


def _archive(pair: Pair, rules: Rules) -> Step:
    if not rules.deletes_outbound or pair.link.is_detached:
        return Step(pair=pair, action=Detach(), closes=_open(pair))
    if is_blocked(pair.link.blocks, RECORD, digest({})):
        return Step(pair=pair, closes=_open(pair))
    return Step(pair=pair, action=Archive(), conflicts=_unpulled(pair, rules))


def _delete(pair: Pair, rules: Rules) -> Step:
    if not rules.deletes_inbound or pair.link.is_detached:
        return Step(pair=pair, action=Detach(), closes=_open(pair))
    if is_row_blocked(pair):
        return Step(pair=pair, closes=_open(pair))
    blocks = blocked(Reason.GONE, RECORD, None) if pair.contact is None else {}
    return Step(pair=pair, action=Delete(), conflicts=_unpushed(pair, rules), blocks=blocks, closes=_open(pair))


def _revive(pair: Pair, context: Context, rules: Rules) -> Step:
    assert pair.contact is not None
    if is_row_blocked(pair):
        return Step(pair=pair, closes=_open(pair))
    taken = _taken(pair, pair.contact.values.get("email"), context)
    if taken is not None:
        return taken
    if pair.customer is None:
        return Step(pair=pair, action=Insert(_beginning(pair, pair.contact.values, rules.fields)), closes=_open(pair))
    pull = _reviving(pair, pair.contact.values, rules.fields)
    edits = _unpushed(pair, rules)
    conflicts = tuple(replace(each, kept=pull[each.field]) for each in edits if each.field in pull)
    # What HubSpot's values leave as it is goes over at the next look.
    again = 0 if rules.fields.outbound(pair.customer.values).keys() - pull.keys() else None
    return Step(pair=pair, action=Revive(pull), conflicts=conflicts, closes=_open(pair), again=again)


def _reviving(pair: Pair, values: Values, fields: Fields) -> Values:
    """Return HubSpot's values but for those that are not to go over the row's: an emptying, or what was agreed."""
    base = pair.link.base
    return {
        name: value
        for name, value in fields.inbound(values).items()
        if not (value is None and fields[name].when_empty is WhenEmpty.KEEP)
        and (name in fields.to_hubspot or value != base.get(name))
    }


def _beginning(pair: Pair, values: Values, fields: Fields) -> Values:
    """Return of HubSpot's values those that a new row has: that go over, or that an API write was to give it."""
    ahead = {each for intent in pair.intents if intent.hubspot_first for each in intent.values.items()}
    return {**fields.inbound(values), **{name: value for name, value in values.items() if (name, value) in ahead}}


def _insert(pair: Pair, context: Context, rules: Rules) -> Step:
    """A contact that is not known here: a new customer, unless its address says whose it is."""
    assert pair.contact is not None
    address = pair.contact.values.get("email")
    if pair.contact.id in context.former:
        return Step(pair=pair, blocks=blocked(Reason.FORMER_RESTORED, RECORD, None))
    if address is None and context.has_nameless_create:
        return Step(pair=pair, action=Wait.CREATE, again=STALE_LOOKS[-1])
    if context.tombstoned & {address, *pair.contact.other_addresses}:
        return Step(pair=pair, action=Ignore())
    holder = context.holder(address)
    if holder is not None and holder.is_outside:
        return Step(pair=pair, action=Forget(), closes=_open(pair))
    if holder is not None and holder.uuid != pair.uuid and holder.contact_id is None:
        if holder.is_busy:
            return Step(pair=pair, action=Wait.BUSY, again=STALE_LOOKS[0])
        return Step(pair=pair, action=Adopt(owner=holder.uuid, contact_id=pair.contact.id))
    taken = _taken(pair, address, context)
    if taken is not None:
        return taken
    if not becomes_customer(pair.contact, rules):
        return Step(pair=pair, action=Forget(), closes=_open(pair))
    action = Rest() if is_row_blocked(pair) else Insert(_beginning(pair, pair.contact.values, rules.fields))
    return Step(pair=pair, action=action, closes=_open(pair))


def becomes_customer(contact: Contact, rules: Rules) -> bool:
    """Whether a contact that meets no customer is to become one, by the owner's scope."""
    return rules.inserts and contact.is_wanted and all(contact.values.get(name) for name in rules.requires)


def _taken(pair: Pair, address: Value, context: Context) -> Step | None:
    """Block a contact whose address a linked customer has (the first linked one wins), or an erased person had."""
    if address in context.tombstoned:
        return Step(pair=pair, blocks=blocked(Reason.ERASED, RECORD, address))
    holder = context.holder(address)
    if holder is None or holder.uuid == pair.uuid:
        return None
    return Step(pair=pair, blocks=blocked(Reason.DUPLICATE, RECORD, address))


def _open(pair: Pair) -> tuple[IntentId, ...]:
    return tuple(intent.id for intent in pair.intents)


def _unpushed(pair: Pair, rules: Rules) -> tuple[Conflict, ...]:
    """Return the local edits that lose with their customer."""
    values: Values = pair.customer.values if pair.customer is not None else {}
    return _losing(pair, rules.fields.outbound(values), Verdict.REMOTE)


def _unpulled(pair: Pair, rules: Rules) -> tuple[Conflict, ...]:
    """Return the HubSpot edits that lose with their contact."""
    values: Values = pair.contact.values if pair.contact is not None else {}
    return _losing(pair, rules.fields.inbound(values), Verdict.LOCAL)


def _losing(pair: Pair, values: Values, winner: Verdict) -> tuple[Conflict, ...]:
    base = pair.link.base
    return tuple(
        Conflict(field=field, winner=winner, kept=None, lost=value)
        for field, value in values.items()
        if value not in (None, base.get(field))
    )
