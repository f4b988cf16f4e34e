"""Failures on API calls: rules that strike chosen calls, and bad weather that strikes any.

A rule says which calls, how many to spare, how many to strike, whether the effect still happens and what the
caller sees. The first rule that is due strikes.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from sandbox.answers import Answer, Manner, error_answer, html_answer, json_answer
from sandbox.refusals import Policy, internal_error, rate_limited
from sandbox.settings import Switches

_PAGE = "<html>\n<head><title>Be right back</title></head>\n<body><h1>Maintenance</h1></body>\n</html>\n"


class Action(StrEnum):
    """What the caller sees."""

    STATUS = "status"
    CUT = "cut"
    HTML200 = "html200"
    TRUNCATE = "truncate"
    EMPTY = "empty"
    OMIT = "omit"
    REDIRECT = "redirect"
    DRIP = "drip"
    DELAY = "delay"
    RATE = "429"
    HUGE = "huge"
    RUN = "run"


class Fault(BaseModel):
    """A rule; without conditions it strikes every call of the API."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action
    method: str | None = Field(default=None, description="GET, POST, PATCH or DELETE")
    path_contains: str | None = None
    body_contains: str | None = None
    skip: Annotated[int, Field(ge=0)] = Field(default=0, description="matching calls to spare first")
    times: Annotated[int, Field(ge=1)] | None = Field(default=1, description="calls to strike; null for all")
    when: Literal["before", "after"] = Field(default="before", description="instead of the effect, or after it")
    status: int = Field(default=500, description="for action status, and redirect (301 unless 3xx)")
    body: Any = Field(default=None, description="for action status: JSON, or text sent as it is")
    headers: dict[str, str] = Field(default_factory=dict)
    ms: Annotated[int, Field(ge=0)] = Field(default=1000, description="delay, or milliseconds for each dripped byte")
    policy: Policy = Policy.TEN_SECONDLY_ROLLING
    retry_after: str | None = None
    location: str = "http://127.0.0.1:9/"
    megabytes: int = Field(default=500, description="length of a huge body")
    run: Callable[[], None] | None = Field(default=None, exclude=True, description="in-process only, for action run")


@dataclass(slots=True)
class _Armed:
    number: int
    fault: Fault
    seen: int = 0
    struck: int = 0

    def to_json(self) -> dict[str, Any]:
        counts = {"number": self.number, "seen": self.seen, "struck": self.struck}
        return counts | self.fault.model_dump(mode="json")

    def is_due(self) -> bool:
        fault = self.fault
        return self.seen > fault.skip and (fault.times is None or self.struck < fault.times)


class Faults:
    """The rules in force, with their counts."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._random = Random(switches.current.seed)
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []
        self._last = 0

    def add(self, fault: Fault | None = None, **fields: Any) -> int:
        """Put a rule in force and return its number; fields are those of `Fault`."""
        fault = fault or Fault(**fields)
        with self._lock:
            self._last += 1
            self._armed.append(_Armed(self._last, fault))
            return self._last

    def clear(self) -> None:
        """Drop every rule."""
        with self._lock:
            self._armed.clear()

    def remove(self, number: int) -> None:
        """Drop one rule."""
        with self._lock:
            self._armed = [each for each in self._armed if each.number != number]

    def listed(self) -> list[dict[str, Any]]:
        """Return the rules with how many calls each saw and struck."""
        with self._lock:
            return [each.to_json() for each in self._armed]

    def strike(self, method: str, path: str, body: bytes) -> Fault | None:
        """Count a call and return the rule that strikes it, if any does."""
        with self._lock:
            struck = None
            for each in self._armed:
                if _matches(each.fault, method, path, body):
                    each.seen += 1
                    if struck is None and each.is_due():
                        each.struck += 1
                        struck = each.fault
            return struck or self._weather()

    def latency_ms(self) -> int:
        """Return the delay of the next answer."""
        settings = self._switches.current
        with self._lock:
            return settings.latency_ms + self._random.randint(0, settings.latency_jitter_ms)

    def _weather(self) -> Fault | None:
        settings = self._switches.current
        if not (settings.fail_429 or settings.fail_5xx or settings.fail_cut or settings.fail_lost):
            return None
        lot = self._random.random()
        for share, fault in (
            (settings.fail_429, Fault(action=Action.RATE, retry_after=settings.retry_after)),
            (settings.fail_5xx, Fault(action=Action.STATUS, status=self._random.choice((500, 502, 503)))),
            (settings.fail_cut, Fault(action=Action.CUT)),
            (settings.fail_lost, Fault(action=Action.CUT, when="after")),
        ):
            if lot < share:
                return fault
            lot -= share
        return None


def _matches(fault: Fault, method: str, path: str, body: bytes) -> bool:
    return (
        (fault.method is None or fault.method.upper() == method)
        and (fault.path_contains is None or fault.path_contains in path)
        and (fault.body_contains is None or fault.body_contains.encode() in body)
    )


def _with_one_left_out(answer: Answer) -> Answer:
    body = orjson.loads(answer.body)
    del body["results"][-1:]
    return replace(answer, body=orjson.dumps(body))


def spoil(fault: Fault, answer: Answer) -> Answer:
    """Return what the caller sees instead of an answer."""
    match fault.action:
        case Action.STATUS:
            return _with_status(fault)
        case Action.RATE:
            return error_answer(rate_limited(fault.policy, fault.retry_after))
        case Action.HTML200:
            return html_answer(200, _PAGE)
        case Action.EMPTY:
            return Answer(200)
        case Action.OMIT:
            return _with_one_left_out(answer)
        case Action.REDIRECT:
            status = fault.status if 300 <= fault.status < 400 else 301
            return Answer(status, headers={"Location": fault.location})
        case Action.CUT | Action.TRUNCATE:
            return Answer(answer.status, answer.body, answer.headers, Manner(fault.action.value))
        case Action.DRIP:
            return Answer(answer.status, answer.body, answer.headers, Manner.DRIP, fault.ms)
        case Action.HUGE:
            return Answer(200, answer.body, answer.headers, Manner.HUGE, fault.megabytes)
        case Action.DELAY | Action.RUN:
            return answer


def _with_status(fault: Fault) -> Answer:
    if isinstance(fault.body, str):
        return html_answer(fault.status, fault.body, fault.headers)
    if fault.body is None and fault.status == 500:
        return error_answer(internal_error())
    body = b"" if fault.body is None else orjson.dumps(fault.body)
    answer = json_answer(fault.status, None, fault.headers)
    answer.body = body
    return answer
