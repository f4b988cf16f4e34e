"""The control side acts for people without credentials: it is for this machine and its own page, and so are events."""

from typing import Any

import pytest

from sandbox import Sandbox, start
from sandbox.routes import OBJECTS
from sandbox.settings import Settings

PATHS = [("GET", "/"), ("GET", "/sandbox/settings"), ("POST", "/sandbox/reset"), ("GET", "/sandbox")]


def port_of(sandbox: Sandbox) -> str:
    return sandbox.url.rpartition(":")[2]


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "localhost:{port}.evil.example"),
        *("127.0.0.1", "localhost:1", "evil@localhost:{port}", "0.0.0.0:{port}", "[::1]"),
    ],
)
def test_a_page_whose_name_leads_here_changes_and_learns_nothing(
    call, sandbox: Sandbox, path: tuple[str, str], host: str
) -> None:
    kept = call.create(email="maria@hubspot.com")
    reply = call(*path, Host=host.format(port=port_of(sandbox)))
    assert reply.status == 403
    assert sandbox.token.encode() not in reply.body
    assert call.read(kept, "email")["email"] == "maria@hubspot.com"


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
@pytest.mark.parametrize(
    "headers",
    [
        *({"Origin": each} for each in ("http://evil.example", "null", "http://localhost:1", "https://127.0.0.1:8090")),
        *({"Sec-Fetch-Site": each} for each in ("cross-site", "same-site")),
    ],
    ids=str,
)
def test_another_page_changes_and_learns_nothing(call, path: tuple[str, str], headers: dict[str, str]) -> None:
    kept = call.create(email="maria@hubspot.com")
    assert call(*path, **headers).status == 403
    assert call.read(kept, "email")["email"] == "maria@hubspot.com"


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_its_own_page_and_callers_without_a_page_are_let_in(call, sandbox: Sandbox, name: str) -> None:
    host = f"{name}:{port_of(sandbox)}"
    page = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    for headers in ({}, page):
        assert call("GET", "/", Host=host, **headers).status == 200
        assert call("PATCH", "/sandbox/settings", {"latency_ms": 0}, Host=host, **headers).status == 200


def test_the_api_asks_for_its_token_and_not_for_a_name(call) -> None:
    assert call("GET", OBJECTS, Host="api.hubapi.com", Origin="http://evil.example").status == 200


@pytest.mark.parametrize(
    "url",
    [
        *("http://evil.example/", "https://169.254.169.254/latest", "http://10.0.0.1:8081/", "http://0.0.0.0:8081/"),
        *("http://127.0.0.1@evil.example/", "http://localhost.evil.example/", "http://127.1/", "http://[::]/"),
        *("http://2130706433/", "file:///etc/passwd", "127.0.0.1:8081", "http:///", "http://127.0.0.1:badport/", ""),
    ],
)
def test_events_go_to_this_machine_only(call, sandbox: Sandbox, url: str) -> None:
    reply = call("PATCH", "/sandbox/settings", {"webhook_url": url})
    assert (reply.status, "webhook_url" in reply.message) == (400, True)
    assert sandbox.portal.settings.webhook_url is None
    with pytest.raises(ValueError, match="webhook_url"):
        Settings(webhook_url=url)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.0.0.2"])
def test_every_address_of_this_machine_is_a_target(host: str) -> None:
    with start() as sandbox:
        target: Any = f"https://{host}:8081/hook?a=b"
        assert sandbox.portal.set(webhook_url=target).webhook_url == target
