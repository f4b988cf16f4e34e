"""Reading a customer by address: from a replica where there is one, and never older than what the caller knows.

A caller who sends the ETag of his write (`If-None-Match`) reads his write: a replica that shows anything else may be
behind, and the primary is asked. So it is where the replica has no customer under the address, or does not answer.
"""

from collections.abc import Callable, Collection
from time import monotonic

from api.customers import etag_of
from reconciler.adapters.postgres.customer_store import PostgresCustomerStore
from reconciler.core.contact import Customer
from reconciler.core.errors import Busy, DatabaseDown

REPLICA_WAIT = 0.25
"""Seconds to wait for a connection to the replica."""

REPLICA_DEADLINE = 1.0
"""Seconds in which the replica answers."""

AWAY = 5.0
"""Seconds for which a replica that did not answer is not asked again."""

Lookup = Callable[[str], Customer | None]


class Reader:
    """Reads by address from `primary` and `replica`; in every other way from `store`."""

    def __init__(self, store: PostgresCustomerStore, primary: Lookup, replica: Lookup | None) -> None:
        self.store, self._primary, self._replica = store, primary, replica
        self._away_until = float("-inf")

    def read(self, address: str, known: Collection[str] = ()) -> Customer | None:
        """Return the live customer with this address; `known` are the entity tags that the caller has."""
        found = self._near(address)
        if found is not None and (not known or etag_of(found) in known):
            return found
        return self._primary(address)

    def _near(self, address: str) -> Customer | None:
        if self._replica is None or monotonic() < self._away_until:
            return None
        try:
            return self._replica(address)
        except (DatabaseDown, Busy):
            self._away_until = monotonic() + AWAY
            return None
