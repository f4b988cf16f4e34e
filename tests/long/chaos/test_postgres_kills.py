"""Postgres is killed with -9 under acknowledged writes: an error on COMMIT is no "no", nothing acknowledged is lost.

CHAOS_POSTGRES_KILLS is how often.
"""

import os

import pytest
from herd import herd
from siege import HEALING, MODULES, System, assert_all_is_well, heal, prepare, start_all, summary
from world import until

KILLS = int(os.environ.get("CHAOS_POSTGRES_KILLS", "20"))
WRITES = 12
"""Columns acknowledged between two kills, at least."""


@pytest.mark.long
@pytest.mark.timeout(int(KILLS * 40 + 3 * HEALING))
def test_no_acknowledged_write_is_lost_when_postgres_is_killed(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    with herd(system.folder, system.environment, MODULES) as processes:
        prepare(processes)
        start_all(system, processes)
        clients = system.clients(4)
        for client in clients:
            client.start()
        for _ in range(KILLS):
            written = system.ledger.counts["api"]
            until(lambda before=written: system.ledger.counts["api"] >= before + WRITES, seconds=60)
            system.postgres.kill()
            system.postgres.start()
        heal(system, processes, clients)
        with capsys.disabled():
            print(f"\n{summary(system, processes, clients)}")
        assert system.ledger.counts["api"] >= KILLS * WRITES
        assert_all_is_well(system, processes, clients)
