"""Addresses are unique on both sides, so the ones that change hands need an order.

`release` lets customers take addresses whose holders give them up in the same transaction; `waves` orders the
updates of one batch so that a contact gives its address up before another takes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.core.contact import CustomerId
from reconciler.core.context import OtherLink
from reconciler.core.reasons import Reason
from reconciler.core.step import Delete, Merge, Step
from reconciler.core.values import Values


@dataclass(frozen=True, slots=True)
class Update:
    """One update call's share of a step."""

    step: Step
    values: Values


def release(steps: Sequence[Step], holders: Mapping[str, OtherLink]) -> list[Step]:
    """Give back the pulls of an address whose holder moves away within this batch; the others stay blocked."""
    waiting: dict[CustomerId, str] = {}
    for step in steps:
        address = _refused_address(step)
        if address is not None:
            waiting[step.pair.uuid] = address
    leaving = {step.pair.uuid for step in steps if "email" in step.pull or isinstance(step.action, Delete)}
    # The holder of an address by an open create gives nothing up by moving its customer from another one.
    has = {step.pair.uuid: step.pair.customer.values.get("email") for step in steps if step.pair.customer is not None}

    def is_given_up(address: str) -> bool:
        holder = holders[address].uuid
        return holder in waiting.keys() | leaving and has.get(holder) == address

    while stuck := {uuid for uuid, address in waiting.items() if not is_given_up(address)}:
        for uuid in stuck:
            del waiting[uuid]
    return [_with_address(step, waiting[step.pair.uuid]) if step.pair.uuid in waiting else step for step in steps]


def _refused_address(step: Step) -> str | None:
    block = step.blocks.get("email")
    if block is None or block.reason is not Reason.TAKEN or step.pair.contact is None:
        return None
    return step.pair.contact.values.get("email")


def _with_address(step: Step, address: str) -> Step:
    assert isinstance(step.action, Merge)
    blocks = {field: block for field, block in step.blocks.items() if field != "email"}
    return replace(step, action=replace(step.action, pull={**step.pull, "email": address}), blocks=blocks)


def waves(steps: Sequence[Step]) -> list[list[Update]]:
    """Order the updates: each wave is one batch, and no wave wants an address that a later one still has.

    A cycle (two contacts swapping) is opened by freeing exactly one address first.
    """
    pending = {step.pair.uuid: step for step in steps}
    has = {_address(step): step.pair.uuid for step in pending.values() if "email" in step.push}
    ordered: list[list[Update]] = []
    while pending:
        blocked = {uuid: pending[by] for uuid, step in pending.items() if (by := _blocker(step, has)) in pending and by}
        ready = [step for uuid, step in pending.items() if uuid not in blocked]
        if ready:
            ordered.append([Update(step, step.push) for step in ready])
        else:
            freed = next(iter(blocked.values()))
            ordered.append([Update(freed, {"email": None})])
            del has[_address(freed)]
        for step in ready:
            del pending[step.pair.uuid]
    return ordered


def _address(step: Step) -> str | None:
    return step.pair.contact.values.get("email") if step.pair.contact is not None else None


def _blocker(step: Step, has: Mapping[str | None, CustomerId]) -> CustomerId | None:
    address = step.push.get("email")
    return has.get(address) if address is not None else None
