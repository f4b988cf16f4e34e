"""Structured logs: events with keys, in JSON or for people; no personal data, no secret.

Nothing in the system logs values of customers; this is the last fence before the line is written.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

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


def _scrub(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: scrubbed(value) if isinstance(value, str) else value for key, value in event.items()}


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
            structlog.processors.format_exc_info,
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


class _Bridge(logging.Handler):
    """Brings the libraries' log lines into ours."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        log.log(record.levelno, "library", text=record.getMessage(), **({"error": kind} if kind else {}))
