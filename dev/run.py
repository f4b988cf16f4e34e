"""Everything at once, with no account: embedded Postgres, the local HubSpot, API, webhook receiver and reconciler.

Each part is the process that production runs. What the environment sets is kept: DATABASE_URL uses that Postgres,
HUBSPOT_ACCESS_TOKEN that HubSpot account instead of the local one.
"""

import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dev.embedded import CannotStart, running
from reconciler.process.wsgi import end_with_parent

FOLDER = Path(".dev")
START_DEADLINE = 60.0
STOP_DEADLINE = 15.0

SEEDS = (
    {"email": "ada@example.com", "firstname": "Ada", "lastname": "Lovelace", "company": "Analytical Engines"},
    {"email": "grace@example.com", "firstname": "Grace", "lastname": "Hopper", "phone": "(555) 555-0109"},
    {"email": "kai@example.com", "firstname": "Kai", "lastname": "Doe", "lifecyclestage": "customer"},
    {"email": "uwe@example.com", "firstname": "Uwe", "lastname": "Krueger", "company": "Tier"},
    {"email": "christa@example.com", "firstname": "Christa", "website": "https://example.com/"},
)


INTRODUCTION = """
  API       {api}    (documentation: {api}/docs)
  webhook   {webhook}
  HubSpot   {hubspot}
  Postgres  psql {database}

  admin token, valid for one hour:
  {token}
{trial}
  The commands of an operator, in another terminal:

  set -a; . {folder}/environment; set +a
  {python} -m reconciler status

  Ctrl-C stops everything; what is stored stays in {folder}/.
"""

TRIAL = """
  Try, in another terminal:

  export TOKEN={token} JSON='Content-Type: application/json'
  curl -s {api}/kai@example.com -H "Authorization: Bearer $TOKEN"
  curl -s {api}/ -H "Authorization: Bearer $TOKEN" -H "$JSON" \\
    -d '{{"email":"you@example.com","firstname":"You","lastname":"There"}}'
  curl -s -i -X PUT {api}/you@example.com -H "Authorization: Bearer $TOKEN" -H "$JSON" -d '{{"company":"Acme"}}'
"""

OPERATING = ("DATABASE_URL", "HUBSPOT_ACCESS_TOKEN", "HUBSPOT_BASE_URL", "TOMBSTONE_FILE", "LOG_FORMAT")
"""What the commands of an operator need to know."""


class DevError(Exception):
    """The development system could not be started."""


