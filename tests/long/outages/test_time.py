"""The scheduler dies, a job hangs, clocks are set: running again within two intervals, and nothing decided wrongly."""

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from deliveries import event, now_ms, signed
from hours import pass_time
from processes import reconciler
from raw_http import ask
from running_servers import ROOT, server
from states import assert_sound, assert_unspent, due, people
from systems import webhook_environment
from world import World, until

from webhook.alarm import WINDOW, Alarm

BREAKING = str(Path(__file__).with_name("breaking.py"))

AGAIN = 45.0
"""Seconds until a broken process works again: two intervals, five seconds, and a start on a slow machine."""

HOUR = 3600

TEN_MINUTES = 600

FAST = {"POLL_INTERVAL": "1", "DRAIN_INTERVAL": "1"}


def libfaketime() -> str:
    """The library that gives a process another clock, or a skip."""
    spec = importlib.util.find_spec("libfaketime")
    packaged = list(Path(spec.origin).parent.rglob("libfaketime.so.1")) if spec and spec.origin else []
    debian = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if found := packaged + debian:
        return str(found[0])
    pytest.skip("no libfaketime on this machine")


def clock(file: Path) -> dict[str, str]:
    """Settings of a process whose clock is off by what stands in the file; its steady clock is not."""
    return {
        "LD_PRELOAD": libfaketime(),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def assert_it_works(world: World, value: str) -> None:
    """An edit in HubSpot that nobody tells of is polled, an edit in SQL is pushed."""
    contact = world.portal.contact("c1@example.com")
    world.portal.edit(contact.id, {"phone": value})
    world.sql("update customer set company = %s where email = 'c2@example.com'", value)
    until(lambda: world.customer("c1@example.com")["phone"] == value, seconds=AGAIN)
    until(lambda: world.contact("c2@example.com")["company"] == value, seconds=AGAIN)


@pytest.mark.parametrize("how", ["thread", "hang"])
def test_a_scheduler_that_does_not_run_any_more_is_started_anew(world: World, tmp_path: Path, how: str) -> None:
    people(world, 3)
    command = [BREAKING, how, str(tmp_path / "broken")]
    with reconciler(world, tmp_path / "log", command=command, PYTHONPATH=str(ROOT), **FAST) as running:
        until(lambda: running.events("watchdog.restart"), seconds=AGAIN)
        until(lambda: len(running.events("reconciler.started")) == 2, seconds=AGAIN)
        # What the hanging poll had taken counts as given up after a minute.
        pass_time(world, 61)
        assert_it_works(world, "again")
        assert psutil.Process(running.process.pid).is_running(), "it is the same process, started anew"
        assert len(running.events("watchdog.restart")) == 1
    world.sql("update sync.mark set due = now()")
    assert_sound(world)


@pytest.mark.long
def test_a_clock_that_is_set_by_an_hour_stops_nothing(world: World, tmp_path: Path) -> None:
    people(world, 3)
    file = tmp_path / "clock"
    file.write_text("+0")
    with reconciler(world, tmp_path / "log", **clock(file), **FAST) as running:
        assert_it_works(world, "before")
        for jump in (HOUR, 0, -HOUR):
            file.write_text(f"{jump:+d}")
            assert_it_works(world, f"at {jump}")
        until(lambda: due(world) == 0, seconds=AGAIN)
        assert len(running.events("watchdog.restart")) <= 2
        assert not running.events("reconcile.bug", "job.failed")
        assert_unspent(world)
    assert_sound(world)


@pytest.mark.parametrize(("off", "last"), [(HOUR, "postgres"), (-HOUR, "hubspot")])
def test_who_edited_last_wins_whatever_the_clock_of_our_host_says(
    world: World, tmp_path: Path, off: int, last: str
) -> None:
    """The database has the times of the edits here: the clock that HubSpot's is compared with is the database's."""
    people(world, 3)
    file = tmp_path / "clock"
    file.write_text(f"{off:+d}")
    contact = world.portal.contact("c1@example.com")
    sides: list[Callable[[], Any]] = [
        lambda: world.sql("update customer set company = 'postgres' where email = 'c1@example.com'"),
        lambda: world.portal.edit(contact.id, {"company": "hubspot"}),
    ]
    for edit in sides if last == "hubspot" else reversed(sides):
        edit()
        time.sleep(1.1)
    with reconciler(world, tmp_path / "log", **clock(file), **FAST) as running:
        until(lambda: due(world) == 0 and world.contact("c1@example.com")["company"] == last)
        assert not running.events("reconcile.bug", "job.failed")
    assert world.customer("c1@example.com")["company"] == last
    assert_sound(world)


@pytest.mark.parametrize("off", [-TEN_MINUTES, TEN_MINUTES])
def test_a_receiver_whose_clock_is_off_refuses_and_the_poll_goes_on(world: World, tmp_path: Path, off: int) -> None:
    people(world, 3)
    file = tmp_path / "clock"
    file.write_text(f"{off:+d}")
    environment = {**webhook_environment(world), **clock(file)}
    contact = world.portal.contact("c1@example.com")
    with (
        server("webhook", environment, tmp_path / "webhook") as receiver,
        reconciler(world, tmp_path / "log", **clock(file), **FAST),
    ):
        world.portal.edit(contact.id, {"phone": "told"})
        delivery = signed([event(contact.id)])
        headers = {name: value for name, value in delivery.items() if name != "data"}
        status, _, body = ask(receiver.port, "POST", "/", delivery["data"], **headers)
        assert (status, b"timestamp_stale" in body) == (401, True)
        until(lambda: world.customer("c1@example.com")["phone"] == "told", seconds=AGAIN)
        file.write_text("+0")
        delivery = signed([event(contact.id)])
        headers = {name: value for name, value in delivery.items() if name != "data"}
        assert ask(receiver.port, "POST", "/", delivery["data"], **headers)[0] == 204
    assert_sound(world)


@pytest.mark.parametrize("off", [-TEN_MINUTES, TEN_MINUTES])
def test_deliveries_refused_for_minutes_for_a_wrong_clock_are_told_loudly(
    world: World, make_hook: Callable[..., Any], logged: list[Any], off: int
) -> None:
    seconds = [1000.0]
    alarm = Alarm(lambda: seconds[0])
    hook = make_hook(clock=lambda: time.time() + off, alarm=alarm)
    for _ in range(int(WINDOW / 10) + 2):
        reply = hook.call("POST", "/", **signed([event(1)], timestamp=now_ms()))
        assert (reply.status, reply.json["code"]) == (401, "timestamp_stale")
        seconds[0] += 10
    assert [each["log_level"] for each in logged if each["event"] == "webhook.alarm"] == ["error"]
    assert hook.stored() == ({}, {}, [], 0)
