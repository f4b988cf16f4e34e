"""HubSpot writes that are under way: stored as intents before they are sent, committed with their answers."""

from collections.abc import Sequence
from pathlib import Path
from random import uniform
from time import monotonic, sleep
from typing import Any

from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_random,
)

from reconciler.adapters.postgres import answers
from reconciler.adapters.postgres.database import Database, Work, to_json
from reconciler.adapters.postgres.rows import conflict_rows
from reconciler.adapters.postgres.table import OwnersTable
from reconciler.adapters.postgres.tombstones import erase
from reconciler.core.contact import IntentId, IntentKind
from reconciler.core.errors import AddressTaken, Busy, Refused, RowRefused
from reconciler.core.ports import INTENT_DEADLINE, LEASE, Answer, Sent, Settled, Write
from reconciler.core.reasons import Reason

SETTLE_TRIES = 5
SETTLE_PATIENCE = 2.0
"""Tries of a transaction that commits HubSpot's answers, and seconds after which there is no other."""

ROW_PATIENCE = 1.0
ROW_NAP = (0.02, 0.1)
"""Seconds for which a caller waits for a row that another transaction holds, and between two looks at it."""


class PostgresOutbox:
    """The intents, and what HubSpot's answers to them change."""

    def __init__(self, database: Database, *, tombstones: Path | None = None) -> None:
        self._database, self._tombstones = database, tombstones
        self._table = OwnersTable(database)

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

    def withdraw(self, sent: Sequence[Sent]) -> None:
        if sent:
            self._database.run("close_intents", ids=[each.intent for each in sent])

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
        return Settled(refused={write.pair.uuid: Refused(reason=Reason.ROW, fields=told.fields, text=told.rule)})

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
                erase(work, uuid, self._tombstones)
        return frozenset(each.sent.intent for each in found.held)


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
