"""Secrets: what each must be, and how one is replaced while a process runs.

Nothing here, and nothing that it raises or logs, shows a secret.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import structlog
from pydantic import AfterValidator, SecretStr

from reconciler.process.connection_strings import problem_with

log = structlog.get_logger()


def secrets_in(text: str) -> tuple[str, ...]:
    """Return the secrets of a setting that holds two while rotating."""
    return tuple(part.strip() for part in text.split(","))


def read(path: Path) -> str:
    # Some editors put a byte order mark before the text.
    return path.read_text(encoding="utf-8-sig").strip()


def _connectable(secret: SecretStr) -> SecretStr:
    if (problem := problem_with(secret.get_secret_value())) is not None:
        raise ValueError(problem)
    return secret


def _sendable(secret: SecretStr) -> SecretStr:
    # What cannot stand in a header would be quoted, whole, by the error of the library that refuses it.
    if not all("!" <= letter <= "~" for letter in secret.get_secret_value()):
        raise ValueError("a token: letters, digits and signs, no blanks")
    return secret


def _one_or_two(secret: SecretStr) -> SecretStr:
    if not all(secrets_in(secret.get_secret_value())):
        raise ValueError("one secret, or two separated by a comma")
    return secret


def _signing(secret: SecretStr) -> SecretStr:
    keys = secrets_in(secret.get_secret_value())
    if min(len(key.encode()) for key in keys) < 32:
        raise ValueError("at least 32 bytes" + (", each of them" if len(keys) > 1 else ""))
    if any(key.startswith(("-----BEGIN", "ssh-")) for key in keys):
        raise ValueError("a secret of your own, not a public or private key")
    return secret


Dsn = Annotated[SecretStr, AfterValidator(_connectable)]
Token = Annotated[SecretStr, AfterValidator(_sendable)]
ClientSecrets = Annotated[SecretStr, AfterValidator(_one_or_two)]
SigningSecrets = Annotated[SecretStr, AfterValidator(_signing)]

REPLACEABLE: dict[str, Callable[[SecretStr], SecretStr]] = {
    "DATABASE_URL": _connectable,
    "DATABASE_READ_URL": _connectable,
    "HUBSPOT_ACCESS_TOKEN": _sendable,
    "HUBSPOT_CLIENT_SECRET": _one_or_two,
}
"""Secrets whose files are read again while a process runs, and what a new one must be."""


class Source:
    """A secret that may be replaced while the process runs. What could not be used does not take its place."""

    def __init__(self, name: str, path: Path | None, value: str) -> None:
        self._name, self._path, self._value = name, path, value
        self._is_told = False

    def __call__(self) -> str:
        if self._path is not None:
            self._look(self._path)
        return self._value

    def _look(self, path: Path) -> None:
        try:
            text = read(path)
            if text and text != self._value:
                self._value = REPLACEABLE[self._name](SecretStr(text)).get_secret_value()
            self._is_told = False
        except (OSError, ValueError) as error:
            if not self._is_told:
                self._is_told = True
                log.warning("secret.unusable", file=f"{self._name}_FILE", error=type(error).__name__)


class EachOf:
    """The secrets of a source, asked anew whenever they are gone through."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        return iter([each.encode() for each in secrets_in(self._source())])
