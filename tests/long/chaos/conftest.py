"""What chaos shares: callers, deliveries, worlds to be emptied, processes that die."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.register_assert_rewrite("siege")

from deaths import Victims  # noqa: E402
from deliveries import SECRET  # noqa: E402
from herd import Postgres  # noqa: E402
from siege import System  # noqa: E402

from sandbox import start  # noqa: E402


@pytest.fixture(scope="session")
def seed() -> int:
    """CHAOS_SEED: what is random follows from it."""
    return int(os.environ.get("CHAOS_SEED", "1"))


@pytest.fixture(scope="session")
def victims() -> Iterator[Victims]:
    """Processes that die at a chosen step."""
    with Victims.open() as victims:
        yield victims


@pytest.fixture
def system(tmp_path: Path, seed: int) -> Iterator[System]:
    """Both sides and the bad lines to them; the processes are the test's to start."""
    hooks = {"client_secret": SECRET, "webhook_retry_ms": 200, "webhook_retry_max_ms": 2000, "webhook_duplicate": 0.1}
    with ExitStack() as stack:
        sandbox = stack.enter_context(start(rate_per_10s=0, search_per_second=0, seed=seed, **hooks))
        postgres = Postgres(tmp_path / "postgres")
        stack.callback(postgres.close)
        system = System(tmp_path, sandbox, postgres, seed)
        stack.callback(system.to_postgres.close)
        stack.callback(system.to_hubspot.close)
        sandbox.portal.set(webhook_url=system.environment["HUBSPOT_WEBHOOK_URL"])
        yield system
