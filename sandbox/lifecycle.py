"""The one property with a direction: `lifecyclestage` moves forward only.

stored      written     forward     any     no_clear
lead        customer    customer    customer customer
customer    lead        ignored     lead    ignored
customer    ""          ""          ""      refused
""          lead        lead        lead    lead
"""

from collections.abc import Sequence
from enum import StrEnum

STAGE = "lifecyclestage"


class StageRule(StrEnum):
    """How HubSpot treats a stage that would move backward."""

    FORWARD = "forward"
    ANY = "any"
    NO_CLEAR = "no_clear"


class ClearingRefusedError(Exception):
    """The portal does not let a stage be cleared."""


def next_stage(stored: str, written: str, order: Sequence[str], rule: StageRule) -> str:
    """Return the stage that a write leaves behind; raise ClearingRefusedError where it may not be cleared."""
    if rule is StageRule.ANY or not stored or written == stored:
        return written
    if not written:
        if rule is StageRule.NO_CLEAR:
            raise ClearingRefusedError
        return written
    return written if _rank(written, order) > _rank(stored, order) else stored


def _rank(stage: str, order: Sequence[str]) -> int:
    return order.index(stage) if stage in order else -1
