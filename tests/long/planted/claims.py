"""Faults of fences, marks and captures: in memory for the simulation, in SQL for the tests with a real Postgres."""

from fault import Edit, Fault, real, simulated
from places import CONTRACT, ENDS, MARKS, OUTBOX, PAIRS, QUERIES, ROWS, RULES, SCHEMA, TABLES

CLAIMS: tuple[Fault, ...] = (
    simulated(
        "no fence at the merge (memory)",
        "fences are checked when rows are written",
        Edit(
            PAIRS,
            "MemoryPairs._is_ours",
            "if link is None or link.fence != step.pair.fence:\n            return False",
            "if link is None:\n            return False",
        ),
        tests=(f"{CONTRACT}_merge.py::test_whoever_lost_his_claim_merges_nothing",),
    ),
    real(
        "no fence at the merge (SQL)",
        "fences are checked when rows are written",
        Edit(QUERIES, "lock_steps", "where l.fence = s.fence and (s.at is null", "where (s.at is null"),
        tests=(f"{ENDS}::test_a_worker_that_wakes_after_its_claim_went_to_another_writes_no_row",),
    ),
    simulated(
        "no fence at the intent (memory)",
        "fences are checked when intents are stored",
        Edit(OUTBOX, "MemoryOutbox._intend", "link.fence != write.pair.fence or ", ""),
        tests=(f"{CONTRACT}_intents.py::test_nothing_is_sent_by_whoever_lost_his_claim",),
    ),
    real(
        "no fence at the intent (SQL)",
        "fences are checked when intents are stored",
        Edit(QUERIES, "intend", "l.fence = w.fence and l.lease_until", "l.lease_until"),
        tests=(f"{RULES}::test_a_worker_who_loses_his_claim_between_merge_and_call_sends_nothing",),
    ),
    simulated(
        "who lost the claim clears the marks (memory)",
        "fences are checked when marks are cleared",
        Edit(
            "simulation/memory/marks.py",
            "MemoryMarks.finish",
            "endings = [ending for ending in endings if self._holds(ending.claim)]",
            "endings = list(endings)",
        ),
        tests=(f"{CONTRACT}_marks.py::test_whoever_lost_his_claim_says_nothing_about_the_marks",),
    ),
    real(
        "who lost the claim clears the marks (SQL)",
        "fences are checked when marks are cleared",
        Edit(
            "reconciler/adapters/postgres/marks.py",
            "PostgresMarks.finish",
            "ended = [each for each in endings if each.claim.uuid not in lost]",
            "ended = list(endings)",
        ),
        tests=(f"{RULES}::test_who_has_lost_his_claim_does_nothing_to_the_marks",),
    ),
    simulated(
        "marks are cleared whatever their generation (memory)",
        "clearing compares the claimed generation",
        Edit(
            TABLES,
            "Tables.clear_marks",
            "            if mark is not None and mark.generation == generation:\n",
            "            if mark is not None:\n",
        ),
    ),
    real(
        "marks are cleared whatever their generation (SQL)",
        "clearing compares the claimed generation",
        Edit(
            QUERIES,
            "settle_marks",
            "using mark where m.subject = mark.subject and m.generation = mark.generation",
            "using mark where m.subject = mark.subject",
        ),
        # Else that one writes such a mark first, and the statement deletes no row that it has written.
        Edit(QUERIES, "settle_marks", "and m.generation <> mark.generation", "and false"),
        tests=(f"{MARKS}::test_a_mark_made_while_its_subject_is_worked_on_survives",),
    ),
    simulated(
        "a mark made again keeps its generation (memory)",
        "a mark made while its subject is worked on survives",
        Edit(TABLES, "Tables.mark", "                row.generation = next(self.numbers)\n", ""),
    ),
    real(
        "a mark made again keeps its generation (SQL)",
        "a mark made while its subject is worked on survives",
        Edit(
            SCHEMA,
            "mark",
            "generation = nextval('sync.number'), due = least(sync.mark.due, now()),"
            " lane = least(sync.mark.lane, excluded.lane), privacy",
            "due = least(sync.mark.due, now()), lane = least(sync.mark.lane, excluded.lane), privacy",
        ),
        tests=(f"{MARKS}::test_a_mark_made_while_its_subject_is_worked_on_survives",),
    ),
    simulated(
        "a leased pair is claimed again (memory)",
        "one writer per pair",
        Edit(
            "simulation/memory/marks.py",
            "MemoryMarks._is_free",
            "return link is not None and not self._tables.is_leased(link)",
            "return link is not None",
        ),
        tests=(f"{CONTRACT}_marks.py::test_a_pair_that_somebody_works_on_is_left_for_a_second",),
    ),
    real(
        "a leased pair is claimed again (SQL)",
        "one writer per pair",
        Edit(
            SCHEMA,
            "claim",
            "where l.uuid = any(pairs) and (l.lease_until is null or l.lease_until < now())",
            "where l.uuid = any(pairs)",
        ),
        tests=(f"{MARKS}::test_the_second_mark_of_a_pair_waits_for_the_first_ones_worker",),
    ),
    real(
        "the fold drops what was captured while it worked",
        "the fold works on the rows it sees",
        Edit(
            SCHEMA,
            "fold",
            "    delete from sync.intent i where deadline < now()\n",
            "    delete from sync.dirty;\n    delete from sync.intent i where deadline < now()\n",
        ),
        tests=(f"{RULES}::test_what_is_captured_while_marks_are_folded_is_not_lost",),
    ),
    real(
        "the trigger captures the sync's own writes",
        "the sync's own writes are not captured",
        Edit(
            SCHEMA,
            "on_update",
            "    addresses    text[];\nbegin\n    if sync.is_own() then return null; end if;\n",
            "    addresses    text[];\nbegin\n    if sync.is_own() then\n"
            "        insert into sync.dirty (uuid) select uuid from new_rows;\n        return null;\n    end if;\n",
        ),
        tests=(f"{RULES}::test_what_the_sync_writes_itself_is_no_news",),
    ),
    simulated(
        "the sync's own writes are captured (memory)",
        "the sync's own writes are not captured",
        Edit(
            ROWS,
            "_write",
            "    row.raw.update(values)\n    may_turn",
            "    row.raw.update(values)\n    tables.dirty.append((row.uuid, list(values), tables.now()))\n    may_turn",
        ),
        tests=(f"{CONTRACT}_merge.py::test_the_syncs_own_writes_are_no_news",),
    ),
)
