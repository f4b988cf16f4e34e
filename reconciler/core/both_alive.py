"""Both sides are alive: what of each property goes where, and what of that has to wait."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from reconciler.core.blocking import is_row_blocked
from reconciler.core.blocks import RECORD, Block, blocked, digest, is_blocked
from reconciler.core.contact import Intent, Pair
from reconciler.core.context import Context, Rules
from reconciler.core.judge import Judge
from reconciler.core.merge import Conflict, Merged, Verdict, merge
from reconciler.core.reasons import Reason
from reconciler.core.step import STALE_LOOKS, Merge, Step, Wait
from reconciler.core.values import Value, Values


def merged(pair: Pair, context: Context, rules: Rules) -> Step:
    """Merge the properties of two that are alive; ask for their history where only it decides."""
    customer, contact = pair.customer, pair.contact
    assert customer is not None
    assert contact is not None
    following = _unedited_ahead(pair)
    found = merge(
        rules.fields,
        base=pair.link.base,
        local=customer.values,
        remote={field: value for field, value in contact.values.items() if field not in pair.unfit},
        ours=_ours(pair, rules),
        ahead=_values(following),
        judge=Judge(pair, customer, rules),
    )
    if found.undecided:
        return Step(pair=pair, action=Wait.HISTORY)
    pull, blocks = _pullable(pair, found, context)
    setting = _values(each for each in following if not each.is_overdue).keys()
    push = sendable(pair, {c: v for c, v in found.push.items() if c not in setting}, context)
    refused = {c for c, value in pull.items() if is_row_blocked(pair) or _is_refused_here(pair, c, value)}
    waiting = {field for field in found.pull if field not in pull and field not in blocks}
    held = setting & found.push.keys()
    return Step(
        pair=pair,
        action=Merge(
            pull={field: value for field, value in pull.items() if field not in refused},
            push=push,
            agree=found.agree,
        ),
        conflicts=(
            *(each for each in found.conflicts if each.field not in held and not _is_agreed(pair, each)),
            *_perhaps_late(pair, pull),
        ),
        blocks=blocks,
        again=STALE_LOOKS[0] if waiting | held else None,
    )


def sendable(pair: Pair, values: Values, context: Context) -> Values:
    """Leave out what HubSpot refused before and has not changed since, and what it takes from no caller now."""
    blocks = pair.link.blocks
    free = {c: v for c, v in values.items() if c not in context.suspended and not is_blocked(blocks, c, v)}
    is_refused = RECORD in blocks and (is_blocked(blocks, RECORD, None) or is_blocked(blocks, RECORD, digest(free)))
    return {} if is_refused else free


def _ours(pair: Pair, rules: Rules) -> dict[str, set[Value]]:
    """Return what HubSpot may have of us: open intents, and what landed so late that a later value had been agreed."""
    ours = _values(pair.intents)
    assert pair.contact is not None
    for each in pair.link.late:
        if each.is_overtaken and pair.contact.updated_at - rules.skew <= each.until:
            ours.setdefault(each.field, set()).add(each.value)
    return ours


def _perhaps_late(pair: Pair, pull: Values) -> Iterable[Conflict]:
    """Log what is replaced by a value that is a person's, or ours that landed late and was not looked at in time."""
    assert pair.customer is not None
    for field, value in {each.field: each.value for each in pair.link.late if each.is_overtaken}.items():
        if field in pull and pull[field] == value:
            lost = pair.customer.values.get(field)
            yield Conflict(field=field, winner=Verdict.REMOTE, kept=value, lost=lost)


def _is_agreed(pair: Pair, conflict: Conflict) -> bool:
    """Whether an API write replaced what both sides had, its own values on the way to it aside: nothing is lost."""
    push = pair.link.blind_pushes.get(conflict.field)
    is_ours = push is not None and conflict.winner is Verdict.REMOTE and conflict.kept in push.sent
    return push is not None and is_ours and conflict.lost == push.base


def _pullable(pair: Pair, found: Merged, context: Context) -> tuple[Values, dict[str, Block]]:
    """Leave out an address that another live customer holds; `addresses` puts back the ones that move away."""
    address = found.pull.get("email")
    if address is None:
        return found.pull, {}
    holder = context.holder(address)
    pull = {field: value for field, value in found.pull.items() if field != "email"}
    if address in context.tombstoned:
        return pull, blocked(Reason.ERASED, "email", address)
    if holder is None or holder.uuid == pair.uuid:
        return found.pull, {}
    if holder.is_busy:
        return pull, {}
    return pull, blocked(Reason.TAKEN, "email", address)


def _values(intents: Iterable[Intent]) -> dict[str, set[Value]]:
    ours: dict[str, set[Value]] = {}
    for intent in intents:
        for field, value in intent.values.items():
            ours.setdefault(field, set()).add(value)
    return ours


def _unedited_ahead(pair: Pair) -> list[Intent]:
    """Return the API writes that the row is to follow: not where it was edited since they began.

    While such a write is under way, the row's older value is not pushed over it.
    """
    edited = pair.link.edited
    return [
        replace(each, values={c: v for c, v in each.values.items() if _is_followed(each, c, edited)})
        for each in pair.intents
        if each.hubspot_first
    ]


def _is_followed(intent: Intent, field: str, edited: Mapping[str, datetime]) -> bool:
    return field not in intent.overtaken and (field not in edited or edited[field] <= intent.at)


def _is_refused_here(pair: Pair, field: str, value: Value) -> bool:
    """Whether a rule of the table's owner has refused just this value."""
    blocks = pair.link.blocks
    return is_blocked(blocks, field, value) and blocks[field].reason is Reason.ROW
