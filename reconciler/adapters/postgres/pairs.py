"""Customers and links in Postgres: what is known about a pair, and every change to it."""

from collections.abc import Collection, Sequence
from pathlib import Path
from random import uniform
from time import monotonic, sleep
from typing import Any

import structlog
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random,
)

from reconciler.adapters.postgres import answers
from reconciler.adapters.postgres.database import AddressTaken, Busy, Database, Work, to_json
from reconciler.adapters.postgres.rows import changes, conflict_rows, neighbour_of, pair_of, trouble_json, wake_waiting
from reconciler.adapters.postgres.table import OwnersTable, require_all
from reconciler.adapters.postgres.tombstones import write_tombstones
from reconciler.core.contact import ContactId, CustomerId, IntentId, IntentKind, Pair
from reconciler.core.errors import Code, Refused, RowRefused
from reconciler.core.fields import Values, normalised
from reconciler.core.parking import parked_row
from reconciler.core.ports import INTENT_DEADLINE, LANDING, LEASE, Answer, Claim, Sent, Settled, Write
from reconciler.core.step import Absorb, Adopt, Attach, Local, Step, Surroundings

log = structlog.get_logger()

SETTLE_TRIES = 5
SETTLE_PATIENCE = 2.0
"""Tries of a transaction that commits HubSpot's answers, and seconds after which there is no other."""

ROW_PATIENCE = 1.0
ROW_NAP = (0.02, 0.1)
"""Seconds for which a caller waits for a row that somebody's transaction holds, and between two looks at it."""


