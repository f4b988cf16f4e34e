"""Breaks one rule of the design at a time, in a copy of the tree, and runs what should notice.

First the simulation's seeds, then the tests named for the fault, until one catches it. A fault that nothing catches,
or whose text is not to be found any more, is an error: a suite that catches nothing proves nothing.

    python tests/long/planted/plant.py                  all of them
    python tests/long/planted/plant.py "wholesale"      those with this in their name
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import absence
import bases
import beings
import calls
import claims
import late
import people
import tables
import values
import ways
from fault import Fault

ROOT = Path(__file__).parents[3]
FAULTS: tuple[Fault, ...] = (
    *values.VALUES,
    *ways.WAYS,
    *tables.TABLES,
    *calls.CALLS,
    *beings.BEINGS,
    *calls.FINDING,
    *claims.CLAIMS,
    *late.LATE,
    *bases.BASES,
    *people.PEOPLE,
    *absence.AROUND,
)
LEFT_BEHIND = shutil.ignore_patterns(".*", "__pycache__", "node_modules")
SEEDS = int(os.environ.get("PLANTED_SEEDS", "600"))
LONGEST = 120.0
"""Seconds for which a suite may run; one that does not end has noticed something, too."""

BROKEN = re.compile(r"\b((Name|Import|Syntax|Attribute|Key|UnboundLocal)Error|UndefinedColumn)\b")
"""What a fault shows that was planted badly: it breaks the code and not a rule."""


class Unplantable(Exception):
    """The fault's text is not there exactly once, or it does not run."""


@dataclass(frozen=True, slots=True)
class Caught:
    """Who noticed, and in how many seconds; nobody: the fault survives."""

    fault: Fault
    by: str | None
    seconds: float
    problem: str = ""


