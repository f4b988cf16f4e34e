"""Two reconcilers at one backlog: the same end as with one, and not a write more."""

import os
from pathlib import Path

from processes import reconcilers
from states import assert_sound, assert_unspent, due
from world import World, until

RECORDS = int(os.environ.get("TWO_RECORDS", "1000"))

SLOW_MS = 100
"""Each answer takes so long that neither can do all of it alone."""

ALONE = {"POLL_INTERVAL": "3600", "SWEEP_INTERVAL": "3600", "HUBSPOT_THREADS": "1"}
"""What they do is the backlog: a poll would cut it into other batches."""


def writes(world: World) -> dict[str, int]:
    """The calls that write, by kind."""
    counts = world.portal.calls.counts
    return {name.rpartition("/")[2]: n for name, n in counts.items() if "/batch/" in name and "/batch/read" not in name}


def test_two_reconcilers_at_one_backlog_write_what_one_would(world: World, tmp_path: Path) -> None:
    world.portal.set(latency_ms=SLOW_MS)
    with reconcilers(world, tmp_path, 2, **ALONE) as both:
        world.sql(
            "insert into customer (email, company) "
            "select 'c' || n || '@example.com', 'a' from generate_series(1, %s) n",
            RECORDS,
        )
        until(lambda: len(world.portal.contacts) == RECORDS and due(world) == 0, seconds=90)
        assert world.portal.revision == RECORDS
        assert writes(world) == {"create": RECORDS // 100}
        assert all(each.events("reconcile.batch") for each in both), "both of them worked"

        world.portal.calls.clear()
        world.sql("update customer set company = 'b'")
        until(lambda: {contact.get("company") for contact in world.portal.contacts} == {"b"}, seconds=90)
        until(lambda: due(world) == 0, seconds=90)
        assert world.portal.revision == 2 * RECORDS
        assert writes(world) == {"update": RECORDS // 100}

        for contact in world.portal.contacts:
            world.portal.edit(contact.id, {"phone": "1"})
        revision = world.portal.revision
        world.event(*[contact.id for contact in world.portal.contacts])
        until(lambda: world.sql("select count(*) from customer where phone = '1'") == [{"count": RECORDS}], seconds=90)
        until(lambda: due(world) == 0, seconds=90)
        assert world.portal.revision == revision
        assert writes(world) == {"update": RECORDS // 100}
        for each in both:
            assert not each.events("reconcile.bug", "job.failed")
    assert_unspent(world)
    world.portal.set(latency_ms=0)
    assert_sound(world)