class PostgresPairs:
    """The store of the reconcile."""

    def __init__(self, database: Database, *, tombstones: Path | None = None) -> None:
        self._database, self._tombstones = database, tombstones
        self._table = OwnersTable(database)

    def load(self, claims: Sequence[Claim]) -> list[Pair]:
        by_uuid = {claim.uuid: claim for claim in claims}
        rows = self._database.rows("load", uuids=list(by_uuid))
        return [pair_of(row, by_uuid[row["link_uuid"]]) for row in rows]

    def surroundings(
        self, *, addresses: Collection[str], contacts: Collection[ContactId], ours: Collection[CustomerId] = ()
    ) -> Surroundings:
        holders = self._database.rows("holders", addresses=list(addresses), ours=list(ours)) if addresses else []
        owners = self._database.rows("owners", contacts=list(contacts), ours=list(ours)) if contacts else []
        erased = self._database.rows("tombstoned", addresses=list(addresses)) if addresses else []
        former = self._database.rows("former", contacts=list(contacts)) if contacts else []
        ignored = self._database.rows("ignored", contacts=list(contacts)) if contacts else []
        nameless = self._database.row("nameless_create")
        suspended = self._database.rows("suspended")
        return Surroundings(
            holders={row["address"]: neighbour_of(row) for row in holders},
            owners={row["linked"]: neighbour_of(row) for row in owners},
            tombstoned=frozenset(row["address"] for row in erased),
            former=frozenset(ContactId(row["contact"]) for row in former),
            ignored=frozenset(ContactId(row["contact"]) for row in ignored),
            suspended={row["name"]: row["code"] for row in suspended},
            has_nameless_create=bool(nameless and nameless["open"]),
        )

    def join(self, steps: Sequence[Step]) -> list[Claim]:
        pulled = [s.pair.contact.values.get("email") for s in steps if s.pair.contact and "email" in s.trouble]
        pushed = [address for s in steps if (address := s.push.get("email")) is not None and s.pair.link.contact_id]
        if not pulled and not pushed:
            return []
        with self._database.own() as work:
            present = [step.pair.uuid for step in steps]
            rows = work.rows("join", pulled=pulled, pushed=pushed, present=present, lease=LEASE)
        return [Claim(uuid=CustomerId(row["uuid"]), fence=row["fence"]) for row in rows]

    def intend(self, writes: Sequence[Write]) -> list[Sent]:
        if not writes:
            return []
        by_uuid = {write.pair.uuid: write for write in writes}
        with self._database.own() as work:
            writes = _not_erased(work, writes)
            losers = [row for w in writes for row in conflict_rows(w.pair.uuid, w.conflicts)]
            if losers:
                work.run("log_conflicts", conflicts=to_json(losers))
            former = [_intent(w) for w in writes if w.kind is IntentKind.CREATE and w.pair.link.contact_id]
            if former:
                work.run("make_former", rows=to_json(former))
            rows = work.rows(
                "intend", writes=to_json([_intent(w) for w in writes]), lease=LEASE, deadline=INTENT_DEADLINE
            )
        return [Sent(intent=IntentId(row["id"]), write=by_uuid[row["uuid"]]) for row in rows]

    def know_addresses(self, uuid: CustomerId, addresses: Collection[str]) -> None:
        if addresses:
            self._database.run("know_addresses", uuid=uuid, addresses=sorted(addresses))

    def withdraw(self, sent: Sequence[Sent]) -> None:
        if sent:
            self._database.run("close_intents", ids=[each.intent for each in sent])

    def suspend(self, columns: Collection[str], code: str) -> None:
        self._database.run("suspend_mapping", columns=sorted(columns), code=code)

    def resume(self, columns: Collection[str]) -> None:
        self._database.run("resume_mapping", columns=sorted(columns))

    def lift_refused(self, *, only_if_rules_changed: bool) -> None:
        if not only_if_rules_changed or self._table.has_new_rules():
            self._database.row("lift_refused")

    def settle(self, answered: Sequence[tuple[Sent, Answer]]) -> Settled:
        settled = self._settle_each(answered)
        until = monotonic() + ROW_PATIENCE
        # Mostly a row is held for milliseconds.
        while (waiting := _waited_for(answered, settled)) and monotonic() < until:
            sleep(uniform(*ROW_NAP))
            settled = settled.without({sent.intent for sent, _ in waiting}) | self._settle_each(waiting)
        return settled

    def _settle_each(self, answered: Sequence[tuple[Sent, Answer]]) -> Settled:
        """Commit answers; one whose row Postgres refuses does not keep its neighbours back."""
        try:
            return Settled(held=self._settle_surely(answered, mirrors=True))
        except RowRefused as error:
            if len(answered) == 1:
                return self._put_back(answered[0], error)
        middle = len(answered) // 2
        return self._settle_each(answered[:middle]) | self._settle_each(answered[middle:])

    def _put_back(self, answered: tuple[Sent, Answer], error: RowRefused) -> Settled:
        """Commit an answer whose row Postgres refuses: HubSpot has it, so the base has; the next look takes it back."""
        self._settle_surely([answered], mirrors=False)
        write = answered[0].write
        told = self._table.told(error, write.values)
        return Settled(refused={write.pair.uuid: Refused(code=Code.ROW, columns=told.columns, text=told.rule)})

    def _settle_surely(self, answered: Sequence[tuple[Sent, Answer]], *, mirrors: bool) -> frozenset[IntentId]:
        # A worker that claims a new contact at this moment wins the race for its link; the next try adopts that link.
        again = retry_if_exception_type((AddressTaken, Busy))
        stop = stop_after_attempt(SETTLE_TRIES) | stop_after_delay(SETTLE_PATIENCE)
        retrying = Retrying(retry=again, stop=stop, wait=wait_random(max=0.05), reraise=True)
        try:
            return retrying(self._settle, answered, mirrors)
        except AddressTaken as error:
            # HubSpot has been called: what stands in the way is no refusal, the open intent settles it.
            raise Busy("an answer could not be committed", delay=1.0) from error

    def _settle(self, answered: Sequence[tuple[Sent, Answer]], mirrors: bool) -> frozenset[IntentId]:
        with self._database.own() as work:
            settled = answers.settle(work, answered, mirrors=mirrors)
            for uuid in settled.erased:
                self._erase(work, uuid)
        return settled.held

    def merge(self, steps: Sequence[Step]) -> set[CustomerId]:
        changing = [step for step in steps if step.changes_anything]
        if not changing:
            return set()
        try:
            return self._merge(changing)
        except RowRefused as error:
            if len(changing) == 1:
                (step,) = changing
                refused = self._table.told(error, step.pull)
                log.warning(
                    "row.refused", customer=str(step.pair.uuid), rule=refused.rule, columns=sorted(refused.columns)
                )
                return self.merge([parked_row(step, refused)])
        # One row must not keep its neighbours back.
        middle = len(changing) // 2
        return self.merge(changing[:middle]) | self.merge(changing[middle:])

    def _merge(self, steps: Sequence[Step]) -> set[CustomerId]:
        watched = self._table.changes_rows
        with self._database.own() as work:
            held = work.rows("lock_steps", steps=to_json([_lock(step) for step in steps]))
            ours = {row["uuid"] for row in held}
            left_out = {step.pair.uuid for step in steps if step.pair.uuid not in ours}
            return left_out | _merge(work, [step for step in steps if step.pair.uuid in ours], watched=watched)

    def rearrange(self, steps: Sequence[Step]) -> set[CustomerId]:
        return {step.pair.uuid for step in steps if not self._is_rearranged(step)}

    def _is_rearranged(self, step: Step) -> bool:
        try:
            if step.local is Local.ERASE:
                self._announce(step)
            with self._database.own() as work:
                if work.row("hold_claim", uuid=step.pair.uuid, fence=step.pair.fence) is None:
                    return True
                if step.rearranged and work.rows("held", uuids=sorted(step.rearranged)):
                    return False
                _rearrange(work, step)
                if step.local is Local.ERASE:
                    self._erase(work, step.pair.uuid)
        except Busy:
            return False
        return True

    def _announce(self, step: Step) -> None:
        """Let inserts that begin from now on know of an erase: it waits for the others, and none for it."""
        with self._database.own() as work:
            if work.row("hold_claim", uuid=step.pair.uuid, fence=step.pair.fence) is None:
                return
            work.run("announce_erase", uuid=step.pair.uuid)
        self._database.run("begin_era")

    def _erase(self, work: Work, uuid: CustomerId) -> None:
        """Erase by closure; the copy outside the database is written before the transaction ends."""
        stones = work.rows("erase", uuid=uuid)
        if self._tombstones is not None:
            write_tombstones(self._tombstones, work, stones)


