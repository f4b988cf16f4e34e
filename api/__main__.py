"""`python -m api`: serves the API. Settings: see reconciler.settings.Api."""

import sys
import threading
import time
from collections.abc import Callable, Iterable

from api.app import Services, make_app
from api.auth import Tokens
from api.customers import Customers
from api.reading import REPLICA_WAIT, Reader
from api.status import Status
from api.together import Together
from reconciler import log
from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.desk import PostgresDesk
from reconciler.intake import Intake
from reconciler.secret_values import secrets_in
from reconciler.sender import Sender
from reconciler.settings import Api, InvalidSettings, load, secret_source
from reconciler.start import Account
from reconciler.wiring import Parts, build
from reconciler.write_through import WriteThrough
from reconciler.wsgi import end_with_parent, serve


def services(settings: Api, parts: Parts, replica: Database | None = None) -> Services:
    """Put the API together from the parts of the sync; reads go to the replica if there is one."""
    desk = PostgresDesk(parts.database)
    account = Account(parts)
    write_through = WriteThrough(
        desk=desk,
        marks=parts.marks,
        pairs=parts.pairs,
        sender=Sender(parts.pairs, parts.hubspot),
        budget=parts.budget,
        reconciler=parts.reconciler,
        sleep=time.sleep,
        pushes_deletes=settings.sync_deletes in ("both", "outbound"),
    )
    intake = Intake(
        desk=desk,
        marks=parts.marks,
        pairs=parts.pairs,
        hubspot=parts.hubspot,
        budget=parts.budget,
        reconciler=parts.reconciler,
        sleep=time.sleep,
        pushes_deletes=settings.sync_deletes in ("both", "outbound"),
    )
    key = settings.token_issuer_key
    near = None if replica is None else Together(PostgresDesk(replica).by_address)
    customers = Customers(desk, write_through, intake, account.require)
    return Services(
        customers=customers,
        account=account,
        reader=Reader(Together(desk.by_address), near),
        desk=desk,
        tokens=Tokens(*secrets_in(settings.jwt_secret.get_secret_value())),
        status=Status(parts.database),
        issuer_key=None if key is None else key.get_secret_value(),
        is_issuer_open=settings.open_token_issuer and settings.api_host in ("127.0.0.1", "::1", "localhost"),
    )


def application() -> Callable[..., Iterable[bytes]]:
    """Return the app of one server process."""
    end_with_parent()
    settings = load(Api)
    log.configure(style=settings.log_format, level=settings.log_level, process="api")
    pool = open_pool(secret_source("DATABASE_URL", settings.database_url), size=settings.database_pool)
    pool.open(wait=False)
    database = Database(pool)
    served = services(settings, build(settings, database), _replica(settings))
    # Without a delay of the first answer.
    threading.Thread(target=served.account.look, daemon=True, name="account").start()
    return make_app(served)


def _replica(settings: Api) -> Database | None:
    if settings.database_read_url is None:
        return None
    dsn = secret_source("DATABASE_READ_URL", settings.database_read_url)
    pool = open_pool(dsn, size=settings.database_pool, wait=REPLICA_WAIT)
    pool.open(wait=False)
    return Database(pool)


def main() -> int:
    """Check the settings, then serve until a signal."""
    try:
        settings = load(Api)
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return 2
    serve(
        "api.__main__:application",
        host=settings.api_host,
        port=settings.api_port,
        processes=settings.api_processes,
        threads=settings.api_threads,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
