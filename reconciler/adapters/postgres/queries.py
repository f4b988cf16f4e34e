"""Loads queries.sql, and what `db init` says: every statement under its name."""

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_NAME = re.compile(r"^-- (\w+): .+$", re.MULTILINE)


def statements() -> dict[str, LiteralString]:
    """Return the statements of queries.sql by name."""
    return named("queries.sql")


@cache
def named(file: str) -> dict[str, LiteralString]:
    """Return the statements of a file beside this one by name."""
    text = files(__package__).joinpath(file).read_text()
    parts = _NAME.split(text)[1:]
    names, bodies = parts[0::2], parts[1::2]
    return {name: cast(LiteralString, body.strip()) for name, body in zip(names, bodies, strict=True)}
