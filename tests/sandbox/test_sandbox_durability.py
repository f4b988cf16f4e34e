"""The state file: what was answered is there after a kill, and nothing else is."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from ports import free_port

from sandbox import HubSpotError, start
from sandbox.routes import OBJECTS

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def process(**settings: object) -> Iterator[tuple[subprocess.Popen[bytes], SimpleNamespace]]:
    """`python -m sandbox`, ready to answer."""
    port = free_port()
    wanted = {"port": port, "rate_per_10s": 0, **settings}
    environment = os.environ | {f"SANDBOX_{name.upper()}": str(value) for name, value in wanted.items()}
    child = subprocess.Popen([sys.executable, "-m", "sandbox"], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert b"HubSpot stand-in" in child.stdout.readline()
        yield child, SimpleNamespace(url=f"http://127.0.0.1:{port}", token="pat-sandbox-token")
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_nothing_that_was_answered_is_lost_by_a_kill(tmp_path: Path, caller) -> None:
    state, answered = str(tmp_path / "state.db"), []
    with process(state=state) as (child, sandbox):

        def write(call) -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                for number in range(10_000):
                    answered.append(call.create(email=f"{threading.get_ident()}-{number}@hubspot.com"))
                    if len(answered) == 200:
                        child.send_signal(signal.SIGKILL)

        writers = [threading.Thread(target=write, args=(caller(sandbox),)) for _ in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    assert len(answered) >= 200
    with start(state=state) as again:
        present = {str(contact.id) for contact in again.portal.contacts}
    assert set(answered) <= present
    # At most one write of each writer was stored without its answer getting through.
    assert len(present) <= len(answered) + 4


def test_a_restart_finds_everything_as_it_was(tmp_path: Path) -> None:
    state = str(tmp_path / "state.db")
    with start(state=state) as sandbox:
        portal = sandbox.portal
        one, two, three = (portal.create({"email": f"{name}@hubspot.com"}) for name in "abc")
        portal.edit(three.id, {"firstname": "Ada"}, by=portal.app)
        survivor = portal.merge(one.id, two.id)
        archived, erased = portal.create({"firstname": "x"}), portal.create({"email": "gone@hubspot.com"})
        portal.delete(archived.id)
        portal.erase(erased.id)
        before = {each.id: each for each in [*portal.contacts, portal.contact(archived.id)]}
    with start(state=state) as sandbox:
        portal = sandbox.portal
        assert {each.id: each for each in [*portal.contacts, portal.contact(archived.id)]} == before
        assert portal.contact(one.id) == survivor
        assert portal.contact("b@hubspot.com") == survivor
        with pytest.raises(HubSpotError):
            portal.create({"email": "gone@hubspot.com"})
        assert portal.create({"firstname": "new"}).id > max(before)


def test_a_refused_batch_leaves_no_trace_in_the_file(tmp_path: Path, caller) -> None:
    state = str(tmp_path / "state.db")
    with start(state=state) as sandbox:
        call = caller(sandbox)
        call.create(email="taken@hubspot.com")
        inputs = [{"properties": {"email": f"{name}@hubspot.com"}} for name in ("free", "taken")]
        assert call.batch("create", *inputs).status == 409
    with start(state=state) as sandbox:
        assert [each.email for each in sandbox.portal.contacts] == ["taken@hubspot.com"]


def test_a_reset_empties_the_file_too(tmp_path: Path) -> None:
    state = str(tmp_path / "state.db")
    with start(state=state) as sandbox:
        first = sandbox.portal.create({"email": "a@hubspot.com"})
        sandbox.portal.reset()
        assert sandbox.portal.contacts == []
        assert sandbox.portal.create({"email": "a@hubspot.com"}).id > first.id
    with start(state=state) as sandbox:
        assert len(sandbox.portal.contacts) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_process_ends_cleanly_on_a_signal(number: signal.Signals, caller) -> None:
    with process() as (child, sandbox):
        assert orjson.loads(caller(sandbox)("GET", "/sandbox/health").body) == {"status": "ok"}
        assert caller(sandbox)("GET", OBJECTS).status == 200
        child.send_signal(number)
        assert child.wait(10) == 0


def test_wrong_settings_end_the_process_with_all_problems_at_once() -> None:
    environment = os.environ | {"SANDBOX_PORT": "x", "SANDBOX_FAIL_429": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "sandbox"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "SANDBOX_PORT" in done.stderr
    assert "SANDBOX_FAIL_429" in done.stderr


def test_a_taken_port_ends_the_process() -> None:
    with start() as sandbox:
        environment = os.environ | {"SANDBOX_PORT": sandbox.url.rpartition(":")[2]}
        done = subprocess.run(
            [sys.executable, "-m", "sandbox"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.returncode == 2
    assert "cannot listen" in done.stderr
