"""One door for every HubSpot call: budget, retries of what may be retried, every failure turned into ours."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from math import inf
from time import monotonic
from typing import Protocol

import orjson
from hubspot.crm.contacts.exceptions import ApiException
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError

from reconciler.adapters.gateway import requests
from reconciler.adapters.gateway.answers import account_in, clock_of
from reconciler.adapters.gateway.parse import Json, Malformed, json_of, names_properties, scopes_in
from reconciler.adapters.gateway.requests import Parsed, Request
from reconciler.adapters.gateway.transport import NoTrust, Oversized, Rejected, Reply
from reconciler.adapters.gateway.wire import Wire
from reconciler.core.errors import (
    OtherAccount,
    OutcomeUnknown,
    PathUnknown,
    QuotaSpent,
    RateLimited,
    ScopeMissing,
    TooLarge,
    TooLate,
    Transient,
    Unauthorised,
    Unavailable,
    Untrusted,
)
from reconciler.core.ports import Door, HubSpotAccount, Told

TRIES = 3
"""Sends of a call that certainly had no effect."""

DAILY_DELAY = 50.0
TEN_SECONDS_DELAY = 10.0
SECOND_DELAY = 1.0
LONGEST_DELAY = 600.0
"""Seconds to wait after a 429, by its policy (a rolling window has room again in a second; HubSpot's day ends at
midnight of the account, and is looked for every minute); and at most, whatever its Retry-After says."""

LOCKED_DELAY = 2.0
TOKEN_DELAY = 30.0

HUBSPOTS = (Unavailable, OutcomeUnknown, RateLimited, Unauthorised, OtherAccount, ScopeMissing, PathUnknown)
"""Failures of HubSpot's. Any other is the budget's, or our own database's while a call is counted."""

_NOT_EXECUTED = {423, 477, 503}
_REFUSALS = {400, 404, 409, 414}
_UNROUTED = {404, 405, 410}
_UNKNOWN_TYPE = re.compile(r"^(Unable to infer object type from|Invalid object or event type id)\b")


class Spender(Protocol):
    """The shared budget, as the gateway needs it."""

    def spend(self, door: Door = Door.READ) -> None: ...

    def block(self, delay: float, door: Door = Door.READ) -> None: ...

    def failed(self, error: Transient, door: Door = Door.READ) -> None: ...

    def answered(self, door: Door = Door.READ) -> None: ...

    def hear(self, told: Told) -> None: ...


class Refusal(Exception):
    """HubSpot refused the whole call; the caller knows what that means for its records."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"HTTP {reply.status}")
        self.reply = reply


class Skew:
    """HubSpot's clock minus the database's. An answer tells it to a second only; many answers narrow that down."""

    def __init__(self) -> None:
        self._bounds = (timedelta.min, timedelta.max)

    def learn(self, date: datetime, sent: datetime, received: datetime) -> None:
        """Take in the `Date` of an answer to a call of ours; the times are the database's."""
        low, high = date - received, date + timedelta(seconds=1) - sent
        narrower = (max(low, self._bounds[0]), min(high, self._bounds[1]))
        # Bounds that exclude each other: one of the clocks was set. Begin again.
        self._bounds = narrower if narrower[0] <= narrower[1] else (low, high)

    @property
    def value(self) -> timedelta:
        """The skew, or none when the clocks may well agree."""
        low, high = self._bounds
        agree = low <= timedelta() <= high
        return timedelta() if agree else low + (high - low) / 2


