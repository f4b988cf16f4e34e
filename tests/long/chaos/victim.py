"""A process that has everything imported and forks one child per order: the child acts, and dies where it is told.

An order is a line of JSON on standard input, its answer a line on standard output: how the child ended, what its
acts said, and the steps it took.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import structlog
from acts import Acting
from steps import CountingPool, Steps, count_calls

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.queries import statements


def act(order: dict[str, Any], tell: Callable[[Any], None]) -> None:
    """Do the acts of an order in this process; tell how each one ended as soon as it did."""
    steps = Steps(**order["doom"])
    bugs: list[str] = []
    structlog.configure(processors=[lambda _, method, event: _keep(bugs, event)])
    with open_pool(order["environment"]["DATABASE_URL"], size=2) as pool:
        acting = Acting(order["environment"], Database(CountingPool(pool, steps)))  # type: ignore[arg-type]
        count_calls(steps)
        for name, values in order["acts"]:
            tell(asdict(acting.run((name, values))))
    tell({"steps": steps.names, "bugs": bugs})


def _keep(bugs: list[str], event: Any) -> str:
    if str(event.get("event", "")).endswith((".bug", ".failed")):
        bugs.append(repr(event))
    raise structlog.DropEvent


def _fork(order: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            with open(writing, "w", buffering=1) as answer:
                act(order, lambda told: print(json.dumps(told, default=str), file=answer))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as answer:
        told = [json.loads(line) for line in answer]
    _, status = os.waitpid(child, 0)
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, "told": told}


def main() -> None:
    """Fork a child per line until standard input ends."""
    statements()
    import hubspot.crm.contacts  # noqa: F401  (what the first client would import)

    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(_fork(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
