"""The owner's table: whether rules of the owner's may refuse or change a row, and which columns a rule is about."""

from collections.abc import Collection, Mapping
from time import monotonic

from reconciler.adapters.postgres.database import OUR_KEYS, Database, Row, to_json
from reconciler.core.errors import RowRefused
from reconciler.core.values import Value, Values

FRESH = 30.0
"""Seconds for which what is known of the owner's rules counts."""


class OwnersTable:
    """What the owner has made of `customer` beyond the sync's own columns, keys and triggers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Row = {"any": True, "changes": True, "digest": ""}
        self._until = float("-inf")

    @property
    def has_rules(self) -> bool:
        """Whether a row that is well formed may be refused."""
        return bool(self._rules()["any"])

    @property
    def changes_rows(self) -> bool:
        """Whether a trigger of the owner's may write another value than it is given, or swallow the row."""
        return bool(self._rules()["changes"])

    def has_new_rules(self) -> bool:
        """Whether the rules are others than when this was asked last, by any process."""
        row = self._database.row("note_rules", digest=self._rules()["digest"])
        return row is not None and bool(row["changed"])

    def told(self, refused: RowRefused, values: Values) -> RowRefused:
        """Return the refusal with the fields that it is about, found by its rule's name or by what fits no column.

        Where that is the columns' types, these are its rule.
        """
        rows = self._database.rows("rule_fields", rule=refused.rule, columns=list(refused.fields))
        ruled = set() if refused.is_misfit else {row["field"] for row in rows}
        named = ruled or {field for field, value in values.items() if not self._fits(field, value)}
        rule = refused.rule
        if refused.is_misfit or rule.startswith("SQLSTATE"):
            limits = self._database.rows("column_limits", fields=sorted(named))
            rule = ", ".join(row["limit"] for row in limits) or rule
        return RowRefused(rule, frozenset(named), is_misfit=refused.is_misfit)

    def _fits(self, column: str, value: Value) -> bool:
        try:
            self._database.row("fits", vals=to_json({column: value}))
        except RowRefused:
            return False
        return True

    def _rules(self) -> Row:
        if monotonic() > self._until:
            self._known = self._database.row("table_rules", ours=list(OUR_KEYS)) or self._known
            self._until = monotonic() + FRESH
        return self._known


def require_all(rows: Collection[Mapping[str, object]]) -> None:
    """Raise `RowRefused` if a trigger of the owner's let a row go nowhere, without a word."""
    if any(row["swallowed"] for row in rows):
        raise RowRefused("a trigger that returns no row")
