"""What the processes do, as acts that can be written down: an API call, a delivery, a drain, a poll, an erasure."""

import base64
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import forging
from callers import Caller, Reply
from deliveries import URL
from systems import documented

from api.app import make_app
from api.auth import ALGORITHM
from api.wiring import Beside, services
from reconciler.adapters.postgres.database import Database
from reconciler.adapters.postgres.inbox import PostgresInbox
from reconciler.commands.erase import erase
from reconciler.core.errors import SyncError
from reconciler.process import wiring
from reconciler.process.bodies import Bodies
from reconciler.process.settings import Api, load
from webhook.alarm import Alarm
from webhook.app import Receiver
from webhook.app import make_app as make_receiver
from webhook.signature import Verifier

Act = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Said:
    """How an act ended: a status and a body, or why it was put off. A bug is neither."""

    status: int | None = None
    body: Any = None
    postponed: str | None = None
    bug: str | None = None


def _token(environment: Mapping[str, str]) -> str:
    """The token of one caller, whichever process it asks: an idempotency key belongs to the token's subject."""
    key = environment["JWT_SECRET"].split(",")[0]
    return forging.token(key, {"alg": ALGORITHM}, forging.claims(sub="caller"))


class Acting:
    """The API, the receiver and the reconciler of one process; `nap` is how an erase waits for its outcome."""

    def __init__(
        self, environment: Mapping[str, str], database: Database, *, nap: Callable[[float], None] = time.sleep
    ) -> None:
        settings = load(Api, environment)
        self.parts = wiring.build(settings, database, sleep=lambda seconds: time.sleep(min(seconds, 0.01)))
        served = services(settings, self.parts, Beside(reads=database, health=database))
        served.account.look()
        self._nap = nap
        self._api = Caller(make_app(served), documented, Authorization=f"Bearer {_token(environment)}")
        self._receiver = Caller(make_receiver(_receiver(self.parts, environment["HUBSPOT_CLIENT_SECRET"])))

    def run(self, act: Act) -> Said:
        """Do one act; what is declared to fail is said, everything else is a bug."""
        name, values = act
        try:
            return getattr(self, f"_{name}")(**values)
        except SyncError as error:
            return Said(postponed=str(error))
        except Exception:
            return Said(bug=traceback.format_exc())

    def _call(self, method: str, path: str, json: Any = None, key: str | None = None) -> Said:
        body = {} if json is None else {"json": json}
        return _said(self._api(method, path, **body, Idempotency_Key=key))

    def _deliver(self, body: str, **headers: str) -> Said:
        return _said(self._receiver("POST", "/", data=base64.b64decode(body), **headers))

    def _drain(self) -> Said:
        return Said(body=self.parts.reconciler.drain())

    def _poll(self) -> Said:
        return Said(body=self.parts.poll.recent())

    def _sweep(self) -> Said:
        self.parts.sweep.run()
        return Said()

    def _erase(self, address: str) -> Said:
        return Said(body=erase(self.parts, address, nap=self._nap))


def _said(reply: Reply) -> Said:
    return Said(status=reply.status, body=reply.json if reply.body else None)


def _receiver(parts: wiring.Parts, secret: str) -> Receiver:
    inbox = PostgresInbox(parts.database)
    return Receiver(
        verifier=Verifier(URL, [secret.encode()]),
        inbox=inbox,
        wake=lambda: None,
        portal_id=inbox.portal_id,
        app_id=None,
        alarm=Alarm(time.monotonic),
        bodies=Bodies(),
    )
