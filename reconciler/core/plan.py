"""The decision about one pair: both sides, the base and the context in, one frozen `Step` out.

Nothing below knows why the pair was marked; nothing here writes. Steps that change links
(`Attach`, `Adopt`, `Absorb`) do only that, and the next look merges the properties.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from reconciler.core.contact import ContactId, Intent, IntentId, IntentKind, Pair, Trouble
from reconciler.core.errors import Code
from reconciler.core.existence import Existence, existence
from reconciler.core.fields import COLUMNS, Value, Values
from reconciler.core.judge import Judge, overwritten_unseen
from reconciler.core.merge import Conflict, Merged, Verdict, merge
from reconciler.core.parking import is_row_parked
from reconciler.core.step import (
    CREATE_UNKNOWN,
    RECORD,
    ROWS_HIDDEN,
    STALE_LOOKS,
    Absorb,
    Adopt,
    Attach,
    Context,
    Local,
    OtherLink,
    Remote,
    Rules,
    Step,
    digest,
    fingerprint,
)

HIDDEN_LOOK = 30.0
"""Seconds until another look at a pair whose row this role may not see."""


def decide(pair: Pair, context: Context, rules: Rules) -> Step:
    """Decide about one pair. What is settled by it ends the intents whose calls are long over."""
    if pair.is_hidden:
        return Step(pair=pair, waits=ROWS_HIDDEN, again=HIDDEN_LOOK)
    step = _decide(pair, context, rules)
    if (pair.is_row_missing or pair.is_contact_missing) and step.removes_anything:
        step = replace(step, is_missing=True)
    overdue = [intent.id for intent in pair.intents if intent.is_overdue and intent.id not in step.closes]
    is_open = step.again is not None or step.identity is not None or step.needs_history
    return replace(step, closes=(*step.closes, *overdue)) if overdue and not is_open else step


def _decide(pair: Pair, context: Context, rules: Rules) -> Step:
    if pair.link.is_erase_due:
        return _erase(pair)
    if pair.customer is not None and (pair.customer.is_erased or pair.customer.merged_into):
        return Step(pair=pair)
    if pair.link.contact_id is None:
        return _unlinked(pair, context)
    if pair.remote is None:
        return Step(pair=pair, again=STALE_LOOKS[0])
    contact = pair.contact
    if contact is None and pair.privacy:
        return Step(pair=pair, local=Local.ERASE)
    if contact is not None and contact.id != pair.link.contact_id:
        return _merged_away(pair, contact.id, contact.values.get("email"), context)
    if contact is not None and _is_stale(pair):
        return Step(pair=pair, is_stale=True, again=STALE_LOOKS[pair.link.looks])
    return _linked(pair, context, rules)


def _erase(pair: Pair) -> Step:
    """Erase on request: HubSpot first. A create under way is waited for, or its contact would outlive its person."""
    if any(intent.kind is IntentKind.CREATE and not intent.is_overdue for intent in pair.intents):
        return Step(pair=pair, again=STALE_LOOKS[1])
    if pair.contact is not None and not pair.contact.history and pair.link.contact_id is not None:
        # With the contact goes the history of its addresses.
        return Step(pair=pair, needs_history=True)
    is_there = pair.link.contact_id is not None or pair.contact is not None
    return Step(pair=pair, local=Local.ERASE, remote=Remote.PURGE if is_there else None)


def _is_stale(pair: Pair) -> bool:
    contact, seen = pair.contact, pair.link.seen
    is_older = contact is not None and seen is not None and contact.updated_at < seen
    return is_older and pair.link.looks < len(STALE_LOOKS)


def _unlinked(pair: Pair, context: Context) -> Step:
    """A customer without a contact, or a reservation without a customer; an overdue create was looked up by address."""
    creates = tuple(intent for intent in pair.intents if intent.kind is IntentKind.CREATE)
    if any(not intent.is_overdue for intent in creates):
        return Step(pair=pair, again=STALE_LOOKS[1])
    closes = tuple(intent.id for intent in creates)
    if creates and pair.contact is not None:
        owner = context.owners.get(pair.contact.id)
        is_ours = (owner is None or owner.is_placeholder) and pair.contact.id not in context.ignored
        if is_ours:
            return Step(pair=pair, identity=Attach(pair.contact.id), again=0)
        # Another customer's, or an erased person's.
        return Step(pair=pair, closes=closes, again=0)
    if pair.customer is None:
        return Step(pair=pair, local=Local.FORGET, closes=closes)
    if any(intent.values.get("email") is None for intent in creates):
        # No key would show a second contact to be one: never repeat such a create, not after a restore either.
        return Step(pair=pair, trouble=_troubled(pair, RECORD, CREATE_UNKNOWN, None), closes=closes)
    if not pair.customer.is_alive or pair.link.is_detached:
        return Step(pair=pair, closes=closes)
    return _create(pair, context, closes)


def _create(pair: Pair, context: Context, closes: tuple[IntentId, ...] = ()) -> Step:
    assert pair.customer is not None
    filled = {column: value for column, value in pair.customer.values.items() if value is not None}
    values = _sendable(pair, filled, context)
    if not values or ("email" in filled and "email" not in values):
        return Step(pair=pair, closes=closes)
    return Step(pair=pair, remote=Remote.CREATE, push=values, closes=closes)


def _merged_away(pair: Pair, contact_id: ContactId, address: Value, context: Context) -> Step:
    if contact_id in context.ignored:
        return Step(pair=pair, trouble=_troubled(pair, RECORD, "erased_subject", address))
    rival = context.owners.get(contact_id)
    if rival is None or rival.uuid == pair.uuid:
        return Step(pair=pair, identity=Attach(contact_id), again=0)
    me = OtherLink(
        uuid=pair.uuid,
        contact_id=pair.link.contact_id,
        email=None if pair.customer is None else pair.customer.values.get("email"),
        created_at=None if pair.customer is None else pair.customer.created_at,
    )
    winner, loser = sorted((me, rival), key=lambda each: _precedence(each, address))
    return Step(pair=pair, identity=Absorb(winner=winner.uuid, loser=loser.uuid, contact_id=contact_id))


def _precedence(one: OtherLink, address: Value) -> tuple[bool, bool, float, str]:
    """Order by state alone, so that every order of discovery ends the same: address, then age, then uuid."""
    born = one.created_at.timestamp() if one.created_at else 0.0
    return (one.email is None or one.email != address, one.created_at is None, born, str(one.uuid))


def _linked(pair: Pair, context: Context, rules: Rules) -> Step:
    if not pair.link.unseen or pair.contact is None:
        return _by_existence(pair, context, rules)
    if not pair.contact.history:
        return Step(pair=pair, needs_history=True)
    step = _by_existence(pair, context, rules)
    again = STALE_LOOKS[1] if step.again is None and pair.is_pushed_ahead else step.again
    return replace(step, conflicts=(*step.conflicts, *overwritten_unseen(pair)), again=again)


def _by_existence(pair: Pair, context: Context, rules: Rules) -> Step:
    match existence(pair):
        case Existence.MERGE:
            return _merge(pair, context, rules)
        case Existence.ARCHIVE:
            return _archive(pair, rules)
        case Existence.DELETE:
            return _delete(pair, rules)
        case Existence.REVIVE:
            return _revive(pair, context)
        case Existence.INSERT:
            return _insert(pair, context)
        case Existence.CREATE:
            return Step(pair=pair, closes=_open(pair)) if pair.link.is_detached else _create(pair, context, _open(pair))
        case Existence.AGREE:
            return Step(pair=pair, alive=False, closes=_open(pair))


def _archive(pair: Pair, rules: Rules) -> Step:
    if not rules.deletes_outbound or pair.link.is_detached:
        return Step(pair=pair, local=Local.DETACH, closes=_open(pair))
    if _is_parked(pair, RECORD, digest({})):
        return Step(pair=pair, closes=_open(pair))
    return Step(pair=pair, remote=Remote.ARCHIVE, conflicts=_unpulled(pair))


def _delete(pair: Pair, rules: Rules) -> Step:
    if not rules.deletes_inbound or pair.link.is_detached:
        return Step(pair=pair, local=Local.DETACH, closes=_open(pair))
    if is_row_parked(pair):
        return Step(pair=pair, closes=_open(pair))
    trouble = _troubled(pair, RECORD, "contact_gone", None) if pair.contact is None else {}
    conflicts = _unpushed(pair)
    return Step(pair=pair, local=Local.DELETE, alive=False, conflicts=conflicts, trouble=trouble, closes=_open(pair))


def _revive(pair: Pair, context: Context) -> Step:
    assert pair.contact is not None
    if is_row_parked(pair):
        return Step(pair=pair, closes=_open(pair))
    taken = _taken(pair, pair.contact.values.get("email"), context)
    if taken is not None:
        return taken
    local = Local.INSERT if pair.customer is None else Local.REVIVE
    conflicts = tuple(replace(each, kept=pair.contact.values.get(each.column)) for each in _unpushed(pair))
    pull = dict(pair.contact.values)
    return Step(pair=pair, local=local, pull=pull, alive=True, conflicts=conflicts, closes=_open(pair))


def _insert(pair: Pair, context: Context) -> Step:
    """A contact that is not known here: a new customer, unless its address says whose it is."""
    assert pair.contact is not None
    address = pair.contact.values.get("email")
    if pair.contact.id in context.former:
        return Step(pair=pair, trouble=_troubled(pair, RECORD, "former_restored", None))
    if address is None and context.has_nameless_create:
        return Step(pair=pair, again=STALE_LOOKS[-1])
    if context.tombstoned & {address, *pair.contact.other_addresses}:
        return Step(pair=pair, local=Local.IGNORE)
    holder = context.holders.get(address) if address is not None else None
    if holder is not None and holder.uuid != pair.uuid and holder.contact_id is None:
        if holder.is_busy:
            return Step(pair=pair, again=STALE_LOOKS[0])
        return Step(pair=pair, identity=Adopt(owner=holder.uuid, contact_id=pair.contact.id))
    taken = _taken(pair, address, context)
    if taken is not None:
        return taken
    if is_row_parked(pair):
        return Step(pair=pair, closes=_open(pair))
    return Step(pair=pair, local=Local.INSERT, pull=dict(pair.contact.values), alive=True, closes=_open(pair))


def _taken(pair: Pair, address: Value, context: Context) -> Step | None:
    """Park a contact whose address a linked customer has (the first linked one wins), or an erased person had."""
    if address in context.tombstoned:
        return Step(pair=pair, trouble=_troubled(pair, RECORD, "erased_subject", address))
    holder = context.holders.get(address) if address is not None else None
    if holder is None or holder.uuid == pair.uuid:
        return None
    return Step(pair=pair, trouble=_troubled(pair, RECORD, "duplicate", address))


def _merge(pair: Pair, context: Context, rules: Rules) -> Step:
    customer, contact = pair.customer, pair.contact
    assert customer is not None
    assert contact is not None
    judge = Judge(pair, customer, rules)
    following = _unedited_ahead(pair)
    merged = merge(
        base=pair.link.base,
        local=customer.values,
        remote=contact.values,
        ours=_ours(pair, rules),
        ahead=_values(following),
        judge=judge,
    )
    if merged.undecided:
        return Step(pair=pair, needs_history=True)
    pull, pulled_trouble = _pullable(pair, merged, context)
    setting = _values(each for each in following if not each.is_overdue).keys()
    push = _sendable(pair, {c: v for c, v in merged.push.items() if c not in setting}, context)
    refused = {c for c, value in pull.items() if is_row_parked(pair) or _is_refused_here(pair, c, value)}
    waiting = {column for column in merged.pull if column not in pull and column not in pulled_trouble}
    held = setting & merged.push.keys()
    return Step(
        pair=pair,
        pull={column: value for column, value in pull.items() if column not in refused},
        push=push,
        agree=merged.agree,
        alive=True if pair.link.alive is not True else None,
        local=Local.REATTACH if pair.link.is_detached else None,
        remote=Remote.UPDATE if push else None,
        conflicts=(
            *(each for each in merged.conflicts if each.column not in held and not _is_agreed(pair, each)),
            *_perhaps_late(pair, pull),
        ),
        trouble=pulled_trouble,
        again=STALE_LOOKS[0] if waiting | held else None,
    )


def _ours(pair: Pair, rules: Rules) -> dict[str, set[Value]]:
    """Return what HubSpot may have of us: open intents, and what landed so late that a later value had been agreed."""
    ours = _values(pair.intents)
    assert pair.contact is not None
    for each in pair.link.late:
        if each.is_overtaken and pair.contact.updated_at - rules.skew <= each.until:
            ours.setdefault(each.column, set()).add(each.value)
    return ours


def _perhaps_late(pair: Pair, pull: Values) -> Iterable[Conflict]:
    """Log what is replaced by a value that is a person's, or ours that landed late and was not looked at in time."""
    assert pair.customer is not None
    for column, value in {each.column: each.value for each in pair.link.late if each.is_overtaken}.items():
        if column in pull and pull[column] == value:
            lost = pair.customer.values.get(column)
            yield Conflict(column=column, winner=Verdict.REMOTE, kept=value, lost=lost)


