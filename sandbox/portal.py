"""The portal: one HubSpot account, put together from its parts.

The desk's verbs for contacts, and beside them the settings, the property definitions, the faults, the call
log and the webhooks. No HTTP here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sandbox.calls import CallLog
from sandbox.catalogue import new_schema
from sandbox.clock import Clock, steady_ms, system_ms
from sandbox.contact import integration
from sandbox.definitions import Seed, read_definition, refuse_undefinable
from sandbox.desk import Desk
from sandbox.faults import Faults
from sandbox.ledger import Ledger
from sandbox.records import Records
from sandbox.schema import Property
from sandbox.settings import Settings, Switches
from sandbox.store import Store
from sandbox.webhooks import Outbox
from sandbox.writes import ADDITIONAL, Gate


class Portal(Desk):
    """One account."""

    def __init__(self, settings: Settings, *, clock: Clock = system_ms, steady: Clock = steady_ms) -> None:
        switches = Switches(settings)
        self.schema = new_schema(settings.additional_emails_writable)
        self._store = Store(settings.state) if settings.state else None
        self._define_at_start(settings.custom_properties, clock())
        ledger = Ledger(switches, Records(self.schema.unique_names), clock, self._store, steady)
        super().__init__(switches, ledger, Gate(switches, self.schema, ledger))
        self.faults = Faults(switches)
        self.calls = CallLog(switches)
        self.outbox = Outbox(switches, clock, self._store)
        self.app = integration(settings.app_id)
        ledger.deliver_to(self.outbox.accept)
        self.outbox.accept(ledger.load())

    def close(self) -> None:
        """Stop sending webhooks and close the state file."""
        self.outbox.close()
        if self._store is not None:
            self._store.close()

    def set(self, **changes: Any) -> Settings:
        """Change settings; see `settings` for their names."""
        settings = self.switches.change(**changes)
        if "additional_emails_writable" in changes and (prop := self.schema.get(ADDITIONAL)):
            self.schema.put(replace(prop, read_only=not settings.additional_emails_writable))
        self.outbox.wake()
        return settings

    @property
    def revision(self) -> int:
        """How many effective changes of contacts there were; a write of equal values does not count."""
        return self.ledger.revision

    def _define_at_start(self, seeds: Iterable[Seed], now: int) -> None:
        for prop in self._store.properties() if self._store else ():
            self.schema.put(prop)
        for prop in (seed.definition(now) for seed in seeds):
            if self.schema.get(prop.name) is None:
                self._define(prop)

    def define(self, body: Mapping[str, Any]) -> Property:
        """Define a custom property as the API does; what HubSpot refuses raises `HubSpotError`."""
        with self.ledger.session() as now:
            return self._define(read_definition(body, now))

    def add_property(self, name: str, **details: Any) -> Property:
        """Define a custom property in short, see `Seed`; raise ValueError for what it cannot be."""
        with self.ledger.session() as now:
            return self._define(Seed(name=name, **details).definition(now))

    def _define(self, prop: Property) -> Property:
        refuse_undefinable(prop, self.schema)
        if self._store is not None:
            self._store.save_property(prop)
        self.schema.put(prop)
        return prop

    def refresh_index(self) -> None:
        """Let the search index catch up with everything at once."""
        with self.ledger.session():
            self.ledger.index.catch_up()

    def reset(self) -> None:
        """Forget all contacts, events, calls and faults; settings and definitions stay."""
        self.ledger.clear()
        self.outbox.clear()
        self.calls.clear()
        self.faults.clear()
