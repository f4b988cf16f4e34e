"""What is wrong with a mapping file: where it stands, and what to write instead."""

from collections.abc import Iterable
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""The keys that lead to a value, and the places in lists."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `key` is dotted; `line` counts from 1, None where the file has no such line."""

    key: str
    line: int | None
    said: str

    def __str__(self) -> str:
        where = [f"line {self.line}"] if self.line else []
        return ": ".join([*where, *([self.key] if self.key else []), self.said])


class MappingRefused(Exception):
    """Every problem with a mapping file, one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def dotted(path: KeyPath) -> str:
    """Return the path as people write it: `joined[0].fields.email`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
