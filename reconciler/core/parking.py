"""Steps that come to nothing for now: what they would have done is parked or held, what they have found out is kept."""

from collections.abc import Mapping
from dataclasses import replace

from reconciler.core.contact import Pair, Trouble
from reconciler.core.errors import Code, RowRefused
from reconciler.core.judge import overwritten_unseen
from reconciler.core.step import RECORD, Local, Step, digest, fingerprint


def without_effect(step: Step, trouble: Mapping[str, Trouble]) -> Step:
    """Return the step that does nothing but say so; what the history told of values overwritten unseen is kept."""
    contact = step.pair.contact
    losers = overwritten_unseen(step.pair) if contact is not None and contact.history else ()
    return Step(pair=step.pair, trouble=trouble, closes=step.closes, conflicts=tuple(losers))


def parked_row(step: Step, refused: RowRefused) -> Step:
    """Return the step without what a rule of the table's owner refuses, parked under that rule's name.

    The columns it names, where the row is only changed; else the record, until HubSpot has something else for it.
    """
    named = refused.columns & step.pull.keys()
    if named and step.local in (None, Local.REATTACH):
        trouble = {c: _refused_by(refused.rule, fingerprint(c, step.pull[c])) for c in named}
        pull = {column: value for column, value in step.pull.items() if column not in named}
        return replace(step, pull=pull, trouble={**step.trouble, **trouble})
    trouble = {RECORD: _refused_by(refused.rule, row_fingerprint(step.pair))}
    return without_effect(step, trouble)


def _refused_by(rule: str, mark: str) -> Trouble:
    return Trouble(code=Code.ROW, fingerprint=mark, detail=rule)


def row_fingerprint(pair: Pair) -> str:
    """Return what a row is recognised by that was refused: all that HubSpot has for it."""
    return fingerprint(RECORD, digest(pair.contact.values if pair.contact is not None else {}))


def is_row_parked(pair: Pair) -> bool:
    """Whether the owner's table has refused just this row, as a whole."""
    why = pair.link.trouble.get(RECORD)
    return why is not None and why.code == Code.ROW and why.fingerprint == row_fingerprint(pair)
