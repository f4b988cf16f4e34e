"""Structured logs: events with keys, in JSON or for people; no personal data, no secret.

Nothing in the system logs values of customers; this is the last fence before the line is written. Errors are told by
their kind and place: the texts of others quote what was sent (Postgres: `Key (phone)=(…) already exists`).
"""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, MutableMapping
from types import TracebackType
from typing import Any

import structlog

from reconciler.core.errors import SyncError

_ADDRESS = re.compile(r"[^\s@\"'<>()=,;:]+@[^\s@\"'<>()=,;:]+\.[^\s@\"'<>()=,;:]+")
_TOKEN = re.compile(
    r"pat-[a-z0-9-]{8,}|(?:Bearer|Basic)\s+\S+|eyJ[\w-]+\.[\w-]+\.[\w-]+"
    # A URL's, up to the last @ before its path; a connection string's, quoted or not.
    r"|(?<=://)[^/\s]*@|\b(?:ssl)?password\s*=\s*(?:'(?:[^'\\]|\\.)*'?|\S+)",
    re.IGNORECASE,
)


def scrubbed(text: str) -> str:
    """Return the text with whatever looks like an address or a credential taken out."""
    # Secrets first: a password with an @ in it would be taken for an address, up to its first odd letter.
    return _ADDRESS.sub("[address]", _TOKEN.sub("[secret]", text))


def described(error: BaseException) -> str:
    """Return what an error is: its kind, what it is about in the schema, and a text of our own or the system's."""
    kind = type(error).__name__
    if isinstance(error, SyncError):
        return f"{kind}: {error}"
    if isinstance(error, OSError):
        return f"{kind}: {error.strerror}" if error.strerror else kind
    state, about = getattr(error, "sqlstate", None), getattr(error, "diag", None)
    if state is None:
        return kind
    names = {name: getattr(about, f"{name}_name", None) for name in ("table", "column", "constraint")}
    return " ".join([f"{kind} [{state}]", *(f"{name} {value}" for name, value in names.items() if value)])


def rendered(error: BaseException) -> str:
    """Return an error and those it comes from, each with its place, as a traceback has them."""
    lines: list[str] = []
    for each in reversed(list(_causes(error))):
        lines += [*traceback.format_tb(each.__traceback__), f"{described(each)}\n"]
    return "".join(lines).rstrip()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _render(exc_info: tuple[type[BaseException], BaseException, TracebackType | None]) -> str:
    return rendered(exc_info[1])


def _scrub(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: _safe(value) for key, value in event.items()}


def _safe(value: Any) -> Any:
    if isinstance(value, BaseException):
        return described(value)
    return scrubbed(value) if isinstance(value, str) else value


def configure(*, style: str, level: str, process: str) -> None:
    """Send all logs of this process to standard error."""
    renderer = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if style == "console"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            lambda _, __, event: {"process": process, **event},
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(_render),
            _scrub,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)
    # A drain with much to do outlasts its interval: nothing to be told once a second. The watchdog sees what hangs.
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
    _tell_crashes()


def _tell_crashes() -> None:
    """Bring into the logs what Python would print by itself of errors that were not caught."""

    def process(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, place)
        else:
            _tell_crash("process", error)

    def thread(crash: threading.ExceptHookArgs) -> None:
        if not issubclass(crash.exc_type, SystemExit):
            _tell_crash(crash.thread.name if crash.thread else "thread", crash.exc_value)

    sys.excepthook, threading.excepthook = process, thread
    sys.unraisablehook = lambda crash: _tell_crash("finaliser", crash.exc_value)


def _tell_crash(where: str, error: BaseException | None) -> None:
    structlog.get_logger().error("crashed", where=where, exc_info=error)


class _Bridge(logging.Handler):
    """Brings the libraries' log lines into ours."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        record.msg = _safe(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(map(_safe, record.args))
        error = record.exc_info[1] if record.exc_info else None
        log.log(record.levelno, "library", text=record.getMessage(), **({"error": error} if error else {}))
