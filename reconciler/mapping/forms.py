"""What pydantic found wrong with the form of a document -> keys of the document, and what to write instead."""

from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import ValidationError

from reconciler.mapping.field_checks import Finding
from reconciler.mapping.file import MappingFile
from reconciler.mapping.problems import KeyPath


def said_of(error: ValidationError, document: dict[str, Any]) -> list[Finding]:
    """Return one finding for each key; of a key and one inside of it the inner alone."""
    found: dict[KeyPath, str] = {}
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        path = _path(each["loc"], document, is_missing=each["type"] == "missing")
        found.setdefault(path, _said(each["type"], path))
    outer = {path[:length] for path in found for length in range(len(path))}
    return [(path, said) for path, said in found.items() if path not in outer]


def _path(location: tuple[str | int, ...], document: Any, *, is_missing: bool) -> KeyPath:
    """Return the part of a location that leads through the document; pydantic names the forms it tried, too."""
    path: KeyPath = ()
    for part in location:
        if _has(document, part):
            document = document[part]
            path = (*path, part)
    return (*path, location[-1]) if is_missing else path


def _has(document: Any, part: str | int) -> bool:
    return isinstance(document, list) if isinstance(part, int) else isinstance(document, dict) and part in document


def _said(kind: str, path: KeyPath) -> str:
    if kind == "missing":
        return f"is missing: write {_wanted(path)}"
    if kind == "extra_forbidden":
        known = [key for form in _forms(_nodes(path[:-1])[-1]) for key in form.get("properties", ())]
        close = get_close_matches(str(path[-1]), known, n=1)
        return f"no key of this part: write {close[0] if close else 'one of ' + ', '.join(known)}"
    return f"does not fit: write {_wanted(path)}"


def _wanted(path: KeyPath) -> str:
    described = [node["description"] for node in _nodes(path) if "description" in node]
    return str(described[-1])


def _nodes(path: KeyPath) -> list[dict[str, Any]]:
    """Return the JSON Schema of each step of the path, the whole first."""
    nodes = [_schema()]
    for part in path:
        nodes.append(_inside(nodes[-1], part))
    return nodes


def _inside(node: dict[str, Any], part: str | int) -> dict[str, Any]:
    for form in _forms(node):
        steps = [form.get("properties", {}).get(part), *form.get("patternProperties", {}).values()]
        if isinstance(part, int):
            steps = [form.get("items")]
        for step in (*steps, form.get("additionalProperties")):
            if isinstance(step, dict):
                return step
    return {}


def _forms(node: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in node:
        return [_schema()["$defs"][node["$ref"].rpartition("/")[2]]]
    return [form for each in node["anyOf"] for form in _forms(each)] if "anyOf" in node else [node]


@cache
def _schema() -> dict[str, Any]:
    return MappingFile.model_json_schema()
