"""What a planted fault is: a rule of the design, broken in one place."""

import re
from dataclasses import dataclass
from pathlib import Path

BETWEEN = r"(?:\s|--[^\n]*\n)*"
"""What may stand between two tokens of SQL."""


@dataclass(frozen=True, slots=True)
class Edit:
    """`text` stands exactly once in `file`, or in all the files of that pattern; `instead` takes its place.

    Of SQL the layout does not count.
    """

    file: str
    text: str
    instead: str

    def made_in(self, tree: Path) -> tuple[Path, str]:
        """Return the file in a tree and its new text; raise LookupError if the old text does not stand there once."""
        found = [(path, each) for path in tree.glob(self.file) for each in self._pattern.finditer(path.read_text())]
        if len(found) != 1:
            raise LookupError(f"its text is {len(found)} times in {self.file}, not once: {self.text}")
        path, match = found[0]
        text = path.read_text()
        return path, text[: match.start()] + self.instead + text[match.end() :]

    @property
    def _pattern(self) -> re.Pattern[str]:
        if not self.file.endswith(".sql"):
            return re.compile(re.escape(self.text))
        return re.compile(BETWEEN.join(map(re.escape, re.findall(r"\w+|\S", self.text))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A broken rule. `tests` are the directed ones; `is_simulated`: the simulation runs on what is broken."""

    name: str
    rule: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...] = ()
    is_simulated: bool = True

    @property
    def files(self) -> str:
        return ", ".join(sorted({edit.file for edit in self.edits}))


def simulated(name: str, rule: str, *edits: Edit, tests: tuple[str, ...] = ()) -> Fault:
    """A fault in what the simulation runs on: the core, the use cases, the store in memory."""
    return Fault(name=name, rule=rule, edits=edits, tests=tests)


def real(name: str, rule: str, *edits: Edit, tests: tuple[str, ...]) -> Fault:
    """A fault in the adapters, the statements or the schema: only tests with a real Postgres can see it."""
    return Fault(name=name, rule=rule, edits=edits, tests=tests, is_simulated=False)
