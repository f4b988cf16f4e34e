"""The HTTP side of the receiver: verify, mark, commit, answer. It can only mark; looking is the worker's."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

import bottle
import orjson
import structlog

from reconciler.adapters.postgres.database import Busy, DatabaseDown
from reconciler.bodies import Bodies, CutOff, TooLarge, TooMany, TooSlow
from reconciler.wsgi import Ambiguous, Response, refuse_ambiguous
from webhook.alarm import Alarm
from webhook.events import Delivery, NotEvents, Quarantined, quarantined, read
from webhook.signature import Unsigned, Verifier

LARGEST = 8 * 1024 * 1024
"""Bytes of a delivery: a hundred events with values of 65,536 characters."""

RETRY_AFTER = "60"

log = structlog.get_logger()


class Inbox(Protocol):
    """Where deliveries go."""

    def store(self, delivery: Delivery) -> None:
        """Mark the contacts of a delivery and commit."""

    def quarantine(self, body: Quarantined) -> None:
        """Keep a body that could not be read."""


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
        try:
            return _deliver(receiver, bottle.request.environ)
        except Unsigned as error:
            receiver.alarm.refused(error.code)
            raise

    @app.get(["/livez", "/healthz"])  # type: ignore[untyped-decorator]
    def health() -> Response:
        return _answer(200, {"status": "ok"})

    def shell(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        response = _respond(app, environ)
        if response.status >= 400:
            receiver.bodies.drop(environ)
        return response.send(environ, start_response)

    return shell


def _respond(app: bottle.Bottle, environ: dict[str, Any]) -> Response:
    try:
        bottle.request.bind(environ)
        refuse_ambiguous(environ)
        route, arguments = app.router.match(environ)
        response: Response = route.call(**arguments)
        return response
    except bottle.HTTPError as error:
        if error.status_code == 405:
            return _refuse(405, "method_not_allowed", Allow=error.get_header("Allow") or "POST")
        return _refuse(404, "not_found")
    except Unsigned as error:
        log.warning("webhook.refused", code=error.code)
        return _refuse(401, error.code)
    except (Ambiguous, CutOff):
        return _refuse(400, "bad_request", Connection="close")
    except TooLarge:
        return _refuse(413, "too_large", Connection="close")
    except TooSlow:
        return _refuse(408, "too_slow", Connection="close")
    except TooMany:
        return _refuse(503, "too_busy", **{"Retry-After": RETRY_AFTER})
    except (DatabaseDown, Busy) as error:
        log.warning("webhook.unavailable", reason=error.reason)
        return _refuse(503, "unavailable", **{"Retry-After": RETRY_AFTER})
    except Exception:
        log.exception("webhook.bug")
        return _refuse(500, "internal")


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
        receiver.inbox.quarantine(quarantined(body, str(error)))
        log.error("webhook.quarantined", reason=str(error), size=len(body))
        return _answer(204)
    receiver.inbox.store(delivery)
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
