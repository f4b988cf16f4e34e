"""A job that does not run any more is noticed on a clock that nobody can set."""

from reconciler.process.watchdog import GRACE, LONGEST_STEP, Watchdog


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def watched(interval: float = 10.0) -> tuple[Watchdog, Clock, list[str]]:
    restarted: list[str] = []
    clock = Clock()
    watchdog = Watchdog(restarted.append, clock)
    watchdog.expect("drain", interval)
    return watchdog, clock, restarted


def test_a_job_that_runs_in_time_is_left_alone() -> None:
    watchdog, clock, restarted = watched()
    for _ in range(100):
        clock.now += 10
        with watchdog.running("drain"):
            pass
        watchdog.look()
    assert restarted == []


def test_a_job_that_is_not_started_any_more_restarts_the_process_within_two_intervals() -> None:
    watchdog, clock, restarted = watched()
    clock.now += 2 * 10 + GRACE
    watchdog.look()
    assert restarted == []
    clock.now += 0.1
    watchdog.look()
    assert restarted == ["drain"]


def test_a_job_that_hangs_restarts_the_process() -> None:
    watchdog, clock, restarted = watched()
    with watchdog.running("drain"):
        clock.now += LONGEST_STEP + 0.1
        watchdog.look()
    assert restarted == ["drain"]


def test_a_long_job_that_shows_life_goes_on() -> None:
    watchdog, clock, restarted = watched()
    with watchdog.running("drain") as tick:
        for _ in range(100):
            clock.now += LONGEST_STEP
            tick()
            watchdog.look()
    assert restarted == []


def test_a_process_that_is_ending_is_not_started_anew() -> None:
    watchdog, clock, restarted = watched()
    watchdog.stop()
    clock.now += 2 * 10 + GRACE + 1
    watchdog.look()
    assert restarted == []
