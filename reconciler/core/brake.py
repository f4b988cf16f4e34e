"""The brake: what would delete or blank too much in an hour is held, the rest goes on.

The allowance is counted outside, over a rolling hour and all processes; this only says what a batch needs of it
and takes back what was not granted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from reconciler.core.contact import Trouble
from reconciler.core.step import RECORD, Local, Remote, Step, fingerprint


class Danger(StrEnum):
    """What is counted."""

    DELETE = "delete"
    BLANK = "blank"


HELD = "held_"
"""Prefix of the trouble codes that only an allowance ends."""


def needed(steps: Sequence[Step]) -> Counter[Danger]:
    """Count what these steps would delete and blank."""
    return Counter(danger for step in steps for danger in _dangers(step))


def brake(steps: Sequence[Step], granted: Mapping[Danger, int]) -> list[Step]:
    """Return the steps with what goes beyond `granted` held, in the order they come."""
    left = Counter(granted)
    return [_braked(step, left) for step in steps]


def _dangers(step: Step) -> list[Danger]:
    if step.local is Local.DELETE or step.remote is Remote.ARCHIVE:
        return [Danger.DELETE]
    return [Danger.BLANK] * len(_blanked(step))


def _blanked(step: Step) -> list[str]:
    local = step.pair.customer.values if step.pair.customer is not None else {}
    remote = step.pair.contact.values if step.pair.contact is not None else {}
    pulled = [column for column, value in step.pull.items() if value is None and local.get(column) is not None]
    pushed = [column for column, value in step.push.items() if value is None and remote.get(column) is not None]
    return pulled + pushed


def _braked(step: Step, left: Counter[Danger]) -> Step:
    dangers = _dangers(step)
    if not dangers:
        return step
    kind, count = dangers[0], len(dangers)
    if left[kind] >= count:
        left[kind] -= count
        return step
    return _held_record(step) if kind is Danger.DELETE else _without_blanks(step)


def _held_record(step: Step) -> Step:
    code = HELD + Danger.DELETE
    trouble = {RECORD: Trouble(code=code, fingerprint=fingerprint(RECORD, code))}
    return Step(pair=step.pair, trouble=trouble, closes=step.closes)


def _without_blanks(step: Step) -> Step:
    blanked = set(_blanked(step))
    trouble = {c: Trouble(code=HELD + Danger.BLANK, fingerprint=fingerprint(c, None)) for c in blanked}
    push = {column: value for column, value in step.push.items() if column not in blanked}
    return replace(
        step,
        pull={column: value for column, value in step.pull.items() if column not in blanked},
        push=push,
        remote=step.remote if push or step.remote is not Remote.UPDATE else None,
        trouble={**step.trouble, **trouble},
    )
