"""`python -m reconciler dev` as a person runs it: every direction, a kill in the middle of writes, a clean end."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ports import free_port
from world import until

ROOT = Path(__file__).parents[2]
SLOW_START = 60.0
HEALED = 60.0
"""Seconds after which a claim that was lost has been made again, whatever happened: a lease is 45."""


class Running:
    """A development system that runs."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self.api = f"http://127.0.0.1:{ports['API_PORT']}"
        self.hubspot = f"http://127.0.0.1:{ports['SANDBOX_PORT']}"
        environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL",)}
        environment.update({name: str(port) for name, port in ports.items()}, PYTHONPATH=str(ROOT), POLL_INTERVAL="1")
        self._output = folder / "output"
        with self._output.open("w") as output:
            command = [sys.executable, "-m", "reconciler", "dev"]
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        said = until(self._introduction, seconds=SLOW_START)
        self.token = re.search(r"export TOKEN=(\S+)", said)[1]  # type: ignore[index]
        self.dsn = re.search(r"psql '(.+)'", said)[1]  # type: ignore[index]

    def _introduction(self) -> str:
        said = self._output.read_text()
        assert self.process.poll() is None, said
        return said if "Ctrl-C stops everything" in said else ""

    def call(self, method: str, url: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, data, headers, method=method), timeout=30
            ) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, None

    def customer(self, email: str) -> Any:
        return self.call("GET", f"{self.api}/{email}")[1]

    def contacts(self) -> dict[str, Any]:
        found = self.call("GET", f"{self.hubspot}/sandbox/contacts?limit=100000")[1]["contacts"]
        return {contact["properties"]["email"]: contact for contact in found}

    def sql(self, statement: str) -> list[Any]:
        with psycopg.connect(self.dsn) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def is_quiet(self) -> bool:
        return self.sql("select (select count(*) from sync.mark) + (select count(*) from sync.intent)")[0][0] == 0

    def differences(self) -> list[Any]:
        """Every address whose two sides differ."""
        names = ("email", "firstname", "lastname", "phone", "company", "website", "lifecyclestage")
        rows = self.sql(f"select {', '.join(names)} from customer where deletedat is null")
        here = {row[0]: dict(zip(names, row, strict=True)) for row in rows}
        there = {
            email: {name: contact["properties"].get(name) or None for name in names}
            for email, contact in self.contacts().items()
        }
        return [(e, here.get(e), there.get(e)) for e in here.keys() | there.keys() if here.get(e) != there.get(e)]

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Running]]:
    """Start the system in one folder, again and again; whatever still runs at the end is ended."""
    started: list[Running] = []
    ports = {name: free_port() for name in ("API_PORT", "WEBHOOK_PORT", "SANDBOX_PORT")}

    def begin() -> Running:
        started.append(Running(tmp_path, ports))
        return started[-1]

    yield begin
    for running in started:
        if running.process.poll() is None:
            running.end(signal.SIGTERM)


@contextmanager
def muted_webhooks(dev: Running) -> Iterator[None]:
    dev.call("PATCH", f"{dev.hubspot}/sandbox/settings", {"webhook_mute": True})
    yield
    dev.call("PATCH", f"{dev.hubspot}/sandbox/settings", {"webhook_mute": False})


