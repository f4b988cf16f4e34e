"""Time as HubSpot speaks of it: milliseconds inside, ISO-8601 text in answers.

The clock is an argument everywhere, so that a test can run HubSpot's clock minutes ahead of its own.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

Clock = Callable[[], int]


def system_ms() -> int:
    """Return the wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Return a clock for delays and windows, which never jumps."""
    return time.monotonic_ns() // 1_000_000


def iso(ms: int) -> str:
    """Render a time as HubSpot does: the fraction is left out when it is zero."""
    seconds, fraction = divmod(ms, 1000)
    return f"{_to_the_second(seconds)}.{fraction:03}Z" if fraction else f"{_to_the_second(seconds)}Z"


@lru_cache(maxsize=4096)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()


def parse_ms(text: str) -> int | None:
    """Read epoch milliseconds or an ISO time (without an offset it is UTC); None when it is neither."""
    if text.lstrip("-").isdecimal():
        return int(text) if len(text) < 20 else None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
