"""The shipped proxy answers what is too much: 429 for a caller, 503 for deliveries beyond the cap."""

import http.client
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ports import free_port

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


class Upstream:
    """Answers GET at once, and POST when it is let go."""

    def __init__(self) -> None:
        self.arrived, self.let_go = threading.Event(), threading.Event()
        upstream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(204)
                self.end_headers()

            def do_POST(self) -> None:
                upstream.arrived.set()
                upstream.let_go.wait(20)
                self.do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.let_go.set()
    upstream.server.shutdown()
    upstream.server.server_close()


@pytest.fixture
def ports(upstream: Upstream, tmp_path: Path, until: Callable[..., object]) -> Iterator[tuple[int, int]]:
    """The proxy's two ports, with limits low enough to be met."""
    if NGINX is None:
        pytest.skip("no nginx on this machine")
    api, webhook = free_port(), free_port()
    text = CONFIGURATION.read_text().replace("/tmp/", f"{tmp_path}/")
    for old, new in (
        ("server api:8080", f"server 127.0.0.1:{upstream.port}"),
        ("server webhook:8081", f"server 127.0.0.1:{upstream.port}"),
        ("listen 8080", f"listen 127.0.0.1:{api}"),
        ("listen 8081", f"listen 127.0.0.1:{webhook}"),
        ("rate=200r/s", "rate=1r/s"),
        ("burst=400", "burst=2"),
        ("limit_conn deliveries 200", "limit_conn deliveries 1"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "nginx.conf").write_text(text)
    command = [NGINX, "-c", str(tmp_path / "nginx.conf"), "-g", "daemon off;"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: (tmp_path / "nginx.pid").exists())
    yield api, webhook
    process.terminate()
    process.wait(10)


def ask(port: int, method: str) -> tuple[int, str | None, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, "/kai@hubspot.com" if method == "GET" else "/", b"" if method == "POST" else None)
    answer = connection.getresponse()
    result = (answer.status, answer.getheader("Retry-After"), answer.read())
    connection.close()
    return result


def test_a_caller_over_the_rate_is_told_when_to_come_again(ports: tuple[int, int]) -> None:
    answers = [ask(ports[0], "GET") for _ in range(10)]
    refused = [answer for answer in answers if answer[0] == 429]
    assert answers[0][0] == 204
    assert refused
    assert refused[0][1] == "1"
    assert json.loads(refused[0][2])["code"] == "too_many_requests"


def test_deliveries_beyond_the_cap_are_put_off_at_once(ports: tuple[int, int], upstream: Upstream) -> None:
    first: list[int] = []
    held = threading.Thread(target=lambda: first.append(ask(ports[1], "POST")[0]))
    held.start()
    assert upstream.arrived.wait(20)
    assert ask(ports[1], "POST")[0] == 503
    upstream.let_go.set()
    held.join(20)
    assert first == [204]
