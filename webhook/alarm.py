"""Says loudly when HubSpot's deliveries are refused for minutes: a wrong clock, URL or secret.

HubSpot repeats a refused delivery for a day and then drops it, so somebody has to look before that.
"""

from collections import deque
from collections.abc import Callable

import structlog

WINDOW = 300.0
"""Seconds that refusals must go on."""

ENOUGH = 20
"""Refusals in the window; a lone scanner stays below."""

PAUSE = 60.0
"""Seconds between two alarms."""

log = structlog.get_logger()


class Alarm:
    """Counts refusals. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._refused: deque[float] = deque(maxlen=ENOUGH)
        self._began: float | None = None
        self._rung = float("-inf")

    def refused(self, code: str) -> None:
        """Note a refusal; ring when enough of them went on for long enough."""
        now = self._clock()
        if not self._refused or now - self._refused[-1] > WINDOW:
            self._began = now
            self._refused.clear()
        self._refused.append(now)
        lasted = now - (now if self._began is None else self._began)
        if len(self._refused) == ENOUGH and lasted >= WINDOW and now - self._rung >= PAUSE:
            self._rung = now
            log.error("webhook.alarm", code=code, refused_for_seconds=round(lasted))

    def accepted(self) -> None:
        """Note that a delivery was good: the set-up is right."""
        self._refused.clear()
