"""Values -> TOML, as a mapping file has it: a key a line, tables within a line."""

import json
import re
from collections.abc import Mapping

Value = str | bool | tuple[str, ...] | Mapping[str, "Value"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(value: Value) -> str:
    """Return a value as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case tuple():
            return f"[{', '.join(map(_text, value))}]"
        case _:
            return f"{{ {', '.join(f'{key_of(name)} = {to_toml(each)}' for name, each in value.items())} }}"


def key_of(name: str) -> str:
    """Return a key as TOML."""
    return name if _BARE.fullmatch(name) else _text(name)


def lines_of(values: Mapping[str, Value]) -> list[str]:
    """Return a key a line, the values beneath each other."""
    keys = {name: key_of(name) for name in values}
    width = max(map(len, keys.values()), default=0)
    return [f"{keys[name]:<{width}} = {to_toml(value)}" for name, value in values.items()]


def _text(text: str) -> str:
    # Quotes of SQL stay readable where nothing else needs an escape.
    if '"' in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
