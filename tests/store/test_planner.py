"""The statements of every moment use their indexes, however much there is to do."""

import re

import pytest
from histories import count
from world import World

from reconciler.adapters.postgres.queries import statements
from reconciler.core.ports import Lane

MARKS = (
    "insert into sync.mark (subject, lane, due) "
    "select 'c:' || n, 1 + n %% 3, now() - n * interval '1 ms' from generate_series(1, %s) n"
)


def plan(world: World, statement: str) -> str:
    cursor = world.connection.execute(f"explain (costs off) {statement}")
    return "\n".join(row["QUERY PLAN"] for row in cursor)


@pytest.mark.parametrize("size", [1_000, 100_000, 1_000_000])
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
            "select * from customer c where sync.address(c.email) = any('{a@b.co}') and c.deletedat is null",
            "customer_address",
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


@pytest.mark.parametrize(
    ("name", "values", "indexes"),
    [
        ("live_customers", "'00000000-0000-0000-0000-000000000000'", ["customer_pkey"]),
        ("uuid_of_contact", "7", ["link_contact_is_unique", "alias_pkey"]),
        ("had_address", "'a@b.co'", ["link_former", "customer_pkey"]),
    ],
)
def test_what_a_caller_asks_for_is_read_by_index_with_a_plan_for_any_value(
    world: World, name: str, values: str, indexes: list[str]
) -> None:
    world.sql("insert into customer (email) select 'p' || n || '@example.com' from generate_series(1, 5000) n")
    world.sql("insert into sync.link (uuid, contact) select uuid, row_number() over () from customer")
    world.sql("analyze customer, sync.link")
    asked = re.sub(r"%\(\w+\)s", "$1", statements()[name])
    world.sql("set plan_cache_mode = force_generic_plan")
    world.connection.execute(f"prepare asked as {asked}")
    found = plan(world, f"execute asked ({values})")
    assert [index for index in indexes if index not in found] == []
    assert "Seq Scan on customer" not in found
    assert "Seq Scan on link" not in found


def test_what_a_mass_change_costs_does_not_grow_with_its_square(world: World) -> None:
    world.sql("insert into customer (email) select 'p' || n || '@example.com' from generate_series(1, 50000) n")
    world.parts.marks.next_lane([Lane.FRESH])
    # A session keeps the plan of its first statement, which was about one row.
    world.sql("update customer set company = 'a' where email = 'p1@example.com'")
    world.sql("set statement_timeout = '30s'")
    world.sql("update customer set company = 'b'")
    world.sql("update customer set company = company, updatedat = now()")
    while count(world, "sync.dirty"):
        world.sql("select sync.fold()")
    assert count(world, "sync.mark") == 50_000


def test_who_is_to_be_erased_is_found_without_a_look_at_every_customer(world: World) -> None:
    uuid = world.insert(email="kai@example.com")
    world.insert(email="Kai@example.com", deletedat="2026-01-01")
    request = statements()["request_erasure"].replace("%(address)s", "'kai@example.com'")
    world.sql("set enable_seqscan = off")
    with world.connection.transaction():
        assert len(world.sql("select unnest(people) from sync.person_of(%s)", uuid)) == 2
        assert len(world.sql(request)) == 2
        (read,) = world.sql("select seq_scan from pg_stat_xact_user_tables where relname = 'customer'")
    assert read == {"seq_scan": 0}


def test_what_the_brake_counts_waits_for_no_disk(world: World) -> None:
    with world.connection.transaction():
        world.sql("set local synchronous_commit = on")
        world.sql("select from sync.grant_danger('[]')")
        assert world.sql("show synchronous_commit") == [{"synchronous_commit": "off"}]