class Suite:
    """A copy of the tree, and the suites that run on it or on copies with a fault."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self._folder, self._dsn = folder, dsn
        self._sound = folder / "sound"
        self._known: list[str] = []
        shutil.copytree(ROOT, self._sound, ignore=LEFT_BEHIND)

    def catch(self, fault: Fault) -> Caught:
        """Plant the fault and find out who notices."""
        started = time.monotonic()
        try:
            by, problem = self._planted(fault)
        except Unplantable as error:
            by, problem = None, str(error)
        return Caught(fault, by, time.monotonic() - started, problem)

    def _planted(self, fault: Fault) -> tuple[str | None, str]:
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            tree = Path(name) / "tree"
            shutil.copytree(self._sound, tree)
            plant(fault, tree)
            by, problem = self._simulate(tree) if fault.is_simulated else (None, "")
            if by is None and fault.tests:
                by, problem = self._test(tree, fault.tests)
        if BROKEN.search(problem):
            raise Unplantable(f"it breaks the code and no rule: {problem}")
        return by, problem

    def check(self) -> list[str]:
        """Return the seeds that have problems without any fault; they can show none."""
        said = self._seeds(self._sound, "all")
        if said is None:
            raise Unplantable("without any fault the simulation does not end")
        self._known = re.findall(r"^seed (\d+)", said, re.MULTILINE)
        return said.splitlines()

    def _simulate(self, tree: Path) -> tuple[str | None, str]:
        said = self._seeds(tree, "first")
        if said is None:
            return "the simulation does not end", ""
        by, _, problem = said.partition("\t")
        return (by or None), problem.strip()

    def _seeds(self, tree: Path, wanted: str) -> str | None:
        said = self._run(tree, "tests/long/planted/seeds.py", str(SEEDS), wanted, *self._known)
        if said is not None and said.returncode:
            raise Unplantable(said.stderr)
        return None if said is None else said.stdout

    def _test(self, tree: Path, tests: Sequence[str]) -> tuple[str | None, str]:
        """Run the directed tests; one that fails without the fault has noticed nothing."""
        ignored: list[str] = []
        while True:
            skipped = [f"--deselect={each}" for each in ignored]
            said = self._run(tree, "-m", "pytest", "-x", "-p", "no:cacheprovider", *tests, *skipped)
            if said is None:
                return "the tests do not end", ""
            if said.returncode == 0 and ignored:
                raise Unplantable(f"fails without the fault, too: {', '.join(ignored)}")
            if said.returncode == 0:
                return None, ""
            failed = re.search(r"^FAILED (\S+?(?:\[.*?\])?)(?= - |$)", said.stdout, re.MULTILINE)
            if said.returncode != 1 or failed is None:
                raise Unplantable(said.stdout[-2000:] + said.stderr[-2000:])
            name = failed[1]
            if self._passes_without(name):
                return name.split("::")[-1], _reason(said.stdout)
            ignored.append(name)

    def _passes_without(self, test: str) -> bool:
        said = self._run(self._sound, "-m", "pytest", "-p", "no:cacheprovider", test)
        return said is not None and said.returncode == 0

    def _run(self, tree: Path, *arguments: str) -> subprocess.CompletedProcess[str] | None:
        environment = {**os.environ, "DATABASE_URL": self._dsn, "PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"}
        command = [sys.executable, "-B", *arguments]
        try:
            return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=LONGEST)
        except subprocess.TimeoutExpired:
            return None


def plant(fault: Fault, tree: Path) -> None:
    """Put the fault into a tree."""
    for edit in fault.edits:
        try:
            file, text = edit.made_in(tree)
        except LookupError as error:
            raise Unplantable(str(error)) from error
        file.write_text(text)


def _reason(said: str) -> str:
    errors = [line for line in said.splitlines() if line.startswith("E  ")]
    return " ".join(errors[0][1:].split()) if errors else ""


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """The server that DATABASE_URL names, or an embedded one."""
    if url := os.environ.get("DATABASE_URL"):
        yield url
        return
    sys.path.insert(0, str(ROOT))
    from dev.embedded import running

    with running(folder, durable=False) as dsn:
        yield dsn


def table(rows: Sequence[Caught]) -> Iterator[str]:
    """The results as Markdown."""
    yield "| name | rule | planted in | caught by | after |"
    yield "| --- | --- | --- | --- | --- |"
    for row in rows:
        by = row.by or "**nothing**"
        yield f"| {row.fault.name} | {row.fault.rule} | {row.fault.files} | {by} | {row.seconds:.0f} s |"


def main() -> int:
    """Plant what was asked for; 1 if a fault survives, or a seed has a problem without any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[""], metavar="name", help="a part of a fault's name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--table", type=Path, help="write the results to this file as Markdown")
    asked = parser.parse_args()
    faults = [fault for fault in FAULTS if any(name in fault.name for name in asked.names)]
    if not faults:
        parser.error(f"no fault has one of {asked.names} in its name")
    with tempfile.TemporaryDirectory() as name, database(Path(name) / "postgres") as dsn:
        suite = Suite(Path(name), dsn)
        unsound = suite.check() if any(fault.is_simulated for fault in faults) else []
        for problem in unsound:
            print(f"without any fault, {problem}", file=sys.stderr)
        rows = plant_all(suite, faults, asked.jobs)
    if asked.table:
        asked.table.write_text("\n".join(table(rows)) + "\n")
    survivors = [row for row in rows if row.by is None]
    print(f"{len(rows)} planted, {len(survivors)} survived")
    return 1 if survivors or unsound else 0


def plant_all(suite: Suite, faults: Sequence[Fault], jobs: int) -> list[Caught]:
    """Plant each fault by itself, some at a time; print each result as it comes."""
    rows = []
    with ThreadPoolExecutor(jobs) as pool:
        for row in pool.map(suite.catch, faults):
            print(f"{row.seconds:5.0f} s  {row.fault.name}: {row.by or 'SURVIVES'}  [{row.fault.rule}]", flush=True)
            if row.problem and (row.by is None or os.environ.get("PLANTED_WHY")):
                print(f"         {row.problem}", flush=True)
            rows.append(row)
    return rows


if __name__ == "__main__":
    sys.exit(main())
