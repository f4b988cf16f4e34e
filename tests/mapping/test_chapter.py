"""docs/mapping.md: its commands, run in order, print what the chapter says."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_adoption import HERE

from sandbox.running import start

ROOT = HERE.parents[1]
CHAPTER = ROOT / "docs" / "mapping.md"

BLOCK = re.compile(r"^```(console|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\w+\.toml)\n")
STEP = re.compile(r"^\$ (.*(?:\n> .*)*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
LOOK = re.compile(r"^shown |select |reconciler audit")
"""Commands that only read: what they show may come a little later."""

CHANGING = (
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "DAY"),
    (re.compile(r"\b\d{12}\b"), "ID"),
)

DEADLINE = 45.0
"""Seconds for a command to end, and for a look to show what it is to show."""

ENDED = "-- ended --"


def steps() -> Iterator[tuple[str, str]]:
    """Go through the chapter: files by name with their text, and commands, after "$ ", with what they print."""
    for kind, text in BLOCK.findall(CHAPTER.read_text("utf-8")):
        if kind == "console":
            for command, printed in STEP.findall(text):
                yield "$ " + command.replace("\n> ", "\n"), printed
        elif named := FILE.match(text):
            yield named[1], text


class Shell:
    """One shell for all commands, so that functions and jobs of one are there for the next."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, command: str) -> str:
        """Run a command; return what a person at it would see."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\necho '{ENDED}'\n")
        self._process.stdin.flush()
        lines = iter(self._process.stdout.readline, "")
        printed = []
        for line in lines:
            if line == ENDED + "\n":
                return "".join(printed)
            printed.append(line)
        raise AssertionError(f"the shell ended at: {command}")

    def show(self, command: str, wanted: str) -> str:
        """Run a command; where it only reads, until it prints what is wanted."""
        end = time.monotonic() + DEADLINE
        while True:
            printed = self.run(command)
            if masked(printed) == masked(wanted) or not LOOK.search(command) or time.monotonic() > end:
                return printed
            time.sleep(0.5)


@contextmanager
def shell(folder: Path, **environment: str) -> Iterator[Shell]:
    """A shell in a folder that ends with all that it started."""
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield Shell(process)
        finally:
            assert process.stdin is not None
            process.stdin.write("kill $(jobs -p) 2> /dev/null; wait; exit\n")
            process.stdin.close()


def masked(text: str) -> str:
    """Return a text without what is another one each time: ids, uuids, times."""
    for pattern, name in CHANGING:
        text = pattern.sub(name, text)
    return text


@pytest.mark.skipif(not all(map(shutil.which, ("bash", "psql", "curl"))), reason="needs bash, psql and curl")
@pytest.mark.trial
def test_the_chapter_shows_what_the_commands_print(empty: str, tmp_path: Path) -> None:
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    with (
        start() as sandbox,
        shell(
            tmp_path,
            PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            PYTHONPATH=str(ROOT),
            DATABASE_URL=empty,
            MAPPING_FILE="pagila.toml",
            HUBSPOT_BASE_URL=sandbox.url,
            HUBSPOT_ACCESS_TOKEN=sandbox.token,
            POLL_INTERVAL="1",
            LOG_FORMAT="console",
            LOG_LEVEL="warning",
        ) as reader,
    ):
        for what, text in steps():
            if what.startswith("$ "):
                assert masked(reader.show(what[2:], text)) == masked(text), what
            else:
                (tmp_path / what).write_text(text)
