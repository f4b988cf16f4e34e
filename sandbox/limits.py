"""HubSpot's limits: calls in ten seconds, searches in a second, calls of a day, and the headers that tell.

A refused call does not count. Windows run on a steady clock, the day on HubSpot's.
"""

import threading
from collections import deque

from sandbox.clock import Clock, steady_ms
from sandbox.refusals import Policy, rate_limited
from sandbox.settings import Switches

_INTERVAL_MS = 10_000
_SECOND_MS = 1_000
_DAY_MS = 86_400_000
# Deprecated, still sent, and never the limit that is enforced.
_SECONDLY = 10


class Limiter:
    """What was used of each limit."""

    def __init__(self, switches: Switches, clock: Clock) -> None:
        self._switches = switches
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: deque[int] = deque()
        self._searches: deque[int] = deque()
        self._day = 0
        self.used_today = 0

    def admit(self, is_search: bool) -> None:
        """Count a call; raise HubSpot's 429 when it is one too many."""
        settings = self._switches.current
        with self._lock:
            self._roll()
            if settings.daily_limit and self.used_today >= settings.daily_limit:
                raise rate_limited(Policy.DAILY, settings.retry_after)
            if is_search and settings.search_per_second and len(self._searches) >= settings.search_per_second:
                raise rate_limited(Policy.SECONDLY, settings.retry_after)
            if not is_search and settings.rate_per_10s and len(self._calls) >= settings.rate_per_10s:
                raise rate_limited(Policy.TEN_SECONDLY_ROLLING, settings.retry_after)
            (self._searches if is_search else self._calls).append(steady_ms())
            self.used_today += 1

    def _roll(self) -> None:
        now = steady_ms()
        _forget_before(self._calls, now - _INTERVAL_MS)
        _forget_before(self._searches, now - _SECOND_MS)
        today = self._clock() // _DAY_MS
        if today != self._day:
            self._day, self.used_today = today, 0

    def resets_at(self) -> int:
        """Return when the day ends."""
        return (self._clock() // _DAY_MS + 1) * _DAY_MS

    def headers(self, is_search: bool) -> dict[str, str]:
        """Return the headers of an answer; a search tells of the day only."""
        settings = self._switches.current
        with self._lock:
            left_today = max(0, settings.daily_limit - self.used_today)
            left = max(0, settings.rate_per_10s - len(self._calls))
            last_second = sum(1 for each in self._calls if each > steady_ms() - _SECOND_MS)
        daily = {
            "X-HubSpot-RateLimit-Daily": str(settings.daily_limit),
            "X-HubSpot-RateLimit-Daily-Remaining": str(left_today),
        }
        if is_search:
            return daily
        return daily | {
            "X-HubSpot-RateLimit-Interval-Milliseconds": str(_INTERVAL_MS),
            "X-HubSpot-RateLimit-Max": str(settings.rate_per_10s),
            "X-HubSpot-RateLimit-Remaining": str(left),
            "X-HubSpot-RateLimit-Secondly": str(_SECONDLY),
            "X-HubSpot-RateLimit-Secondly-Remaining": str(max(0, _SECONDLY - last_second)),
        }


def _forget_before(times: deque[int], start: int) -> None:
    while times and times[0] <= start:
        times.popleft()
