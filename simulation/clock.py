"""Virtual time: it moves when the simulation says so."""

from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2026, 1, 5, 8, tzinfo=UTC)


class Clock:
    """Seconds since the beginning, and what the clocks on the walls show."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.skew = timedelta()

    def monotonic(self) -> float:
        """Return the seconds since the beginning."""
        return self.seconds

    def now(self) -> datetime:
        """Return the database's time."""
        return BEGINNING + timedelta(seconds=self.seconds)

    def hubspot_ms(self) -> int:
        """Return HubSpot's time in milliseconds: the database's plus the skew."""
        return int((self.now() + self.skew).timestamp() * 1000)

    def steady_ms(self) -> int:
        """Return a clock for HubSpot's delays, in milliseconds."""
        return int(self.seconds * 1000)

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