class Calls:
    """Makes calls, and learns from the answers how HubSpot's clock differs.

    A replaced token may be another account's by mistake: `claim` returns the id of the account that the database
    belongs to, and with the token of another one nothing is read or written (`OtherAccount`). `now` is the database's
    time, with which HubSpot's is compared.
    """

    def __init__(
        self,
        wire: Wire,
        budget: Spender,
        sleep: Callable[[float], None],
        *,
        claim: Callable[[HubSpotAccount], int],
        now: Callable[[], datetime],
    ) -> None:
        self._wire, self._budget, self._sleep = wire, budget, sleep
        self._claim, self._now = claim, now
        self._confirmed: str | None = None
        self.skew = Skew()

    def send(self, request: Request[Parsed], *, until: float = inf) -> Parsed:
        """Make a call and read its answer; it begins before `until`, or not at all (`TooLate`)."""
        self._require_account()
        return self._made(request, until)

    def account(self) -> HubSpotAccount:
        """Return the account the token belongs to."""
        self._confirmed = self._confirmed or self._wire.token()
        return self._made(requests.account(), inf)

    def _require_account(self) -> None:
        """Ask whose account it is when the token was replaced; the first one is a start's or a first write's to ask."""
        token = self._wire.token()
        if self._confirmed not in (None, token):
            self._made(replace(requests.account(), parse=self._ours_in), inf)
        self._confirmed = token

    def _ours_in(self, reply: Reply) -> HubSpotAccount:
        account = account_in(reply)
        if other := account.other_than(self._claim(account)):
            raise OtherAccount(other)
        return account

    def _made(self, request: Request[Parsed], until: float) -> Parsed:
        retrying = Retrying(
            retry=retry_if_exception(_is_worth_another_try),
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(multiplier=0.2, max=2),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            answer: Parsed = retrying(self._once, request, until)
        except TooLarge:
            raise
        except HUBSPOTS as error:
            if not isinstance(error, RateLimited) or error.delay > TEN_SECONDS_DELAY:
                self._tell(partial(self._budget.failed, error, request.door))
            raise
        except Refusal:
            self._tell(partial(self._budget.answered, request.door))
            raise
        self._tell(partial(self._budget.answered, request.door))
        return answer

    def _once(self, request: Request[Parsed], until: float) -> Parsed:
        self._budget.spend(request.door)
        if monotonic() > until:
            # The budget came too late: the lease and the intent would end before the call does.
            raise TooLate("no HubSpot call free in time")
        try:
            with translated(writes=request.writes):
                sent = self._now()
                reply = self._wire.send(request)
                self._hear(reply, sent, self._now())
                return request.parse(reply)
        except RateLimited as error:
            if error.delay <= TEN_SECONDS_DELAY:
                self._tell(partial(self._budget.block, error.delay, request.door))
            raise

    def _hear(self, reply: Reply, sent: datetime, received: datetime) -> None:
        """Learn from an answer what HubSpot says beside it."""
        if "Date" in reply.headers:
            self.skew.learn(clock_of(reply), sent, received)
        told = Told(
            per_10s=_number(reply, "X-HubSpot-RateLimit-Max"),
            daily=_number(reply, "X-HubSpot-RateLimit-Daily"),
            left_today=_number(reply, "X-HubSpot-RateLimit-Daily-Remaining"),
        )
        if told.per_10s or told.daily:
            self._tell(partial(self._budget.hear, told))

    def _tell(self, note: Callable[[], None]) -> None:
        """Tell the budget what came of a call: that the database is busy must not make an answer an unknown one."""
        with suppress(Transient):
            note()


def _number(reply: Reply, header: str) -> int | None:
    text = reply.headers.get(header, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _is_worth_another_try(error: BaseException) -> bool:
    if isinstance(error, RateLimited):
        return error.delay <= TEN_SECONDS_DELAY
    # A long wait is not asked for again at once, nor is an answer that would be as large again.
    return isinstance(error, Unavailable) and not isinstance(error, TooLarge) and error.delay <= TEN_SECONDS_DELAY


@contextmanager
def translated(*, writes: bool) -> Iterator[None]:
    """Turn what the client, urllib3 or an answer brings into the core's errors."""
    unknown: type[Transient] = OutcomeUnknown if writes else Unavailable
    try:
        yield
    except Rejected as error:
        raise _of_status(error.reply, unknown) from error
    except Malformed as error:
        raise unknown("HubSpot's answer could not be read") from error
    except NoTrust as error:
        raise Untrusted("HubSpot's certificate is not trusted here", delay=TOKEN_DELAY) from error
    except Oversized as error:
        raise (unknown if writes else TooLarge)("HubSpot's answer is too large") from error
    except (ConnectTimeoutError, NewConnectionError) as error:
        raise Unavailable("HubSpot could not be reached") from error
    except MaxRetryError as error:
        never_sent = isinstance(error.reason, ConnectTimeoutError | NewConnectionError)
        raise (Unavailable if never_sent else unknown)("HubSpot could not be reached") from error
    except (HTTPError, ApiException, OSError) as error:
        raise unknown("HubSpot's answer did not arrive") from error


def _of_status(reply: Reply, unknown: type[Transient]) -> Exception:
    match reply.status:
        case 429:
            return _rate_limited(reply)
        case 401:
            return Unauthorised("HubSpot does not accept the token", delay=TOKEN_DELAY)
        case 403:
            return _forbidden(reply)
        case status if status in _NOT_EXECUTED:
            return Unavailable(f"HubSpot answered {status}", delay=_retry_after(reply) or LOCKED_DELAY)
        case status if status in _UNROUTED and not is_of_contract(reply):
            return PathUnknown("HubSpot does not know this path", delay=TOKEN_DELAY)
        case 400 if _UNKNOWN_TYPE.search(str(_body(reply).get("message", ""))):
            return PathUnknown("HubSpot does not know this path", delay=TOKEN_DELAY)
        case status if status in _REFUSALS:
            return Refusal(reply)
        case status if status < 500:
            # Misdirected: asking again at once would be answered the same.
            return Unavailable(f"HubSpot answered {status}", delay=TOKEN_DELAY)
        case status:
            return unknown(f"HubSpot answered {status}")


def is_of_contract(reply: Reply) -> bool:
    """Whether a 404 is HubSpot's word on a record. A path that it does not know is answered with a page without the
    header, whatever the page says.
    """
    if reply.status != 404:
        return False
    return reply.headers.get("X-HubSpot-NotFound", "").lower() == "true" or _body(reply).get("status") == "error"


def _forbidden(reply: Reply) -> Exception:
    """A property that no caller may write is refused with 403 as well; anything else is about the token."""
    body = _body(reply)
    if names_properties(body):
        return Refusal(reply)
    scopes = scopes_in(body)
    lacks = f"the token lacks the scope {', '.join(scopes)}" if scopes else "the token may not do this"
    return ScopeMissing(lacks, delay=TOKEN_DELAY)


def _body(reply: Reply) -> Json:
    try:
        return json_of(reply)
    except Malformed:
        return {}


def _rate_limited(reply: Reply) -> RateLimited:
    try:
        body = orjson.loads(reply.body)
        policy = f"{body.get('policyName', '')} {body.get('message', '')}".upper()
    except (orjson.JSONDecodeError, AttributeError):
        policy = ""
    rolls_on = "SECONDLY LIMIT" in policy or "TEN_SECONDLY_ROLLING" in policy
    if "DAILY" in policy:
        return QuotaSpent("the account's HubSpot calls of the day are spent", delay=_retry_after(reply) or DAILY_DELAY)
    usual = SECOND_DELAY if rolls_on else TEN_SECONDS_DELAY
    return RateLimited("HubSpot's rate limit", delay=_retry_after(reply) or usual)


def _retry_after(reply: Reply) -> float | None:
    """Return a usable Retry-After in seconds; HubSpot documents none, so anything may stand there."""
    text = reply.headers.get("Retry-After", "").strip()
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        return None
    return min(float(text), LONGEST_DELAY)
