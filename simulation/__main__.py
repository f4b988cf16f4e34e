"""`python -m simulation`: run many seeds, or replay one."""

import os
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from simulation.run import Result, run, run_many

console = Console(stderr=True)


def main(
    seeds: Annotated[int, typer.Option(help="How many seeds.")] = 1000,
    first: Annotated[int, typer.Option(help="The first of them.")] = 0,
    steps: Annotated[int, typer.Option(help="Things that happen in each.")] = 200,
    jobs: Annotated[int, typer.Option(help="Processes.")] = os.cpu_count() or 1,
    seed: Annotated[int | None, typer.Option(help="Replay this seed alone.")] = None,
) -> None:
    """Run the sync between two simulated sides and say what does not hold. Exit 1 if anything does not."""
    if seed is not None:
        sys.exit(_report([run(seed, steps)], steps))
    failed, overwritten = 0, 0
    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("seeds", total=seeds)
        for results in run_many(range(first, first + seeds), steps, jobs):
            failed += _report(results, steps)
            overwritten += sum(result.overwritten for result in results)
            bar.advance(task, len(results))
    print(f"{seeds} seeds of {steps} steps: {failed} failed; {overwritten} edits fell into the read-to-write window")
    sys.exit(min(failed, 1))


def _report(results: list[Result], steps: int) -> int:
    bad = [result for result in results if result.problems]
    for result in bad:
        print(f"seed {result.seed}: {result.problems[0]}")
        print(f"    replay: python -m simulation --seed {result.seed} --steps {steps}")
    return len(bad)


if __name__ == "__main__":
    typer.run(main)
