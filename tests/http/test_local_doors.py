"""What is open to this host alone is not open to web pages that a browser on it shows: a name that was bound anew to
127.0.0.1 (DNS rebinding) shows in Host, another page in Origin or Sec-Fetch-Site."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import running_servers
from raw_http import ask
from systems import ISSUER_KEY, ApiInProcess, api_environment
from world import World

LOCAL = {"REMOTE_ADDR": "127.0.0.1", "SERVER_PORT": "8080"}
DOORS = ("/get-token/admin", "/metrics")

FOREIGN_HOSTS = (
    *("evil.example", "evil.example:8080", "127.0.0.1.evil.example:8080", "localhost.evil.example:8080"),
    *("127.0.0.1", "127.0.0.1:80", "127.0.0.1:80808", "localhost:", "[::1]", "[::1]:8081", "::1:8080"),
    *("evil@127.0.0.1:8080", "127.0.0.1:8080@evil.example", "127.0.0.1:8080/", "0.0.0.0:8080", "2130706433:8080"),
)
FOREIGN_ORIGINS = (
    *("http://evil.example", "http://evil.example:8080", "http://localhost:3000", "https://127.0.0.1:8080"),
    *("null", "file://", "http://127.0.0.1:8080.evil.example", "http://127.0.0.1", "127.0.0.1:8080", ""),
)


@pytest.fixture
def open_api(make_api: Callable[..., ApiInProcess]) -> ApiInProcess:
    """An API as `make dev` has it: tokens for everybody on this host."""
    return make_api(TOKEN_ISSUER_KEY="", OPEN_TOKEN_ISSUER="true")


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_page_whose_name_leads_to_this_host_gets_nothing(open_api: ApiInProcess, path: str, host: str) -> None:
    reply = open_api.anyone("GET", path, environ=LOCAL, Host=host)
    assert (reply.status, reply.json["code"]) == (403, "foreign_origin")
    assert "token" not in reply.json


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
def test_another_page_gets_nothing(open_api: ApiInProcess, path: str, origin: str) -> None:
    reply = open_api.anyone("GET", path, environ=LOCAL, Host="127.0.0.1:8080", Origin=origin)
    assert (reply.status, reply.json["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("", 403), ("same-origin", 200), ("none", 200)]
)
def test_what_the_browser_says_of_where_a_call_comes_from_is_believed(
    open_api: ApiInProcess, path: str, site: str, status: int
) -> None:
    reply = open_api.anyone("GET", path, environ=LOCAL, Host="localhost:8080", Sec_Fetch_Site=site)
    assert reply.status == status


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("host", ["localhost:8080", "LocalHost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_this_host_and_its_own_pages_are_let_in(open_api: ApiInProcess, path: str, host: str) -> None:
    assert open_api.anyone("GET", path, environ=LOCAL, Host=host).status == 200
    assert open_api.anyone("GET", path, environ=LOCAL, Host=host, Origin=f"http://{host}").status == 200


def test_a_port_that_is_usual_need_not_be_said(open_api: ApiInProcess) -> None:
    usual = {**LOCAL, "SERVER_PORT": "80"}
    assert open_api.anyone("GET", "/metrics", environ=usual, Host="localhost").status == 200
    assert open_api.anyone("GET", "/metrics", environ=usual, Host="localhost", Origin="http://localhost").status == 200


def test_a_key_or_a_token_opens_under_every_name(shared_api: ApiInProcess) -> None:
    foreign = {"environ": LOCAL, "Host": "sync.example.com", "Origin": "https://console.example.com"}
    assert shared_api.anyone("GET", "/get-token/admin", X_Issuer_Key=ISSUER_KEY, **foreign).status == 200
    assert shared_api.admin("GET", "/metrics", **foreign).status == 200
    assert shared_api.user("GET", "/metrics", **foreign).json["code"] == "insufficient_scope"
    assert shared_api.anyone("GET", "/get-token/admin", **foreign).status == 401


@pytest.fixture
def port(world: World, tmp_path: Path) -> Iterator[int]:
    environment = api_environment(world, OPEN_TOKEN_ISSUER="true")
    del environment["TOKEN_ISSUER_KEY"]
    with running_servers.server("api", environment, tmp_path / "log") as server:
        yield server.port


def test_a_real_server_knows_its_port(port: int) -> None:
    for path in DOORS:
        assert ask(port, "GET", path)[0] == 200
        assert ask(port, "GET", path, Host=f"evil.example:{port}")[0] == 403
        assert ask(port, "GET", path, Origin="http://evil.example")[0] == 403
