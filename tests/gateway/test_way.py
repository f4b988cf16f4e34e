"""How HubSpot is reached: through a proxy, and under a certificate of an authority of one's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from budgets import Unlimited
from lines import Authority, Proxy, make_authority, terminator

from reconciler.adapters.gateway.client import Gateway
from reconciler.core.contact import ContactId
from reconciler.core.errors import Unavailable
from reconciler.core.ports import Written
from reconciler.process.settings import InvalidSettings, Sync, load
from sandbox import Sandbox
from simulation.mapped import MAPPED

PASSWORD = "p@ss:w/rd %41"
QUOTED = "p%40ss%3Aw%2Frd%20%2541"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls") / "another")


@pytest.fixture
def port(sandbox: Sandbox, authority: Authority) -> Iterator[int]:
    """Where the sandbox answers behind TLS."""
    with terminator(sandbox.url, authority) as port:
        yield port


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy().running() as proxy:
        yield proxy


def gateway(sandbox: Sandbox, url: str, **environment: Any) -> Gateway:
    """A gateway with the settings of a process."""
    given = {name: str(value) for name, value in environment.items()}
    settings = load(
        Sync, {"DATABASE_URL": "host=h", "HUBSPOT_ACCESS_TOKEN": sandbox.token, **given, "HUBSPOT_BASE_URL": url}
    )
    return Gateway(
        fields=MAPPED,
        base_url=url,
        token=lambda: sandbox.token,
        budget=Unlimited(),
        sleep=lambda seconds: None,
        way=settings.way,
    )


def assert_works(hubspot: Gateway, sandbox: Sandbox) -> None:
    """Reads, writes and calls past the client's own API all go the same way."""
    (answer,) = hubspot.create([{"email": f"kai{len(sandbox.portal.contacts)}@example.com"}])
    assert isinstance(answer, Written)
    assert hubspot.read([answer.contact.id])[answer.contact.id].is_alive
    assert hubspot.walk(None).contacts
    assert hubspot.highest() == answer.contact.id
    assert hubspot.account().portal == sandbox.portal.settings.portal_id


@pytest.mark.parametrize("name", ["HUBSPOT_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_an_authority_of_ones_own_is_believed(sandbox: Sandbox, port: int, authority: Authority, name: str) -> None:
    assert_works(gateway(sandbox, f"https://localhost:{port}", **{name: authority.bundle}), sandbox)


def test_our_own_name_for_the_bundle_goes_before_those_of_others(
    sandbox: Sandbox, port: int, authority: Authority, another: Authority
) -> None:
    others = {"REQUESTS_CA_BUNDLE": another.bundle, "SSL_CERT_FILE": another.bundle}
    assert_works(gateway(sandbox, f"https://localhost:{port}", HUBSPOT_CA_BUNDLE=authority.bundle, **others), sandbox)


@pytest.mark.parametrize("bundle", ["none", "another"])
def test_a_certificate_that_nobody_vouches_for_is_an_outage_and_nothing_is_sent(
    sandbox: Sandbox, port: int, another: Authority, bundle: str
) -> None:
    given = {"HUBSPOT_CA_BUNDLE": another.bundle} if bundle == "another" else {}
    hubspot = gateway(sandbox, f"https://localhost:{port}", **given)
    for call in (hubspot.account, lambda: hubspot.create([{"email": "kai@example.com"}])):
        with pytest.raises(Unavailable, match="certificate is not trusted here"):
            call()
    assert sandbox.portal.calls.total == 0


def test_a_certificate_for_another_name_is_not_believed(
    sandbox: Sandbox, port: int, authority: Authority, proxy: Proxy
) -> None:
    way = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "HUBSPOT_CA_BUNDLE": authority.bundle}
    with pytest.raises(Unavailable, match="certificate"):
        gateway(sandbox, f"https://evil.test:{port}", **way).account()
    assert sandbox.portal.calls.total == 0


def test_a_port_that_speaks_no_tls_is_an_outage_and_no_write_is_in_doubt(sandbox: Sandbox) -> None:
    with pytest.raises(Unavailable, match="no secure connection"):
        gateway(sandbox, sandbox.url.replace("http:", "https:")).create([{"email": "kai@example.com"}])


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize(
    "form", ["http://127.0.0.1:{}", "127.0.0.1:{}", "http://127.0.0.1:{}/", " http://127.0.0.1:{} "]
)
def test_calls_go_through_the_proxy_by_hubspots_name(
    sandbox: Sandbox, port: int, authority: Authority, proxy: Proxy, name: str, form: str
) -> None:
    way = {name: form.format(proxy.port), "HUBSPOT_CA_BUNDLE": authority.bundle}
    assert_works(gateway(sandbox, f"https://hubspot.test:{port}", **way), sandbox)
    assert {line.rpartition(" ")[0] for line in proxy.asked} == {f"CONNECT hubspot.test:{port}"}


def test_a_proxy_is_told_its_password_and_hubspot_is_not(sandbox: Sandbox, port: int, authority: Authority) -> None:
    with Proxy(credentials=f"app:{PASSWORD}").running() as proxy:
        way = {"HTTPS_PROXY": f"http://app:{QUOTED}@127.0.0.1:{proxy.port}", "HUBSPOT_CA_BUNDLE": authority.bundle}
        assert_works(gateway(sandbox, f"https://hubspot.test:{port}", **way), sandbox)


def test_a_proxy_behind_tls_is_reached(sandbox: Sandbox, port: int, authority: Authority) -> None:
    with Proxy().running(authority.server_context()) as proxy:
        way = {"HTTPS_PROXY": f"https://localhost:{proxy.port}", "HUBSPOT_CA_BUNDLE": authority.bundle}
        assert_works(gateway(sandbox, f"https://hubspot.test:{port}", **way), sandbox)
        assert proxy.asked


@pytest.mark.parametrize("exempt", ["localhost", "example.com, localhost", ".localhost", "LOCALHOST", "*"])
def test_a_host_that_needs_no_proxy_is_called_directly(
    sandbox: Sandbox, port: int, authority: Authority, exempt: str
) -> None:
    way = {"HTTPS_PROXY": "http://127.0.0.1:9", "no_proxy": exempt, "HUBSPOT_CA_BUNDLE": authority.bundle}
    assert_works(gateway(sandbox, f"https://localhost:{port}", **way), sandbox)


@pytest.mark.parametrize("exempt", ["ocalhost", "example.com", "localhost.example", "127.0.0.1"])
def test_other_hosts_go_through_the_proxy(
    sandbox: Sandbox, port: int, authority: Authority, proxy: Proxy, exempt: str
) -> None:
    way = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "NO_PROXY": exempt, "HUBSPOT_CA_BUNDLE": authority.bundle}
    assert_works(gateway(sandbox, f"https://localhost:{port}", **way), sandbox)
    assert proxy.asked


