"""The statements of every moment use their indexes, however much there is to do."""

import pytest
from world import World

MARKS = (
    "insert into sync.mark (subject, lane, due) "
    "select 'c:' || n, 1 + n %% 3, now() - n * interval '1 ms' from generate_series(1, %s) n"
)


def plan(world: World, statement: str) -> str:
    cursor = world.connection.execute(f"explain (costs off) {statement}")
    return "\n".join(row["QUERY PLAN"] for row in cursor)


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_claiming_reads_the_marks_in_the_order_of_their_index(world: World, size: int) -> None:
    world.sql(MARKS, size)
    world.sql("analyze sync.mark")
    picking = (
        "select subject from sync.mark m where m.lane = 1 and m.due <= now() and m.crashes < 2 "
        "and m.subject not like 'e:%' order by m.due limit 100 for update skip locked"
    )
    found = plan(world, picking)
    assert "Index Scan using mark_due" in found
    assert "Sort" not in found


def test_a_claim_of_a_hundred_among_very_many_takes_a_hundred(world: World) -> None:
    world.sql(MARKS, 100_000)
    assert len(world.parts.marks.claim(100)) == 100


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (
            "select * from customer c where lower(btrim(c.email)) = any('{a@b.co}') and c.deletedat is null",
            "customer_email",
        ),
        ("select * from sync.link where contact = any('{1}')", "link_contact_is_unique"),
        ("select uuid from sync.link where base ->> 'email' = any('{a@b.co}')", "link_base_email"),
        (
            "select * from sync.intent i where i.kind = 'create' and i.vals ->> 'email' = any('{a@b.co}')",
            "intent_creates",
        ),
        ("select n from sync.slot s where kind = 'all' and at <= now() order by at limit 2", "slot_"),
    ],
)
def test_a_look_up_uses_its_index(world: World, statement: str, index: str) -> None:
    world.sql("set enable_seqscan = off")
    assert index in plan(world, statement)
