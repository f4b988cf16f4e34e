"""The database's time, known without asking for it each time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

from reconciler.adapters.postgres.database import Database
from reconciler.core.errors import Transient

REFRESH = 60.0
"""Seconds after which the database is asked again how its clock differs from this host's."""


class DatabaseClock:
    """This host's clock, corrected by how the database's differs: all processes judge by the same one."""

    def __init__(self, database: Database, clock: Callable[[], float] = monotonic) -> None:
        self._database, self._clock = database, clock
        self._offset, self._asked = timedelta(), float("-inf")

    def now(self) -> datetime:
        """Return the database's time."""
        if self._clock() - self._asked > REFRESH:
            self._asked = self._clock()
            self._learn()
        return datetime.now(UTC) + self._offset

    def _learn(self) -> None:
        before = datetime.now(UTC)
        try:
            row = self._database.row("clock")
        except Transient:
            return
        after = datetime.now(UTC)
        if row is not None:
            # Clocks that may well agree are taken to agree.
            agree = before <= row["now"] <= after
            self._offset = timedelta() if agree else row["now"] - before - (after - before) / 2
