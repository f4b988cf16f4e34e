"""What people wrote and what became of it.

That both sides agree proves nothing: they may agree on the wrong value. Here every edit remembers the value it
replaced. A value is accounted for when a record has it at the end, when somebody wrote over it having it before his
eyes, or when it stands in the conflict log. Everything else is a lost edit.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from reconciler.core.fields import Fields
from reconciler.core.values import Value, Values
from simulation.mapped import stays, value_of

Entity = str
"""Whose value it is: `u:` and a customer's uuid, or `c:` and a contact's id."""


@dataclass(frozen=True, slots=True)
class Edit:
    """An acknowledged value, and who wrote it where."""

    field: str
    value: Value
    entity: Entity
    by: str


class Oracle:
    """Remembers edits; says at the end which are lost."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._edits: list[Edit] = []
        self._seen: set[tuple[str, Value]] = set()
        self._went: set[tuple[str, Value]] = set()
        self._stayed: set[tuple[str, Value]] = set()
        self.asked: set[tuple[str, Value]] = set()
        self.deaths: dict[Entity, None] = {}
        self.revivals: set[Entity] = set()

    def wrote(self, entity: Entity, by: str, values: Values, before: Values) -> None:
        """Note an acknowledged write over the values that its author had before his eyes."""
        self.looked_past(entity, values, before)
        for field, value in values.items():
            kept = value_of(self._fields, field, value)
            if kept is not None and kept != value_of(self._fields, field, before.get(field)):
                self._edits.append(Edit(field, kept, entity, by))
                is_own = by != "api" and stays(self._fields, field, kept, here=by == "sql")
                (self._stayed if is_own else self._went).add((field, kept))

    @property
    def stayed(self) -> set[tuple[str, Value]]:
        """Values that were written only where they were to stay."""
        return self._stayed - self._went

    def looked_past(self, entity: Entity, fields: Iterable[str], before: Values) -> None:
        """Note that somebody, acknowledged or not, replaced these values knowingly."""
        self._seen.update((field, value_of(self._fields, field, before.get(field))) for field in fields)

    def ended(self, entity: Entity, before: Values) -> None:
        """Note that somebody deleted a record with these values."""
        self.deaths[entity] = None
        self.looked_past(entity, self._fields.names, before)

    def revived(self, entity: Entity) -> None:
        """Note that somebody brought a record back."""
        self.revivals.add(entity)

    def lost(
        self,
        *,
        present: Collection[tuple[str, Value]],
        logged: Collection[tuple[str, Value]],
        excused: Collection[tuple[str, Value]],
        erased: Collection[Entity],
        windows: Collection[tuple[Entity, str]],
    ) -> list[Edit]:
        """Return the edits that nothing accounts for; `excused` were overwritten in the window that remains, `windows`
        are properties of entities that went through one with several calls."""
        known = {*self._seen, *present, *logged, *excused}
        lost = [e for e in self._edits if (e.field, e.value) not in known and e.entity not in erased]
        return [edit for edit in lost if (edit.entity, edit.field) not in windows]
