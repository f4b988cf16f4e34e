"""The running API against its own document: requests made from /openapi.json, in order and out of order, and every
answer held to it. HOSTILE_EXAMPLES says how many requests are made of each call, beside those that cover its schema."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from running_servers import Server, bare
from systems import ISSUER_KEY, JWT_SECRET
from world import World

from api.auth import Role, Tokens

EXAMPLES = os.environ.get("HOSTILE_EXAMPLES", "25")
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
START = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed"
)


@pytest.fixture
def moving(sides: World) -> World:
    """Two sides whose reconciler says that it runs."""
    sides.sql(
        "insert into sync.heartbeat (job, at) values ('drain', now() + interval '1 hour') "
        "on conflict (job) do update set at = excluded.at"
    )
    return sides


@pytest.mark.timeout(0)
def test_every_answer_is_as_the_document_says(moving: World, api_process: Server, tmp_path: Path) -> None:
    token = Tokens(JWT_SECRET).issue(Role.ADMIN)
    # Forwarded as by the proxy: this host itself needs no token for the figures.
    given = {"Authorization": f"Bearer {token}", "X-Issuer-Key": ISSUER_KEY, "X-Forwarded-For": "203.0.113.9"}
    headers = [f"--header={name}: {value}" for name, value in given.items()]
    options = ["--mode=all", f"--max-examples={EXAMPLES}", "--seed=1", "--continue-on-failure"]
    command = [sys.executable, "-c", START, f"--config-file={CONFIGURATION}", "run", *headers, *options]
    ran = subprocess.run(
        [*command, f"http://127.0.0.1:{api_process.port}/openapi.json"],
        cwd=tmp_path,
        env=bare({"NO_COLOR": "1"}),
        capture_output=True,
        text=True,
        check=False,
    )
    print(ran.stdout[ran.stdout.find("SUMMARY") :])
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ".bug" not in api_process.log
