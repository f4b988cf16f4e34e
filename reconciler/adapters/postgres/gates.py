"""What keeps whole fields, or rows that the owner's table refuses, waiting until it is over."""

from collections.abc import Collection, Mapping

from reconciler.adapters.postgres.database import Database
from reconciler.adapters.postgres.table import OwnersTable
from reconciler.core.reasons import Reason


class PostgresGates:
    """The fields that wait for HubSpot's schema, and the rows that wait for other rules of the owner's."""

    def __init__(self, database: Database) -> None:
        self._database, self._table = database, OwnersTable(database)

    def suspended(self) -> Mapping[str, Reason]:
        (row,) = self._database.rows("conditions")
        return {field: Reason(reason) for field, reason in row["suspended"].items()}

    def suspend(self, fields: Collection[str], reason: Reason) -> None:
        self._database.run("suspend", fields=sorted(fields), reason=reason)

    def resume(self, fields: Collection[str]) -> None:
        self._database.run("resume", fields=sorted(fields))

    def lift_refused(self, *, only_if_rules_changed: bool) -> None:
        if not only_if_rules_changed or self._table.has_new_rules():
            self._database.row("lift_refused")
