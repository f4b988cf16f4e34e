"""The pure three-way merge of one pair's properties.

Change is judged against the base, never against the other side or a clock:

    base  local  remote                     outcome
    a     b      b                          agree: only the base moves
    a     b      a                          push b
    a     b      an open intent's           push b, and the base moves to the intent's
    a     a, b   an API write's intent's    pull it: the row was to follow; b was there before and goes to the log
    a     a      b                          pull b
    a     b      c                          conflict: `judge` says which side wins, the loser is logged
    -     (remote not in the answer)        nothing: unknown is not empty

A field that goes one way has no conflicts: what was edited on the other side stays until the next edit on the open one.
Where an emptying is not carried over (`when_empty`), a side that is empty counts as unchanged, but for an API write's.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from reconciler.core.fields import Fields
from reconciler.core.kinds import WhenEmpty
from reconciler.core.values import Value, Values


class Verdict(Enum):
    """How a conflict ends; HISTORY asks for the property's history first, NEITHER leaves both as they are."""

    LOCAL = auto()
    REMOTE = auto()
    NEITHER = auto()
    HISTORY = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Both sides changed `field` since the base. `winner` is None while no person has decided."""

    field: str
    winner: Verdict | None
    kept: Value
    lost: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What to write where: `pull` into Postgres, `push` to HubSpot, `agree` into the base alone."""

    pull: dict[str, Value] = field(default_factory=dict)
    push: dict[str, Value] = field(default_factory=dict)
    agree: dict[str, Value] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    undecided: set[str] = field(default_factory=set)


Ours = Mapping[str, Collection[Value]]

Judge = Callable[[str, Value, Value], Verdict]
"""(field, local, remote) -> the side that wins."""


def merge(
    fields: Fields, *, base: Values, local: Values, remote: Values, ours: Ours, ahead: Ours, judge: Judge
) -> Merged:
    """Merge the properties that `remote` answered.

    `ours` are the values of open intents: not a person's edit. `ahead` are those that the row was to take as well,
    if it was not edited since.
    """
    merged = Merged()
    for name, contact in remote.items():
        row, last = local.get(name), base.get(name)
        is_ahead = contact in ahead.get(name, ())
        goes_out, comes_in = name in fields.to_hubspot, name in fields.to_postgres or is_ahead
        if goes_out and contact != last and contact in ours.get(name, ()) and not is_ahead:
            # HubSpot has what we sent: that was agreed, even if its answer was lost and the row changed since.
            merged.agree[name] = last = contact
        if row != contact and not is_ahead and fields[name].when_empty is WhenEmpty.KEEP:
            row, contact = (last if side is None else side for side in (row, contact))
        if row == contact:
            if row != last:
                merged.agree[name] = row
        elif contact == last:
            if goes_out:
                merged.push[name] = row
        elif is_ahead and row != last:
            _settle(merged, name, row, contact, Verdict.REMOTE)
        elif not comes_in:
            if row != last:
                merged.push[name] = row
        elif row == last or not goes_out:
            merged.pull[name] = contact
        else:
            _settle(merged, name, row, contact, judge(name, row, contact))
    return merged


def _settle(merged: Merged, name: str, local: Value, remote: Value, verdict: Verdict) -> None:
    match verdict:
        case Verdict.LOCAL:
            merged.push[name] = local
            merged.conflicts.append(Conflict(field=name, winner=verdict, kept=local, lost=remote))
        case Verdict.REMOTE:
            merged.pull[name] = remote
            merged.conflicts.append(Conflict(field=name, winner=verdict, kept=remote, lost=local))
        case Verdict.NEITHER:
            merged.conflicts.append(Conflict(field=name, winner=None, kept=local, lost=remote))
        case Verdict.HISTORY:
            merged.undecided.add(name)
