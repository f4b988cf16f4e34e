"""The text of a mapping file -> the line at which a key stands: tomllib keeps none.

Only headers and the keys that begin a line are looked at; what stands in an inline table has the line of the table.
"""

import re

from reconciler.mapping.problems import KeyPath

DEEPEST = 6
"""Keys that lead to the innermost value: joined, 0, fields, email, create, label."""

_PART = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_KEY})[ \t]*\]")
_ASSIGNED = re.compile(rf"[ \t]*({_KEY})[ \t]*=")
_FENCE = re.compile(r'"""|' + "'''")


class Lines:
    """Where the keys of a text stand."""

    def __init__(self, text: str) -> None:
        self._at: dict[KeyPath, int] = {}
        self._count: dict[str | int, int] = {}
        header: KeyPath = ()
        is_inside = False
        for number, line in enumerate(text.split("\n"), start=1):
            if not is_inside:
                header = self._note(line, number, header)
            is_inside ^= len(_FENCE.findall(line)) % 2 == 1

    def _note(self, line: str, number: int, header: KeyPath) -> KeyPath:
        if found := _HEADER.match(line):
            header = self._opened(_parts(found[2]), is_list=found[1] == "[[")
            self._keep(header, number)
        elif found := _ASSIGNED.match(line):
            self._keep(header + _parts(found[1]), number)
        return header

    def _opened(self, parts: KeyPath, *, is_list: bool) -> KeyPath:
        """Return the path of a header; below a list of tables it goes on in the last of them."""
        first, *rest = parts
        if is_list and not rest:
            self._count[first] = self._count.get(first, -1) + 1
        return (first, self._count[first], *rest) if first in self._count else parts

    def _keep(self, path: KeyPath, number: int) -> None:
        for length in range(1, min(len(path), DEEPEST) + 1):
            self._at.setdefault(path[:length], number)

    def of(self, path: KeyPath) -> int | None:
        """Return the line of the key, else of what it would stand in, else None."""
        lengths = range(min(len(path), DEEPEST), 0, -1)
        return next((self._at[path[:length]] for length in lengths if path[:length] in self._at), None)


def _parts(key: str) -> KeyPath:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in re.findall(_PART, key))
