"""What the histories need beside `World`: crashes, edits inside a window, an API caller, looks behind the curtain."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from death import mortal
from world import World, until

from api.app import make_app
from api.auth import Role, Tokens
from api.wiring import Beside, services
from reconciler.process import wiring
from reconciler.process.settings import Api, load
from reconciler.sync.reconcile import Reconciler

READ, CREATE, UPDATE, ARCHIVE = (f"/batch/{name}" for name in ("read", "create", "update", "archive"))
SECRET = "0123456789abcdef0123456789abcdef"

Person = tuple[Any, int]
"""A customer's uuid and its contact's id."""


def person(world: World, **values: Any) -> Person:
    """A customer and the contact that the sync has made of it."""
    uuid = world.insert(**values)
    world.quiet()
    return uuid, link(world, uuid)["contact"]


def row(world: World, uuid: Any) -> dict[str, Any]:
    return world.sql("select * from customer where uuid = %s", uuid)[0]


def link(world: World, uuid: Any) -> dict[str, Any]:
    return world.sql("select * from sync.link where uuid = %s", uuid)[0]


def there(world: World, contact: int, name: str) -> Any:
    """What HubSpot has in one property, empty as None; None too for a contact in the bin."""
    found = world.portal.contact(str(contact))
    assert found is not None
    return found.get(name) or None


def lives(world: World, contact: int) -> bool:
    found = world.portal.contact(str(contact))
    return found is not None and not found.archived


def change(world: World, uuid: Any, **values: Any) -> None:
    """An SQL edit by somebody else than the sync."""
    columns = ", ".join(f"{column} = %s" for column in values)
    world.sql(f"update customer set {columns} where uuid = %s", *values.values(), uuid)


def conflicts(world: World) -> set[tuple[Any, ...]]:
    """The log of losers: (property, winner, kept, lost)."""
    rows = world.sql("select property, winner, kept, lost from sync.conflict")
    assert len(rows) == len({tuple(each.values()) for each in rows}), "a loser is logged once"
    return {tuple(each.values()) for each in rows}


def lost(world: World) -> set[tuple[str, Any]]:
    return {(name, loser) for name, _, _, loser in conflicts(world)}


def blocks(world: World, uuid: Any) -> dict[str, str]:
    """Why columns (or, under *, the record) do not move."""
    return {name: why["reason"] for name, why in link(world, uuid)["blocks"].items()}


def count(world: World, what: str) -> int:
    return world.sql(f"select count(*) from {what}")[0]["count"]


def expire(world: World) -> None:
    """Time passes: leases end, and the deadline of whatever was sent goes by."""
    world.sql("update sync.link set lease_until = now() - interval '1 s' where lease_until is not null")
    world.sql("update sync.intent set deadline = now() - interval '1 s'")


def settle(world: World) -> None:
    """Bring everything to rest: now, and again when the deadline of what was sent has gone by."""
    world.sql("update sync.mark set due = now() where due > now()")
    world.parts.reconciler.drain()
    expire(world)
    world.quiet()
    assert count(world, "sync.intent") == 0


def during(world: World, path: str, run: Callable[[], object], *, when: str = "after", **more: Any) -> None:
    """Something happens inside the window of the next such call: just before or just after its effect."""
    world.portal.faults.add(action="run", path_contains=path, run=run, when=when, **more)


@contextmanager
def killed(world: World, path: str, *, when: str = "after", **more: Any) -> Iterator[None]:
    """The process dies at the next such call: `before` it arrives, `after` its effect, or with the effect `late`."""
    struck = _struck(world)
    with mortal(when) as strike:
        during(world, path, strike, when="after" if when == "after" else "before", **more)
        with pytest.raises(KeyboardInterrupt):
            yield
    if when == "late":
        until(lambda: _struck(world) > struck)
    world.portal.faults.clear()


def _struck(world: World) -> int:
    return sum(call.fault == "run" for call in world.portal.calls.recent)


def worker(world: World) -> Reconciler:
    """Another process."""
    return wiring.build(world.settings, world.parts.database).reconciler


def calls(world: World, path: str) -> int:
    """How many HubSpot calls there were whose path has this in it."""
    return sum(n for name, n in world.portal.calls.counts.items() if path in name)


def traces(world: World, text: str) -> list[str]:
    """The tables in which a text still stands."""
    tables = world.sql(
        "select schemaname || '.' || tablename as name from pg_tables where schemaname in ('public', 'sync')"
    )
    return [t["name"] for t in tables if world.sql(f"select 1 from {t['name']} r where r::text ilike %s", f"%{text}%")]


def assert_erased(world: World, *texts: str) -> None:
    """Nothing is left of Kai of Acme, or of these texts."""
    for text in texts or ("kai@example.com", "Acme"):
        assert traces(world, text) == []


class Caller:
    """Somebody who calls the API, as admin."""

    def __init__(self, world: World) -> None:
        environment = {
            "DATABASE_URL": world.dsn,
            "HUBSPOT_ACCESS_TOKEN": world.sandbox.token,
            "HUBSPOT_BASE_URL": world.sandbox.url,
            "SYNC_DELETES": world.settings.sync_deletes,
            "JWT_SECRET": SECRET,
        }
        database = world.parts.database
        served = services(load(Api, environment), world.parts, Beside(reads=database, health=database))
        served.account.look()
        self._app = make_app(served)
        self._token = Tokens(SECRET).issue(Role.ADMIN)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Return status and body. Header names with underscores: `if_match`."""
        data = b"" if body is None else orjson.dumps(body)
        environ = {
            "REQUEST_METHOD": method,
            "HTTP_HOST": "127.0.0.1",
            "SERVER_PORT": "80",
            "PATH_INFO": path,
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(data)),
            "HTTP_AUTHORIZATION": f"Bearer {self._token}",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": io.BytesIO(data),
            **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
        }
        started: list[Any] = []
        chunks = b"".join(self._app(environ, lambda status, headers: started.extend((status, dict(headers)))))
        self.headers = {name.lower(): value for name, value in started[1].items()}
        return int(started[0].split()[0]), orjson.loads(chunks) if chunks else None

    def post(self, body: Any, **headers: str) -> tuple[int, Any]:
        return self("POST", "/", {"firstname": "Kai", "lastname": "Bo", **body}, **headers)

    def put(self, email: str, body: Any, **headers: str) -> tuple[int, Any]:
        return self("PUT", f"/{email}", body, **headers)

    def delete(self, email: str) -> tuple[int, Any]:
        return self("DELETE", f"/{email}")
