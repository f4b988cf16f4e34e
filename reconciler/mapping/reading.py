"""The text of a mapping file -> a `MappingFile`, or every problem with it at once.

Where the form of some part is wrong, a stand-in takes its place, so that the other parts are checked all the same;
what is then said of that very part is left out.
"""

import re
import tomllib
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reconciler.core.fields import Field, Fields, Policy
from reconciler.mapping.checks import check
from reconciler.mapping.field_checks import Finding
from reconciler.mapping.file import MappingFile
from reconciler.mapping.forms import said_of
from reconciler.mapping.lines import Lines
from reconciler.mapping.problems import KeyPath, MappingRefused, Problem, dotted

SHIPPED = "customer.toml"

ROUNDS = 4
"""How often stand-ins are put in: one may bring the need of another about, around it."""

_FIELD: dict[str, Any] = {"read": "null"}
_JOINED: dict[str, Any] = {"table": "-.-", "on": "-", "fields": {"-": _FIELD}}
_PARTS: dict[str | int, Any] = {"table": {"name": "-.-", "key": "-"}}
_KEYS: dict[str | int, Any] = {
    **dict.fromkeys(("key", "on", "column", "label", "group"), "-"),
    **dict.fromkeys(("name", "table"), "-.-"),
    "write": {"-": "null"},
    "fields": _JOINED["fields"],
}
"""For what a file, and its parts, cannot be without."""

_NOT_TEXT = Problem("", None, "not UTF-8: save the file as UTF-8")
_LINE = re.compile(r"\(at line (\d+), ")


def load(path: str | None) -> MappingFile:
    """Return the mapping of the file, without one the mapping that is shipped; raise `MappingRefused`."""
    if path is None:
        return parse(resources.files("reconciler.mapping").joinpath(SHIPPED).read_text("utf-8"))
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MappingRefused([_NOT_TEXT]) from None
    except (OSError, ValueError) as error:
        said = f"cannot be read ({type(error).__name__}): name a file that this process may read"
        raise MappingRefused([Problem("", None, said)]) from None
    return parse(text)


def parse(text: str) -> MappingFile:
    """Return the mapping that the text says; raise `MappingRefused` with every problem."""
    document = _document(text)
    file, findings = _formed(document)
    if file is not None:
        wrong = [_entry(path) for path, _ in findings]
        findings += [(path, said) for path, said in check(file) if not any(_is_near(path, each) for each in wrong)]
    if file is None or findings:
        lines = Lines(text)
        problems = [Problem(dotted(path), lines.of(path), said) for path, said in findings]
        raise MappingRefused(sorted(problems, key=lambda problem: problem.line or 0))
    return file


def _document(text: str) -> dict[str, Any]:
    try:
        text.encode()
        return tomllib.loads(text)
    except UnicodeEncodeError:
        raise MappingRefused([_NOT_TEXT]) from None
    except RecursionError:
        raise MappingRefused([Problem("", None, "nested too deeply: write tables as in the example")]) from None
    # Not all that tomllib refuses is a TOMLDecodeError: an integer may be too long.
    except ValueError as error:
        raise MappingRefused([_broken(text, error)]) from None


def _broken(text: str, error: ValueError) -> Problem:
    if not isinstance(error, tomllib.TOMLDecodeError):
        return Problem("", None, "not TOML: a number is too long")
    found = _LINE.search(str(error))
    line = int(found[1]) if found else text.count("\n") + 1
    reason = str(error).partition(" (at ")[0]
    return Problem("", line, f'not TOML: {reason}; write key = "value", and texts in quotes')


def _formed(document: dict[str, Any]) -> tuple[MappingFile | None, list[Finding]]:
    """Return the file, with stand-ins where its form is wrong, and what is wrong with the form."""
    findings: list[Finding] | None = None
    for _ in range(ROUNDS):
        try:
            return MappingFile.model_validate(document), findings or []
        except ValidationError as error:
            found = said_of(error, document)
        findings = found if findings is None else findings
        for path, _said in found:
            _mend(document, path)
    return None, findings or []


def _mend(document: dict[str, Any], path: KeyPath) -> None:
    """Take what is wrong out of the document; put a stand-in where something must stand."""
    if isinstance(path[-1], int) and path[0] != "joined":
        path = path[:-1]
    *way, name = path
    inside: Any = document
    for part in way:
        inside = inside[part]
    stand_in = _stand_in(way, name)
    if stand_in is None:
        inside.pop(name, None)
    else:
        inside[name] = stand_in


def _stand_in(way: list[str | int], name: str | int) -> Any:
    if not way:
        return _PARTS.get(name)
    if way[-1] == "fields":
        return _FIELD
    return _JOINED if isinstance(name, int) else _KEYS.get(name)


def _entry(path: KeyPath) -> KeyPath:
    """Return the part that the key belongs to: a field, a group, a key of a table."""
    return path[:4] if path[0] == "joined" else path[:2]


def _is_near(path: KeyPath, other: KeyPath) -> bool:
    length = min(len(path), len(other))
    return path[:length] == other[:length]


def fields_of(file: MappingFile) -> Fields:
    """Return the fields of a mapping as the core sees them."""
    mapped = Fields.of(
        *(
            Field(
                name=name,
                kind=field.type,
                policy=field.policy or Policy.NEWEST,
                direction=field.direction,
                when_empty=field.when_empty,
            )
            for name, field in file.mapped.items()
        )
    )
    return replace(mapped, scope=file.contacts.where)