class Dev:
    """Starts the processes, says where they are, and ends them all when one ends or a person says so."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._environment = {**os.environ, **_secrets()}
        self._is_local = "HUBSPOT_ACCESS_TOKEN" not in os.environ
        # A database belongs to one account: a real one gets its own.
        self._folder = FOLDER if self._is_local else FOLDER / "account"
        self._ports = _ports(self._environment, is_local=self._is_local)

    def run(self) -> int:
        """Run until Ctrl-C; return the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stopped.set())
        with ExitStack() as stack:
            self._database(stack)
            self._settle()
            for port in self._ports.values():
                _require_free(port)
            self._note_environment()
            self._command("reconciler", "db", "init")
            children = self._start(stack)
            self._introduce()
            while not self._stopped.wait(0.2):
                for name, child in children.items():
                    if child.poll() is not None:
                        print(f"{name} ended with {child.returncode}; stopping", file=sys.stderr)
                        return 1
        return 0

    def _database(self, stack: ExitStack) -> None:
        if "DATABASE_URL" not in self._environment:
            try:
                self._environment["DATABASE_URL"] = stack.enter_context(running(self._folder / "postgres"))
            except CannotStart as error:
                raise DevError(str(error)) from error

    def _settle(self) -> None:
        """Fill in what the environment leaves open."""
        own, ports = self._environment, self._ports
        defaults = {
            "LOG_FORMAT": "console",
            "OPEN_TOKEN_ISSUER": "true",
            "POLL_INTERVAL": "5",
            "SWEEP_INTERVAL": "300",
            "HUBSPOT_WEBHOOK_URL": f"http://127.0.0.1:{ports['webhook']}/",
            "TOMBSTONE_FILE": str((self._folder / "tombstones.jsonl").resolve()),
        }
        if self._is_local:
            defaults["HUBSPOT_BASE_URL"] = f"http://127.0.0.1:{ports['sandbox']}"
            own["HUBSPOT_ACCESS_TOKEN"] = own["SANDBOX_ACCESS_TOKEN"]
            own["HUBSPOT_CLIENT_SECRET"] = own["SANDBOX_CLIENT_SECRET"]
            own["SANDBOX_WEBHOOK_URL"] = own.get("HUBSPOT_WEBHOOK_URL", defaults["HUBSPOT_WEBHOOK_URL"])
            own["SANDBOX_STATE"] = str((self._folder / "hubspot.sqlite").resolve())
        for name, value in defaults.items():
            own.setdefault(name, value)

    def _note_environment(self) -> None:
        """Keep what the commands of an operator need to know, for a shell to read."""
        path, own = self._folder / "environment", self._environment
        path.touch(mode=0o600)
        path.write_text("".join(f"{name}={shlex.quote(own[name])}\n" for name in OPERATING if name in own))

    def _start(self, stack: ExitStack) -> dict[str, "subprocess.Popen[bytes]"]:
        children = {name: stack.enter_context(self._child(name)) for name in ("sandbox",) if self._is_local}
        if self._is_local:
            self._wait("sandbox", children)
            self._seed()
        has_webhook = self._has_webhook()
        for name in ("reconciler", *(["webhook"] if has_webhook else []), "api"):
            children[name] = stack.enter_context(self._child(name))
        for name in ("api", *(["webhook"] if has_webhook else [])):
            self._wait(name, children)
        return children

    def _has_webhook(self) -> bool:
        return bool(self._environment.get("HUBSPOT_CLIENT_SECRET"))

    @contextmanager
    def _child(self, name: str) -> Iterator["subprocess.Popen[bytes]"]:
        # A session of its own: Ctrl-C is for us, we end the children in order.
        child = subprocess.Popen(
            [sys.executable, "-m", name], env=self._environment, start_new_session=True, preexec_fn=end_with_parent
        )
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _command(self, *arguments: str) -> None:
        done = subprocess.run([sys.executable, "-m", *arguments], env=self._environment)
        if done.returncode != 0:
            raise DevError(f"python -m {' '.join(arguments)} failed")

    def _wait(self, name: str, children: Mapping[str, "subprocess.Popen[bytes]"]) -> None:
        deadline, port = time.monotonic() + START_DEADLINE, self._ports[name]
        while time.monotonic() < deadline and not self._stopped.is_set():
            if (code := children[name].poll()) is not None:
                raise DevError(f"{name} ended with {code}")
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        if not self._stopped.is_set():
            raise DevError(f"nothing answers on port {port}")

    def _seed(self) -> None:
        """Give a new local HubSpot some contacts, as a person would."""
        url = f"http://127.0.0.1:{self._ports['sandbox']}/sandbox/contacts"
        if _call("GET", f"{url}?limit=1")["contacts"]:
            return
        for seed in SEEDS:
            _call("POST", url, {"properties": seed})

    def _introduce(self) -> None:
        if self._stopped.is_set():
            return
        ports = self._ports
        api = f"http://127.0.0.1:{ports['api']}"
        token = _call("GET", f"{api}/get-token/admin")["token"]
        hubspot = str(self._environment.get("HUBSPOT_BASE_URL", "https://api.hubapi.com"))
        if self._is_local:
            hubspot += "    (a local stand-in: open it, edit contacts, turn on faults)"
        webhook = f"http://127.0.0.1:{ports['webhook']}/"
        shown = {"api": api, "token": token, "hubspot": hubspot, "folder": self._folder, "python": sys.executable}
        shown["webhook"] = webhook if self._has_webhook() else "not running: HUBSPOT_CLIENT_SECRET is not set"
        # One that was given may carry a password; the person who gave it knows it.
        shown["database"] = (
            '"$DATABASE_URL"' if "DATABASE_URL" in os.environ else f"'{self._environment['DATABASE_URL']}'"
        )
        trial = TRIAL.format(api=api, token=token) if self._is_local else ""
        print(INTRODUCTION.format(**shown, trial=trial), flush=True)


def _ports(environment: Mapping[str, str], *, is_local: bool) -> dict[str, int]:
    wanted = {"API_PORT": 8080, "WEBHOOK_PORT": 8081, **({"SANDBOX_PORT": 8090} if is_local else {})}
    ports: dict[str, int] = {}
    for name, usual in wanted.items():
        given = environment.get(name) or str(usual)
        if not given.isdecimal() or not 0 < int(given) < 65536 or int(given) in ports.values():
            raise DevError(f"{name}={given} is no port, or another one's")
        ports[name.removesuffix("_PORT").lower()] = int(given)
    return ports


def _secrets() -> dict[str, str]:
    """Return this folder's own secrets, made at first use."""
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    (FOLDER / "account").mkdir(exist_ok=True)
    path = FOLDER / "secrets.json"
    if not path.exists():
        names = ("JWT_SECRET", "SANDBOX_ACCESS_TOKEN", "SANDBOX_CLIENT_SECRET")
        path.touch(mode=0o600)
        path.write_text(json.dumps({name: secrets.token_hex(24) for name in names}))
    known: dict[str, str] = json.loads(path.read_text())
    return {name: value for name, value in known.items() if name not in os.environ}


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DevError(f"port {port} is in use; set API_PORT, WEBHOOK_PORT or SANDBOX_PORT") from error


def _call(method: str, url: str, body: object = None) -> dict[str, str]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, str] = json.load(answer)
        return found