def test_every_direction_works_and_a_repetition_of_all_events_writes_nothing(start: Callable[[], Running]) -> None:
    dev = start()
    until(lambda: dev.customer("kai@example.com"))
    assert dev.call("POST", f"{dev.api}/", {"email": "you@example.com", "firstname": "You", "lastname": "T"})[0] == 201
    contact = dev.contacts()["you@example.com"]
    dev.call("PATCH", f"{dev.hubspot}/sandbox/contacts/{contact['id']}", {"properties": {"company": "by webhook"}})
    until(lambda: dev.customer("you@example.com")["company"] == "by webhook")
    with muted_webhooks(dev):
        dev.call("PATCH", f"{dev.hubspot}/sandbox/contacts/{contact['id']}", {"properties": {"company": "by poll"}})
        until(lambda: dev.customer("you@example.com")["company"] == "by poll")
    dev.sql("update customer set phone = '+1 555' where email = 'you@example.com'")
    until(lambda: dev.contacts()["you@example.com"]["properties"].get("phone") == "+1 555")
    until(dev.is_quiet, seconds=HEALED)
    assert dev.differences() == []
    rows = dev.sql("select xmin::text, * from customer order by uuid")
    contacts = dev.contacts()
    dev.call("POST", f"{dev.hubspot}/sandbox/events/redeliver")
    until(lambda: dev.call("GET", f"{dev.hubspot}/sandbox/health")[1])
    until(dev.is_quiet, seconds=HEALED)
    assert dev.sql("select xmin::text, * from customer order by uuid") == rows
    assert dev.contacts() == contacts
    assert dev.end(signal.SIGINT) == 0


def test_a_system_killed_in_the_middle_of_writes_ends_equal_when_it_is_started_again(
    start: Callable[[], Running],
) -> None:
    dev = start()
    until(lambda: dev.customer("kai@example.com"))
    acknowledged: list[str] = []
    stop = threading.Event()

    def write(thread: int) -> None:
        for n in range(10_000):
            email = f"w{thread}-{n}@example.com"
            try:
                status, _ = dev.call("POST", f"{dev.api}/", {"email": email, "firstname": "W", "lastname": str(n)})
            except OSError:
                return
            if status == 201:
                acknowledged.append(email)
            if stop.is_set():
                return

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    until(lambda: len(acknowledged) > 60)
    dev.process.kill()
    stop.set()
    for writer in writers:
        writer.join()
    dev.process.wait(10)
    again = start()
    # What the killed processes held ends by itself after 45 s; the test does not wait for that.
    again.sql("update sync.intent set deadline = now()")
    # In the order in which the sync locks, which is at work already.
    links = "select uuid from sync.link order by uuid for update"
    again.sql(f"update sync.link set lease_until = null where uuid in ({links})")
    marks = "select subject from sync.mark order by subject for update"
    again.sql(f"update sync.mark set due = now() where subject in ({marks})")
    until(again.is_quiet, seconds=90)
    assert again.differences() == []
    assert set(acknowledged) <= again.contacts().keys()
    assert again.end(signal.SIGINT) == 0


def test_an_operators_commands_find_what_they_need_in_the_folder(start: Callable[[], Running], tmp_path: Path) -> None:
    dev = start()
    until(lambda: dev.customer("kai@example.com"))
    audit = f"set -a; . .dev/environment; set +a; {sys.executable} -m reconciler audit"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(["sh", "-c", audit], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / ".dev" / "environment").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("port", ["abc", "99999", "0", "8081"])
def test_a_port_that_is_none_is_refused_in_a_sentence(tmp_path: Path, port: str) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "WEBHOOK_PORT": "8081", "API_PORT": port}
    command = [sys.executable, "-m", "reconciler", "dev"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert "is no port" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_stand_in_sends_nothing_to_another_machine(tmp_path: Path) -> None:
    ports = {name: str(free_port()) for name in ("API_PORT", "WEBHOOK_PORT", "SANDBOX_PORT")}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **ports}
    environment["HUBSPOT_WEBHOOK_URL"] = "https://hooks.example.com/"
    command = [sys.executable, "-m", "reconciler", "dev"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert "SANDBOX_WEBHOOK_URL: " in ran.stderr
    assert "sandbox ended" in ran.stderr


def test_a_clean_end_leaves_nothing_running(start: Callable[[], Running]) -> None:
    dev = start()
    family = _descendants(dev.process.pid)
    assert len(family) > 4
    assert dev.end(signal.SIGINT) == 0
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))


def _descendants(pid: int) -> list[int]:
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *_descendants(int(child))]
    return found
