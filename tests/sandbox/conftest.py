"""A sandbox, a raw caller and a receiver of webhooks for each test."""

import http.client
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from sandbox import Sandbox, start
from sandbox.routes import OBJECTS

REFERENCE = Path(__file__).parents[1] / "reference"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def message(self) -> str:
        return self.json["message"]


@dataclass
class Caller:
    """Speaks HTTP without any client's leniency; one connection for each call."""

    sandbox: Sandbox
    token: str | None = None

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection(self.sandbox.url.removeprefix("http://"), timeout=20)
        sent = {"Authorization": f"Bearer {self.token or self.sandbox.token}", **headers}
        raw = body if isinstance(body, bytes) else None if body is None else orjson.dumps(body)
        try:
            connection.request(method, path, raw, sent)
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def create(self, **properties: str) -> str:
        reply = self("POST", OBJECTS, {"properties": properties})
        assert reply.status == 201, reply.body
        return reply.json["id"]

    def read(self, key: str, *properties: str) -> dict[str, Any]:
        reply = self("GET", f"{OBJECTS}/{key}?properties={','.join(properties)}")
        assert reply.status == 200, reply.body
        return reply.json["properties"]

    def batch(self, verb: str, *inputs: Any, **more: Any) -> Reply:
        return self("POST", f"{OBJECTS}/batch/{verb}", {"inputs": list(inputs), **more})

    def search(self, *filters: dict[str, Any], **more: Any) -> Reply:
        return self("POST", f"{OBJECTS}/search", {"filterGroups": [{"filters": list(filters)}], **more})


@dataclass
class Receiver:
    """Takes webhooks; answers what `answers` says first, then 204."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    hold: threading.Event | None = None

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for _, body in list(self.requests) for event in json.loads(body)]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("subscriptionType") == kind]


@pytest.fixture
def reference() -> Callable[[str], Path]:
    """Returns where a reference document lies."""
    return lambda name: REFERENCE / name


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Waits until something holds and returns it; fails when it does not in time."""

    def wait(holds: Callable[[], Any], seconds: float = 10) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := holds()):
            assert time.monotonic() < deadline, "did not happen in time"
            time.sleep(0.005)
        return value

    return wait


@pytest.fixture
def caller() -> type[Caller]:
    """Makes callers of sandboxes that a test starts itself."""
    return Caller


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append((dict(self.headers), body))
            if state.hold is not None:
                state.hold.wait(10)
            self.send_response(state.answers.pop(0) if state.answers else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        # Ten requests come at once.
        request_queue_size = 100

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield state
    if state.hold is not None:
        state.hold.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with start() as running:
        yield running


@pytest.fixture
def call(sandbox: Sandbox) -> Caller:
    return Caller(sandbox)


@pytest.fixture
def hooked(receiver: Receiver) -> Iterator[Sandbox]:
    """A sandbox that sends its webhooks to `receiver`."""
    with start(webhook_url=receiver.url, webhook_retry_ms=1) as running:
        yield running
