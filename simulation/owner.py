"""The owners of the table and of the portal, to whom the sync is one guest of several: rules, roles, paths that go.

What they do is no fault of a record's, and none of it deletes a record.
"""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from reconciler.core.ports import Door, Subject
from simulation.memory.tables import Rule

if TYPE_CHECKING:
    from simulation.world import World

LOST = (frozenset(Door), frozenset({Door.WRITE}), frozenset({Door.READ}), frozenset({Door.SEARCH}))
"""Kinds of call whose paths HubSpot may stop to know."""


class Owner:
    """Acts on what lies around both sides. `wild`: also on what lets records differ for good."""

    def __init__(self, world: "World", random: Random, *, wild: bool) -> None:
        self._world, self._random = world, random
        if wild and random.random() < 0.4:
            world.tables.rule = Rule("company", random.choice("37"))
        self.acts: list[tuple[Callable[[], bool], int]] = [
            (self.lose_paths, 1),
            (self.find_paths, 2),
            (self.take_rights, 1),
            (self.give_rights, 2),
        ]
        self.acts += [(self.vanish, 1)] if wild else [(self.hide_rows, 1), (self.show_rows, 2)]

    def lose_paths(self) -> bool:
        """HubSpot does not know some of its paths any more."""
        self._world.wire.lost = self._random.choice(LOST)
        return True

    def find_paths(self) -> bool:
        """Another version of the API is asked, or HubSpot has mended its routes."""
        self._world.wire.lost = frozenset()
        return True

    def take_rights(self) -> bool:
        """The sync's role may not touch the table."""
        self._world.weather.is_forbidden = True
        return True

    def give_rights(self) -> bool:
        """It may again."""
        self._world.weather.is_forbidden = False
        return True

    def hide_rows(self) -> bool:
        """Row level security is switched on, and shows the sync's role a part of the rows."""
        uuids = list(self._world.tables.customers)
        self._world.tables.hide(self._random.sample(uuids, len(uuids) // 2))
        return True

    def show_rows(self) -> bool:
        """It is switched off."""
        self._world.tables.show()
        return True

    def vanish(self) -> bool:
        """A row is deleted where no trigger sees it: by a logical apply, by a restore."""
        rows = [row for row in self._world.tables.customers.values() if row.is_alive]
        if not rows:
            return False
        row = self._random.choice(rows)
        self._world.oracle.ended(Subject.customer(row.uuid).key, row.raw)
        self._world.tables.vanish(row.uuid)
        return True

    def leave_in_peace(self) -> None:
        """Everything is as the sync expects it, but for the rules."""
        for mend in (self.find_paths, self.give_rights, self.show_rows):
            mend()
