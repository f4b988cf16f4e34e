"""The real processes over real sockets: whole calls, bodies beyond their cap, slow and cut-off callers, signals."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import psutil
import psycopg
import pytest
import running_servers
from deliveries import event, signed
from psycopg.conninfo import make_conninfo
from raw_http import DEADLINE, Conversation, ask, talk
from systems import JWT_SECRET, KAI, ApiInProcess, ServedApi, api_environment, as_admin, webhook_environment
from test_http_framing import BODY, BROKEN, CHUNKED, N, X, authorized, exists, framed, length
from world import World

from api.auth import Role
from sandbox import start

SWALLOWED = pytest.mark.xfail(strict=True, reason=BROKEN)
MIB = 1024 * 1024
BODY_OF_KAI = orjson.dumps(KAI)
NEW = b'{"email": "wire@hubspot.com", "firstname": "W", "lastname": "W"}'


def chunked(data: bytes, size: int = 65_536) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        part = data[at : at + size]
        yield b"%x\r\n" % len(part) + part + b"\r\n"
    yield b"0\r\n\r\n"


def headers_of(delivery: dict[str, Any], extra: bytes) -> bytes:
    names = [name for name in delivery if name != "data"]
    lines = b"".join(f"{name.replace('_', '-')}: {delivery[name]}\r\n".encode() for name in names)
    return b"POST / HTTP/1.1\r\nHost: x\r\n" + lines + extra + b"\r\n"


def test_a_customer_lives_over_the_wire(served_api: ServedApi) -> None:
    port, admin = served_api.server.port, as_admin()
    assert ask(port, "POST", "/", NEW, **admin)[0] == 201
    status, headers, body = ask(port, "GET", "/wire@hubspot.com", **admin)
    assert (status, headers["content-length"]) == (200, str(len(body)))
    assert ask(port, "GET", "/wire@hubspot.com", If_None_Match=headers["etag"], **admin)[::2] == (304, b"")
    status, headers, body = ask(port, "PUT", "/wire@hubspot.com", b'{"phone": "1"}', **admin)
    assert (status, headers["content-length"], body) == (200, "0", b"")
    assert ask(port, "HEAD", "/wire@hubspot.com", **admin)[::2] == (200, b"")
    status, headers, body = ask(port, "DELETE", "/wire@hubspot.com", **admin)
    assert (status, body) == (204, b"")
    assert not headers.keys() & {"content-length", "content-type", "transfer-encoding"}


def test_an_address_that_is_not_ascii_lives_over_the_wire_too(served_api: ServedApi) -> None:
    admin = as_admin()
    body = '{"email": "jörg@hübspot.de", "firstname": "J", "lastname": "J"}'.encode()
    assert ask(served_api.server.port, "POST", "/", body, **admin)[0] == 201
    for method, status in (("GET", 200), ("DELETE", 204)):
        assert ask(served_api.server.port, method, "/j%C3%B6rg@h%C3%BCbspot.de", **admin)[0] == status


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_chunked_body_is_read_once(served_api: ServedApi, size: int) -> None:
    data = NEW.replace(b"wire", b"chunk%d" % size)
    request = framed(CHUNKED, b"".join(chunked(data, size))).replace(b"AUTHORIZED", authorized(served_api))
    assert talk(served_api.server.port, request, answers=1).statuses == [202]
    assert exists(served_api, f"chunk{size}")


def test_a_signed_chunked_delivery_is_taken(served_webhook: running_servers.Server) -> None:
    delivery = signed([event(7_000_001)])
    said = talk(served_webhook.port, headers_of(delivery, CHUNKED), *chunked(delivery["data"], 10), answers=1)
    assert said.statuses == [204]


def test_a_caller_who_waits_for_a_hundred_is_told_to_go_on(served_api: ServedApi) -> None:
    start = framed(length(N) + b"Expect: 100-continue\r\n").replace(b"AUTHORIZED", authorized(served_api))
    said = talk(served_api.server.port, start, answers=1)
    assert said.statuses == [100]


@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(framed(length(b"%d" % (len(BODY) + 10)), BODY), id="length"),
        pytest.param(framed(CHUNKED, X + b"\r\n" + BODY + b"\r\n"), id="chunks", marks=SWALLOWED),
        pytest.param(framed(CHUNKED, b"fff\r\n" + BODY), id="chunk", marks=SWALLOWED),
    ],
)
def test_a_body_that_was_cut_off_is_refused(served_api: ServedApi, cut: bytes) -> None:
    unique = uuid4().hex
    sent = cut.replace(b"0" * 32, unique.encode()).replace(b"AUTHORIZED", authorized(served_api))
    said = talk(served_api.server.port, sent, half_close=True)
    assert not exists(served_api, f"first-{unique}")
    assert said.statuses in ([], [400])
    assert said.closed


def refused_as_too_large(said: Conversation) -> None:
    assert said.statuses == [413]
    assert said.closed
    assert b"connection: close" in said.data.lower()


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    served_api: ServedApi, served_webhook: running_servers.Server
) -> None:
    start = framed(length(b"%d" % (8 * MIB + 1))).replace(b"AUTHORIZED", authorized(served_api))
    refused_as_too_large(talk(served_api.server.port, start))
    refused_as_too_large(talk(served_webhook.port, headers_of(signed([]), length(b"%d" % (8 * MIB + 1)))))


def test_a_body_that_grows_too_large_is_refused_while_it_is_sent(
    served_api: ServedApi, served_webhook: running_servers.Server
) -> None:
    start = framed(CHUNKED).replace(b"AUTHORIZED", authorized(served_api))
    refused_as_too_large(talk(served_api.server.port, start, *chunked(b" " * (9 * MIB))))
    refused_as_too_large(talk(served_webhook.port, headers_of(signed([]), CHUNKED), *chunked(b" " * (9 * MIB))))
    assert ask(served_webhook.port, "GET", "/healthz")[0] == 200


def test_the_largest_delivery_of_hubspot_fits_through(served_webhook: running_servers.Server) -> None:
    delivery = signed([event(n, propertyName="company", propertyValue="x" * 65_536) for n in range(1, 101)])
    headers = {name: str(value) for name, value in delivery.items() if name != "data"}
    assert ask(served_webhook.port, "POST", "/", delivery["data"], **headers)[0] == 204


def test_callers_who_never_finish_do_not_keep_an_honest_one_waiting(
    served_api: ServedApi, served_webhook: running_servers.Server
) -> None:
    """Nobody unknown gets as far as having a body read."""
    slow_header, slow_body = (
        b"POST / HTTP/1.1\r\nHost: x\r\nX-A: ",
        framed(length(b"60000"), b"{").replace(b"AUTHORIZED", b""),
    )
    for port in (served_api.server.port, served_webhook.port):
        with ExitStack() as stack:
            for n in range(100):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE))
                connection.sendall(slow_header if n % 2 else slow_body)
            assert ask(port, "GET", "/healthz")[0] in (200, 503)


def test_many_honest_callers_at_once_are_all_answered(served_api: ServedApi) -> None:
    with ExitStack() as stack:
        request = (
            b"GET /kai@hubspot.com HTTP/1.1\r\nHost: x\r\n" + authorized(served_api) + b"Connection: close\r\n\r\n"
        )
        sockets = [
            stack.enter_context(socket.create_connection(("127.0.0.1", served_api.server.port), timeout=30))
            for _ in range(200)
        ]
        for connection in sockets:
            connection.sendall(request)
        answers = [connection.makefile("rb").read() for connection in sockets]
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


@pytest.mark.parametrize("module", ["api", "webhook"])
def test_a_process_ends_in_order_when_it_is_told_to(world: World, tmp_path: Path, module: str) -> None:
    environment = api_environment(world) if module == "api" else webhook_environment(world)
    with running_servers.server(module, environment, tmp_path / "log") as server:
        workers = server.workers()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(running_servers.STOP) == 0
        assert psutil.wait_procs(workers, timeout=running_servers.STOP)[1] == []
        assert "Traceback" not in server.log


def test_the_workers_end_with_their_parent_however_that_ends(world: World, tmp_path: Path) -> None:
    with running_servers.server("api", api_environment(world), tmp_path / "log") as server:
        workers = server.workers()
        assert workers
        server.process.kill()
        server.process.wait()
        assert psutil.wait_procs(workers, timeout=running_servers.STOP)[1] == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_create_whose_process_died_is_finished_by_its_repetition(
    api: ApiInProcess, tmp_path: Path, when: str, until: Callable[..., Any]
) -> None:
    """The process is killed while HubSpot works; the client repeats with its key, at first too early."""
    world = api.world
    with running_servers.server("api", api_environment(world), tmp_path / "log") as server:
        who = f"Bearer {api.services.tokens.issue(Role.ADMIN)}"

        def die() -> None:
            for process in (server.process, *server.workers()):
                process.kill()

        world.portal.faults.add(action="run", when=when, path_contains="/batch/create", run=die)
        with pytest.raises((ConnectionError, OSError)):
            ask(
                server.port,
                "POST",
                "/",
                BODY_OF_KAI,
                Authorization=who,
                Content_Type="application/json",
                Idempotency_Key="k",
            )
    until(lambda: world.contact("kai@hubspot.com"))
    # The key is the token's own: it is the same client that comes again.
    admin = api.anyone.with_headers(Authorization=who)
    early = admin("POST", "/", data=BODY_OF_KAI, Content_Type="application/json", Idempotency_Key="k")
    assert (early.status, early.json["code"]) == (409, "in_flight")
    world.sql("update sync.idempotency set lease_until = now() - interval '1 second'")
    world.sql("update sync.intent set deadline = now() - interval '1 second'")
    world.sql("update sync.link set lease_until = null")
    late = admin("POST", "/", data=BODY_OF_KAI, Content_Type="application/json", Idempotency_Key="k")
    assert late.status == 201
    again = admin("POST", "/", data=BODY_OF_KAI, Content_Type="application/json", Idempotency_Key="k")
    assert again.json == late.json
    world.quiet()
    world.assert_equal()
    assert len(world.portal.contacts) == 1


def test_an_api_that_starts_before_its_database_works_as_soon_as_that_is_there(
    server: str, template: str, tmp_path: Path, until: Callable[..., Any]
) -> None:
    name = f"late_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection, start(rate_per_10s=0) as sandbox:
        environment = {
            "DATABASE_URL": make_conninfo(server, dbname=name),
            "HUBSPOT_ACCESS_TOKEN": sandbox.token,
            "HUBSPOT_BASE_URL": sandbox.url,
            "JWT_SECRET": JWT_SECRET,
        }
        with running_servers.server("api", environment, tmp_path / "log") as api:
            assert ask(api.port, "GET", "/readyz")[0] == 503
            connection.execute(f'create database "{name}" template "{template}"')
            until(lambda: ask(api.port, "GET", "/readyz")[0] == 200)
            admin = as_admin()
            assert ask(api.port, "POST", "/", BODY_OF_KAI, **admin)[0] == 201
        connection.execute(f'drop database "{name}" with (force)')
    assert "Traceback" not in api.log
