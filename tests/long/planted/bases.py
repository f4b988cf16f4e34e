"""Faults of what a transaction writes: the base, compare-and-set, snapshots, each in memory and in SQL."""

from fault import Edit, Fault, real, simulated
from places import BASE, CONTRACT, MARKS, MERGING, PAIRS, QUERIES, ROWS, RULES, SCHEMA, TABLES, THROUGH

BASES: tuple[Fault, ...] = (
    simulated(
        "the base moves wholesale (memory)",
        "the base moves column by column, never the whole object at once",
        Edit(
            PAIRS,
            "_move",
            "    settled = {**step.agree, **written}\n",
            "    settled = {**(step.pair.contact.values if step.pair.contact else {}), **step.agree, **written}\n",
        ),
    ),
    real(
        "the base moves wholesale (SQL)",
        "the base moves column by column, never the whole object at once",
        Edit(
            MERGING,
            "_move",
            "    settled = {**step.agree, **written}\n",
            "    settled = {**(step.pair.contact.values if step.pair.contact else {}), **step.agree, **written}\n",
        ),
        tests=(BASE,),
    ),
    simulated(
        "the base moves on a pull that did not take (memory)",
        "a pull moves the base only with the column that it really changed",
        Edit(
            PAIRS, "_move", "    settled = {**step.agree, **written}\n", "    settled = {**step.agree, **step.pull}\n"
        ),
    ),
    real(
        "the base moves on a pull that did not take (SQL)",
        "a pull moves the base only with the column that it really changed",
        Edit(
            MERGING, "_move", "    settled = {**step.agree, **written}\n", "    settled = {**step.agree, **step.pull}\n"
        ),
        tests=(BASE,),
    ),
    simulated(
        "an older answer turns the base back (memory)",
        "pushes move the base in the order of HubSpot's time",
        Edit(
            "simulation/memory/answers.py",
            "_move",
            "{c: v for c, v in move.pushed.items() if link.base_at.get(c, 0) <= at}",
            "dict(move.pushed)",
        ),
        tests=(f"{CONTRACT}_answers.py::test_the_base_follows_the_order_of_hubspots_time",),
    ),
    real(
        "an older answer turns the base back (SQL)",
        "pushes move the base in the order of HubSpot's time",
        Edit(
            SCHEMA,
            "not_outdated",
            "from jsonb_each(pushed) where coalesce((l.base_at ->> key)::bigint, 0) <= ms",
            "from jsonb_each(pushed)",
        ),
        tests=(f"{CONTRACT}_answers.py::test_the_base_follows_the_order_of_hubspots_time",),
    ),
    simulated(
        "a row is written without compare-and-set (memory)",
        "a column is written only if it still holds the gathered value",
        Edit(ROWS, "_passing", "if row.raw[field] == write.raw.get(field) and not (field", "if not (field"),
    ),
    real(
        "a row is written without compare-and-set (SQL)",
        "a column is written only if it still holds the gathered value",
        Edit(
            QUERIES,
            "write_customers",
            "where c.raw -> v.key is not distinct from w.raw -> v.key\n            and (v.key",
            "where (v.key",
        ),
        tests=(THROUGH, BASE),
    ),
    simulated(
        "a snapshot that grew old is written (memory)",
        "a snapshot older than seen is stale (checked in the writing transaction)",
        Edit(
            PAIRS,
            "MemoryPairs._is_ours",
            "return step.at is None or link.newest_seen is None or step.believes or link.newest_seen <= step.at",
            "return True",
        ),
        tests=(f"{CONTRACT}_merge.py::test_a_snapshot_older_than_what_was_seen_is_left_out",),
    ),
    real(
        "a snapshot that grew old is written (SQL)",
        "a snapshot older than seen is stale (checked in the writing transaction)",
        Edit(
            QUERIES,
            "lock_steps",
            "and (s.at is null or l.newest_seen is null or s.believe or l.newest_seen <= s.at)\n",
            "\n",
        ),
        tests=(f"{RULES}::test_a_snapshot_that_a_put_without_a_claim_overtook_is_not_written",),
    ),
    simulated(
        "poll and sweep skip by seen (memory)",
        "poll and sweep may skip only what is not newer than read",
        Edit(
            TABLES,
            "Tables._is_news",
            "at = None if link is None else link.merged_through",
            "at = None if link is None else link.newest_seen",
        ),
        tests=(f"{CONTRACT}_records.py::test_what_is_newer_than_the_last_full_read_is_news_whatever_was_seen",),
    ),
    real(
        "poll and sweep skip by seen (SQL)",
        "poll and sweep may skip only what is not newer than read",
        Edit(
            SCHEMA,
            "news",
            "l.merged_through is null or l.merged_through < p.updated or",
            "l.newest_seen is null or l.newest_seen < p.updated or",
        ),
        tests=(f"{MARKS}::test_an_edit_behind_our_own_write_is_found_without_its_event",),
    ),
)
