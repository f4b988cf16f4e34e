"""The gateway on cassettes: replayed by default, recorded anew with --record.

Recorded against the local HubSpot, or against a test portal when HUBSPOT_ACCESS_TOKEN is set; each cassette says
which. Requests are matched on their bodies too.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import vcr
import yaml
from budgets import Unlimited

from reconciler.adapters.gateway.client import Gateway
from sandbox import Sandbox, start
from simulation.mapped import MAPPED

CASSETTES = Path(__file__).parents[2] / "cassettes" / "gateway"
HUBSPOT = "https://api.hubapi.com"
KEPT_HEADERS = ("content-type", "date", "location", "x-hubspot-notfound")


@contextmanager
def recorded_against() -> Iterator[tuple[str, str, str]]:
    """What to record against: (address, token, its name)."""
    if token := os.environ.get("HUBSPOT_ACCESS_TOKEN"):
        address = os.environ.get("HUBSPOT_BASE_URL", HUBSPOT)
        yield address, token, "a HubSpot test portal" if address == HUBSPOT else "the local HubSpot (sandbox/)"
    else:
        with start(rate_per_10s=0, search_per_second=0) as sandbox:
            yield sandbox.url, sandbox.token, "the local HubSpot (sandbox/)"


def serializer(name: str) -> Any:
    """YAML with a first line that says what was recorded, and when."""
    heading = {"recorded_against": name, "recorded_at": f"{datetime.now(UTC):%Y-%m-%d}"}
    return SimpleNamespace(
        serialize=lambda cassette: yaml.safe_dump({**heading, **cassette}, sort_keys=False, allow_unicode=True),
        deserialize=yaml.safe_load,
    )


def _scrubbed(response: dict[str, Any]) -> dict[str, Any]:
    headers = {name: value for name, value in response["headers"].items() if name.lower() in KEPT_HEADERS}
    return {**response, "headers": headers}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with start(rate_per_10s=0, search_per_second=0) as sandbox:
        yield sandbox


@pytest.fixture
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """A gateway whose calls are on this test's cassette."""
    is_recording = request.config.getoption("--record")
    with ExitStack() as stack:
        address, token, name = stack.enter_context(recorded_against()) if is_recording else (HUBSPOT, "none", "")
        recorder = vcr.VCR(
            record_mode="all" if is_recording else "none",
            match_on=("method", "path", "query", "body"),
            filter_headers=["authorization", "user-agent"],
            before_record_request=lambda sent: _at_hubspot(sent, address),
            before_record_response=_scrubbed,
        )
        recorder.register_serializer("stated", serializer(name))
        path = CASSETTES / f"{request.node.originalname.removeprefix('test_')}.yaml"
        if is_recording:
            path.unlink(missing_ok=True)
        stack.enter_context(recorder.use_cassette(str(path), serializer="stated"))
        yield Gateway(fields=MAPPED, base_url=address, token=lambda: token, budget=Unlimited(), sleep=time.sleep)


def _at_hubspot(sent: Any, address: str) -> Any:
    sent.uri = sent.uri.replace(address, HUBSPOT)
    return sent


@pytest.fixture
def patiently(request: pytest.FixtureRequest) -> Callable[[Callable[[], Any]], Any]:
    """Ask again until the answer is true: HubSpot's search needs some seconds (only while recording)."""

    def ask(question: Callable[[], Any]) -> Any:
        for _ in range(60):
            if answer := question():
                return answer
            if request.config.getoption("--record"):
                time.sleep(1)
        raise AssertionError("HubSpot never answered so")

    return ask
