"""Builds the parts of a process and hands them down; nothing is built at import.

The one place that knows which adapter stands behind which port.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from reconciler.adapters.gateway.client import Gateway
from reconciler.adapters.postgres.budget import PostgresOutage, PostgresQuota, PostgresSlots
from reconciler.adapters.postgres.clock import DatabaseClock
from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.gates import PostgresGates
from reconciler.adapters.postgres.marks import PostgresMarks
from reconciler.adapters.postgres.outbox import PostgresOutbox
from reconciler.adapters.postgres.pairs import PostgresPairs
from reconciler.adapters.postgres.records import PostgresRecords
from reconciler.core.context import Rules
from reconciler.mapping.reading import fields_of
from reconciler.mapping.reading import load as load_mapping
from reconciler.process.settings import Database as DatabaseSettings
from reconciler.process.settings import Look, Sync, secret_source
from reconciler.sync.budget import Limits, SharedBudget, Uncounted
from reconciler.sync.drainers import Drainers
from reconciler.sync.reconcile import Reconciler
from reconciler.sync.witness import Witness
from reconciler.walks.poll import Poll
from reconciler.walks.sweep import Sweep

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a process that talks to HubSpot works with."""

    database: Database
    mapping: str | None
    marks: PostgresMarks
    pairs: PostgresPairs
    outbox: PostgresOutbox
    gates: PostgresGates
    records: PostgresRecords
    budget: SharedBudget
    hubspot: Gateway
    reconciler: Reconciler
    rules: Callable[[], Rules]
    drainers: Drainers
    poll: Poll
    sweep: Sweep


@contextmanager
def open_database(settings: DatabaseSettings) -> Iterator[Database]:
    """Open the pool of a process."""
    with open_pool(secret_source("DATABASE_URL", settings.database_url), size=settings.database_pool) as pool:
        yield Database(pool)


@contextmanager
def open_parts(settings: Sync) -> Iterator[Parts]:
    """Open everything a process needs; close it again at the end."""
    with open_database(settings) as database:
        yield build(settings, database)


def open_gateway(settings: Look) -> Gateway:
    """Return HubSpot for a look before there is a schema: its few calls are counted nowhere."""
    return Gateway(
        fields=fields_of(load_mapping(None)),
        base_url=str(settings.hubspot_base_url).rstrip("/"),
        token=secret_source("HUBSPOT_ACCESS_TOKEN", settings.hubspot_access_token),
        budget=Uncounted(),
        sleep=time.sleep,
        way=settings.way,
    )


def build(settings: Sync, database: Database, sleep: Callable[[float], None] = time.sleep) -> Parts:
    """Put the parts together on an open database."""
    marks, records = PostgresMarks(database), PostgresRecords(database, settings.brake)
    tombstones, gates = settings.tombstone_file, PostgresGates(database)
    pairs, outbox = PostgresPairs(database, tombstones=tombstones), PostgresOutbox(database, tombstones=tombstones)
    limits = Limits(
        per_10s=settings.hubspot_rate_per_10s,
        search_per_second=settings.hubspot_search_per_second,
        daily=settings.hubspot_daily_limit,
    )
    slots, quota, outage = PostgresSlots(database), PostgresQuota(database), PostgresOutage(database)
    budget = SharedBudget(slots, quota, outage, limits, sleep)
    token = secret_source("HUBSPOT_ACCESS_TOKEN", settings.hubspot_access_token)
    url, now = str(settings.hubspot_base_url).rstrip("/"), DatabaseClock(database).now
    hubspot = Gateway(
        fields=settings.fields,
        base_url=url,
        token=token,
        budget=budget,
        sleep=sleep,
        claim=records.claim_account,
        now=now,
        way=settings.way,
    )
    rules = partial(_rules, settings, hubspot)
    reconciler = Reconciler(
        marks=marks,
        pairs=pairs,
        outbox=outbox,
        gates=gates,
        hubspot=hubspot,
        brakes=records,
        budget=budget,
        rules=rules,
        witness=Witness(hubspot, records),
    )
    return Parts(
        database=database,
        mapping=settings.digest,
        marks=marks,
        pairs=pairs,
        outbox=outbox,
        gates=gates,
        records=records,
        budget=budget,
        hubspot=hubspot,
        reconciler=reconciler,
        rules=rules,
        drainers=Drainers(reconciler, settings.hubspot_threads),
        poll=Poll(
            hubspot=hubspot,
            records=records,
            budget=budget,
            overlap=settings.poll_overlap,
            second_look=settings.poll_second_look,
        ),
        sweep=Sweep(
            hubspot=hubspot,
            records=records,
            marks=marks,
            gates=gates,
            budget=budget,
            reconciler=reconciler,
            rate=settings.hubspot_rate_per_10s / 10,
            walkers=settings.hubspot_threads,
        ),
    )


def _rules(settings: Sync, hubspot: Gateway) -> Rules:
    return Rules(
        fields=settings.fields,
        first_link=settings.sync_first_link,
        deletes_inbound=settings.takes_deletes,
        deletes_outbound=settings.sends_deletes,
        skew=hubspot.skew(),
    )
