"""Steps that come to nothing for now: what they would have done is blocked, what they have found out is kept."""

from reconciler.core.blocks import RECORD, Block, Blocks, digest, is_blocked
from reconciler.core.contact import Pair
from reconciler.core.errors import RowRefused
from reconciler.core.judge import overwritten_blindly
from reconciler.core.reasons import Reason
from reconciler.core.step import Insert, Merge, Rest, Revive, Step, without_fields


def without_effect(step: Step, blocks: Blocks) -> Step:
    """Return the step that does nothing but say so; what the history told of overwritten values is kept."""
    contact = step.pair.contact
    losers = overwritten_blindly(step.pair) if contact is not None and contact.history else ()
    return Step(pair=step.pair, action=Rest(), blocks=blocks, closes=step.closes, conflicts=losers)


def blocked_row(step: Step, refused: RowRefused) -> Step:
    """Return the step without what a rule of the table's owner refuses, blocked under that rule's name.

    The fields it names, where the row is only changed, or their columns cannot hold the values; else the record, until
    HubSpot has something else for it.
    """
    named = refused.fields & step.pull.keys()
    goes_without = isinstance(step.action, Insert | Revive) and refused.is_misfit and "email" not in named
    if named and (isinstance(step.action, Merge) or goes_without):
        return without_fields(step, {c: Block.of(Reason.ROW, c, step.pull[c], refused.rule) for c in named})
    return without_effect(step, {RECORD: Block.of(Reason.ROW, RECORD, _row(step.pair), refused.rule)})


def is_row_blocked(pair: Pair) -> bool:
    """Whether the owner's table has refused just this row, as a whole."""
    block = pair.link.blocks.get(RECORD)
    return block is not None and block.reason is Reason.ROW and is_blocked(pair.link.blocks, RECORD, _row(pair))


def _row(pair: Pair) -> str:
    """Return what a row that was refused is recognised by: all that HubSpot has for it."""
    return digest(pair.contact.values if pair.contact is not None else {})
