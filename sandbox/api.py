"""One API call from request to answer: address length, faults, credentials, limits, then the route.

This is the order in which HubSpot looks at a call; the server only reads and writes.
"""

import logging
import time
import uuid
from collections.abc import Callable

from sandbox.answers import Answer, Manner, error_answer
from sandbox.calls import Call
from sandbox.clock import Clock
from sandbox.errors import HubSpotError, no_such_path, resource_not_found
from sandbox.faults import Action, Fault, spoil
from sandbox.limits import Limiter
from sandbox.portal import Portal
from sandbox.refusals import (
    MISSING_SCOPES,
    internal_error,
    missing_scopes,
    no_property_access,
    unauthenticated,
    uri_too_long,
)
from sandbox.routes import OBJECTS, PROPERTIES, Request, Routes

_SCOPES = ["crm.objects.contacts.read", "crm.objects.contacts.write"]
_log = logging.getLogger("sandbox")
_TOKEN_INFO = "/oauth/v2/private-apps/get/access-token-info"


Pause = Callable[[float], None]


class Api:
    """HubSpot's front door."""

    def __init__(self, portal: Portal, clock: Clock, pause: Pause) -> None:
        self._portal = portal
        self._clock = clock
        self._pause = pause
        self._limiter = Limiter(portal.switches, clock)
        self._routes = Routes(portal, self._limiter)

    def answer(self, request: Request) -> Answer:
        """Answer a call, with whatever fault strikes it, and log it."""
        started, at = time.perf_counter(), self._clock()
        fault = self._portal.faults.strike(request.method, request.target, request.body)
        answer = self._struck(fault, request) if fault else self._plain(request)
        answer.headers["X-HubSpot-Correlation-Id"] = str(uuid.uuid4())
        self._pause(self._portal.faults.latency_ms() / 1000)
        self._portal.calls.note(
            Call(
                at=at,
                method=request.method,
                path=request.target,
                status=0 if answer.manner is Manner.CUT else answer.status,
                ms=round((time.perf_counter() - started) * 1000, 1),
                fault=fault.action.value if fault else None,
            )
        )
        return answer

    def _struck(self, fault: Fault, request: Request) -> Answer:
        happens = fault.when == "after" or fault.action in (
            Action.DELAY, Action.RUN, Action.DRIP, Action.TRUNCATE, Action.HUGE,
        )  # fmt: skip
        if fault.when == "before":
            self._act(fault)
        answer = self._plain(request) if happens else Answer(200)
        if fault.when == "after":
            self._act(fault)
        return spoil(fault, answer)

    def _act(self, fault: Fault) -> None:
        if fault.action is Action.DELAY:
            self._pause(fault.ms / 1000)
        elif fault.action is Action.RUN and fault.run is not None:
            fault.run()

    def _plain(self, request: Request) -> Answer:
        is_search = request.path == f"{OBJECTS}/search"
        try:
            self._admit(request, is_search)
            return self._with_limits(self._route(request), is_search)
        except HubSpotError as error:
            answer = error_answer(error)
            untold = error.status in (401, 414) or error.category == MISSING_SCOPES
            return answer if untold else self._with_limits(answer, is_search)

    def _admit(self, request: Request, is_search: bool) -> None:
        settings = self._portal.settings
        if len(request.target) > settings.url_limit:
            raise uri_too_long()
        if request.path != _TOKEN_INFO:
            self._authenticate(request)
        self._limiter.admit(is_search)
        if settings.missing_scopes and request.path.startswith(PROPERTIES):
            raise no_property_access(settings.portal_id)
        if settings.missing_scopes and request.path.startswith(OBJECTS):
            raise missing_scopes(_SCOPES)

    def _authenticate(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token != self._portal.settings.access_token:
            raise unauthenticated()

    def _route(self, request: Request) -> Answer:
        route = self._routes.find(request)
        if route is None:
            html = self._portal.settings.unknown_path_form == "html"
            raise no_such_path() if html else resource_not_found()
        try:
            return route(request)
        except HubSpotError:
            raise
        except Exception:
            _log.exception("call failed", extra={"method": request.method, "path": request.path})
            raise internal_error() from None

    def _with_limits(self, answer: Answer, is_search: bool) -> Answer:
        answer.headers |= self._limiter.headers(is_search)
        return answer
