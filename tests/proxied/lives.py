"""A person's whole life in the running system, with values and secrets that would be recognised anywhere.

`live` goes through everything that happens to a person: created, refused, changed on both sides, in conflict, told by
webhooks, kept as an unreadable body, echoed by HubSpot's errors, met by failures of the database.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil
import psycopg
from deliveries import event, signed
from ports import free_port
from psycopg.conninfo import make_conninfo
from running_servers import ROOT, Server, bare, server
from systems import api_environment
from wire import ask
from world import World, until

from api.auth import Role, Tokens

ALL = os.environ.get("HOSTILE_LIFE") == "all"
"""Whether to go through what takes minutes to settle, too."""

WORD = "canaryq7x"
TELLING = [WORD, "7777123", "7777 123"]
PERSON = {
    "email": f"{WORD}.first@hubspot.com",
    "firstname": "CanaryQ7xFirst",
    "lastname": "CanaryQ7xLast",
    "phone": "+49 555 7777123",
    "company": "CanaryQ7xCompany",
    "website": f"{WORD}.example.com",
}
OTHER = {**PERSON, "email": f"{WORD}.other@hubspot.com"}
# None looks like a credential, so that no last fence of the log takes them out.
SECRETS = {
    "HUBSPOT_ACCESS_TOKEN": f"{WORD}token",
    "HUBSPOT_CLIENT_SECRET": f"{WORD}client",
    "JWT_SECRET": f"{WORD}jwt" * 4,
    "TOKEN_ISSUER_KEY": f"{WORD}issuer",
}
PASSWORD = f"{WORD}password"
ECHO = {"status": "error", "message": f"boom {PERSON} {SECRETS}", "category": "VALIDATION_ERROR"}
# The text of a 400 is the one thing of HubSpot's that the API passes on, to whoever sent the values.
ECHO_400 = {**ECHO, "message": f"Property values were not valid: {PERSON['phone']}"}


def hits(text: str) -> list[str]:
    """Return the lines of a text that tell of the person or a secret."""
    return [line for line in text.splitlines() if any(word in line.lower() for word in TELLING)]


@dataclass
class Life:
    """The running system, and what it said to callers that it refused."""

    world: World
    api: Server
    webhook: Server
    reconciler: "subprocess.Popen[bytes]"
    folder: Path
    refusals: list[bytes] = field(default_factory=list)
    revision: int = 0

    @property
    def logs(self) -> dict[str, str]:
        """What each process and each command wrote."""
        return {each.name: each.read_text(errors="replace") for each in sorted(self.folder.glob("*.log"))}

    def call(self, method: str, path: str, body: Any = None, *expected: int, **headers: str) -> bytes:
        """Call the API as admin and hold the status to what is expected."""
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        token = Tokens(SECRETS["JWT_SECRET"]).issue(Role.ADMIN)
        given = {"Authorization": f"Bearer {token}", "Content_Type": "application/json", **headers}
        reply = ask(self.api.port, method, path, data, **given)
        assert reply.status in expected, f"{method} {path}: {reply.status} {reply.text}"
        if reply.status >= 400:
            self.refusals.append(reply.body)
        return reply.body

    def deliver(self, body: Any, **how: Any) -> int:
        """Deliver a webhook with our own hands."""
        delivery = signed(body, **{"secret": SECRETS["HUBSPOT_CLIENT_SECRET"], "url": self.url, **how})
        data = delivery.pop("data")
        return ask(self.webhook.port, "POST", "/", data, **delivery).status

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.webhook.port}/"

    def fault(self, **rule: Any) -> None:
        self.world.portal.faults.add(**rule)

    def command(self, *arguments: str) -> str:
        """Run a command of `python -m reconciler` as an operator does, and return what it said."""
        command = [sys.executable, "-m", "reconciler", *arguments]
        environment = bare(environment_of(self.world))
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        with (self.folder / "commands.log").open("a") as log:
            log.write(ran.stdout + ran.stderr)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def processes(self) -> list[psutil.Process]:
        """All processes of the system, workers too."""
        mothers = [psutil.Process(each.pid) for each in (self.api.process, self.webhook.process, self.reconciler)]
        return [process for mother in mothers for process in (mother, *mother.children(recursive=True))]

    def rest(self) -> None:
        """Wait until nothing is told, marked or open any more."""
        assert self.world.portal.outbox.wait_until_idle(30)
        waiting = "select 1 from sync.mark union all select 1 from sync.intent union all select 1 from sync.dirty"
        until(lambda: not self.world.sql(waiting), seconds=200)


def environment_of(world: World) -> dict[str, str]:
    """The settings of every process: secrets that would be recognised, and no patience."""
    environment = api_environment(world, DATABASE_URL=make_conninfo(world.dsn, password=PASSWORD), LOG_LEVEL="debug")
    hasty = {"POLL_INTERVAL": "0.5", "POLL_SECOND_LOOK": "5", "SWEEP_INTERVAL": "2", "DRAIN_INTERVAL": "0.2"}
    return {**environment, **SECRETS, **hasty}


@contextmanager
def running(world: World, folder: Path) -> Iterator[Life]:
    """Run API, receiver and reconciler on two sides, logging all they can."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    secrets = {"access_token": SECRETS["HUBSPOT_ACCESS_TOKEN"], "client_secret": SECRETS["HUBSPOT_CLIENT_SECRET"]}
    world.portal.set(**secrets, webhook_url=url)
    environment = {**environment_of(world), "HUBSPOT_WEBHOOK_URL": url}
    with ExitStack() as stack:
        api = stack.enter_context(server("api", environment, folder / "api.log"))
        webhook = stack.enter_context(server("webhook", environment, folder / "webhook.log", port=port))
        log = stack.enter_context((folder / "reconciler.process.log").open("wb"))
        command = [sys.executable, "-m", "reconciler"]
        reconciler = subprocess.Popen(command, cwd=ROOT, env=bare(environment), stdout=log, stderr=log)
        try:
            yield Life(world, api, webhook, reconciler, folder)
        finally:
            reconciler.terminate()
            reconciler.wait(30)


