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

from reconciler.adapters.postgres import answers, merging, rearranging
from reconciler.adapters.postgres.database import AddressTaken, Busy, Database, Work, to_json
from reconciler.adapters.postgres.rows import conflict_rows, other_link_of, pair_of
from reconciler.adapters.postgres.table import OwnersTable
from reconciler.adapters.postgres.tombstones import write_tombstones
from reconciler.core.blocking import blocked_row
from reconciler.core.contact import ContactId, CustomerId, IntentId, IntentKind, Pair
from reconciler.core.context import Context
from reconciler.core.errors import Refused, RowRefused
from reconciler.core.ports import INTENT_DEADLINE, LEASE, Answer, Claim, Sent, Settled, Write
from reconciler.core.reasons import Reason
from reconciler.core.step import Erase, Step

log = structlog.get_logger()

SETTLE_TRIES = 5
SETTLE_PATIENCE = 2.0
"""Tries of a transaction that commits HubSpot's answers, and seconds after which there is no other."""

ROW_PATIENCE = 1.0
ROW_NAP = (0.02, 0.1)
"""Seconds for which a caller waits for a row that another transaction holds, and between two looks at it."""


class PostgresPairs:
    """The store of the reconcile."""

    def __init__(self, database: Database, *, tombstones: Path | None = None) -> None:
        self._database, self._tombstones = database, tombstones
        self._table = OwnersTable(database)

    def load(self, claims: Sequence[Claim]) -> list[Pair]:
        by_uuid = {claim.uuid: claim for claim in claims}
        rows = self._database.rows("load", uuids=list(by_uuid))
        return [pair_of(row, by_uuid[row["link_uuid"]]) for row in rows]

    def context(
        self, *, addresses: Collection[str], contacts: Collection[ContactId], ours: Collection[CustomerId] = ()
    ) -> Context:
        holders = self._database.rows("holders", addresses=list(addresses), ours=list(ours)) if addresses else []
        owners = self._database.rows("owners", contacts=list(contacts), ours=list(ours)) if contacts else []
        erased = self._database.rows("tombstoned", addresses=list(addresses)) if addresses else []
        apart = self._database.rows("set_apart", contacts=list(contacts)) if contacts else []
        (conditions,) = self._database.rows("conditions")
        return Context(
            holders={row["address"]: other_link_of(row) for row in holders},
            owners={row["linked"]: other_link_of(row) for row in owners},
            tombstoned=frozenset(row["address"] for row in erased),
            former=frozenset(ContactId(row["contact"]) for row in apart if row["kind"] == "former"),
            ignored=frozenset(ContactId(row["contact"]) for row in apart if row["kind"] == "ignored"),
            suspended={column: Reason(each) for column, each in conditions["suspended"].items()},
            has_nameless_create=conditions["has_nameless_create"],
        )

    def join(self, steps: Sequence[Step]) -> list[Claim]:
        pulled = [s.pair.contact.values.get("email") for s in steps if s.pair.contact and "email" in s.blocks]
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

    def suspend(self, columns: Collection[str], reason: Reason) -> None:
        self._database.run("suspend", columns=sorted(columns), reason=reason)

    def resume(self, columns: Collection[str]) -> None:
        self._database.run("resume", columns=sorted(columns))

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
        return Settled(refused={write.pair.uuid: Refused(reason=Reason.ROW, columns=told.columns, text=told.rule)})

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
            found = answers.settle(work, answered, mirrors=mirrors)
            for uuid in found.erased:
                self._erase(work, uuid)
        return frozenset(each.sent.intent for each in found.held)

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
                return self.merge([blocked_row(step, refused)])
        # One row must not keep its neighbours back.
        middle = len(changing) // 2
        return self.merge(changing[:middle]) | self.merge(changing[middle:])

    def _merge(self, steps: Sequence[Step]) -> set[CustomerId]:
        watched = self._table.changes_rows
        with self._database.own() as work:
            outdated = {row["uuid"] for row in work.rows("lock_steps", steps=to_json([_lock(step) for step in steps]))}
            current = [step for step in steps if step.pair.uuid not in outdated]
            return outdated | merging.merge(work, current, watched=watched)

    def rearrange(self, steps: Sequence[Step]) -> set[CustomerId]:
        return {step.pair.uuid for step in steps if not self._is_rearranged(step)}

    def _is_rearranged(self, step: Step) -> bool:
        try:
            if isinstance(step.action, Erase):
                self._announce(step)
            with self._database.own() as work:
                if work.row("hold_claim", uuid=step.pair.uuid, fence=step.pair.fence) is None:
                    return True
                if step.rearranged and work.rows("lock_customers", uuids=sorted(step.rearranged)):
                    return False
                rearranging.rearrange(work, step)
                if isinstance(step.action, Erase):
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
    return [(sent, answer) for sent, answer in answered if sent.intent in settled.held and sent.write.hubspot_first]


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
        "fence": write.pair.fence or None,
        "contact": write.pair.link.contact_id,
        "kind": write.kind,
        "vals": dict(write.values),
        "hubspot_first": write.hubspot_first,
        "reserved": write.values.get("email")
        if write.kind is IntentKind.CREATE and write.pair.customer is None
        else None,
    }
