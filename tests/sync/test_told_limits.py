"""What HubSpot says of its limits beside its answers is believed where it is less than what was set."""

from collections.abc import Iterator

import pytest
from world import RATE, World

from reconciler.adapters.postgres.database import Database
from reconciler.core.ports import Told


@pytest.fixture
def narrow(dsn: str, database: Database) -> Iterator[World]:
    """A world whose account may do less than its settings say."""
    with World.open(dsn, database, HUBSPOT_DAILY_LIMIT="1000000") as world:
        world.portal.set(rate_per_10s=190, daily_limit=5000)
        yield world


def budget(world: World) -> dict[str, object]:
    return world.sql("select * from sync.budget where kind = 'all'")[0]


def test_a_smaller_rate_than_ours_becomes_ours(narrow: World) -> None:
    assert budget(narrow)["calls"] == int(RATE)
    for name in ("kai", "uwe"):
        narrow.insert(email=f"{name}@example.com")
        narrow.quiet()
    assert (budget(narrow)["calls"], budget(narrow)["quota"]) == (190, 5000)


def test_calls_of_other_apps_count(narrow: World) -> None:
    narrow.insert(email="kai@example.com")
    narrow.quiet()
    narrow.parts.budget.hear(Told(per_10s=None, daily=5000, left_today=1000))
    assert int(str(budget(narrow)["today"])) < 10, "one look in a while is enough"
    fresh = World(narrow.sandbox, narrow.dsn, narrow.parts.database)
    fresh.parts.budget.hear(Told(per_10s=None, daily=5000, left_today=1000))
    assert budget(fresh)["today"] == 4000
    fresh.connection.close()


def test_it_is_told_when_the_days_calls_will_end(world: World) -> None:
    world.sql("insert into sync.day (day, calls, quota) values ((now() at time zone 'UTC')::date, 900, 1000)")
    assert budget(world)["ends_at"] is None, "no pace, no forecast"
    world.sql("insert into sync.hour (at, calls) values (date_trunc('hour', now()), 1000000)")
    row = world.sql("select quota_ends_at - now() as left from sync.status")[0]
    assert row["left"] is not None
    assert 0 < row["left"].total_seconds() < 1
    world.sql("update sync.hour set calls = 1")
    assert budget(world)["ends_at"] is None, "not today"
