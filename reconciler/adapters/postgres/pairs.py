"""Customers and links in Postgres: what is known about a pair, and every change to it."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from reconciler.adapters.postgres import merging, rearranging
from reconciler.adapters.postgres.database import Database, to_json
from reconciler.adapters.postgres.rows import other_link_of, pair_of
from reconciler.adapters.postgres.table import OwnersTable
from reconciler.adapters.postgres.tombstones import erase
from reconciler.core.blocking import blocked_row
from reconciler.core.contact import ContactId, CustomerId, Pair
from reconciler.core.context import Context
from reconciler.core.errors import Busy, RowRefused
from reconciler.core.ports import LEASE, NO_CLAIMS, Claim
from reconciler.core.reasons import Reason
from reconciler.core.step import Erase, Step

log = structlog.get_logger()


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
            suspended={field: Reason(each) for field, each in conditions["suspended"].items()},
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

    def know_addresses(self, uuid: CustomerId, addresses: Collection[str]) -> None:
        if addresses:
            self._database.run("know_addresses", uuid=uuid, addresses=sorted(addresses))

    def merge(self, steps: Sequence[Step], ending: Mapping[CustomerId, Claim] = NO_CLAIMS) -> set[CustomerId]:
        changing = [step for step in steps if step.changes_anything]
        if not changing:
            return set()
        try:
            return self._merge(changing, ending)
        except RowRefused as error:
            if len(changing) == 1:
                (step,) = changing
                refused = self._table.told(error, step.pull)
                log.warning(
                    "row.refused", customer=str(step.pair.uuid), rule=refused.rule, fields=sorted(refused.fields)
                )
                return self.merge([blocked_row(step, refused)], ending)
        # One row must not keep its neighbours back.
        middle = len(changing) // 2
        return self.merge(changing[:middle], ending) | self.merge(changing[middle:], ending)

    def _merge(self, steps: Sequence[Step], ending: Mapping[CustomerId, Claim]) -> set[CustomerId]:
        watched = self._table.changes_rows
        with self._database.own() as work:
            exceptions = work.rows("lock_steps", steps=to_json([_lock(step) for step in steps]))
            outdated = {row["uuid"] for row in exceptions if row["outdated"]}
            busy = {row["uuid"] for row in exceptions} - outdated
            current = [step for step in steps if step.pair.uuid not in outdated]
            return outdated | merging.merge(work, current, busy=busy, ending=ending, watched=watched)

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
                    erase(work, step.pair.uuid, self._tombstones)
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


def _lock(step: Step) -> dict[str, Any]:
    return {
        "uuid": step.pair.uuid,
        "fence": step.pair.fence,
        "at": step.at,
        "believe": step.believes,
        "touches": step.touches_customer,
    }
