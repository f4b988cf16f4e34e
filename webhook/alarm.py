"""Tells of deliveries that are not taken: a wrong clock, URL, path or secret.

HubSpot repeats a refused delivery for a day and then drops it, so a person has to look before that, also where there
is one delivery an hour.
"""

from collections.abc import Callable
from threading import Lock

import structlog

from webhook.tally import Tally

WINDOW = 300.0
"""Seconds after which refusals with no good delivery between them are told loudly."""

PAUSE = 60.0
"""Seconds between two alarms, and between two lines about one reason."""

log = structlog.get_logger()


class Alarm:
    """Counts what is not taken and tells it. `clock` is monotonic, in seconds; `refusing` is the latest reason."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.tally = Tally(clock)
        self.refusing: str | None = None
        self._clock, self._lock = clock, Lock()
        self._told: dict[tuple[str, str], float] = {}
        self._untold: dict[tuple[str, str], int] = {}
        self._began: float | None = None
        self._rung = float("-inf")

    def refused(self, code: str) -> None:
        """Note a delivery of HubSpot's that is refused; ring when that went on for long enough."""
        self.tally.count(f"refused:{code}")
        now = self._clock()
        with self._lock:
            self._began, self.refusing = now if self._began is None else self._began, code
            lasted = now - self._began
            is_ringing = lasted >= WINDOW and now - self._rung >= PAUSE
            self._rung = now if is_ringing else self._rung
        self._tell("hubspot", code)
        if is_ringing:
            log.error("webhook.alarm", code=code, refused_for_seconds=round(lasted))

    def stray(self, code: str) -> None:
        """Note a refused request that is not HubSpot's: it rings no alarm."""
        self.tally.count(f"stray:{code}")
        self._tell("stranger", code)

    def failed(self, code: str) -> None:
        """Note a delivery that failed on our side, which is told elsewhere."""
        self.tally.count(f"refused:{code}")

    def accepted(self) -> None:
        """Note that a delivery was good: the set-up is right."""
        with self._lock:
            self._began, self.refusing = None, None

    def _tell(self, sender: str, code: str) -> None:
        """Say the reason at once, then once in a while how often it came since."""
        now, what = self._clock(), (sender, code)
        with self._lock:
            times = self._untold[what] = self._untold.get(what, 0) + 1
            if now - self._told.get(what, float("-inf")) < PAUSE:
                return
            self._told[what], self._untold[what] = now, 0
        log.warning("webhook.refused", code=code, sender=sender, times=times)
