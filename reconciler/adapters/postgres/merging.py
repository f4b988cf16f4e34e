"""Commits what was decided about fields and being alive: rows by compare-and-set, the base only with what took."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from reconciler.adapters.postgres.database import Work, to_json
from reconciler.adapters.postgres.rows import blocks_json, changes, conflict_rows, mark_json, wake_waiting
from reconciler.adapters.postgres.table import require_all
from reconciler.core.contact import CustomerId
from reconciler.core.ports import LANDING, Claim
from reconciler.core.step import Insert, Merge, Step, Wait
from reconciler.core.values import Values


def merge(
    work: Work,
    steps: Sequence[Step],
    *,
    busy: Collection[CustomerId],
    ending: Mapping[CustomerId, Claim],
    watched: bool,
) -> set[CustomerId]:
    """Commit the steps, whose links are locked; return those of which something was left out.

    Others have locked the rows of the `busy` ones. The claims of those in `ending` end with it. `watched`: a trigger of
    the owner's may make something else of a row.
    """
    losers = [row for step in steps for row in conflict_rows(step.pair.uuid, step.conflicts)]
    if losers:
        work.run("log_conflicts", conflicts=to_json(losers))
    inserted, changed = _insert(work, [step for step in steps if isinstance(step.action, Insert)], watched=watched)
    touched = [step for step in steps if step.touches_customer]
    writable = [step for step in touched if step.pair.uuid not in busy]
    written, lived, also_changed = _update(work, writable, watched=watched)
    written |= inserted
    # What a trigger of the owner's made of a row is the owner's edit: the next look brings it to HubSpot.
    left_out = {*changed, *also_changed}
    left_out |= {s.pair.uuid for s in steps if set(s.pull) - set(written.get(s.pair.uuid, {}))}
    left_out |= {step.pair.uuid for step in touched if not lived.get(step.pair.uuid, False)}
    ended = ending.keys() - left_out
    moves = [
        _move(step, written.get(step.pair.uuid, {}), whole=step.pair.uuid not in left_out, ends=step.pair.uuid in ended)
        for step in steps
    ]
    history = [_history(step, written) for step in steps if step.pair.uuid in written and step.writes]
    work.run("move_links", steps=to_json(moves), history=to_json(history))
    marks = [mark_json(mark) for step in steps if step.pair.uuid in ended for mark in ending[step.pair.uuid].marks]
    if marks:
        work.run("settle_marks", marks=to_json(marks), later="[]")
    wake_waiting(work, [step.freed_address for step in steps])
    closes = [intent for step in steps for intent in step.closes]
    if closes:
        work.run("close_unanswered", ids=closes, landing=LANDING)
    return left_out


def _insert(work: Work, steps: Sequence[Step], *, watched: bool) -> tuple[dict[CustomerId, Any], set[CustomerId]]:
    if not steps:
        return {}, set()
    addresses = [address for step in steps if (address := step.pull.get("email")) is not None]
    work.run("refuse_erased", addresses=addresses)
    rows = [_row(step, dict(step.pull)) for step in steps]
    done = work.rows("insert_customers", rows=to_json(rows), watched=watched)
    require_all(done)
    written = {row["uuid"]: row["holds"] for row in done}
    pulled = {step.pair.uuid: dict(step.pull) for step in steps if step.pair.uuid in written}
    # A default of the table's may have filled what HubSpot does not have.
    made = {uuid: {**dict.fromkeys(written[uuid] or ()), **values} for uuid, values in pulled.items()}
    return pulled, {uuid for uuid, values in made.items() if _is_changed(written[uuid], values)}


def _is_changed(holds: Values | None, values: Values) -> bool:
    """Whether the row holds something else of these values than was written."""
    return holds is not None and any(value != holds.get(field) for field, value in values.items())


def _update(
    work: Work, steps: Sequence[Step], *, watched: bool
) -> tuple[dict[CustomerId, Any], dict[CustomerId, bool], set[CustomerId]]:
    """Write rows; return what took, whether being alive did, and the ones that a trigger made something else of."""
    if not steps:
        return {}, {}, set()
    addresses = [address for step in steps if (address := step.pull.get("email")) is not None]
    if addresses:
        work.run("refuse_erased", addresses=addresses)
    released = _release(work, steps)
    rows = [_update_row(step, is_released=step.pair.uuid in released) for step in steps]
    done = work.rows("write_customers", rows=to_json(rows), watched=watched)
    require_all(done)
    moved = {row["uuid"] for row in done if "email" in row["written"]}
    _give_back(work, [step for step in steps if step.pair.uuid in released - moved])
    changed = {row["uuid"] for row in done if _is_changed(row["holds"], row["written"])}
    return {row["uuid"]: row["written"] for row in done}, {row["uuid"]: row["lived"] for row in done}, changed


def _release(work: Work, steps: Sequence[Step]) -> set[CustomerId]:
    """Two addresses that change hands would clash row by row: take them all off first."""
    moving = [step for step in steps if "email" in step.pull and step.pair.customer is not None]
    if len(moving) < 2:
        return set()
    rows = [{"uuid": s.pair.uuid, "raw": s.pair.customer.raw["email"]} for s in moving if s.pair.customer]
    return {row["uuid"] for row in work.rows("release_addresses", rows=to_json(rows))}


def _give_back(work: Work, steps: Sequence[Step]) -> None:
    kept = [step.pair.customer for step in steps if step.pair.customer is not None]
    rows = [{"uuid": each.uuid, "raw": each.raw["email"], "updated": each.updated_at} for each in kept]
    if rows:
        work.run("give_addresses_back", rows=to_json(rows))


def _row(step: Step, values: dict[str, Any]) -> dict[str, Any]:
    contact = step.pair.contact
    return {
        "uuid": step.pair.uuid,
        "vals": values,
        "contact": None if contact is None else contact.id,
        "created": None if contact is None else contact.created_at,
        "updated": None if contact is None else contact.updated_at,
    }


def _update_row(step: Step, *, is_released: bool) -> dict[str, Any]:
    assert step.pair.customer is not None
    raw = dict(step.pair.customer.raw)
    if is_released:
        raw["email"] = None
    row = _row(step, dict(step.pull))
    return {**row, "raw": raw, "was_alive": step.pair.customer.is_alive, "becomes_alive": step.becomes_alive}


def _move(step: Step, written: dict[str, Any], *, whole: bool, ends: bool) -> dict[str, Any]:
    stale_reads = step.pair.link.stale_reads + 1 if step.action is Wait.STALE else 0
    settled = {**step.agree, **written}
    return {
        "uuid": step.pair.uuid,
        "base": settled,
        "alive": step.alive if whole else None,
        "stale_reads": stale_reads,
        "at": step.at,
        "believe": step.believes and step.action is not Wait.STALE,
        "whole": whole and step.is_whole,
        "cured": [*settled, *step.cured],
        "blocks": blocks_json(step.blocks),
        "checked": step.has_checked_blind_pushes,
        "blind_pushes": {field: push.sent for field, push in step.pair.link.blind_pushes.items()},
        "privacy": step.pair.privacy,
        "beside": [] if step.pair.contact is None else sorted(step.pair.contact.addresses_beside),
        "attached": step.reattaches,
        "ends": ends,
    }


def _history(step: Step, written: dict[CustomerId, Any]) -> dict[str, Any]:
    before = {} if step.pair.customer is None else step.pair.customer.values
    action = "update" if isinstance(step.action, Merge) else type(step.action).__name__.lower()
    return {
        "uuid": step.pair.uuid,
        "side": "postgres",
        "action": action,
        "changes": changes(before, written[step.pair.uuid]),
    }
