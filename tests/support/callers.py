"""Callers of a WSGI app: each call goes through the standard library's validator, each answer is held to the rules
that every answer keeps."""

import io
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import orjson

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
USUAL_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"}
NOTHING = object()

Documented = Callable[[str, str], Collection[int] | None]


@dataclass(frozen=True)
class Reply:
    """An answer: `headers` by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def text(self) -> str:
        """What a person sees: body and headers."""
        return self.body.decode("utf-8", "replace") + repr(self.headers)


class Stream(io.BytesIO):
    """A request body that counts what was read of it."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


class Caller:
    """Calls an app with some headers in every request; `documented` says which statuses a call may end in."""

    def __init__(self, app: Any, documented: Documented = lambda method, path: None, **headers: str) -> None:
        self._app, self._documented = app, documented
        self._headers = headers

    def with_headers(self, **headers: str) -> "Caller":
        """The same app, with more headers; None takes one away."""
        return Caller(self._app, self._documented, **{**self._headers, **headers})

    def __call__(
        self,
        method: str,
        path: str,
        json: Any = NOTHING,
        *,
        data: bytes | Stream = b"",
        length: str | None = None,
        environ: dict[str, Any] | None = None,
        **headers: str | None,
    ) -> Reply:
        """Send a request; `json` is sent as JSON, `data` as it is; names of headers are written with underscores."""
        given = {**self._headers, **headers}
        if json is not NOTHING:
            data = orjson.dumps(json)
            given.setdefault("Content_Type", "application/json")
        stream = data if isinstance(data, Stream) else Stream(data)
        found = {**self._environ(method, path, stream, length, given), **(environ or {})}
        reply = self._run(found)
        check(method, reply)
        documented = self._documented(method, found["PATH_INFO"])
        assert documented is None or reply.status in documented, f"{method} {path}: {reply.status} is not documented"
        return reply

    def _environ(
        self, method: str, path: str, stream: Stream, length: str | None, headers: dict[str, str | None]
    ) -> dict[str, Any]:
        path, _, query = path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "REMOTE_ADDR": "203.0.113.9",
            "wsgi.input": stream,
        }
        if length != "":
            environ["CONTENT_LENGTH"] = length or str(len(stream.getvalue()))
        for name, value in headers.items():
            if value is not None:
                key = name.upper()
                environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        setup_testing_defaults(environ)
        return environ

    def _run(self, environ: dict[str, Any]) -> Reply:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            started.append((status, headers))
            return lambda data: None

        # The validator knows the usual methods and bodies of a known length only.
        is_usual = environ["REQUEST_METHOD"] in USUAL_METHODS and environ.get("CONTENT_LENGTH", "0").isdigit()
        answer = (validator(self._app) if is_usual else self._app)(environ, start_response)
        try:
            body = b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
        ((status, headers),) = started
        names = [name.lower() for name, _ in headers]
        assert len(names) == len(set(names)), f"a header twice: {names}"
        return Reply(int(status.split()[0]), {name.lower(): value for name, value in headers}, body)


def check(method: str, reply: Reply) -> None:
    """What holds for every answer of either server."""
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert not [name for name in reply.headers if name.startswith("access-control-")]
    if reply.status in (204, 304):
        assert reply.body == b""
    elif method != "HEAD" and "content-length" in reply.headers:
        assert int(reply.headers["content-length"]) == len(reply.body)
    if reply.status >= 400 and method != "HEAD":
        assert reply.headers["content-type"] == "application/json"
        problem = reply.json
        assert {"message", "code"} <= problem.keys()
        assert UUID.fullmatch(problem["request_id"])
        assert "Traceback" not in reply.text
