"""Cuts a batch until what HubSpot refuses, or answers with too much, stands alone; the rest goes on."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from reconciler.adapters.gateway.answers import refused_in
from reconciler.adapters.gateway.calls import Refusal
from reconciler.core.errors import OutcomeUnknown, TooLarge, Transient
from reconciler.core.fields import Fields
from reconciler.core.ports import Answer, Unanswered
from reconciler.core.values import Values

LARGE_DELAY = 60.0
"""Seconds until another look at what HubSpot answers with too much."""

Item = TypeVar("Item")
Part = TypeVar("Part")

Write = Callable[[Sequence[int]], dict[int, Answer]]
"""Writes the numbered items in one call; what the answer leaves out is missing in it."""


def read_in_halves(items: Sequence[Item], read: Callable[[Sequence[Item]], Part]) -> list[Part]:
    """Read items in one call, or in as many as it takes for each answer to be of a size that is taken."""
    try:
        return [read(items)]
    except TooLarge as error:
        if len(items) == 1:
            raise TooLarge(error.reason, delay=LARGE_DELAY) from error
    middle = len(items) // 2
    return read_in_halves(items[:middle], read) + read_in_halves(items[middle:], read)


def written(fields: Fields, values: Sequence[Values], write: Write) -> list[Answer]:
    """Write all items; refused as a whole, they are halved until the ones to blame stand alone."""
    answers = _answered(fields, list(range(len(values))), values, write)
    return [answers.get(n, Unanswered.OMITTED) for n in range(len(values))]


def _answered(fields: Fields, part: list[int], values: Sequence[Values], write: Write) -> dict[int, Answer]:
    try:
        return write(part)
    except Refusal as error:
        refused = refused_in(fields, error.reply)
    if len(part) == 1:
        return {part[0]: refused}
    # A property that HubSpot takes from no caller: all that carry it are refused, the others go.
    to_blame = [n for n in part if refused.suspends & values[n].keys()]
    if to_blame:
        return {
            **dict.fromkeys(to_blame, refused),
            **_rest(fields, [n for n in part if n not in to_blame], values, write),
        }
    middle = len(part) // 2
    return {**_answered(fields, part[:middle], values, write), **_rest(fields, part[middle:], values, write)}


def _rest(fields: Fields, part: list[int], values: Sequence[Values], write: Write) -> dict[int, Answer]:
    """Go on with a part. What went before is answered and must be committed, whatever comes of this."""
    try:
        return _answered(fields, part, values, write) if part else {}
    except OutcomeUnknown:
        return dict.fromkeys(part, Unanswered.UNKNOWN)
    except Transient:
        return dict.fromkeys(part, Unanswered.UNSENT)