def _is_agreed(pair: Pair, conflict: Conflict) -> bool:
    """Whether an API write replaced what both sides had, its own values on the way to it aside: nothing is lost."""
    push = pair.link.unseen.get(conflict.column)
    is_ours = push is not None and conflict.winner is Verdict.REMOTE and conflict.kept in push.sent
    return push is not None and is_ours and conflict.lost == push.base


def _pullable(pair: Pair, merged: Merged, context: Context) -> tuple[Values, dict[str, Trouble]]:
    """Leave out an address that another live customer holds; `addresses` puts back the ones that move away."""
    address = merged.pull.get("email")
    if address is None:
        return merged.pull, {}
    holder = context.holders.get(address)
    pull = {column: value for column, value in merged.pull.items() if column != "email"}
    if address in context.tombstoned:
        return pull, _troubled(pair, "email", "erased_subject", address)
    if holder is None or holder.uuid == pair.uuid:
        return merged.pull, {}
    if holder.is_busy:
        return pull, {}
    return pull, _troubled(pair, "email", "address_taken", address)


def _values(intents: Iterable[Intent]) -> dict[str, set[Value]]:
    ours: dict[str, set[Value]] = {}
    for intent in intents:
        for column, value in intent.values.items():
            ours.setdefault(column, set()).add(value)
    return ours


