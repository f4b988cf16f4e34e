"""The whole product beside one HubSpot: API, receiver, reconciler, as processes."""

import time
from dataclasses import dataclass, field
from typing import Any

import orjson
import urllib3

from api.auth import Role, Tokens
from bench.get import SECRET, answers, free_port
from bench.rig import Rig, Sandbox, until


@dataclass(frozen=True, slots=True)
class System:
    """What runs, and an admin's way to its API."""

    rig: Rig
    sandbox: Sandbox
    api: str
    token: str = ""
    http: urllib3.PoolManager = field(default_factory=urllib3.PoolManager)

    def put(self, email: str, **values: str) -> float:
        """Change a customer through the API, as a caller who has a connection and a token; return the seconds."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        began = time.monotonic()
        answer = self.http.request("PUT", f"{self.api}/{email}", body=orjson.dumps(values), headers=headers, timeout=60)
        assert answer.status == 200, answer.data
        return time.monotonic() - began

    def is_quiet(self) -> bool:
        """Whether nothing is due or under way."""
        tables = ("sync.mark", "sync.dirty", "sync.intent")
        return not any(self.rig.sql(f"select 1 from {table} limit 1") for table in tables)

    def rest(self, seconds: float = 600) -> None:
        """Wait until nothing is due or under way."""
        until(self.is_quiet, seconds=seconds)


def linked(rig: Rig, sandbox: Sandbox, people: int, prefix: str = "person") -> None:
    """Have so many people on both sides, linked and equal, with nothing due."""
    sandbox.control("POST", "import", {"count": people, "prefix": prefix})
    parts = rig.parts(sandbox, hubspot_threads=8)
    parts.sweep.run()
    parts.drainers.drain()
    rig.sql("vacuum analyze")


def started(rig: Rig, sandbox: Sandbox, *, reconciler: bool = True, **settings: Any) -> System:
    """Start everything; return when it answers and is at rest."""
    api, hook = free_port(), free_port()
    url = f"http://127.0.0.1:{hook}/"
    named = {
        "jwt_secret": SECRET,
        "hubspot_client_secret": "sandbox-client-secret",
        "hubspot_webhook_url": url,
        "api_port": api,
        "webhook_port": hook,
        **settings,
    }
    environment = rig.environment(sandbox, **named)
    for module in ("api", "webhook", *(["reconciler"] if reconciler else [])):
        rig.start(["-m", module], environment)
    for port in (api, hook):
        until(lambda port=port: answers(f"http://127.0.0.1:{port}/healthz"))  # type: ignore[misc]
    sandbox.set(webhook_url=url)
    system = System(rig, sandbox, f"http://127.0.0.1:{api}", Tokens(SECRET).issue(Role.ADMIN))
    if reconciler:
        until(lambda: rig.sql("select 1 from sync.heartbeat where job = 'poll' and at > now() - interval '1 minute'"))
    return system
