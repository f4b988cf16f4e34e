"""What a planted fault is: a rule of the design, broken in one place."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BETWEEN = r"(?:\s|--[^\n]*\n)*"
"""What may stand between two tokens of SQL."""

STATEMENTS = re.compile(r"^-- (\w+): (?:(?!^-- \w+: )[\s\S])*", re.MULTILINE)
"""The statements of an adapter, each with its name."""

DEFINITIONS = re.compile(
    r"^create (?:or replace )?(?:function|trigger|view|table|(?:unique )?index) (?:if not exists )?(?:sync\.)?(\w+)"
    r"(?:(?!^(?:create|alter|do|insert|drop|select|grant|revoke) )[\s\S])*",
    re.MULTILINE,
)
"""What schema.sql creates, each with its name."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Of a function, method or statement (`of`) in `file`, or in all the files of that pattern, `text` is replaced.

    It stands there exactly once. Of SQL the layout does not count.
    """

    file: str
    of: str
    text: str
    instead: str

    def made_in(self, tree: Path) -> tuple[Path, str]:
        """Return the file in a tree and its new text; raise LookupError if the old text does not stand there once."""
        found = [
            (path, each.start(), each.end())
            for path in tree.glob(self.file)
            for start, end in named(path, self.of)
            for each in self._pattern.finditer(path.read_text(), start, end)
        ]
        if len(found) != 1:
            raise LookupError(f"its text is {len(found)} times in {self.of} of {self.file}, not once: {self.text}")
        path, start, end = found[0]
        text = path.read_text()
        return path, text[:start] + self.instead + text[end:]

    @property
    def _pattern(self) -> re.Pattern[str]:
        if ".sql" not in Path(self.file).suffixes:
            return re.compile(re.escape(self.text))
        return re.compile(BETWEEN.join(map(re.escape, re.findall(r"\w+|\S", self.text))))


def named(path: Path, name: str) -> Iterator[tuple[int, int]]:
    """Yield where a file has what is called so: the first and the last place."""
    if ".sql" in path.suffixes:
        pieces = DEFINITIONS if path.name in ("schema.sql", "border.sql.jinja") else STATEMENTS
        yield from ((each.start(), each.end()) for each in pieces.finditer(path.read_text()) if each[1] == name)
        return
    text = path.read_text()
    lines = [0]
    for line in text.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    for known, node in _definitions(ast.parse(text), ""):
        if known == name:
            yield lines[node.lineno - 1], lines[node.end_lineno or node.lineno]


def _definitions(tree: ast.AST, within: str) -> Iterator[tuple[str, ast.stmt]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield f"{within}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from _definitions(node, f"{within}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            yield f"{within}{ast.unparse(target)}", node


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
