"""Faults of what is kept and forgotten: merges, privacy, tombstones, calls, each in memory and in SQL."""

from fault import Edit, Fault, real, simulated
from places import CONTRACT, ENDS, ERASE, MERGED, PAIRS, QUERIES, REARRANGING, ROWS, RULES, SCHEMA, TABLES

PEOPLE: tuple[Fault, ...] = (
    simulated(
        "the loser of a merge keeps its link (memory)",
        "the loser has no link",
        Edit(
            PAIRS,
            "MemoryPairs._absorb",
            "loser.contact, loser.alive, loser.base, loser.base_at, loser.lease_until = None, False, {}, {}, None",
            "loser.lease_until = None",
        ),
    ),
    real(
        "the loser of a merge keeps its link (SQL)",
        "the loser has no link",
        Edit(
            QUERIES,
            "absorb_loser",
            "contact = null, fence = nextval('sync.number'), alive = false, base = '{}', base_at = '{}', blocks",
            "fence = nextval('sync.number'), blocks",
        ),
        tests=(MERGED,),
    ),
    simulated(
        "what the loser of a merge had not sent is lost (memory)",
        "log the loser's unpushed local edits",
        Edit(
            PAIRS,
            "MemoryPairs._absorb",
            "tables.log(merged.loser, [] if row is None else _unsent(tables, row, loser))",
            "pass",
        ),
        tests=(f"{CONTRACT}_links.py::test_what_the_loser_had_not_sent_yet_is_logged",),
    ),
    real(
        "what the loser of a merge had not sent is lost (SQL)",
        "log the loser's unpushed local edits",
        Edit(REARRANGING, "_absorb", '    work.run("log_unsent", loser=merged.loser)\n', ""),
        tests=(MERGED,),
    ),
    simulated(
        "one busy address holds its whole batch up (memory)",
        "one bad record never harms its batch",
        Edit(ROWS, "_passing", ' and not (field == "email" and _is_held(tables, row, value))', ""),
        tests=(f"{CONTRACT}_merge.py::test_an_address_that_another_holds_by_now_is_left_out",),
    ),
    real(
        "one busy address holds its whole batch up (SQL)",
        "one bad record never harms its batch",
        Edit(
            QUERIES,
            "write_customers",
            "and (v.key <> 'email' or v.value = 'null' or not exists (",
            "and (true or not exists (",
        ),
        tests=(f"{CONTRACT}_merge.py::test_an_address_that_another_holds_by_now_is_left_out",),
    ),
    simulated(
        "the privacy bit is dropped by a later mark (memory)",
        "one sticky bit: a privacy deletion was announced",
        Edit(TABLES, "Tables.mark", "row.privacy = row.privacy or privacy", "row.privacy = privacy"),
    ),
    real(
        "the privacy bit is dropped by a later mark (SQL)",
        "one sticky bit: a privacy deletion was announced",
        Edit(
            SCHEMA,
            "mark",
            "        privacy = sync.mark.privacy or excluded.privacy;\n",
            "        privacy = excluded.privacy;\n",
        ),
        tests=(ERASE, ENDS),
    ),
    simulated(
        "the privacy bit is not kept with the link (memory)",
        "one sticky bit: a privacy deletion was announced",
        Edit(PAIRS, "_move", "    link.privacy = link.privacy or step.pair.privacy\n", ""),
        tests=(f"{CONTRACT}_merge.py::test_an_announced_privacy_deletion_is_remembered",),
    ),
    real(
        "the privacy bit is not kept with the link (SQL)",
        "one sticky bit: a privacy deletion was announced",
        Edit(QUERIES, "move_links", "else l.detached end, privacy = l.privacy or s.privacy\n", "else l.detached end\n"),
        tests=(ERASE, ENDS),
    ),
    simulated(
        "the tombstone is skipped at the write (memory)",
        "erased stays erased, checked with every insert",
        Edit(
            TABLES,
            "Tables.refuse_erased",
            "if self.tombstones.intersection(address for address in addresses if address is not None):",
            "if False:",
        ),
    ),
    real(
        "the tombstone is skipped at the write (SQL)",
        "erased stays erased, checked with every insert",
        Edit(
            SCHEMA,
            "refuse_erased",
            "    if exists (select from sync.tombstone) and exists (\n",
            "    if false and exists (\n",
        ),
        tests=(ERASE,),
    ),
    real(
        "an erase does not shut inserts out",
        "an erase waits for the inserts that may not know of it",
        Edit(SCHEMA, "refuse_erased", "    perform sync.note_era();\n", ""),
        tests=(
            ERASE,
            f"{RULES}::test_an_erase_does_not_pass_an_insert_under_way",
        ),
    ),
    real(
        "an erase leaves the person's log",
        "an erase takes every row, base, intent, log and parked reason",
        Edit(SCHEMA, "erase", "    delete from sync.history where uuid = any(people);\n", ""),
        tests=(ERASE,),
    ),
    real(
        "an intent reserves no address",
        "the address is reserved locally before the call",
        Edit(
            SCHEMA,
            "intent_reserves_address_once",
            "create unique index if not exists intent_reserves_address_once",
            "create index if not exists intent_reserves_address_once",
        ),
        Edit(
            QUERIES,
            "intend",
            "\non conflict (reserved) where reserved is not null do nothing returning id, uuid",
            " returning id, uuid",
        ),
        tests=(f"{CONTRACT}_intents.py::test_two_creates_of_one_address_are_reserved_once",),
    ),
    simulated(
        "slots are taken before their window is over (memory)",
        "never more calls in any window than the budget",
        Edit(
            "simulation/memory/slots.py",
            "MemorySlots.take",
            "for n, at in slots.items() if at <= now - window and",
            "for n, at in slots.items() if at <= now and",
        ),
    ),
    real(
        "slots are taken before their window is over (SQL)",
        "never more calls in any window than the budget",
        Edit(
            QUERIES,
            "take_slots",
            "where kind = %(kind)s and at <= (select clock_timestamp()) - %(window)s * interval '1 second'\n",
            "where kind = %(kind)s and at <= (select clock_timestamp()) and %(window)s::float8 > 0\n",
        ),
        tests=(f"{RULES}::test_no_window_has_more_calls_than_the_budget",),
    ),
    real(
        "a 429 leaves the slots free (SQL)",
        "one budget: a 429 stops all processes",
        Edit(
            QUERIES,
            "block_slots",
            "where kind = %(kind)s and at < clock_timestamp() + (%(delay)s - %(window)s) * interval '1 second'\n",
            "where false and kind = %(kind)s\n",
        ),
        tests=(f"{RULES}::test_a_429_stops_every_process",),
    ),
)