def test_a_plain_address_needs_no_https_proxy(sandbox: Sandbox) -> None:
    assert_works(
        gateway(sandbox, sandbox.url, HTTPS_PROXY="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9"), sandbox
    )


@pytest.mark.parametrize("status", [407, 403, 502, 503])
def test_a_proxy_that_refuses_is_an_outage_and_no_write_is_in_doubt(
    sandbox: Sandbox, port: int, authority: Authority, proxy: Proxy, status: int
) -> None:
    proxy.status = status
    way = {"HTTPS_PROXY": f"http://app:{QUOTED}@127.0.0.1:{proxy.port}", "HUBSPOT_CA_BUNDLE": authority.bundle}
    hubspot = gateway(sandbox, f"https://hubspot.test:{port}", **way)
    with pytest.raises(Unavailable) as refused:
        hubspot.update([(ContactId(1), {"company": "Acme"})])
    assert_without_password(refused.value)
    assert sandbox.portal.calls.total == 0


@pytest.mark.parametrize(
    "place", ["http://app:{}@127.0.0.1:9", "http://app:{}@nowhere.invalid:3128", "https://app:{}@127.0.0.1:9"]
)
def test_a_proxy_that_is_not_there_is_an_outage_and_no_write_is_in_doubt(sandbox: Sandbox, place: str) -> None:
    hubspot = gateway(sandbox, "https://hubspot.test", HTTPS_PROXY=place.format(QUOTED))
    with pytest.raises(Unavailable) as missing:
        hubspot.create([{"email": "kai@example.com"}])
    assert_without_password(missing.value)


def assert_without_password(error: BaseException | None) -> None:
    while error is not None:
        assert PASSWORD not in f"{error} {error!r}"
        assert QUOTED not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "proxy_url", ["socks5://127.0.0.1:1080", "http://", "http://h:port", "http://u:canary@", "ftp://h"]
)
def test_what_is_no_proxy_is_a_problem_of_settings(proxy_url: str) -> None:
    environment = {"DATABASE_URL": "host=h", "HUBSPOT_ACCESS_TOKEN": "t", "HTTPS_PROXY": proxy_url}
    with pytest.raises(InvalidSettings, match="^HTTPS_PROXY: ") as raised:
        load(Sync, environment)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"\xff\xfe"], ids=str)
@pytest.mark.parametrize("name", ["HUBSPOT_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_bundle_without_certificates_is_a_problem_of_settings(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    file = tmp_path / "bundle.pem"
    if content is not None:
        file.write_bytes(content)
    environment = {"DATABASE_URL": "host=h", "HUBSPOT_ACCESS_TOKEN": "t", name: str(file)}
    with pytest.raises(InvalidSettings, match=f"^{name}: no certificates can be read there$"):
        load(Sync, environment)


def test_settings_do_not_show_the_proxys_password() -> None:
    environment = {"DATABASE_URL": "host=h", "HUBSPOT_ACCESS_TOKEN": "t", "HTTPS_PROXY": "http://u:canary@h:1"}
    settings = load(Sync, environment)
    assert "canary" not in f"{settings!r} {settings} {settings.model_dump()} {settings.way!r}"