def live(life: Life) -> None:
    """Go through everything that happens to a person."""
    _be_created(life)
    _be_refused(life)
    _be_changed(life)
    _be_echoed(life)
    _be_told(life)
    _meet_a_failing_database(life)
    life.rest()


def _be_created(life: Life) -> None:
    life.call("POST", "/", PERSON, 201, Idempotency_Key="first")
    life.call("POST", "/", OTHER, 202, Prefer="respond-async")
    until(lambda: life.world.contact(OTHER["email"]))
    life.rest()


def _be_refused(life: Life) -> None:
    path = f"/{PERSON['email']}"
    life.call("POST", "/", {"email": PERSON["email"], "firstname": "A", "lastname": "B"}, 409)
    life.call("PUT", path, {"email": OTHER["email"]}, 409)
    life.call("POST", "/", {**PERSON, "email": f"{WORD}@"}, 400)
    life.call("POST", "/", {**PERSON, WORD: 1}, 400)
    life.call("POST", "/", b'{"email": "' + WORD.encode(), 400)
    life.call("PUT", path, {"lifecyclestage": WORD}, 400)
    life.call("GET", f"{path}?token={SECRETS['JWT_SECRET']}", None, 400)
    assert ask(life.api.port, "GET", path).status == 401
    assert ask(life.api.port, "GET", "/get-token/admin", X_Issuer_Key=SECRETS["TOKEN_ISSUER_KEY"]).status == 200
    assert ask(life.api.port, "GET", "/get-token/admin", X_Issuer_Key=WORD).status == 401


def _be_changed(life: Life) -> None:
    life.call("PUT", f"/{PERSON['email']}", {"company": "CanaryQ7xCompany 2"}, 200, Idempotency_Key="change")
    life.world.sql("update customer set company = 'CanaryQ7xCompany 3' where email = %s", PERSON["email"])
    until(lambda: (life.world.contact(PERSON["email"]) or {}).get("company") == "CanaryQ7xCompany 3")
    contact = life.world.portal.contact(PERSON["email"])
    assert contact is not None
    life.world.portal.edit(contact.id, {"lastname": "CanaryQ7xLater"})
    until(lambda: (life.world.customer(PERSON["email"]) or {}).get("lastname") == "CanaryQ7xLater")
    items = [{"op": "read", "email": PERSON["email"]}, {"op": "upsert", **PERSON}, {"op": "create", **PERSON}]
    life.call("POST", "/batch", items, 207, Idempotency_Key="batch")


ECHOES: list[dict[str, Any]] = [
    {"action": "status", "status": 400, "body": ECHO_400},
    {"action": "status", "status": 400, "body": f"<html>{ECHO}"},
    *({"action": "status", "status": status, "body": ECHO} for status in (409, 429)),
]
SLOW_ECHOES: list[dict[str, Any]] = [
    *({"action": "status", "status": status, "body": ECHO} for status in (500, 403, 404, 401)),
    *({"action": action} for action in ("html200", "cut", "truncate", "empty")),
]
"""After these HubSpot is left alone for a while, or an outcome is not known for one: with HOSTILE_LIFE=all only."""


def _be_echoed(life: Life) -> None:
    """HubSpot's errors echo what was sent, and more: to the API, then to whoever reconciles."""
    for number, rule in enumerate([*ECHOES, *(SLOW_ECHOES if ALL else [])]):
        life.fault(**rule, path_contains="/contacts/batch/update")
        _change_by_call(life, f"+49 555 7777123 {number}", 200, 400, 404, 409, 500, 503)
        life.world.portal.faults.clear()
        until(lambda: _change_by_call(life, "+49 555 7777123", 200, 409, 500, 503) == b"", seconds=100)
        life.fault(**rule, path_contains="/contacts/batch/update")
        life.world.sql("update customer set company = %s where email = %s", f"CanaryQ7x {number}", OTHER["email"])
        until(lambda: not life.world.sql("select 1 from sync.dirty"))
        life.world.portal.faults.clear()


def _change_by_call(life: Life, phone: str, *expected: int) -> bytes:
    return life.call("PUT", f"/{PERSON['email']}", {"phone": phone}, *expected)


def _be_told(life: Life) -> None:
    contact = life.world.portal.contact(PERSON["email"])
    assert contact is not None
    told = event(int(contact.id), propertyName="email", propertyValue=PERSON["email"])
    assert life.deliver([told]) == 204
    assert life.deliver([told], secret="wrong") == 401
    assert life.deliver(orjson.dumps(PERSON)) == 204
    assert life.deliver(orjson.dumps([told])[:-1]) == 204
    assert ask(life.webhook.port, "POST", f"/{WORD}", orjson.dumps(PERSON)).status == 404


def _meet_a_failing_database(life: Life) -> None:
    """Every session of the system is ended, also while it works."""
    life.rest()
    for _ in range(3 if ALL else 1):
        with psycopg.connect(life.world.dsn, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
                "and pid <> pg_backend_pid() and pid <> %s",
                [life.world.connection.info.backend_pid],
            )
        life.call("GET", f"/{PERSON['email']}", None, 200, 503)
        assert life.deliver([event(101, propertyValue=PERSON["email"])]) in (204, 503)
        if ALL:
            life.call("PUT", f"/{PERSON['email']}", {"company": "CanaryQ7x last"}, 200, 500, 503)
    until(lambda: ask(life.api.port, "GET", "/readyz").status == 200)
