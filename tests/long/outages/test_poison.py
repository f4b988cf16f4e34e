"""Records that can never be written: each is parked for itself, the others pass, and that at a bounded price."""

import os
from math import log2

import pytest
from histories import calls
from hours import Hours, pass_time
from states import assert_audited, due, parked
from world import World

from sandbox.errors import refusal

RECORDS = int(os.environ.get("POISON_RECORDS", "500"))
SHARE = 10
"""One in so many is poison."""

ATTEMPTS = 8

LONG = 4 * 3600.0
"""Seconds of back-off that fit many more attempts than a record has."""

MARK = "p-o-i-s-o-n"


@pytest.fixture
def crowd(world: World) -> World:
    """Customers of whom one in ten has a company that HubSpot will not take."""
    world.sql(
        "insert into customer (email, firstname, company) "
        "select 'c' || n || '@example.com', 'C', case when n %% %s = 0 then %s || n else 'good' end "
        "from generate_series(1, %s) n",
        SHARE,
        MARK,
        RECORDS,
    )
    return world


def poison(world: World) -> None:
    """Refuse every call that carries such a company, without saying which record it is."""
    body = refusal(400, "Invalid input", "VALIDATION_ERROR").body
    world.portal.faults.add(action="status", status=400, body=body, body_contains=MARK, times=None)


def dear(records: int) -> float:
    """Calls that finding one in ten by halving costs, once: 2 log2(10) + 2 for each, beside the usual ones."""
    return 3 * records / 100 + 10 + records // SHARE * (2 * log2(SHARE) + 2)


def good(world: World) -> int:
    return sum(contact.get("company") == "good" for contact in world.portal.contacts)


def test_poison_is_parked_and_the_others_pass(crowd: World, hours: Hours) -> None:
    poison(crowd)
    assert hours.let(LONG, until=lambda: due(crowd) == 0)
    hours.notice()
    assert good(crowd) == RECORDS - RECORDS // SHARE
    assert parked(crowd) == [{"property": "*", "code": "refused", "count": RECORDS // SHARE}]
    assert len(hours.calls) <= dear(RECORDS), f"{len(hours.calls)} calls"
    assert_audited(crowd, parked=RECORDS // SHARE)

    before = calls(crowd, "/batch/create")
    crowd.sweep()
    crowd.sql("select sync.mark(array_agg('u:' || uuid), 1) from customer")
    hours.let(600)
    assert calls(crowd, "/batch/create") == before, "a parked record costs no call until it changes"

    crowd.portal.faults.clear()
    crowd.sql("update customer set company = 'cured' where company like %s", f"{MARK}%")
    assert hours.let(600, until=lambda: due(crowd) == 0)
    assert parked(crowd) == []
    crowd.quiet()
    crowd.assert_equal()
    crowd.assert_fixpoint()


def test_poison_of_later_edits_is_parked_and_the_others_pass(world: World, hours: Hours) -> None:
    world.sql(
        "insert into customer (email, company) select 'c' || n || '@example.com', 'old' from generate_series(1, %s) n",
        RECORDS,
    )
    world.quiet()
    poison(world)
    hours.forget()
    world.sql(
        "update customer set phone = '1', company = "
        "case when substr(split_part(email, '@', 1), 2)::int %% %s = 0 then %s || email else 'good' end",
        SHARE,
        MARK,
    )
    assert hours.let(LONG, until=lambda: due(world) == 0)
    hours.notice()
    assert good(world) == RECORDS - RECORDS // SHARE
    assert sum(each["count"] for each in parked(world)) == RECORDS // SHARE
    # A record that is refused without a word about its values is sent in two parts.
    most = dear(RECORDS) + 2 * RECORDS // SHARE
    assert len(hours.calls) <= most, f"{len(hours.calls)} calls"
    assert_audited(world, parked=RECORDS // SHARE)
    world.portal.faults.clear()
    world.sql("update customer set company = 'cured' where company like %s", f"{MARK}%")
    assert hours.let(600, until=lambda: due(world) == 0)
    pass_time(world, 20)
    world.quiet()
    assert parked(world) == []
    world.assert_equal()
    world.assert_fixpoint()


def test_poison_that_names_its_property_costs_its_neighbours_nothing(world: World, hours: Hours) -> None:
    """HubSpot names the bad property of a traced create: no halving, and the rest of the record goes."""
    world.sql(
        "insert into customer (email, firstname, company) "
        "select 'c' || n || '@example.com', 'C', case when n %% %s = 0 then repeat('x', 65537) else 'good' end "
        "from generate_series(1, %s) n",
        SHARE,
        RECORDS,
    )
    world.portal.calls.clear()
    assert hours.let(600, until=lambda: due(world) == 0)
    assert len(world.portal.contacts) == RECORDS
    assert parked(world) == [{"property": "company", "code": "invalid_value", "count": RECORDS // SHARE}]
    assert world.portal.calls.total <= 2.5 * 3 * RECORDS / 100 + 10, f"{world.portal.calls.counts}"
    world.sql("update customer set company = 'cured' where length(company) > 100")
    assert hours.let(600, until=lambda: due(world) == 0)
    assert parked(world) == []
    world.quiet()
    world.assert_equal()
    world.assert_fixpoint()


def test_a_record_that_hubspot_leaves_out_is_parked_after_eight_attempts(world: World, hours: Hours) -> None:
    """It answers success and does not mention the record: the record's own fault, and after some looks its end."""
    world.insert(email="c3@example.com", firstname="C")
    at = "2026-01-01T00:00:00Z"
    empty = {"status": "COMPLETE", "results": [], "startedAt": at, "completedAt": at}
    world.portal.faults.add(
        action="status", status=201, body=empty, path_contains="/batch/create", body_contains="c3@", times=None
    )
    assert hours.let(LONG, until=lambda: due(world) == 0)
    assert calls(world, "/batch/create") <= ATTEMPTS
    assert sum(each["count"] for each in parked(world)) == 1
    world.portal.faults.clear()
    world.sql("update customer set firstname = 'D' where email = 'c3@example.com'")
    assert hours.let(600, until=lambda: due(world) == 0)
    assert parked(world) == []
    world.quiet()
    world.assert_equal()


def test_a_batch_of_parked_records_does_not_hide_those_behind_it(world: World, hours: Hours) -> None:
    world.sql(
        "insert into customer (email, company) select 'p' || n || '@example.com', %s from generate_series(1, 250) n",
        MARK,
    )
    poison(world)
    assert hours.let(LONG, until=lambda: due(world) == 0)
    world.sql("update sync.slot set at = '-infinity'")
    world.portal.calls.clear()
    world.sql("select sync.mark(array_agg('u:' || uuid), 1) from customer")
    world.sql("update sync.mark set due = now() - interval '1 hour'")
    world.insert(email="good@example.com")
    assert hours.let(60, until=lambda: world.contact("good@example.com"))
    assert world.portal.calls.total <= 10
