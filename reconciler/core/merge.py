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
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from reconciler.core.fields import COLUMNS, Value, Values


class Verdict(Enum):
    """How a conflict ends; HISTORY asks for the property's history first, NEITHER leaves both as they are."""

    LOCAL = auto()
    REMOTE = auto()
    NEITHER = auto()
    HISTORY = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Both sides changed `column` since the base. `winner` is None while no person has decided."""

    column: str
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
"""(column, local, remote) -> the side that wins."""


def merge(*, base: Values, local: Values, remote: Values, ours: Ours, ahead: Ours, judge: Judge) -> Merged:
    """Merge the properties that `remote` answered.

    `ours` are the values of open intents: not a person's edit. `ahead` are those that the row was to take as well,
    if it was not edited since.
    """
    merged = Merged()
    for column in COLUMNS:
        if column not in remote:
            continue
        mine, theirs, last = local.get(column), remote[column], base.get(column)
        if mine == theirs:
            if mine != last:
                merged.agree[column] = mine
        elif theirs == last:
            merged.push[column] = mine
        elif theirs in ahead.get(column, ()) and mine != last:
            _settle(merged, column, mine, theirs, Verdict.REMOTE)
        elif theirs in ours.get(column, ()) and theirs not in ahead.get(column, ()):
            # HubSpot has what we sent: that was agreed, even if its answer was lost and the row changed since.
            merged.agree[column] = theirs
            merged.push[column] = mine
        elif mine == last:
            merged.pull[column] = theirs
        else:
            _settle(merged, column, mine, theirs, judge(column, mine, theirs))
    return merged


def _settle(merged: Merged, column: str, mine: Value, theirs: Value, verdict: Verdict) -> None:
    match verdict:
        case Verdict.LOCAL:
            merged.push[column] = mine
            merged.conflicts.append(Conflict(column=column, winner=verdict, kept=mine, lost=theirs))
        case Verdict.REMOTE:
            merged.pull[column] = theirs
            merged.conflicts.append(Conflict(column=column, winner=verdict, kept=theirs, lost=mine))
        case Verdict.NEITHER:
            merged.conflicts.append(Conflict(column=column, winner=None, kept=mine, lost=theirs))
        case Verdict.HISTORY:
            merged.undecided.add(column)
