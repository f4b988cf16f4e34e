"""Loads the statements: each stands under its name in a `.sql` file beside the adapter that runs it."""

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString

INSTALL = "install.sql"
"""What `db init` says beside schema.sql."""

_NAME = re.compile(r"^-- (\w+): .+$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)


@cache
def statements() -> dict[str, LiteralString]:
    """Return the statements of all adapters by name."""
    beside = sorted(each.name for each in files(__package__).iterdir() if each.name.endswith(".sql"))
    return {name: text for file in beside if file != INSTALL for name, text in named(file).items()}


@cache
def named(file: str) -> dict[str, LiteralString]:
    """Return the statements of a file beside this one by name, without what is said about them."""
    text = files(__package__).joinpath(file).read_text()
    parts = _NAME.split(text)[1:]
    names, bodies = parts[0::2], parts[1::2]
    return {name: _COMMENT.sub("", body).strip() for name, body in zip(names, bodies, strict=True)}