def _waited_for(answered: Sequence[tuple[Sent, Answer]], settled: Settled) -> list[tuple[Sent, Answer]]:
    """Return the answers of API writes that are held up."""
    return [(sent, answer) for sent, answer in answered if sent.intent in settled.held and sent.write.is_direct]


def _not_erased(work: Work, writes: Sequence[Write]) -> list[Write]:
    """Leave out what would bring an address to HubSpot that was erased since it was read here."""
    addresses = [address for write in writes if (address := write.values.get("email")) is not None]
    if not addresses:
        return list(writes)
    work.run("keep_erases_out")
    erased = {row["address"] for row in work.rows("tombstoned", addresses=addresses)}
    return [write for write in writes if write.values.get("email") not in erased]


def _lock(step: Step) -> dict[str, Any]:
    return {"uuid": step.pair.uuid, "fence": step.pair.fence, "at": step.at, "believe": step.believes}


def _intent(write: Write) -> dict[str, Any]:
    return {
        "uuid": write.pair.uuid,
        "fence": write.pair.fence if write.fenced else None,
        "contact": write.pair.link.contact_id,
        "kind": write.kind,
        "vals": dict(write.values),
        "ahead": write.is_direct,
        "reserved": write.values.get("email")
        if write.kind is IntentKind.CREATE and write.pair.customer is None
        else None,
    }


def _merge(work: Work, steps: Sequence[Step], *, watched: bool) -> set[CustomerId]:
    losers = [row for step in steps for row in conflict_rows(step.pair.uuid, step.conflicts)]
    if losers:
        work.run("log_conflicts", conflicts=to_json(losers))
    inserted, changed = _insert(work, [step for step in steps if step.local is Local.INSERT], watched=watched)
    touched = [step for step in steps if step.touches_customer]
    written, lived, also_changed = _update(work, touched, watched=watched)
    written |= inserted
    # What a trigger of the owner's made of a row is the owner's edit: the next look brings it to HubSpot.
    left_out = {*changed, *also_changed}
    left_out |= {s.pair.uuid for s in steps if set(s.pull) - set(written.get(s.pair.uuid, {}))}
    left_out |= {step.pair.uuid for step in touched if not lived.get(step.pair.uuid, False)}
    moves = [_move(step, written.get(step.pair.uuid, {}), whole=step.pair.uuid not in left_out) for step in steps]
    work.run("move_links", steps=to_json(moves))
    wake_waiting(work, [step.freed_address for step in steps])
    closes = [intent for step in steps for intent in step.closes]
    if closes:
        work.run("close_unanswered", ids=closes, landing=LANDING)
    history = [_history(step, written) for step in steps if step.pair.uuid in written and step.writes]
    if history:
        work.run("log_history", rows=to_json(history))
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
    return pulled, {uuid for uuid, values in pulled.items() if _is_changed(written[uuid], values)}


def _is_changed(holds: Values | None, values: Values) -> bool:
    """Whether the row holds something else of these values than was written."""
    return holds is not None and any(value != normalised(holds).get(column) for column, value in values.items())


def _update(
    work: Work, steps: Sequence[Step], *, watched: bool
) -> tuple[dict[CustomerId, Any], dict[CustomerId, bool], set[CustomerId]]:
    """Write rows; return what took, whether being alive did, and the ones that a trigger made something else of."""
    if not steps:
        return {}, {}, set()
    free = {row["uuid"] for row in work.rows("lock_customers", uuids=[step.pair.uuid for step in steps])}
    steps = [step for step in steps if step.pair.uuid in free]
    work.run("refuse_erased", addresses=[a for step in steps if (a := step.pull.get("email")) is not None])
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
    rows = [{"uuid": s.pair.uuid, "stored": s.pair.customer.stored["email"]} for s in moving if s.pair.customer]
    return {row["uuid"] for row in work.rows("release_addresses", rows=to_json(rows))}


