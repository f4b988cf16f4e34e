"""Refusals that go on for minutes are told loudly, a lone scanner is not."""

from systems import Logged

from webhook.alarm import ENOUGH, PAUSE, WINDOW, Alarm


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def rung(logged: Logged) -> int:
    return sum(event["event"] == "webhook.alarm" for event in logged)


def refuse(alarm: Alarm, clock: Clock, *, every: float, seconds: float) -> None:
    for _ in range(int(seconds / every) + 1):
        alarm.refused("signature_invalid")
        clock.now += every


def test_refusals_for_five_minutes_ring_once_a_minute(logged: Logged) -> None:
    clock = Clock()
    alarm = Alarm(clock)
    refuse(alarm, clock, every=5, seconds=WINDOW - 5)
    assert rung(logged) == 0
    refuse(alarm, clock, every=5, seconds=2 * PAUSE)
    assert rung(logged) == 3


def test_a_good_delivery_ends_the_alarm(logged: Logged) -> None:
    clock = Clock()
    alarm = Alarm(clock)
    for _ in range(100):
        refuse(alarm, clock, every=1, seconds=ENOUGH - 2)
        alarm.accepted()
    assert rung(logged) == 0


def test_a_refusal_now_and_then_rings_nobody(logged: Logged) -> None:
    clock = Clock()
    refuse(Alarm(clock), clock, every=WINDOW + 1, seconds=100 * WINDOW)
    assert rung(logged) == 0
