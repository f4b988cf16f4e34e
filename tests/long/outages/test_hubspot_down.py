"""An hour without HubSpot: few calls, nothing refused that can be kept, nobody blamed, and then everything arrives."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from deliveries import event, signed
from hours import Hours, Process, pass_time
from states import assert_sound, assert_unspent, due, people
from systems import ApiInProcess, Hook
from world import World, until

RECORDS = int(os.environ.get("OUTAGE_RECORDS", "300"))
MINUTES = int(os.environ.get("OUTAGE_MINUTES", "60"))

OPENS_AFTER = 10
"""Calls after which nobody asks any more but to see whether HubSpot is back."""

PROBE = 30.0
"""Seconds between two such looks, of all processes together."""

LONGEST_WAIT = 600.0
"""Seconds that HubSpot may make us wait by a Retry-After."""

KINDS = {
    "500": {"action": "status", "status": 500},
    "502": {"action": "status", "status": 502},
    "503": {"action": "status", "status": 503},
    "521": {"action": "status", "status": 521},
    "524": {"action": "status", "status": 524},
    "html": {"action": "html200"},
    "cut": {"action": "cut"},
    "cut after": {"action": "cut", "when": "after"},
    "truncated": {"action": "truncate"},
}


def edit_everybody(world: World, company: str) -> None:
    world.sql("update customer set company = %s", company)


def somebody_works(world: World, api: ApiInProcess, hook: Hook, n: int) -> None:
    """Every way in, while HubSpot is away: reads and what can be kept succeed, the rest is refused as declared."""
    assert api.user("GET", "/c0@example.com").status == 200
    body = {"email": f"later{n}@example.com", "firstname": "L", "lastname": "L"}
    assert api.admin("POST", "/", body, Prefer="respond-async").status == 202
    assert api.admin("PUT", "/c1@example.com", {"phone": str(n)}, Prefer="respond-async").status == 202
    refused = api.admin("POST", "/", {**body, "email": f"now{n}@example.com"})
    assert refused.status in (500, 503)
    assert refused.json["message"] in ("Error creating customer", "HubSpot is not available")
    assert api.admin("PUT", "/c2@example.com", {"phone": str(n)}).status in (500, 503)
    contact = world.portal.contact("c3@example.com")
    world.portal.edit(contact.id, {"phone": str(n)})
    assert hook.call("POST", "/", **signed([event(contact.id)])).status == 204
    world.insert(email=f"sql{n}@example.com")


@pytest.mark.long
def test_an_hour_without_hubspot_costs_few_calls_and_no_record(
    world: World, hours: Hours, api: ApiInProcess, hook: Hook
) -> None:
    people(world, RECORDS)
    edit_everybody(world, "b")
    hours.forget()
    world.portal.set(fail_5xx=1.0)
    for n in range(3):
        hours.let(MINUTES * 20)
        somebody_works(world, api, hook, n)
    hours.notice()
    assert_unspent(world)
    hours.assert_only_probes(after=OPENS_AFTER, every=PROBE)
    assert len(hours.calls) <= OPENS_AFTER + MINUTES * 60 / PROBE

    world.portal.set(fail_5xx=0.0)
    assert hours.let(60 + RECORDS / 10, until=lambda: due(world) == 0)
    for n in range(3):
        assert world.contact(f"later{n}@example.com")
        assert world.contact(f"sql{n}@example.com")
    assert world.contact("c1@example.com")["phone"] == "2"
    assert world.customer("c3@example.com")["phone"] == "2"
    assert world.contact("c4@example.com")["company"] == "b"
    assert_sound(world)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_bad_weather_is_met_with_few_calls(world: World, hours: Hours, kind: str) -> None:
    people(world, 30)
    edit_everybody(world, "b")
    hours.forget()
    world.portal.faults.add(**KINDS[kind], times=None)
    hours.let(300)
    assert_unspent(world)
    hours.assert_only_probes(after=OPENS_AFTER, every=PROBE)
    world.portal.faults.clear()
    assert hours.let(150, until=lambda: due(world) == 0)
    assert world.contact("c4@example.com")["company"] == "b"
    assert_sound(world)


@pytest.mark.parametrize(
    ("status", "retry_after"),
    [(423, None), *(pytest.param(*each, marks=pytest.mark.long) for each in [(477, "86400"), (503, "3600")])],
)
def test_who_is_told_to_wait_waits_as_long_and_no_longer_than_ten_minutes(
    world: World, hours: Hours, status: int, retry_after: str | None
) -> None:
    people(world, 30)
    edit_everybody(world, "b")
    hours.forget()
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    world.portal.faults.add(action="status", status=status, headers=headers, path_contains="/batch/", times=None)
    hours.let(1300)
    assert_unspent(world)
    if retry_after is not None:
        hours.assert_only_probes(after=OPENS_AFTER, every=LONGEST_WAIT)
    world.portal.faults.clear()
    assert hours.let(LONGEST_WAIT + 60, until=lambda: due(world) == 0)
    assert world.contact("c4@example.com")["company"] == "b"
    assert_sound(world)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_hubspot_that_does_not_answer_is_asked_no_more_than_one_that_fails(world: World, hours: Hours) -> None:
    people(world, 30)
    edit_everybody(world, "b")
    world.portal.faults.add(action="delay", ms=11_000, times=None)
    before = world.portal.calls.total
    hours.processes[0].turn()
    until(lambda: world.portal.calls.total > before)
    hours.forget()
    hours.let(120)
    hours.notice()
    assert len(hours.calls) <= OPENS_AFTER + 120 / PROBE
    assert_unspent(world)
    world.portal.faults.clear()
    assert hours.let(150, until=lambda: due(world) == 0)
    assert_sound(world)


def test_of_many_processes_at_once_one_looks_whether_hubspot_is_back(
    world: World, hours: Hours, stack: ExitStack
) -> None:
    people(world, 100)
    world.portal.set(fail_5xx=1.0)
    edit_everybody(world, "b")
    hours.let(60)
    crowd = [Process(hours.parts(stack), 30) for _ in range(4)]
    with ThreadPoolExecutor(len(crowd)) as threads:
        for _ in range(5):
            pass_time(world, PROBE + 1)
            before = world.portal.calls.total
            list(threads.map(Process.turn, crowd))
            assert world.portal.calls.total - before <= 1
    assert_unspent(world)
    world.portal.set(fail_5xx=0.0)
    assert hours.let(120, until=lambda: due(world) == 0)
    assert_sound(world)


def test_one_bad_answer_among_good_ones_stops_nobody(world: World, hours: Hours) -> None:
    people(world, 30)
    for n in range(12):
        edit_everybody(world, f"b{n}")
        world.portal.faults.add(action="status", status=502, times=1)
        assert hours.let(60, until=lambda: due(world) == 0)
    assert_unspent(world)
    assert hours.elapsed < 12 * PROBE
    assert_sound(world)
