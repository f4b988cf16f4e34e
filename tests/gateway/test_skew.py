"""HubSpot tells its time to the second; the skew is known better than that."""

from datetime import UTC, datetime, timedelta

from reconciler.adapters.gateway.calls import Skew

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def learned(ahead: timedelta, moments: list[float]) -> timedelta:
    skew = Skew()
    for moment in moments:
        here = NOON + timedelta(seconds=moment)
        there = here + ahead
        skew.learn(there.replace(microsecond=0), here, here + timedelta(milliseconds=50))
    return skew.value


def test_clocks_that_may_agree_do() -> None:
    assert learned(timedelta(), [0.1, 0.5, 0.9]) == timedelta()
    assert learned(timedelta(milliseconds=20), [0.1, 0.5, 0.9]) == timedelta()


def test_a_skew_of_minutes_is_known_to_a_fraction_of_a_second() -> None:
    ahead = timedelta(minutes=5, milliseconds=300)
    assert abs(learned(ahead, [n * 1.13 for n in range(40)]) - ahead) < timedelta(milliseconds=100)


def test_a_clock_that_was_set_is_learned_anew() -> None:
    skew = Skew()
    skew.learn(NOON, NOON, NOON)
    later = NOON + timedelta(hours=1)
    skew.learn(later, NOON, NOON)
    assert abs(skew.value - timedelta(hours=1)) <= timedelta(seconds=1)
