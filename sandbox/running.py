"""A sandbox that runs: portal, API, control side and server, put together and taken apart.

`start` is for tests and serves from threads of this process; `python -m sandbox` does the same in its own.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sandbox.api import Api
from sandbox.clock import Clock, system_ms
from sandbox.control import Control
from sandbox.portal import Portal
from sandbox.server import Server
from sandbox.settings import Settings


class Sandbox:
    """One account of HubSpot on a port of this machine."""

    def __init__(self, settings: Settings, *, clock: Clock = system_ms) -> None:
        self.portal = Portal(settings, clock=clock)
        self._stopping = threading.Event()
        api, control = Api(self.portal, clock, self._pause), Control(self.portal)
        try:
            address = (settings.host, settings.port)
            self._server = Server(address, api.answer, control.answer, clock, self._stopping)
        except OSError:
            self.portal.close()
            raise

    @property
    def url(self) -> str:
        """Base URL of the API, of the control side and of the page."""
        return self._server.origin

    @property
    def token(self) -> str:
        """The access token in force."""
        return self.portal.settings.access_token

    @property
    def client_secret(self) -> str:
        """The secret that signs webhooks."""
        return self.portal.settings.client_secret

    def serve(self) -> None:
        """Answer requests until `close` is called from another thread."""
        self._server.serve()

    def _pause(self, seconds: float) -> None:
        if seconds and self._stopping.wait(seconds):
            raise ConnectionAbortedError("the sandbox stops")

    def close(self) -> None:
        """Stop serving, break off what is in flight, close the state file."""
        self._server.stop()
        self.portal.close()


@contextmanager
def start(*, clock: Clock = system_ms, **settings: Any) -> Iterator[Sandbox]:
    """Run a sandbox on a free port for the length of a `with` block; settings as in `Settings`."""
    sandbox = Sandbox(Settings(**{"port": 0, **settings}), clock=clock)
    serving = threading.Thread(target=sandbox.serve, name="sandbox", daemon=True)
    serving.start()
    try:
        yield sandbox
    finally:
        sandbox.close()
        serving.join()
