"""The brake: what would remove, blank, make or rewrite too much in an hour is held, the rest goes on.

The allowance is counted outside, over a rolling hour and all processes; this only says what a batch needs of it
and takes back what was not granted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from reconciler.core.blocking import without_effect
from reconciler.core.blocks import RECORD, Block, blocked
from reconciler.core.reasons import Reason
from reconciler.core.step import Archive, Create, Delete, Insert, Merge, Step, without_fields
from reconciler.core.values import Value, Values


class Danger(StrEnum):
    """What is counted."""

    DELETE = "delete"
    BLANK = "blank"
    CREATE = "create"
    REWRITE = "rewrite"
    MISSING = "missing"

    @property
    def reason(self) -> Reason:
        """The reason of a block by which it is held."""
        return Reason(f"held_{self}")


class Need(NamedTuple):
    """What a step asks of the allowance, once: a kind, and for rewrites the field, as each is counted for itself."""

    kind: Danger
    field: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What may pass in an hour: `number`, or `share` of the live links if that is more, but never above `ceiling`.

    `daily` is the most that may pass in a day.
    """

    number: int
    share: float = 0.0
    ceiling: int | None = None
    daily: int | None = None


Limits = Mapping[Danger, Limit]

LIMITS: Limits = {
    Danger.DELETE: Limit(number=100, share=0.1, ceiling=1_000),
    Danger.BLANK: Limit(number=100, share=0.1, ceiling=1_000),
    Danger.CREATE: Limit(number=1_000, share=0.25, ceiling=10_000),
    Danger.REWRITE: Limit(number=1_000, share=0.25, ceiling=10_000),
    Danger.MISSING: Limit(number=0),
}
"""What passes where the owner set nothing else. What is only missing waits for a person."""


def needed(steps: Sequence[Step]) -> Counter[Need]:
    """Count what these steps ask of the allowance."""
    return Counter(need for step in steps for need in _asked(step).values())


def brake(steps: Sequence[Step], granted: Mapping[Need, int]) -> list[Step]:
    """Return the steps with what goes beyond `granted` held, in the order they come."""
    left = Counter(granted)
    return [_braked(step, left) for step in steps]


def held(steps: Sequence[Step]) -> dict[Danger, list[Step]]:
    """Return the steps of which something is held, by the kind of it."""
    return {
        kind: those
        for kind in Danger
        if (those := [step for step in steps if any(each.reason is kind.reason for each in step.blocks.values())])
    }


def _asked(step: Step) -> dict[str, Need]:
    """Return what a step asks for: one for the record as a whole, or one for each field whose value it takes away."""
    if step.is_missing:
        return {RECORD: Need(Danger.MISSING)}
    match step.action:
        case Delete() | Archive():
            return {RECORD: Need(Danger.DELETE)}
        case Insert() | Create():
            return {RECORD: Need(Danger.CREATE)}
        case Merge(pull=pull, push=push):
            local = step.pair.customer.values if step.pair.customer is not None else {}
            remote = step.pair.contact.values if step.pair.contact is not None else {}
            return {**_overwritten(pull, local), **_overwritten(push, remote)}
        case _:
            return {}


def _overwritten(values: Values, before: Values) -> dict[str, Need]:
    return {
        field: _need(field, value)
        for field, value in values.items()
        if before.get(field) is not None and before[field] != value
    }


def _need(field: str, value: Value) -> Need:
    return Need(Danger.BLANK) if value is None else Need(Danger.REWRITE, field)


def _braked(step: Step, left: Counter[Need]) -> Step:
    beyond: dict[str, Danger] = {}
    for field, need in _asked(step).items():
        if left[need] < 1:
            beyond[field] = need.kind
        else:
            left[need] -= 1
    if RECORD in beyond:
        return without_effect(step, blocked(beyond[RECORD].reason, RECORD, beyond[RECORD].reason))
    return _without(step, beyond) if beyond else step


def _without(step: Step, beyond: Mapping[str, Danger]) -> Step:
    """Leave these fields as they are, on both sides."""
    values = {**step.push, **step.pull}
    return without_fields(step, {c: Block.of(kind.reason, c, values[c]) for c, kind in beyond.items()})
