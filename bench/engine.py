"""The engine: from HubSpot's bytes to committed row, link and base, in CPU time of ours and of Postgres together."""

import time
from collections.abc import Callable, Iterator

from bench.report import Line
from bench.rig import Rig, Sandbox
from reconciler.core.ports import Lane
from reconciler.process.wiring import Parts

PEOPLE = 20_000
CEILING = 1900
"""Contacts per second at HubSpot's larger limit."""


def engine(make: Callable[[], Rig]) -> Iterator[Line]:
    """A sweep over new, unchanged and changed contacts, by one walker."""
    rig = make()
    sandbox = rig.sandbox()
    sandbox.people(PEOPLE)
    parts = rig.parts(sandbox, hubspot_threads=1)
    new = _pace(rig, parts)
    rig.sql("vacuum analyze")
    unchanged = _pace(rig, parts)
    change_everybody(sandbox, [row["contactid"] for row in rig.sql("select contactid from customer")])
    changed = _pace(rig, parts)
    yield _line("unchanged contacts", unchanged, 15_000)
    yield _line("changed contacts", changed, 8_000)
    yield _line("new contacts", new, None)


def _line(what: str, pace: tuple[float, float], at_least: float | None) -> Line:
    own, database = pace
    each = own + database
    beside = (
        f"{own * 1e6:.0f} us ours + {database * 1e6:.0f} us Postgres; {each * CEILING:.0%} of a core at {CEILING}/s"
    )
    return Line(what=f"engine: {what}", value=1 / each, unit="/s on a core", at_least=at_least or 0, beside=beside)


def _pace(rig: Rig, parts: Parts) -> tuple[float, float]:
    own, database = time.process_time(), rig.postgres.cpu()
    parts.sweep.run(Lane.BULK)
    return (time.process_time() - own) / PEOPLE, (rig.postgres.cpu() - database) / PEOPLE


def change_everybody(sandbox: Sandbox, ids: list[int], **properties: str) -> None:
    """Another integration changes all of them."""
    wanted = properties or {"company": f"company {time.time()}"}
    for start in range(0, len(ids), 100):
        inputs = [{"id": str(each), "properties": wanted} for each in ids[start : start + 100]]
        sandbox.api("/crm/v3/objects/contacts/batch/update", {"inputs": inputs})
