"""The socket side: reads requests, writes answers in the manner they ask for, and can be stopped at once.

Decides nothing; paths below /sandbox/ and the page go to the control side, everything else to the API.
"""

import email.utils
import ipaddress
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sandbox.answers import Answer, Manner, error_answer, json_answer
from sandbox.clock import Clock
from sandbox.doors import is_foreign
from sandbox.errors import no_such_path
from sandbox.routes import Request

Answering = Callable[[Request], Answer]

_MEGABYTE = b" " * (1 << 20)
_LONGEST_BODY = 64 << 20


class Server(ThreadingHTTPServer):
    """An HTTP server that knows its open connections, to end them when it stops."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(
        self,
        address: tuple[str, int],
        api: Answering,
        control: Answering,
        clock: Clock,
        stopping: threading.Event,
    ) -> None:
        self.api = api
        self.control = control
        self.clock = clock
        self.stopping = stopping
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(address, _Handler)

    @property
    def origin(self) -> str:
        """The address of the server as a URL."""
        host = str(self.server_address[0])
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_address[1]}"

    def serve(self) -> None:
        """Answer requests until `stop`."""
        self.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        """End serving and every open connection."""
        self.stopping.set()
        self.shutdown()
        with self._connections_lock:
            for connection in self._connections:
                _shut(connection)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that hang up; anything else is a bug and is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The caller was quicker.
        return


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def do_GET(self) -> None:  # noqa: N802
        body = self._read_body()
        if body is not None:
            self._write(self._answer(body))

    do_POST = do_PATCH = do_DELETE = do_PUT = do_HEAD = do_OPTIONS = do_GET  # noqa: N815

    def _read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        chunked = "Transfer-Encoding" in self.headers
        if chunked or not (length.isascii() and length.isdecimal()) or int(length) > _LONGEST_BODY:
            self.close_connection = True
            self._write(Answer(411 if chunked else 400))
            return None
        body = self.rfile.read(int(length))
        return body if len(body) == int(length) else None

    def _answer(self, body: bytes) -> Answer:
        parts = urlsplit(self.path if not self.path.startswith("//") else "/")
        request = Request(
            method=self.command,
            path=unquote(parts.path),
            target=self.path,
            query=parse_qs(parts.query, keep_blank_values=True),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            origin=self.server.origin,
        )
        if request.path != "/" and not request.path.startswith("/sandbox"):
            return self.server.api(request)
        if not ipaddress.ip_address(self.client_address[0]).is_loopback:
            return error_answer(no_such_path())
        if is_foreign(request.headers, self.server.server_address[1]):
            return json_answer(403, {"message": "not for other pages: call it as 127.0.0.1 or localhost"})
        return self.server.control(request)

    def _write(self, answer: Answer) -> None:
        if answer.manner is Manner.CUT:
            self.close_connection = True
            _shut(self.connection)
            return
        self._write_head(answer)
        if self.command != "HEAD":
            self._write_body(answer)

    def _write_head(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            length = answer.pace * len(_MEGABYTE) if answer.manner is Manner.HUGE else len(answer.body)
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _write_body(self, answer: Answer) -> None:
        match answer.manner:
            case Manner.TRUNCATE:
                self.close_connection = True
                self.wfile.write(answer.body[: len(answer.body) // 2])
            case Manner.DRIP:
                self._drip(answer)
            case Manner.HUGE:
                for _ in range(answer.pace):
                    self.wfile.write(_MEGABYTE)
            case _:
                self.wfile.write(answer.body)

    def _drip(self, answer: Answer) -> None:
        for at in range(len(answer.body)):
            self.wfile.write(answer.body[at : at + 1])
            self.wfile.flush()
            if self.server.stopping.wait(answer.pace / 1000):
                return

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Date answers by HubSpot's clock, which may run apart from ours."""
        return email.utils.formatdate(self.server.clock() / 1000 if timestamp is None else timestamp, usegmt=True)

    def version_string(self) -> str:
        return "cloudflare"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: calls are in the call log."""
