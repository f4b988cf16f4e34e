"""An HTTP answer as a value, with the manner in which it goes onto the wire.

Every layer above the socket makes or changes these; only the server writes them.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from sandbox.errors import HubSpotError

JSON = "application/json;charset=utf-8"
HTML = "text/html;charset=iso-8859-1"


class Manner(StrEnum):
    """How the server puts an answer onto the wire."""

    PLAIN = "plain"
    CUT = "cut"
    TRUNCATE = "truncate"
    DRIP = "drip"
    HUGE = "huge"


@dataclass(slots=True)
class Answer:
    """Status, headers and body; `pace` is milliseconds a byte when dripping, megabytes when huge."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    manner: Manner = Manner.PLAIN
    pace: int = 0


def json_answer(status: int, body: Any, headers: dict[str, str] | None = None) -> Answer:
    """Make an answer with a JSON body."""
    return Answer(status, orjson.dumps(body), {"Content-Type": JSON, **(headers or {})})


def html_answer(status: int, page: str, headers: dict[str, str] | None = None) -> Answer:
    """Make an answer with a page."""
    return Answer(status, page.encode(), {"Content-Type": HTML, **(headers or {})})


def error_answer(error: HubSpotError) -> Answer:
    """Render a refusal."""
    make = html_answer if isinstance(error.body, str) else json_answer
    return make(error.status, error.body, error.headers)  # type: ignore[arg-type]
