"""What load balancers and monitors send: HTTP/1.0 without a host, absolute targets, HEAD."""

import pytest
import running_servers
from callers import Caller
from raw_http import talk
from systems import ApiInProcess, ServedApi

from api.app import make_app

HOST = b"Host: x\r\n"
CLOSE = b"Connection: close\r\n"
PROBES = [
    ("api", b"/healthz"),
    ("api", b"/livez"),
    ("api", b"/readyz"),
    ("webhook", b"/healthz"),
    ("webhook", b"/livez"),
]
LINES = {
    "HTTP/1.0 without a host": (b"%s %s HTTP/1.0\r\n", b""),
    "HTTP/1.0 with an empty host": (b"%s %s HTTP/1.0\r\n", b"Host:\r\n"),
    "HTTP/1.0 with a host": (b"%s %s HTTP/1.0\r\n", HOST),
    "HTTP/1.0 kept alive": (b"%s %s HTTP/1.0\r\n", b"Connection: keep-alive\r\n"),
    "HTTP/1.0, absolute": (b"%s http://10.0.0.7:8080%s HTTP/1.0\r\n", b""),
    "HTTP/1.1, absolute": (b"%s http://10.0.0.7:8080%s HTTP/1.1\r\n", HOST + CLOSE),
    "HTTP/1.1, by an address": (b"%s %s HTTP/1.1\r\n", b"Host: 10.0.0.7:8080\r\n" + CLOSE),
    "HTTP/1.1, by a v6 address": (b"%s %s HTTP/1.1\r\n", b"Host: [fd00::7]:8080\r\n" + CLOSE),
    "HTTP/1.1 with a query": (b"%s %s?t=1 HTTP/1.1\r\n", HOST + CLOSE),
}
PORTS = dict[str, int]


@pytest.fixture
def ports(served_api: ServedApi, served_webhook: running_servers.Server) -> PORTS:
    # Fresh data: the API is healthy only while something moves.
    served_api.world.sql(
        "insert into sync.heartbeat (job, at) values ('drain', now()) on conflict (job) do update set at = now()"
    )
    return {"api": served_api.server.port, "webhook": served_webhook.port}


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("form", LINES)
@pytest.mark.parametrize(("module", "path"), PROBES)
def test_a_probe_is_answered_however_it_asks(ports: PORTS, module: str, path: bytes, form: str, method: bytes) -> None:
    line, headers = LINES[form]
    said = talk(ports[module], line % (method, path) + headers + b"\r\n", answers=2)
    assert said.statuses == [200]
    head, _, body = said.data.partition(b"\r\n\r\n")
    assert (b'"status":"ok"' in body) == (method == b"GET")
    assert method == b"GET" or not body
    assert b"content-length: " in head.lower()


@pytest.mark.parametrize("module", ["api", "webhook"])
@pytest.mark.parametrize("host", [b"", b"Host:\r\n", b"Host: x, y\r\n"])
def test_http_1_1_without_one_host_stays_refused(ports: PORTS, module: str, host: bytes) -> None:
    said = talk(ports[module], b"GET /healthz HTTP/1.1\r\n" + host + b"\r\n")
    assert said.statuses == [400]
    assert said.closed


@pytest.mark.parametrize("module", ["api", "webhook"])
@pytest.mark.parametrize("target", [b"x:80", b"healthz", b"@x"])
@pytest.mark.parametrize("method", [b"GET", b"POST", b"CONNECT"])
def test_a_target_that_is_no_path_is_refused_and_not_taken_for_the_root(
    ports: PORTS, module: str, target: bytes, method: bytes
) -> None:
    said = talk(ports[module], method + b" " + target + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n")
    assert said.statuses == [400]


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1"])
def test_the_server_may_name_the_old_protocol_either_way(shared_api: ApiInProcess, version: str) -> None:
    old = {"SERVER_PROTOCOL": version, "HTTP_HOST": ""}
    call = Caller(make_app(shared_api.services))
    assert call("GET", "/readyz", environ=old).status == 200
    assert call("GET", "/readyz", environ={**old, "SERVER_PROTOCOL": "HTTP/1.1"}).status == 400
