"""The day's calls are spent: hardly a call until the day ends, everything kept meanwhile, nobody blamed."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from deliveries import event, signed
from hours import Hours, Process, pass_time
from states import assert_sound, assert_unspent, due, people
from systems import ApiInProcess, Hook, api_in_process
from world import World

from reconciler.adapters.postgres.database import Database
from reconciler.core.ports import Lane, Told

PROBE = 50.0
"""Seconds between two looks whether HubSpot takes calls again."""

PATIENCE = 20.0
"""Seconds within which a caller has an answer, whatever HubSpot does."""

SPENT = {"action": "429", "policy": "DAILY", "times": None}


def spend_the_day(world: World, limit: int) -> None:
    world.sql("delete from sync.day")
    world.sql("insert into sync.day (day, calls, quota) values (sync.account_day(), %s, %s)", limit, limit)


def begin_a_new_day(world: World) -> None:
    world.sql("update sync.day set day = day - 1")


def assert_everything_is_kept(world: World, api: ApiInProcess, hook: Hook) -> None:
    """Reads and what can be kept succeed, deliveries are taken, the rest is refused as declared."""
    assert api.user("GET", "/c0@example.com").status == 200
    body = {"email": "later@example.com", "firstname": "L", "lastname": "L"}
    assert api.admin("POST", "/", body, Prefer="respond-async").status == 202
    contact = world.portal.contact("c3@example.com")
    world.portal.edit(contact.id, {"phone": "3"})
    assert hook.call("POST", "/", **signed([event(contact.id)])).status == 204


def assert_everything_arrived(world: World) -> None:
    assert world.contact("later@example.com")
    assert world.customer("c3@example.com")["phone"] == "3"
    assert world.contact("c4@example.com")["company"] == "b"
    assert_sound(world)


def test_after_hubspots_daily_limit_there_is_a_probe_each_minute(
    world: World, hours: Hours, api: ApiInProcess, hook: Hook
) -> None:
    people(world, 50)
    world.sql("update customer set company = 'b'")
    hours.forget()
    world.portal.faults.add(**SPENT)
    hours.let(20)
    assert_everything_is_kept(world, api, hook)
    hours.let(3600)
    assert_unspent(world)
    hours.assert_only_probes(after=1, every=PROBE)
    assert len(hours.calls) <= 1 + 3600 / PROBE + 1

    world.portal.faults.clear()
    assert hours.let(PROBE + 60, until=lambda: due(world) == 0)
    assert_everything_arrived(world)


def test_of_many_processes_at_once_one_probes_the_daily_limit(world: World, hours: Hours, stack: ExitStack) -> None:
    people(world, 50)
    world.sql("update customer set company = 'b'")
    world.portal.faults.add(**SPENT)
    hours.let(20)
    crowd = [Process(hours.parts(stack), 30) for _ in range(4)]
    with ThreadPoolExecutor(len(crowd)) as threads:
        for _ in range(4):
            pass_time(world, PROBE + 10)
            before = world.portal.calls.total
            list(threads.map(Process.turn, crowd))
            assert world.portal.calls.total - before <= 1
    assert_unspent(world)
    world.portal.faults.clear()
    assert hours.let(PROBE + 60, until=lambda: due(world) == 0)
    assert_sound(world)


def test_when_hubspots_day_begins_anew_calls_go_on_within_a_minute_whatever_our_clock_says(
    world: World, hours: Hours
) -> None:
    """HubSpot's count is spent by other apps of the account, and begins anew at a midnight that is not ours."""
    people(world, 50)
    world.sql("update customer set company = 'b'")
    world.sql("select sync.account_day()")
    world.parts.budget.hear(Told(per_10s=None, daily=250_000, left_today=0))
    world.sql("update sync.day set calls = 250000, spent = true")
    world.portal.faults.add(**SPENT)
    hours.let(20)
    hours.forget()
    hours.let(600)
    assert 0 < len(hours.calls) <= 600 / PROBE + 1
    assert_unspent(world)
    world.portal.faults.clear()
    assert hours.let(60, until=lambda: world.contact("c4@example.com")["company"] == "b")
    assert hours.let(600, until=lambda: due(world) == 0)
    assert_sound(world)


@pytest.mark.long
def test_after_our_own_daily_limit_there_is_no_call_until_the_next_day(
    world: World, hours: Hours, stack: ExitStack, database: Database, hook: Hook
) -> None:
    people(world, 50)
    hours.processes[:] = [Process(hours.parts(stack, hubspot_daily_limit=1000), 30) for _ in range(2)]
    api = api_in_process(world, database, HUBSPOT_DAILY_LIMIT="1000")
    world.sql("update customer set company = 'b'")
    spend_the_day(world, 1000)
    hours.forget()
    hours.let(20)
    assert_everything_is_kept(world, api, hook)
    assert api.admin("PUT", "/c1@example.com", {"phone": "1"}).status in (500, 503)
    hours.let(3600)
    assert hours.calls == []
    assert_unspent(world)
    begin_a_new_day(world)
    assert hours.let(PROBE + 60, until=lambda: due(world) == 0)
    assert_everything_arrived(world)


def test_the_last_fifth_of_the_day_is_kept_for_what_is_urgent(
    world: World, hours: Hours, stack: ExitStack, database: Database
) -> None:
    people(world, 50)
    hours.processes[:] = [Process(hours.parts(stack, hubspot_daily_limit=1000), 3600)]
    api = api_in_process(world, database, HUBSPOT_DAILY_LIMIT="1000")
    spend_the_day(world, 850)
    world.parts.records.beat("poll")
    world.sql("update customer set company = 'b'")
    world.sql("select sync.fold()")
    world.sql("update sync.mark set lane = %s", int(Lane.BULK))
    hours.let(600)
    assert world.contact("c4@example.com")["company"] is None
    assert_unspent(world)
    assert api.admin("PUT", "/c1@example.com", {"phone": "1"}).status == 200
    begin_a_new_day(world)
    assert hours.let(PROBE + 60, until=lambda: due(world) == 0)
    assert world.contact("c4@example.com")["company"] == "b"
    assert_sound(world)


@pytest.mark.parametrize("fault", [SPENT, {"action": "status", "status": 429, "headers": {"Retry-After": "600"}}])
def test_whoever_waits_for_an_answer_is_not_kept_waiting_for_minutes(
    world: World, hours: Hours, api: ApiInProcess, until: Callable[..., object], fault: dict[str, object]
) -> None:
    people(world, 5)
    world.portal.faults.add(**{**fault, "times": None})
    world.sql("update customer set company = 'b'")
    hours.let(5)
    answers: list[int] = []
    caller = threading.Thread(
        target=lambda: answers.append(api.admin("PUT", "/c1@example.com", {"phone": "1"}).status), daemon=True
    )
    began = datetime.now(UTC)
    caller.start()
    caller.join(PATIENCE)
    is_answered = not caller.is_alive()
    pass_time(world, 1000)
    caller.join(60)
    assert is_answered, f"no answer for {datetime.now(UTC) - began}"
    assert answers[0] in (500, 503)
