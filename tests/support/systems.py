"""The API and the receiver as the tests use them: in process, and as the processes they are."""

import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import psycopg
import running_servers
import structlog
from callers import Caller
from deliveries import APP, PORTAL, SECRET, URL
from world import RATE, World

from api.app import Services, make_app
from api.auth import Role, Tokens
from api.routes import ROUTES, Route
from api.wiring import Beside, services
from reconciler.adapters.postgres.database import Database
from reconciler.adapters.postgres.inbox import PostgresInbox
from reconciler.process import wiring
from reconciler.process.bodies import Bodies
from reconciler.process.settings import Api, Webhook, load
from webhook.alarm import Alarm
from webhook.app import Receiver
from webhook.app import make_app as make_receiver
from webhook.signature import Verifier
from webhook.wiring import receiving

JWT_SECRET = "a-jwt-secret-of-more-than-32-bytes-0123456789"
ISSUER_KEY = "an-issuer-key-0123456789"

KAI = {
    "email": "kai@hubspot.com",
    "firstname": "Kai",
    "lastname": "Krueger",
    "phone": "(555) 555-5555",
    "company": "HubSpot",
    "website": "hubspot.com",
    "lifecyclestage": "marketingqualifiedlead",
}


@dataclass(frozen=True)
class ApiInProcess:
    """The API's app and the two sides it writes to."""

    world: World
    services: Services
    anyone: Caller
    user: Caller
    admin: Caller

    @classmethod
    def of(cls, world: World, services: Services) -> "ApiInProcess":
        anyone = Caller(make_app(services), documented)
        tokens = {role: services.tokens.issue(role) for role in Role}
        user, admin = (anyone.with_headers(Authorization=f"Bearer {tokens[r]}") for r in (Role.USER, Role.ADMIN))
        return cls(world, services, anyone, user, admin)

    def state(self) -> tuple[Any, ...]:
        """Everything that a refused request must leave as it was."""
        links = "(select uuid, contact, base, alive, blocks from sync.link)"
        tables = ("customer", links, "sync.intent", "sync.dirty", "sync.tombstone")
        rows = [self.world.sql(f"select to_jsonb(t) as row from {table} t order by 1") for table in tables]
        return (self.world.portal.revision, rows)


class Logged(list[dict[str, Any]]):
    """What the code logs, kept instead of printed."""

    def __call__(self, _: Any, method: str, event: dict[str, Any]) -> Any:
        self.append({**event, "level": method})
        raise structlog.DropEvent


def api_environment(world: World, **more: str) -> dict[str, str]:
    """The settings of an API on these two sides."""
    return {
        "DATABASE_URL": world.dsn,
        "HUBSPOT_ACCESS_TOKEN": world.sandbox.token,
        "HUBSPOT_BASE_URL": world.sandbox.url,
        "HUBSPOT_RATE_PER_10S": RATE,
        "HUBSPOT_SEARCH_PER_SECOND": "100",
        "JWT_SECRET": JWT_SECRET,
        "TOKEN_ISSUER_KEY": ISSUER_KEY,
        **more,
    }


def as_admin(secret: str = JWT_SECRET) -> dict[str, str]:
    """The headers of an admin who sends JSON."""
    return {"Authorization": f"Bearer {Tokens(secret).issue(Role.ADMIN)}", "Content_Type": "application/json"}


def received(settings: Webhook, database: Database) -> Caller:
    """The receiver as its process puts it together, worker and all."""
    return Caller(receiving(settings, wiring.build(settings, database), PostgresInbox(database)))


def etag_of_kai(api: ApiInProcess) -> str:
    return api.user("GET", f"/{KAI['email']}").headers["etag"]


def documented(method: str, path: str) -> Collection[int] | None:
    """The statuses that the route table has for a call, None for what is no call of it."""
    found = [route for route in ROUTES if re.fullmatch(_pattern(route), path)]
    fixed = [route for route in found if "<email" not in route.path]
    return next((route.answers for route in fixed or found if route.method == method), None)


def _pattern(route: Route) -> str:
    """What a path of this call is like."""
    names = re.sub(r"<\w+:re:([^>]*)>", r"(?:\1)", route.path)
    return re.sub(r"<\w+>", "[!-.0-~]*[A-Za-z]", names) if names == route.path else names


def api_in_process(world: World, database: Database, **more: str) -> ApiInProcess:
    """Put the API together as its process does."""
    settings = load(Api, api_environment(world, **more))
    parts = services(settings, wiring.build(settings, database), Beside(reads=database, health=database))
    parts.account.look()
    return ApiInProcess.of(world, parts)


@dataclass(frozen=True)
class ServedApi:
    """A real API process and an admin's header for it."""

    world: World
    server: running_servers.Server
    authorization: str


def webhook_environment(world: World, **more: str) -> dict[str, str]:
    """The settings of a receiver on these two sides."""
    environment = api_environment(world)
    del environment["JWT_SECRET"], environment["TOKEN_ISSUER_KEY"]
    return {**environment, "HUBSPOT_CLIENT_SECRET": SECRET, "HUBSPOT_WEBHOOK_URL": URL, **more}


class Hook:
    """The webhook receiver's app with nothing draining behind it: what it stores stays to be seen."""

    def __init__(self, dsn: str, database: Database, **changes: Any) -> None:
        self.woken = 0
        self.connection = psycopg.connect(dsn, autocommit=True)
        parts: dict[str, Any] = {
            "verifier": Verifier(URL, [SECRET.encode()]),
            "inbox": PostgresInbox(database),
            "wake": self._wake,
            "portal_id": lambda: PORTAL,
            "alarm": Alarm(time.monotonic),
            "bodies": Bodies(),
            "app_id": APP,
        }
        self.call = Caller(make_receiver(Receiver(**{**parts, **changes})))

    def _wake(self) -> None:
        self.woken += 1

    def marks(self) -> dict[str, bool]:
        """The subjects that are marked, with the privacy bit of each."""
        return dict(self.connection.execute("select subject, privacy from sync.mark order by 1").fetchall())

    def counts(self) -> dict[str, int]:
        return dict(self.connection.execute("select kind, count from sync.event").fetchall())

    def quarantined(self) -> list[tuple[Any, ...]]:
        return self.connection.execute("select reason, size, hash from sync.quarantine order by id").fetchall()

    def stored(self) -> tuple[Any, ...]:
        return (self.marks(), self.counts(), self.quarantined(), self.woken)
