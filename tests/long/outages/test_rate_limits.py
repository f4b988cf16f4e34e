"""Too many calls: a limit is never exceeded twice, whoever waits for an answer goes first, and nobody is blamed."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from hours import Hours
from processes import reconcilers
from states import assert_sound, assert_unspent, due, people
from systems import api_in_process
from world import World, until

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.core.ports import Lane
from reconciler.process import wiring
from sandbox.calls import Call

SECONDS = float(os.environ.get("PRESSURE_SECONDS", "12"))

RATE = 20
"""Calls in ten seconds, few enough to be met by a handful of people."""

PROCESSES = 4

WINDOW_MS = 10_000

FORMS = {
    None: 10.0,
    "": 10.0,
    "0": 10.0,
    "-1": 10.0,
    "soon": 10.0,
    "Wed, 21 Oct 2015 07:28:00 GMT": 10.0,
    "1.5": 10.0,
    "7": 7.0,
    "20": 20.0,
    "1500": 600.0,
    "1000000000": 600.0,
}
"""Retry-After as it may come, and the seconds that nobody calls then: a safe default, and a cap."""

SOME = (None, "soon", "7", "1000000000")
"""The forms that every change is tested with."""


def answered(world: World) -> list[Call]:
    """The calls that count against the limit of ten seconds, oldest first."""
    calls = [call for call in world.portal.calls.recent if not call.path.endswith("/search")]
    return sorted(calls, key=lambda call: call.at)


def assert_within(calls: list[Call], rate: int) -> None:
    """No ten seconds have more calls than that."""
    for first, beyond in zip(calls, calls[rate:], strict=False):
        assert beyond.at - first.at >= WINDOW_MS, f"{rate + 1} calls in {beyond.at - first.at} ms"


def edit_one_after_another(world: World, seconds: float) -> None:
    end = time.monotonic() + seconds
    n = 0
    while time.monotonic() < end:
        n += 1
        world.sql("update customer set company = %s where email = %s", str(n), f"c{n % 20}@example.com")
        time.sleep(0.02)


def raise_the_limit(world: World) -> None:
    """Let what is left be done at once."""
    world.portal.set(rate_per_10s=0)
    world.sql("update sync.slot set at = '-infinity'")
    until(lambda: due(world) == 0, seconds=60)


@pytest.mark.parametrize(
    "retry_after", [pytest.param(each, marks=() if each in SOME else pytest.mark.long) for each in FORMS]
)
def test_every_form_of_retry_after_is_waited_out_by_everybody(
    world: World, hours: Hours, retry_after: str | None
) -> None:
    people(world, 30)
    world.sql("update customer set company = 'b'")
    hours.forget()
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    world.portal.faults.add(action="status", status=429, headers=headers, path_contains="/batch/", times=3)
    assert hours.let(2500, until=lambda: due(world) == 0)
    pauses = [late - early for early, late in pairwise(hours.calls[:4])]
    assert all(pause >= FORMS[retry_after] - 1 for pause in pauses), f"calls at {hours.calls[:8]}"
    assert_unspent(world)
    assert_sound(world)


def test_four_processes_stay_below_the_limit_together(world: World, tmp_path: Path) -> None:
    people(world, 20)
    world.portal.set(rate_per_10s=RATE)
    world.portal.calls.clear()
    world.sql("update sync.slot set at = '-infinity'")
    running = {"HUBSPOT_RATE_PER_10S": str(RATE), "POLL_INTERVAL": "3600", "DRAIN_INTERVAL": "0.2"}
    with reconcilers(world, tmp_path, PROCESSES, **running):
        # For more than one window, however long the processes take to begin.
        while len(limited := answered(world)) <= 1.2 * RATE:
            edit_one_after_another(world, SECONDS)
        raise_the_limit(world)
    assert 429 not in world.portal.calls.statuses
    assert_within(limited, RATE)
    assert_unspent(world)
    assert_sound(world)


@pytest.mark.long
def test_a_limit_lower_than_we_were_told_is_run_into_once_at_a_time(world: World, tmp_path: Path) -> None:
    people(world, 20)
    world.portal.set(rate_per_10s=RATE // 2)
    world.portal.calls.clear()
    with reconcilers(world, tmp_path, PROCESSES, POLL_INTERVAL="3600", DRAIN_INTERVAL="0.2"):
        edit_one_after_another(world, SECONDS)
        calls = world.portal.calls.recent
        raise_the_limit(world)
    refused = [call for call in calls if call.status == 429]
    # Each process takes its first one for a matter of moments, and waits a second.
    for again in refused[PROCESSES:]:
        hasty = [call for call in calls if again.at + 1000 < call.at < again.at + 9000]
        assert not hasty, f"{len(hasty)} calls within the ten seconds that nobody was to call in"
    assert_unspent(world)
    assert_sound(world)


class Crowd:
    """Threads that make calls in a low lane, each as soon as it may."""

    def __init__(self, world: World, stack: ExitStack, count: int) -> None:
        self._stopped = threading.Event()
        pool = stack.enter_context(open_pool(world.dsn, size=count))
        self._parts = wiring.build(world.settings.model_copy(update={"hubspot_rate_per_10s": RATE}), Database(pool))
        threads = stack.enter_context(ThreadPoolExecutor(count))
        stack.callback(self._stopped.set)
        self.ended = [threads.submit(self._work) for _ in range(count)]

    def stop(self) -> None:
        self._stopped.set()
        assert [each.result(30) for each in self.ended] == [None] * len(self.ended)

    def _work(self) -> None:
        while not self._stopped.is_set():
            with self._parts.budget.reserve(Lane.BULK, 1):
                self._parts.hubspot.account()


def test_who_waits_for_an_answer_goes_before_a_backlog(world: World, database: Database, stack: ExitStack) -> None:
    people(world, 2)
    api = api_in_process(world, database, HUBSPOT_RATE_PER_10S=str(RATE))
    world.sql("delete from sync.slot where kind = 'all' and n > %s", RATE)
    # As after a while of steady load: a slot comes free every half second.
    world.sql("update sync.slot set at = clock_timestamp() - n * interval '0.5 seconds' where kind = 'all'")
    world.portal.calls.clear()
    crowd = Crowd(world, stack, 8)
    until(lambda: world.portal.calls.total >= 4)
    before = world.portal.calls.total
    assert api.admin("PUT", "/c1@example.com", {"phone": "1"}).status == 200
    overtaken = world.portal.calls.total - before - 1
    crowd.stop()
    assert overtaken <= 3, f"{overtaken} calls went before the one that somebody waited for"
    assert_within(answered(world), RATE)
    assert_sound(world)
