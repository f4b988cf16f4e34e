"""Puts the API together, in each of its server processes."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from api.app import Services, make_app
from api.auth import Tokens
from api.bodies import forms_of
from api.customers import Customers
from api.places import Places
from api.reading import REPLICA_DEADLINE, REPLICA_WAIT, Reader
from api.single_flight import SingleFlight
from api.status import Status
from reconciler.adapters.postgres.customer_store import PostgresCustomerStore
from reconciler.adapters.postgres.database import SHORT_DEADLINE, Database, lasting
from reconciler.process import log
from reconciler.process.account import Account
from reconciler.process.bodies import Bodies
from reconciler.process.secret_values import secrets_in
from reconciler.process.settings import Api, load, secret_source
from reconciler.process.wiring import Parts, build
from reconciler.process.wsgi import end_with_parent
from reconciler.sync.intake import Intake
from reconciler.sync.sender import Sender
from reconciler.sync.write_through import WriteThrough

FEW = 2
"""Connections for reads (those by address at the same time are one question), and for the health."""

READ_DEADLINE = 2.0
"""Seconds in which a read is answered."""

HEALTH_WAIT = 1.0
"""Seconds to wait for a connection to ask for the health by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Databases beside that of the writes, with connections of their own: no read waits for what holds a write up.

    Reads go to the replica if there is one.
    """

    reads: Database
    health: Database
    replica: Database | None = None


def services(settings: Api, parts: Parts, beside: Beside) -> Services:
    """Put the API together from the parts of the sync."""
    customer_store = PostgresCustomerStore(parts.database)
    account = Account(parts)
    write_through = WriteThrough(
        customer_store=customer_store,
        marks=parts.marks,
        pairs=parts.pairs,
        sender=Sender(parts.outbox, parts.hubspot),
        budget=parts.budget,
        reconciler=parts.reconciler,
        fields=settings.fields,
        sleep=time.sleep,
        pushes_deletes=settings.sends_deletes,
    )
    intake = Intake(
        customer_store=customer_store,
        marks=parts.marks,
        pairs=parts.pairs,
        hubspot=parts.hubspot,
        budget=parts.budget,
        reconciler=parts.reconciler,
        sleep=time.sleep,
        pushes_deletes=settings.sends_deletes,
    )
    key = settings.token_issuer_key
    reads = PostgresCustomerStore(beside.reads)
    near = None if beside.replica is None else SingleFlight(PostgresCustomerStore(beside.replica).by_address)
    forms = forms_of(settings.mapping)
    customers = Customers(customer_store, write_through, intake, account.require, forms)
    return Services(
        customers=customers,
        forms=forms,
        account=account,
        reader=Reader(reads, SingleFlight(reads.by_address), near),
        customer_store=customer_store,
        bodies=Bodies(),
        places=Places(settings.api_threads),
        tokens=Tokens(*secrets_in(settings.jwt_secret.get_secret_value())),
        status=Status(beside.health),
        issuer_key=None if key is None else key.get_secret_value(),
        is_issuer_open=settings.open_token_issuer and settings.api_host in ("127.0.0.1", "::1", "localhost"),
    )


def application() -> Callable[..., Iterable[bytes]]:
    """Return the app of one server process."""
    end_with_parent()
    settings = load(Api)
    log.configure(style=settings.log_format, level=settings.log_level, process="api")
    dsn = secret_source("DATABASE_URL", settings.database_url)
    writes = lasting(dsn, size=settings.database_pool, deadline=SHORT_DEADLINE, is_brief=True)
    beside = Beside(
        reads=lasting(dsn, size=FEW, deadline=READ_DEADLINE),
        health=lasting(dsn, size=FEW, wait=HEALTH_WAIT, deadline=READ_DEADLINE),
        replica=_replica(settings),
    )
    served = services(settings, build(settings, writes), beside)
    served.bodies.watch()
    # Without a delay of the first answer.
    threading.Thread(target=served.account.look, daemon=True, name="account").start()
    return make_app(served)


def _replica(settings: Api) -> Database | None:
    if settings.database_read_url is None:
        return None
    dsn = secret_source("DATABASE_READ_URL", settings.database_read_url)
    return lasting(dsn, size=FEW, wait=REPLICA_WAIT, deadline=REPLICA_DEADLINE)
