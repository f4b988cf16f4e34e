"""Runs seeds: one at a time, or many over several processes."""

import hashlib
import logging
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from structlog.types import EventDict

from simulation.properties import examine
from simulation.world import World

CHUNK = 50
"""Seeds handed to a process at a time."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to. `digest` is that of its trace: the same seed has the same."""

    seed: int
    problems: tuple[str, ...]
    digest: str
    overwritten: int


def run(seed: int, steps: int) -> Result:
    """Run one seed."""
    bugs: list[str] = []
    digest = hashlib.sha256()
    world = World(seed, trace=lambda line: digest.update(line.encode()))
    try:
        with _collected(bugs):
            problems = examine(world, steps)
    except Exception:
        problems = [f"P16 {traceback.format_exc()}"]
    problems += [f"P16 {bug}" for bug in bugs]
    return Result(seed, tuple(problems), digest.hexdigest(), len(world.wire.overwritten))


@contextmanager
def _collected(bugs: list[str]) -> Iterator[None]:
    """Take what is logged as an error for a bug, and leave the log as it was."""

    def collect(logger: object, method: str, event: EventDict) -> EventDict:
        bugs.append(f"{event.get('event')}: {traceback.format_exc()}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[collect], wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        yield
    finally:
        structlog.configure(**before)


def run_many(seeds: range, steps: int, jobs: int) -> Iterator[list[Result]]:
    """Run seeds over `jobs` processes; yields the results of a chunk at a time, in order."""
    chunks = [(seeds[at : at + CHUNK], steps) for at in range(0, len(seeds), CHUNK)]
    if jobs == 1:
        yield from map(_run_chunk, chunks)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_run_chunk, chunks)


def _run_chunk(work: tuple[range, int]) -> list[Result]:
    seeds, steps = work
    return [run(seed, steps) for seed in seeds]
