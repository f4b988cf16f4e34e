"""The poll: marks contacts that HubSpot's search says were modified, all in HubSpot's time.

The search index lags, so each window overlaps the last one, and a second look goes over it again an hour behind.
Inside a window pages follow the contact id, never the time: thousands of contacts may share one millisecond.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from reconciler.core.ports import Budget, HubSpot, Lane, Page, Progress, Records

FIRST = "0:0"
"""Where a window's pages begin."""

log = structlog.get_logger()


class Poll:
    """Looks for changes since the last look. Times in seconds."""

    def __init__(
        self,
        *,
        hubspot: HubSpot,
        records: Records,
        budget: Budget,
        overlap: float,
        second_look: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        self._hubspot, self._records, self._budget = hubspot, records, budget
        self._overlap, self._second_look = timedelta(seconds=overlap), timedelta(seconds=second_look)

    def recent(self, progress: Progress = lambda count: None) -> int:
        """Mark what changed since the last look; return how many contacts are new to us."""
        return self._walk("poll", progress, until=None)

    def again(self, progress: Progress = lambda count: None) -> int:
        """Mark what the index had not shown yet: the same windows, one second look behind."""
        first = self._records.cursor("poll")
        if first is None:
            return 0
        return self._walk("poll again", progress, until=_time(first["high"]) - self._second_look)

    def _walk(self, name: str, progress: Progress, *, until: datetime | None) -> int:
        """Walk the window from where the last one ended; a walk that was cut off goes on at its page."""
        state = dict(self._records.cursor(name) or self._beginning(until))
        since = _time(state["high"]) - self._overlap
        if until is not None and since >= until:
            return 0
        marked, after = 0, str(state["after"])
        while True:
            with self._budget.reserve(Lane.FRESH, 1):
                page = self._hubspot.changed(since=since, until=until, after=after)
            state = _advanced(state, page, until)
            marked += self._records.meet(page.contacts, lane=Lane.FRESH, cursor=name, value=state)
            progress(len(page.contacts))
            if page.after is None:
                break
            after = page.after
        if marked:
            log.info("poll.marked", look=name, contacts=marked)
        return marked

    def _beginning(self, until: datetime | None) -> dict[str, Any]:
        """Begin a while back, whatever HubSpot's clock shows: what is older is the backfill's and the sweep's."""
        return {"high": (until or self._now() - self._second_look).isoformat(), "next": None, "after": FIRST}


def _advanced(state: dict[str, Any], page: Page, until: datetime | None) -> dict[str, Any]:
    """Return the cursor after a page. The next window begins when this one began, by HubSpot's clock: what changed
    behind the walk's back would be passed over, and from the last change on an import would be read again for ever."""
    began = _time(state["next"]) if state.get("next") else min(until or page.served_at, page.served_at)
    if page.after is not None:
        return {**state, "next": began.isoformat(), "after": page.after}
    high = max(_time(state["high"]), began)
    return {"high": high.isoformat(), "next": None, "after": FIRST}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
