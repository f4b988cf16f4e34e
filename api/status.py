"""Health and figures: whether data is moving, in numbers from Postgres that every process agrees on."""

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from reconciler.adapters.postgres.database import Database
from reconciler.adapters.postgres.records import PostgresRecords

FIGURES = {
    "linked": "Customers linked with a living contact",
    "unlinked": "Live customers without a contact",
    "due": "Marks that are due",
    "marks": "Marks",
    "intents": "HubSpot writes whose answer is not committed",
    "parked": "Records and properties that are parked",
    "held": "Records and properties that the brake holds",
    "conflicts": "Conflicts that are not resolved",
    "ignored": "Contacts of erased people",
    "erased": "Erased addresses",
    "refused": "Deliveries of HubSpot's that were refused",
}


class Status:
    """Reads the state of the sync."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ping(self) -> None:
        """Raise unless the database answers."""
        self._database.row("beats")

    def is_moving(self) -> bool:
        """Whether marks were drained lately."""
        return PostgresRecords(self._database).is_moving()

    def metrics(self) -> tuple[str, str]:
        """Return the figures as Prometheus text, and its content type."""
        registry = CollectorRegistry()
        row = self._database.row("status") or {}
        for name, text in FIGURES.items():
            Gauge(f"sync_{name}", text, registry=registry).set(row.get(name) or 0)
        ages = Gauge("sync_job_age_seconds", "Seconds since a job's last success", ["job"], registry=registry)
        for beat in self._database.rows("beats"):
            ages.labels(beat["job"]).set(beat["age"])
        calls = Gauge(
            "sync_hubspot_calls_used", "HubSpot calls made in the current window", ["kind"], registry=registry
        )
        for kind in self._database.rows("budget"):
            calls.labels(kind["kind"]).set(kind["used"])
        events = Gauge("sync_events", "Webhook events, and deliveries not taken, by kind", ["kind"], registry=registry)
        for event in self._database.rows("events"):
            events.labels(event["kind"]).set(event["count"])
        return generate_latest(registry).decode(), CONTENT_TYPE_LATEST
