"""The page in a browser: contacts are shown as text, any property is shown and edited by its type."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import Sandbox, start

SEEDS = [
    {"name": "remark", "field_type": "textarea"},
    {"name": "points", "type": "number"},
    {"name": "vip", "type": "bool"},
    {"name": "born", "type": "date"},
    {"name": "met", "type": "datetime"},
    {"name": "tier", "type": "enumeration", "options": ["gold", "silver"]},
    {"name": "topics", "type": "enumeration", "field_type": "checkbox", "options": ["a", "b", "c"]},
    {"name": "rank", "type": "number", "calculated": True},
]
VALUES = {
    "remark": "two\nlines",
    "points": "1.50",
    "vip": "true",
    "born": "2024-02-29",
    "met": "2024-02-29T00:30:00Z",
    "tier": "gold",
    "topics": "a;c",
}


# The browser reads from 3 and writes to 4.
_ON_3_AND_4 = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(each), fcntl.F_DUPFD_CLOEXEC, 10) for each in sys.argv[1:3]]
os.dup2(pipes[0], 3)
os.dup2(pipes[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A headless Chromium that is told what to do through a pair of pipes."""

    def __init__(self, program: str, folder: Path) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command = [program, *options, f"--user-data-dir={folder}", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _ON_3_AND_4, str(commands), str(answers), *command],
            pass_fds=(commands, answers),
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._read = os.fdopen(self._answers, "rb")
        self._session: dict[str, str] = {}
        self._number = 0

    def open(self, url: str) -> None:
        target = self.tell("Target.createTarget", url=url)["targetId"]
        session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = {"sessionId": session}

    def run(self, script: str) -> Any:
        answer = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def tell(self, method: str, **params: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _receive(self) -> Any:
        read = b""
        while (byte := self._read.read(1)) != b"\0":
            assert byte, "the browser is gone"
            read += byte
        return json.loads(read)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._read.close()
        os.close(self._commands)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium on PATH")
    running = Browser(program, tmp_path_factory.mktemp("browser"))
    yield running
    running.close()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with start(custom_properties=SEEDS) as running:
        yield running


@pytest.fixture
def record(browser: Browser, sandbox: Sandbox, eventually: Callable[..., Any]) -> str:
    """The id of a contact whose properties the browser shows."""
    contact = str(sandbox.portal.create({"firstname": "Ada", **VALUES}).id)
    browser.open(f"{sandbox.url}/#{contact}")
    eventually(lambda: browser.run(control("tier", "one && one.value")) == "gold")
    return contact


def control(name: str, script: str) -> str:
    return f"((one) => {script})(document.querySelector('#fields [name={name}]'))"


def test_contacts_are_shown_as_text(browser: Browser, sandbox: Sandbox, eventually) -> None:
    sandbox.portal.create({"firstname": "<img src=x onerror=alert(1)>"})
    browser.open(sandbox.url)
    cells = "document.getElementById('contacts')"
    shown = eventually(lambda: browser.run(f"{cells} && {cells}.innerHTML"))
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "<img" not in shown


def test_every_property_is_shown_by_its_type(browser: Browser, sandbox: Sandbox, record: str) -> None:
    shown = browser.run("[...document.querySelectorAll('#fields [name]')].map((one) => one.name)")
    assert sorted(shown) == sorted(prop.name for prop in sandbox.portal.schema.listed())
    assert set(shown[: len(SEEDS)]) == {seed["name"] for seed in SEEDS}
    values = {name: browser.run(control(name, "written(one)")) for name in VALUES}
    assert values == VALUES
    kinds = {seed["name"]: browser.run(control(seed["name"], "one.type")) for seed in SEEDS}
    assert kinds == {
        "remark": "textarea",
        "points": "number",
        "vip": "select-one",
        "born": "date",
        "met": "text",
        "tier": "select-one",
        "topics": "select-multiple",
        "rank": "number",
    }
    assert browser.run(control("tier", "[...one.options].map((each) => each.value)")) == ["", "gold", "silver"]
    disabled = [browser.run(control(name, "one.disabled")) for name in ("rank", "createdate", "tier")]
    assert disabled == [True, True, False]
    assert browser.run(control("createdate", "one.value")).endswith("Z")


@pytest.mark.parametrize(
    ("name", "edit", "stored"),
    [
        ("remark", "one.focus(); one.value = 'new'; one.blur()", "new"),
        ("points", "one.focus(); one.value = '1e3'; one.blur()", "1e3"),
        ("born", "one.focus(); one.value = '2024-03-01'; one.blur()", "2024-03-01"),
        ("met", "one.focus(); one.value = '2024-03-01T00:00+01:00'; one.blur()", "2024-02-29T23:00:00Z"),
        ("vip", "one.value = 'false'; one.dispatchEvent(new Event('change'))", "false"),
        ("tier", "one.value = ''; one.dispatchEvent(new Event('change'))", ""),
        ("topics", "one.options[1].selected = true; one.dispatchEvent(new Event('change'))", "a;b;c"),
    ],
)
def test_any_property_is_edited(
    browser: Browser, sandbox: Sandbox, record: str, eventually, name: str, edit: str, stored: str
) -> None:
    browser.run(control(name, f"{{ {edit} }}"))
    eventually(lambda: sandbox.portal.contact(record).get(name) == stored)
    eventually(lambda: browser.run(control(name, "one.dataset.stored")) == stored)
    assert browser.run(control(name, "written(one)")) == stored


def test_what_hubspot_refuses_is_told_and_left_to_be_corrected(
    browser: Browser, sandbox: Sandbox, record: str, eventually
) -> None:
    browser.run(control("met", "{ one.focus(); one.value = 'soon'; one.blur() }"))
    eventually(lambda: "INVALID_LONG" in browser.run("document.getElementById('notice').textContent"))
    browser.run("refresh()")
    assert browser.run(control("met", "[one.value, one.getAttribute('aria-invalid')]")) == ["soon", "true"]
    assert sandbox.portal.contact(record).get("met") == VALUES["met"]


def test_the_open_record_follows_what_happens_elsewhere(
    browser: Browser, sandbox: Sandbox, record: str, eventually
) -> None:
    sandbox.portal.schema.set_options("tier", ["silver"])
    sandbox.portal.edit(record, {"points": "7"})
    eventually(lambda: browser.run(control("points", "one.value")) == "7")
    assert browser.run(control("tier", "[one.value, one.options.length]")) == ["gold", 3]
    sandbox.portal.erase(record)
    eventually(lambda: browser.run("document.getElementById('record').hidden"))
