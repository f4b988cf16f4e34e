"""A line to Postgres that can go dead: everything is acknowledged, and nothing arrives any more."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from proxy import Proxy
from psycopg.conninfo import conninfo_to_dict, make_conninfo


@dataclass(frozen=True)
class Line:
    """`dsn` is the database behind the line."""

    dsn: str
    proxy: Proxy

    def go_dead(self) -> None:
        """Let no connection that is open now be answered again."""
        self.proxy.swallow_all()

    def take_nothing(self, *, now: bool) -> None:
        """Let new connections be accepted and never answered, or be sound again."""
        self.proxy.swallows = now


@contextmanager
def line_to(dsn: str) -> Iterator[Line]:
    """Lay a line to a database."""
    parts = conninfo_to_dict(dsn)
    host, port = str(parts.get("host") or "127.0.0.1"), int(parts.get("port") or 5432)

    def connect() -> socket.socket:
        if not host.startswith("/"):
            return socket.create_connection((host, port), timeout=None)
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(f"{host}/.s.PGSQL.{port}")
        return upstream

    proxy = Proxy(connect, Random(0))
    place = {"host": "127.0.0.1", "port": proxy.port, "sslmode": "disable", "gssencmode": "disable"}
    try:
        yield Line(make_conninfo(dsn, **place), proxy)
    finally:
        proxy.close()
