"""The lines between the gateway and HubSpot, on loopback: a server with a certificate, and a proxy that connects."""

import select
import shutil
import socket
import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CHUNK = 64 * 1024
NAMES = "subjectAltName=DNS:hubspot.test,DNS:proxy.test,DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True)
class Authority:
    """A certificate authority of its own, and a certificate that it signed."""

    folder: Path

    @property
    def bundle(self) -> Path:
        return self.folder / "ca.pem"

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        return context


def make_authority(folder: Path) -> Authority:
    """Make the keys and certificates with openssl; where there is none, the test is skipped."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    folder.mkdir()
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for arguments in (
        ["-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", f"/CN={folder.name}"],
        [
            *("-x509", *key, "-keyout", "server.key", "-out", "server.pem", "-days", "2", "-subj", "/CN=hubspot.test"),
            *("-CA", "ca.pem", "-CAkey", "ca.key", "-addext", NAMES, "-addext", "basicConstraints=critical,CA:FALSE"),
        ],
    ):
        subprocess.run(["openssl", "req", *arguments], cwd=folder, check=True, capture_output=True)
    return Authority(folder)


@contextmanager
def listening(serve: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve each connection in a thread; with a context, behind TLS."""
    listener = socket.create_server(("127.0.0.1", 0))

    def meet(near: socket.socket) -> None:
        with suppress(OSError), near, near if tls is None else tls.wrap_socket(near, server_side=True) as line:
            serve(line)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=meet, args=(listener.accept()[0],), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()


def join(near: socket.socket, far: socket.socket) -> None:
    """Carry bytes both ways until one side ends; one thread does both, for a TLS socket bears no two at once."""
    while True:
        waits = isinstance(near, ssl.SSLSocket) and near.pending()
        for source in [near] if waits else select.select([near, far], [], [])[0]:
            part = source.recv(CHUNK)
            if not part:
                return
            (far if source is near else near).sendall(part)


@contextmanager
def terminator(url: str, authority: Authority) -> Iterator[int]:
    """TLS in front of a plain server; yields its port."""
    host, _, port = url.removeprefix("http://").partition(":")

    def serve(near: socket.socket) -> None:
        with socket.create_connection((host, int(port))) as far:
            join(near, far)

    with listening(serve, authority.server_context()) as port_of_tls:
        yield port_of_tls


@dataclass
class Proxy:
    """A CONNECT proxy that takes every name for this machine: `status` is its answer, `asked` what it heard."""

    credentials: str | None = None
    status: int = 200
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @contextmanager
    def running(self, tls: ssl.SSLContext | None = None) -> Iterator["Proxy"]:
        with ExitStack() as stack:
            self.port = stack.enter_context(listening(self._serve, tls))
            yield self

    def _serve(self, near: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            part = near.recv(CHUNK)
            if not part:
                return
            head += part
        line, *headers = head.decode("latin-1").splitlines()
        self.asked.append(line)
        status = self.status if self._is_known(headers) else 407
        near.sendall(f"HTTP/1.1 {status} Said\r\n\r\n".encode())
        if status == 200:
            with socket.create_connection(("127.0.0.1", int(line.split()[1].rpartition(":")[2]))) as far:
                join(near, far)

    def _is_known(self, headers: list[str]) -> bool:
        if self.credentials is None:
            return True
        basic = b64encode(self.credentials.encode()).decode()
        return f"proxy-authorization: basic {basic}".lower() in [each.lower() for each in headers]
