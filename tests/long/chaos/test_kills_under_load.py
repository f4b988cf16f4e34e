"""Everything is killed again and again while everybody writes: nothing that was acknowledged is lost, nothing doubled.

CHAOS_SECONDS is how long the killing goes on, CHAOS_SEED what is random. At the end all is started anew and heals.
"""

import os
import signal
import time

import pytest
from herd import Herd, herd
from siege import HEALING, MODULES, System, assert_all_is_well, heal, prepare, start_all, summary

SECONDS = float(os.environ.get("CHAOS_SECONDS", "8"))


@pytest.mark.timeout(int(SECONDS * 2 + 4 * HEALING))
def test_nothing_acknowledged_is_lost_and_nothing_doubled_whatever_is_killed(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    with herd(system.folder, system.environment, MODULES) as processes:
        prepare(processes)
        start_all(system, processes)
        crowd = system.crowd()
        for person in crowd:
            person.start()
        wreak(system, processes)
        heal(system, processes, crowd)
        with capsys.disabled():
            print(f"\n{summary(system, processes, crowd)}")
        assert_all_is_well(system, processes, crowd)


def wreak(system: System, processes: Herd) -> None:
    """Kill and cut at random, and start again what was killed."""
    deadline = time.monotonic() + SECONDS
    system.to_postgres.share = system.to_hubspot.share = 0.2
    while time.monotonic() < deadline:
        some = system.random.choice([kill_worker, kill_worker, kill_all])
        deeds = [kill_one, kill_one, some, kill_postgres, cut_lines]
        for deed in system.random.sample(deeds, k=len(deeds)):
            time.sleep(system.random.uniform(0.3, 2.5))
            deed(system, processes)
    system.to_postgres.share = system.to_hubspot.share = 0


def kill_one(system: System, processes: Herd) -> None:
    name = system.random.choice(processes.names)
    processes.kill(name)
    processes.start(name)


def kill_worker(system: System, processes: Herd) -> None:
    """Kill a server's worker, of which its parent starts another; a server without any is started again."""
    name = system.random.choice(["api", "webhook"])
    processes.kill(name, only_worker=True)
    if not processes.is_started(name):
        processes.start(name)


def kill_all(system: System, processes: Herd) -> None:
    processes.end()
    for name in processes.names:
        processes.start(name)


def kill_postgres(system: System, processes: Herd) -> None:
    system.postgres.kill(system.random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGQUIT]))
    system.postgres.start()


def cut_lines(system: System, processes: Herd) -> None:
    system.random.choice([system.to_postgres, system.to_hubspot]).cut_all()
