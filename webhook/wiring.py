"""Puts the receiver together, in each of its server processes, with the worker that drains what it marks."""

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial

import structlog

from reconciler.adapters.postgres.database import lasting
from reconciler.adapters.postgres.inbox import PostgresInbox
from reconciler.core.errors import SyncError, Transient
from reconciler.core.ports import Lane
from reconciler.process import log as logs
from reconciler.process.account import Account
from reconciler.process.bodies import Bodies
from reconciler.process.secret_values import EachOf
from reconciler.process.settings import Webhook, load, secret_source
from reconciler.process.wiring import Parts, build
from reconciler.process.wsgi import end_with_parent
from reconciler.sync.reconcile import SILENCE, Reconciler
from webhook.alarm import Alarm
from webhook.app import Receiver, make_app
from webhook.signature import Verifier
from webhook.tally import Tally

PAUSE = 5.0
"""Seconds until the worker looks again without being woken."""

DRAINING = 4
"""Connections of the worker, beside those of the deliveries."""

DELIVERY_DEADLINE = 3.0
"""Seconds in which a delivery is stored: HubSpot gives up after five."""

CLERKS_PAUSE = 1.0
"""Seconds between two writings of counts, however many requests a stranger sends."""

log = structlog.get_logger()


class Clerk:
    """Writes down, in a thread of its own, what was not taken: for the status and the figures."""

    def __init__(self, tally: Tally, inbox: PostgresInbox) -> None:
        self._tally, self._inbox = tally, inbox

    def run(self) -> None:
        """Write for ever, once in a while; what could not be written is kept."""
        while True:
            counts = self._tally.take()
            try:
                times = {kind: count.times for kind, count in counts.items()}
                self._inbox.count(times, ages=partial(self._tally.ages, counts))
            except Transient as error:
                self._tally.put_back(counts)
                log.debug("webhook.uncounted", reason=error.reason)
            except Exception:
                self._tally.put_back(counts)
                log.exception("webhook.bug")
            time.sleep(CLERKS_PAUSE)


class Worker:
    """Drains in a thread of its own, as soon as it is woken."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._woken = threading.Event()
        self._silent_until = float("-inf")

    def wake(self) -> None:
        """There are marks."""
        self._woken.set()

    def _complain(self, reason: str) -> None:
        """Say once in a while what keeps the worker from draining; the reconciler says it, too."""
        if time.monotonic() > self._silent_until:
            self._silent_until = time.monotonic() + SILENCE
            log.warning("webhook.drain_failed", reason=reason)

    def run(self, require_account: Callable[[], None]) -> None:
        """Drain for ever, once the account is known to be right; what fails is tried again."""
        while True:
            try:
                require_account()
                self._reconciler.drain(lanes=(Lane.INTERACTIVE, Lane.FRESH))
            except Transient as error:
                self._complain(error.reason)
            except SyncError as error:
                log.error("webhook.drain_refused", reason=str(error))
            except Exception:
                log.exception("webhook.bug")
            self._woken.wait(PAUSE)
            self._woken.clear()


def application() -> Callable[..., Iterable[bytes]]:
    """Return the app of one server process."""
    end_with_parent()
    settings = load(Webhook)
    logs.configure(style=settings.log_format, level=settings.log_level, process="webhook")
    dsn = secret_source("DATABASE_URL", settings.database_url)
    delivering = lasting(dsn, size=settings.database_pool, deadline=DELIVERY_DEADLINE)
    return receiving(settings, build(settings, lasting(dsn, size=DRAINING)), PostgresInbox(delivering))


def receiving(settings: Webhook, parts: Parts, inbox: PostgresInbox) -> Callable[..., Iterable[bytes]]:
    """Start the worker and return the app."""
    bodies = Bodies()
    bodies.watch()
    secret = secret_source("HUBSPOT_CLIENT_SECRET", settings.hubspot_client_secret)
    worker = Worker(parts.reconciler)
    threading.Thread(target=worker.run, args=(Account(parts).require,), daemon=True, name="drain").start()
    alarm = Alarm(time.monotonic)
    threading.Thread(target=Clerk(alarm.tally, inbox).run, daemon=True, name="clerk").start()
    return make_app(
        Receiver(
            verifier=Verifier(settings.hubspot_webhook_url, EachOf(secret)),
            inbox=inbox,
            wake=worker.wake,
            portal_id=_once_known(inbox.portal_id),
            app_id=settings.hubspot_app_id,
            alarm=alarm,
            bodies=bodies,
        )
    )


def _once_known(ask: Callable[[], int | None]) -> Callable[[], int | None]:
    """Ask until there is an answer, then keep it."""
    known: list[int] = []

    def answer() -> int | None:
        if not known and (found := ask()) is not None:
            known.append(found)
        return known[0] if known else None

    return answer
