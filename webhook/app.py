"""The HTTP side of the receiver: verify, mark, commit, answer. It can only mark; looking is the worker's."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

import bottle
import orjson
import structlog

from reconciler.core.errors import Busy, DatabaseDown
from reconciler.process.bodies import Bodies, CutOff, TooLarge, TooMany, TooSlow
from reconciler.process.wsgi import Ambiguous, Response, refuse_ambiguous
from webhook.alarm import Alarm
from webhook.events import NotEvents, quarantined, read
from webhook.signature import Unsigned, Verifier

LARGEST = 8 * 1024 * 1024
"""Bytes of a delivery: a hundred events with values of 65,536 characters."""

RETRY_AFTER = "60"

log = structlog.get_logger()


class Inbox(Protocol):
    """Where deliveries go."""

    def receive(self, *, contacts: Collection[int], private: Collection[int], counts: Mapping[str, int]) -> None:
        """Mark the contacts of a delivery, those in `private` for a privacy deletion, and commit."""

    def quarantine(self, *, reason: str, size: int, hash_: str) -> None:
        """Note a body that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """What the app works with. `wake` tells the worker that there are marks."""

    verifier: Verifier
    inbox: Inbox
    wake: Callable[[], None]
    portal_id: Callable[[], int | None]
    app_id: int | None
    alarm: Alarm
    bodies: Bodies
    clock: Callable[[], float] = time.time


def make_app(receiver: Receiver) -> Callable[..., Iterable[bytes]]:
    """Return the WSGI app."""
    app = bottle.Bottle()
    app.catchall = False

    @app.post("/")  # type: ignore[untyped-decorator]
    def deliver() -> Response:
        return _deliver(receiver, bottle.request.environ)

    @app.get(["/livez", "/healthz"])  # type: ignore[untyped-decorator]
    def health() -> Response:
        # Good all the same: without receivers no delivery could be accepted, ever.
        code = receiver.alarm.refusing
        return _answer(200, {"status": "ok"} if code is None else {"status": "refusing", "code": code})

    def shell(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        response = _respond(app, receiver, environ)
        if response.status >= 400:
            receiver.bodies.drop(environ)
        return response.send(environ, start_response)

    return shell


def _respond(app: bottle.Bottle, receiver: Receiver, environ: dict[str, Any]) -> Response:
    try:
        return _called(app, receiver.verifier.path, environ)
    except (DatabaseDown, Busy) as error:
        log.warning("webhook.unavailable", reason=error.reason)
        receiver.alarm.failed("unavailable")
        return _refuse(503, "unavailable", **{"Retry-After": RETRY_AFTER})
    except Exception as error:
        status, code, headers = _refusal_of(error)
        if status == 500:
            log.exception("webhook.bug")
            receiver.alarm.failed(code)
        elif _is_hubspots(environ):
            receiver.alarm.refused(code)
        else:
            receiver.alarm.stray(code)
        return _refuse(status, code, **headers)


def _called(app: bottle.Bottle, path: str, environ: dict[str, Any]) -> Response:
    bottle.request.bind(environ)
    refuse_ambiguous(environ)
    # The path of the URL is another name of the root, where an ingress that strips it delivers. It is no route of its
    # own: Bottle would read `:` and `<` in it as wildcards.
    called = {**environ, "PATH_INFO": "/"} if environ["PATH_INFO"] == path else environ
    route, arguments = app.router.match(called)
    response: Response = route.call(**arguments)
    return response


def _refusal_of(error: Exception) -> tuple[int, str, dict[str, str]]:
    """Return the status, code and headers of what is refused."""
    match error:
        case bottle.HTTPError(status_code=405):
            return 405, "method_not_allowed", {"Allow": error.get_header("Allow") or "POST"}
        case bottle.HTTPError():
            return 404, "not_found", {}
        case Unsigned(code=code):
            return 401, code, {}
        case Ambiguous() | CutOff():
            return 400, "bad_request", {"Connection": "close"}
        case TooLarge():
            return 413, "too_large", {"Connection": "close"}
        case TooSlow():
            return 408, "too_slow", {"Connection": "close"}
        case TooMany():
            return 503, "too_busy", {"Retry-After": RETRY_AFTER}
        case _:
            return 500, "internal", {}


def _is_hubspots(environ: dict[str, Any]) -> bool:
    """Whether a request that is not taken looks like a delivery, and not like what scanners send to every port."""
    is_marked = any(name.startswith("HTTP_X_HUBSPOT_") for name in environ)
    return is_marked or "hubspot" in environ.get("HTTP_USER_AGENT", "").lower()


def _deliver(receiver: Receiver, environ: dict[str, Any]) -> Response:
    signature = environ.get("HTTP_X_HUBSPOT_SIGNATURE_V3")
    if signature is None:
        raise Unsigned("signature_missing")
    body = receiver.bodies.read(environ, LARGEST)
    timestamp = environ.get("HTTP_X_HUBSPOT_REQUEST_TIMESTAMP")
    now_ms = int(receiver.clock() * 1000)
    receiver.verifier.verify(signature=signature, timestamp=timestamp, body=body, now_ms=now_ms)
    receiver.alarm.accepted()
    try:
        delivery = read(body, portal_id=receiver.portal_id(), app_id=receiver.app_id)
    except NotEvents as error:
        # HubSpot would repeat any other answer ten times for nothing.
        kept = quarantined(body, str(error))
        receiver.inbox.quarantine(reason=kept.reason, size=kept.size, hash_=kept.hash)
        log.error("webhook.quarantined", reason=str(error), size=len(body))
        return _answer(204)
    receiver.inbox.receive(contacts=delivery.contacts, private=delivery.private, counts=delivery.counts)
    if delivery.contacts:
        receiver.wake()
    return _answer(204)


def _refuse(status: int, code: str, **headers: str) -> Response:
    text = code.replace("_", " ").capitalize()
    return _answer(status, {"message": text, "code": code, "request_id": str(uuid4())}, **headers)


def _answer(status: int, body: Any = None, **headers: str) -> Response:
    data = b"" if body is None else orjson.dumps(body)
    kind = {} if body is None else {"Content-Type": "application/json", "Content-Length": str(len(data))}
    return Response(status, {**kind, **headers}, data)
