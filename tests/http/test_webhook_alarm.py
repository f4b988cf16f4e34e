"""Refused deliveries are told by their reason at once, and loudly when none is accepted between them, at any rate."""

from typing import Any

import pytest
from systems import Logged

from webhook.alarm import PAUSE, WINDOW, Alarm

HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def rung(logged: Logged) -> int:
    return sum(event["event"] == "webhook.alarm" for event in logged)


def told(logged: Logged) -> list[dict[str, Any]]:
    return [event for event in logged if event["event"] == "webhook.refused"]


def refuse(alarm: Alarm, clock: Clock, *, every: float, seconds: float) -> None:
    for _ in range(int(seconds / every) + 1):
        alarm.refused("signature_invalid")
        clock.now += every


def test_the_first_refused_delivery_is_told_at_once_with_its_reason(logged: Logged) -> None:
    Alarm(Clock()).refused("signature_invalid")
    (line,) = told(logged)
    assert (line["level"], line["code"]) == ("warning", "signature_invalid")


def test_a_flood_is_told_once_a_minute_for_each_reason_and_no_refusal_is_left_out(logged: Logged) -> None:
    clock = Clock()
    alarm = Alarm(clock)
    for _ in range(121):
        alarm.refused("signature_missing")
        alarm.refused("signature_invalid")
        for _ in range(10):
            alarm.stray("signature_missing")
        clock.now += PAUSE / 60
    times = {
        (code, sender): [line["times"] for line in told(logged) if (line["code"], line["sender"]) == (code, sender)]
        for code, sender in (
            ("signature_missing", "hubspot"),
            ("signature_invalid", "hubspot"),
            ("signature_missing", "stranger"),
        )
    }
    assert list(times.values()) == [[1, 60, 60], [1, 60, 60], [1, 600, 600]]


def test_refusals_for_five_minutes_ring_once_a_minute(logged: Logged) -> None:
    clock = Clock()
    alarm = Alarm(clock)
    refuse(alarm, clock, every=5, seconds=WINDOW - 5)
    assert rung(logged) == 0
    refuse(alarm, clock, every=5, seconds=2 * PAUSE)
    assert rung(logged) == 3


@pytest.mark.parametrize("every", [WINDOW, WINDOW + 1, HOUR, 10 * HOUR])
def test_one_refusal_now_and_then_rings_each_time_as_long_as_none_is_accepted(logged: Logged, every: float) -> None:
    clock = Clock()
    refuse(Alarm(clock), clock, every=every, seconds=9 * every)
    assert (len(told(logged)), rung(logged)) == (10, 9)


def test_a_good_delivery_ends_the_alarm(logged: Logged) -> None:
    clock = Clock()
    alarm = Alarm(clock)
    for _ in range(100):
        refuse(alarm, clock, every=1, seconds=20)
        assert alarm.refusing == "signature_invalid"
        alarm.accepted()
        assert alarm.refusing is None
    refuse(alarm, clock, every=HOUR, seconds=0)
    assert rung(logged) == 0


def test_what_is_not_hubspots_rings_nobody(logged: Logged) -> None:
    clock = Clock()
    alarm = Alarm(clock)
    for _ in range(100):
        alarm.stray("not_found")
        clock.now += WINDOW
    assert (len(told(logged)), rung(logged)) == (100, 0)
    assert alarm.refusing is None