def _unedited_ahead(pair: Pair) -> list[Intent]:
    """Return the API writes that the row is to follow: not where it was edited since they began.

    While such a write is under way, the row's older value is not pushed over it.
    """
    edited = pair.link.edited
    return [
        replace(each, values={c: v for c, v in each.values.items() if _is_followed(each, c, edited)})
        for each in pair.intents
        if each.is_ahead
    ]


def _is_followed(intent: Intent, column: str, edited: Mapping[str, datetime]) -> bool:
    return column not in intent.overtaken and (column not in edited or edited[column] <= intent.at)


def _open(pair: Pair) -> tuple[IntentId, ...]:
    return tuple(intent.id for intent in pair.intents)


def _unpushed(pair: Pair) -> tuple[Conflict, ...]:
    """Return the local edits that lose with their customer."""
    values: Values = pair.customer.values if pair.customer is not None else {}
    return _losing(pair, values, Verdict.REMOTE)


def _unpulled(pair: Pair) -> tuple[Conflict, ...]:
    """Return the HubSpot edits that lose with their contact."""
    values: Values = pair.contact.values if pair.contact is not None else {}
    return _losing(pair, values, Verdict.LOCAL)


def _losing(pair: Pair, values: Values, winner: Verdict) -> tuple[Conflict, ...]:
    base = pair.link.base
    return tuple(
        Conflict(column=column, winner=winner, kept=None, lost=values[column])
        for column in COLUMNS
        if values.get(column) not in (None, base.get(column))
    )


def _sendable(pair: Pair, values: Values, context: Context) -> Values:
    """Leave out what HubSpot refused before and has not changed since, and what it takes from no caller now."""
    if not values:
        return {}
    free = {c: v for c, v in values.items() if c not in context.suspended and not _is_parked(pair, c, v)}
    is_refused = _is_parked(pair, RECORD, None) or _is_parked(pair, RECORD, digest(free))
    return {} if is_refused else free


def _is_parked(pair: Pair, column: str, value: Value) -> bool:
    trouble = pair.link.trouble.get(column)
    return trouble is not None and trouble.fingerprint == fingerprint(column, value)


def _is_refused_here(pair: Pair, column: str, value: Value) -> bool:
    """Whether a rule of the table's owner has refused just this value."""
    return _is_parked(pair, column, value) and pair.link.trouble[column].code == Code.ROW


def _troubled(pair: Pair, column: str, code: str, value: Value) -> dict[str, Trouble]:
    return {column: Trouble(code=code, fingerprint=fingerprint(column, value))}
