"""The receiver takes deliveries at the path of the URL that HubSpot was given, whatever that path is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ports
import pytest
import running_servers
from deliveries import SECRET, event, signed
from raw_http import ask
from systems import Hook, webhook_environment
from world import World

from reconciler.process.settings import InvalidSettings, Webhook, load
from webhook.signature import Verifier, decoded

HOST = "https://hooks.example.com"


def hook_at(make_hook: Callable[..., Hook], url: str) -> Hook:
    return make_hook(verifier=Verifier(url, [SECRET.encode()]))


@pytest.mark.parametrize(
    "path",
    [
        *("/hubspot", "/hubspot/", "/a/b/c", "/hubspot//x", "/a:b", "/:name", "/<name>", "/a%3Ab", "/a%2fb", "/%7Ekai"),
        *("/a%20b", "/h%C3%BCbspot", "/hübspot", "/a;b=c", "/a@b", "/hubspot?key=1", "/healthz/x", "/healthzz"),
    ],
)
def test_a_delivery_to_the_path_of_the_url_is_taken(make_hook: Callable[..., Hook], path: str) -> None:
    hook = hook_at(make_hook, HOST + path)
    sent = quote(path, safe="/:;=@?%<>")
    assert hook.call("POST", sent, **signed([event(101)], url=decoded(HOST + path))).status == 204
    assert set(hook.marks()) == {"c:101"}


@pytest.mark.parametrize("url", [HOST, f"{HOST}/", f"{HOST}?key=1"])
def test_a_url_without_a_path_means_the_root(make_hook: Callable[..., Hook], url: str) -> None:
    assert hook_at(make_hook, url).call("POST", "/", **signed([event(101)], url=url)).status == 204


def test_an_ingress_that_strips_the_path_still_brings_deliveries(make_hook: Callable[..., Hook]) -> None:
    url = f"{HOST}/hubspot"
    assert hook_at(make_hook, url).call("POST", "/", **signed([event(101)], url=url)).status == 204


@pytest.mark.parametrize("path", ["/hubspot/", "/hubspot/x", "/Hubspot", "/hub", "/x/hubspot", "//hubspot"])
def test_a_delivery_to_another_path_is_not(make_hook: Callable[..., Hook], path: str) -> None:
    hook = hook_at(make_hook, f"{HOST}/hubspot")
    assert hook.call("POST", path, **signed([event(101)], url=f"{HOST}/hubspot")).status == 404
    assert hook.marks() == {}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_another_method_at_the_path_is_405(make_hook: Callable[..., Hook], method: str) -> None:
    reply = hook_at(make_hook, f"{HOST}/hubspot").call(method, "/hubspot")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/metrics", "/health%7A", "/healthz?x=1"])
def test_a_url_at_a_path_of_the_receivers_own_is_refused_at_start(world: World, path: str) -> None:
    with pytest.raises(InvalidSettings, match="HUBSPOT_WEBHOOK_URL: its path .* is the receiver's own"):
        load(Webhook, webhook_environment(world, HUBSPOT_WEBHOOK_URL=HOST + path))


@pytest.mark.parametrize("path", ["/hubspot", "/a%20b/h%C3%BC%2F"])
def test_a_real_receiver_takes_deliveries_at_the_path_and_stays_healthy(
    world: World, tmp_path: Path, until: Callable[..., Any], path: str
) -> None:
    port = ports.free_port()
    url = f"http://127.0.0.1:{port}{path}"
    more = {"HUBSPOT_CLIENT_SECRET": world.sandbox.client_secret, "HUBSPOT_WEBHOOK_URL": url}
    with running_servers.server("webhook", webhook_environment(world, **more), tmp_path / "log", port=port):
        world.portal.set(webhook_url=url)
        world.portal.create({"email": "kai@hubspot.com", "firstname": "Kai"})
        until(lambda: world.customer("kai@hubspot.com"))
        assert world.portal.outbox.wait_until_idle(20)
        assert {delivery.answer for delivery in world.portal.outbox.deliveries} == {204}
        assert ask(port, "GET", "/healthz")[0] == 200