def _give_back(work: Work, steps: Sequence[Step]) -> None:
    rows = [{"uuid": s.pair.uuid, "stored": s.pair.customer.stored["email"]} for s in steps if s.pair.customer]
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
    stored = dict(step.pair.customer.stored)
    if is_released:
        stored["email"] = None
    becomes = {Local.DELETE: False, Local.REVIVE: True}.get(step.local) if step.local else None
    row = _row(step, dict(step.pull))
    return {**row, "stored": stored, "was_alive": step.pair.customer.is_alive, "becomes_alive": becomes}


def _move(step: Step, written: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    looks = step.pair.link.looks + 1 if step.is_stale else 0
    settled = {**step.agree, **written}
    return {
        "uuid": step.pair.uuid,
        "base": settled,
        "alive": step.alive if whole else None,
        "looks": looks,
        "at": step.at,
        "believe": step.believes and not step.is_stale,
        "whole": whole and step.is_whole,
        "cured": [*settled, *step.lifted, *(["*"] if step.local in (Local.INSERT, Local.REVIVE) else [])],
        "trouble": trouble_json(step.trouble),
        "checked": step.has_checked_unseen,
        "unseen": {column: push.sent for column, push in step.pair.link.unseen.items()},
        "privacy": step.pair.privacy,
        "beside": [] if step.pair.contact is None else sorted(step.pair.contact.addresses_beside),
        "attached": step.local is Local.REATTACH,
    }


def _history(step: Step, written: dict[CustomerId, Any]) -> dict[str, Any]:
    before = {} if step.pair.customer is None else step.pair.customer.values
    action = "update" if step.local is None else step.local.name.lower()
    return {
        "uuid": step.pair.uuid,
        "side": "postgres",
        "action": action,
        "changes": changes(before, written[step.pair.uuid]),
    }


def _rearrange(work: Work, step: Step) -> None:
    if step.conflicts:
        work.run("log_conflicts", conflicts=to_json(conflict_rows(step.pair.uuid, step.conflicts)))
    if step.closes:
        work.run("close_unanswered", ids=list(step.closes), landing=LANDING)
    match step.identity:
        case Attach(contact_id, former):
            if former is not None and work.row("hand_over", contact=contact_id, former=former) is not None:
                work.run("inherit", heir=step.pair.uuid, giver=former)
                work.run("show_contacts", uuids=[former])
            work.run("drop_placeholder", contact=contact_id, owner=step.pair.uuid)
            link = step.pair.link
            row = {"uuid": link.uuid, "fence": step.pair.fence, "contact": contact_id, "known": link.contact_id}
            work.run("attach", rows=to_json([row]))
            work.run("show_contacts", uuids=[step.pair.uuid])
        case Adopt(owner, contact_id) if work.row("may_adopt", owner=owner) is None:
            work.run("mark", subjects=[f"c:{contact_id}"], lane=1, privacy=False)
        case Adopt(owner, contact_id):
            work.run("drop_placeholder", contact=contact_id, owner=owner)
            work.run("ensure_links", uuids=[owner])
            work.run("adopt", contact=contact_id, owner=owner)
            work.run("show_contacts", uuids=[owner])
            work.run("mark", subjects=[f"u:{owner}"], lane=1, privacy=False)
        case Absorb() as merged if not _may_absorb(work, merged):
            # The other one was erased, or forgotten, meanwhile.
            work.run("mark", subjects=[f"u:{step.pair.uuid}"], lane=1, privacy=False)
        case Absorb() as merged:
            _absorb(work, merged)
        case None:
            _end_link(work, step)


def _may_absorb(work: Work, merged: Absorb) -> bool:
    return len(work.rows("hold_links", uuids=[merged.winner, merged.loser], contact=merged.contact_id)) == 2


def _absorb(work: Work, merged: Absorb) -> None:
    names = {"winner": merged.winner, "loser": merged.loser, "contact": merged.contact_id}
    work.run("absorb_aliases", uuids=[merged.winner, merged.loser], **names)
    work.run("inherit", heir=merged.winner, giver=merged.loser)
    work.run("drop_intents", uuids=[merged.loser])
    work.run("log_unsent", loser=merged.loser)
    work.run("absorb_loser", loser=merged.loser)
    work.run("absorb_customer", winner=merged.winner, loser=merged.loser)
    work.run("absorb_winner", **names)
    work.run("show_contacts", uuids=[merged.winner])
    work.run("mark", subjects=[f"u:{merged.winner}"], lane=1, privacy=False)


def _end_link(work: Work, step: Step) -> None:
    rows = to_json([{"uuid": step.pair.uuid, "fence": step.pair.fence}])
    match step.local:
        case Local.FORGET:
            work.run("forget", rows=rows)
        case Local.IGNORE:
            work.run("ignore", rows=rows)
        case Local.DETACH:
            work.run("detach", rows=rows)
        case _:
            pass
