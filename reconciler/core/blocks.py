"""What does not move, and by what a value is recognised that did not: the only memory of a refusal."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core.reasons import Reason
from reconciler.core.values import Value, Values

RECORD = "*"
"""The key of a block of the whole record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Why a property (or, under "*", the record) does not move: the reason, and the hash of the values that failed.

    `detail` names what refused it, where there is a name: the owner's rule, or HubSpot's.
    """

    reason: Reason
    fingerprint: str
    detail: str = ""

    @classmethod
    def of(cls, reason: Reason, field: str, value: Value, detail: str = "") -> "Block":
        """Return the block of one value; `field` may be "*"."""
        return cls(reason=reason, fingerprint=fingerprint(field, value), detail=detail)


Blocks = Mapping[str, Block]
"""Field, or "*", -> what blocks it."""


def fingerprint(field: str, value: Value) -> str:
    """Return what a failed value is recognised by."""
    return hashlib.sha256(f"{field}\x00{value}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def digest(values: Values) -> str:
    """Return one text for a set of values, for the fingerprint of a whole record."""
    return repr(sorted(values.items()))


def waiting_for(address: str) -> tuple[str, str]:
    """Return how a property and a record are recognised that wait for an address that another record has."""
    return fingerprint("email", address), fingerprint(RECORD, address)


def blocked(reason: Reason, field: str, value: Value) -> dict[str, Block]:
    """Return the one block of a record or a value."""
    return {field: Block.of(reason, field, value)}


def is_blocked(blocks: Blocks, field: str, value: Value) -> bool:
    """Whether just this value is blocked."""
    block = blocks.get(field)
    return block is not None and block.fingerprint == fingerprint(field, value)
