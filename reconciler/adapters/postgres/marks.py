"""Marks and leases in Postgres."""

from collections.abc import Collection, Sequence

from reconciler.adapters.postgres.database import Database, to_json
from reconciler.adapters.postgres.rows import Json, blocks_json, claim_of, mark_json, page_of
from reconciler.core.blocks import RECORD, blocked
from reconciler.core.contact import Contact, CustomerId
from reconciler.core.ports import LEASE, Claim, Due, Ending, Lane, Subject
from reconciler.core.reasons import Reason


class PostgresMarks:
    """The work list."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mark(self, subjects: Collection[Subject], *, lane: Lane, privacy: bool = False) -> None:
        if subjects:
            keys = [subject.key for subject in subjects]
            self._database.run("mark", subjects=keys, lane=int(lane), privacy=privacy)

    def next_lane(self, lanes: Sequence[Lane]) -> Due | None:
        (row,) = self._database.rows("next_lane", lanes=[int(lane) for lane in lanes])
        return None if row["lane"] is None else Due(Lane(row["lane"]), row["has_addresses"])

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
        marks = [mark_json((Subject.address(address).key, generation)) for address, generation in taken]
        self._database.run("settle_marks", marks=to_json(marks), later="[]")

    def finish(self, endings: Sequence[Ending]) -> None:
        why = blocks_json(blocked(Reason.EXHAUSTED, RECORD, None))
        with self._database.own() as work:
            claims = to_json([_ended(each) for each in endings])
            lost = {row["uuid"] for row in work.rows("end_claims", claims=claims, why=to_json(why))}
            # A lost claim has nothing to say about the marks: another worker has them.
            ended = [each for each in endings if each.claim.uuid not in lost]
            marks = [mark for each in ended for mark in _marks(each)]
            later = [_later(each) for each in ended if not each.claim.marks and each.is_put_off]
            if marks or later:
                work.run("settle_marks", marks=to_json(marks), later=to_json(later))


def _ended(ending: Ending) -> Json:
    subjects = [subject for subject, _ in ending.claim.marks]
    claim = {"uuid": ending.claim.uuid, "fence": ending.claim.fence}
    return {**claim, "subjects": subjects, "exhausted": ending.is_exhausted}


def _marks(ending: Ending) -> list[Json]:
    """Return the marks of a claim: settled, or with the delay after which they are due."""
    late: Json = {"delay": ending.delay, "spent": int(ending.spend), "delays": ending.delays}
    return [mark_json(mark, **(late if ending.is_put_off else {})) for mark in ending.claim.marks]


def _later(ending: Ending) -> Json:
    return {"subject": Subject.customer(ending.claim.uuid).key, "delay": ending.delay}
