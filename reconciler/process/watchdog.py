"""Notices, on a monotonic clock, that a job does not run any more, and starts the process anew.

A scheduler's thread can die while it says to be running, and a clock set back an hour stops it for an hour.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

import structlog

LONGEST_STEP = 180.0
"""Seconds a running job may go without a sign of life: longer than any call and any wait for the budget."""

GRACE = 5.0
PERIOD = 1.0

log = structlog.get_logger()


@dataclass(slots=True)
class _Watched:
    interval: float
    ticked: float
    is_running: bool = False

    def is_stalled(self, now: float) -> bool:
        limit = LONGEST_STEP if self.is_running else 2 * self.interval + GRACE
        return now - self.ticked > limit


class Watchdog:
    """Watches jobs that run every so many seconds."""

    def __init__(self, restart: Callable[[str], None], clock: Callable[[], float] = monotonic) -> None:
        self._restart, self._clock = restart, clock
        self._jobs: dict[str, _Watched] = {}
        self._stopped = threading.Event()

    def expect(self, job: str, interval: float) -> None:
        """Expect the job to run every `interval` seconds from now on."""
        self._jobs[job] = _Watched(interval, self._clock())

    @contextmanager
    def running(self, job: str) -> Iterator[Callable[[], None]]:
        """Note that the job runs; yields what to call as a sign of life."""
        watched = self._jobs[job]
        watched.is_running, watched.ticked = True, self._clock()
        try:
            yield lambda: setattr(watched, "ticked", self._clock())
        finally:
            watched.is_running, watched.ticked = False, self._clock()

    def look(self) -> None:
        """Start anew if a job stalls; not a process that is ending, which starts none any more."""
        if self._stopped.is_set():
            return
        now = self._clock()
        for job, watched in self._jobs.items():
            if watched.is_stalled(now):
                self._restart(job)

    def start(self) -> None:
        """Look every second, in a thread."""
        threading.Thread(target=self._watch, daemon=True, name="watchdog").start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(PERIOD):
            self.look()


def restart_process(job: str) -> None:
    """Replace this process by a new one of the same command; what it was doing is settled by leases and intents."""
    log.error("watchdog.restart", job=job)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
