"""Marks and leases in Postgres."""

from collections.abc import Collection, Sequence
from typing import Any

from reconciler.adapters.postgres.database import Database, Work, to_json
from reconciler.adapters.postgres.rows import blocks_json, claim_of, page_of
from reconciler.core.blocks import RECORD, blocked
from reconciler.core.contact import Contact, CustomerId
from reconciler.core.ports import LEASE, Claim, Ending, Lane, Subject
from reconciler.core.reasons import Reason


class PostgresMarks:
    """The work list."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mark(self, subjects: Collection[Subject], *, lane: Lane, privacy: bool = False) -> None:
        if subjects:
            keys = [subject.key for subject in subjects]
            self._database.run("mark", subjects=keys, lane=int(lane), privacy=privacy)

    def next_lane(self, lanes: Sequence[Lane]) -> Lane | None:
        (row,) = self._database.rows("next_lane", lanes=[int(lane) for lane in lanes])
        return None if row["lane"] is None else Lane(row["lane"])

    def claim(
        self,
        limit: int,
        *,
        lanes: Collection[Lane] = tuple(Lane),
        only: Collection[Subject] | None = None,
    ) -> list[Claim]:
        wanted = None if only is None else [subject.key for subject in only]
        with self._database.own() as work:
            rows = work.rows("claim", lanes=[int(lane) for lane in lanes], limit=limit, lease=LEASE, only=wanted)
        return [claim_of(row) for row in rows]

    def claim_page(self, contacts: Sequence[Contact], *, lane: Lane, read_at: int) -> list[Claim]:
        with self._database.own() as work:
            rows = work.rows("claim_page", page=page_of(contacts), lane=int(lane), lease=LEASE, read_at=read_at)
        return [Claim(uuid=CustomerId(row["uuid"]), fence=row["fence"]) for row in rows]

    def addresses(self, limit: int) -> list[tuple[str, int]]:
        rows = self._database.rows("take_addresses", limit=limit, lease=LEASE)
        return [(row["address"], row["generation"]) for row in rows]

    def looked_up(self, taken: Sequence[tuple[str, int]]) -> None:
        marks = [_mark(Subject.address(address).key, generation) for address, generation in taken]
        self._database.run("finish", marks=to_json(marks))

    def finish(self, endings: Sequence[Ending]) -> None:
        with self._database.own() as work:
            claims = to_json([_claimed(each.claim) for each in endings])
            lost = {row["uuid"] for row in work.rows("end_leases", claims=claims)}
            # A lost claim has nothing to say about the marks: another worker has them.
            endings = [ending for ending in endings if ending.claim.uuid not in lost]
            exhausted = [e for e in endings if e.is_exhausted]
            settled = [e for e in endings if e.again is None or e.is_exhausted]
            self._put_off(work, [e for e in endings if e.again is not None and not e.is_exhausted])
            marks = [_mark(s, g) for e in settled for s, g in e.claim.marks]
            if marks:
                work.run("finish", marks=to_json(marks))
            if exhausted:
                why = blocks_json(blocked(Reason.EXHAUSTED, RECORD, None))
                work.run("block", uuids=[e.claim.uuid for e in exhausted], blocks=to_json(why))

    def _put_off(self, work: Work, late: Sequence[Ending]) -> None:
        if not late:
            return
        marks = [
            _mark(s, g, delay=e.delay, spent=int(e.spend), delays=e.delays) for e in late for s, g in e.claim.marks
        ]
        work.run("put_off", marks=to_json(marks))
        unmarked = [e for e in late if not e.claim.marks]
        if unmarked:
            subjects = [{"subject": Subject.customer(e.claim.uuid).key, "delay": e.delay} for e in unmarked]
            work.run("mark_later", marks=to_json(subjects))


def _claimed(claim: Claim) -> dict[str, Any]:
    return {"uuid": claim.uuid, "fence": claim.fence, "subjects": [subject for subject, _ in claim.marks]}


def _mark(subject: str, generation: int, **more: Any) -> dict[str, Any]:
    return {"subject": subject, "generation": generation, **more}
