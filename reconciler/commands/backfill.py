"""The first run: brings an existing portal and an existing table together. A killed one goes on where it stood."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from reconciler.adapters.postgres.customer_store import PostgresCustomerStore
from reconciler.commands.preview import Preview
from reconciler.core.brake import Danger
from reconciler.core.contact import Contact
from reconciler.core.errors import NotNow
from reconciler.core.ports import Lane
from reconciler.process.account import check_portal
from reconciler.process.wiring import Parts

APPROVED = (Danger.CREATE, Danger.REWRITE)
"""What a person asks for who starts a backfill: the brake does not hold it meanwhile."""

HISTORY_BATCH = 50


class Backfill:
    """Links by address, never twice; then both sides get what they lack."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._console = Console(stderr=True)

    def run(self) -> bool:
        """Walk the portal and the table, work off what that marked, and sum up; return whether nothing was left out."""
        check_portal(self._parts)
        with self._parts.records.allowing(APPROVED), _bars(self._console) as bars:
            walking = bars.add_task("contacts met", total=self._parts.hubspot.count())
            self._parts.sweep.run(Lane.BULK, lambda count: bars.advance(walking, count))
            bars.update(walking, total=bars.tasks[walking].completed)
            row = self._parts.database.row("status") or {}
            draining = bars.add_task("pairs made equal", total=row.get("marks", 0))
            self._parts.drainers.drain(lambda count: bars.advance(draining, count))
            bars.update(draining, total=bars.tasks[draining].completed)
            if self._parts.reconciler.is_postponed:
                raise NotNow("HubSpot takes no calls now; run this again, it goes on where it stood")
        return self._sum_up()

    def _sum_up(self) -> bool:
        row = self._parts.database.row("status") or {}
        left = [(each["code"], each["property"], each["count"]) for each in self._parts.database.rows("blocks")]
        print(f"{row['linked']} pairs linked, {sum(count for *_, count in left)} records or properties left out")
        for code, name, count in left:
            print(f"{count:>9}  {code}  {name}")
        if row["marks"]:
            print(f"{row['marks']:>9}  still to be looked at: the reconciler goes on with them")
        return not left

    def preview(self, samples: int = 5) -> Preview:
        """Print what a run would do, in counts and samples of contact ids; write nothing."""
        self._parts.budget.shape()
        preview = Preview(self._parts.rules(), samples)
        customer_store, pairs = PostgresCustomerStore(self._parts.database), self._parts.pairs
        for contacts in self._pages():
            addresses = {a for a in (contact.values.get("email") for contact in contacts) if a is not None}
            context = pairs.context(addresses=addresses, contacts=[c.id for c in contacts])
            differing = preview.count(contacts, context, customer_store.by_address(addresses))
            for start in range(0, len(differing), HISTORY_BATCH):
                part = differing[start : start + HISTORY_BATCH]
                read = self._parts.hubspot.read([contact.id for contact, _ in part], history=True)
                preview.compare([(read[contact.id].contact or contact, customer) for contact, customer in part])
        row = self._parts.database.row("count_unlinked")
        preview.counts["customers to create in HubSpot"] = max(row["count"] - preview.met, 0) if row else 0
        print("\n".join(preview.lines()))
        return preview

    def _pages(self) -> Iterator[Sequence[Contact]]:
        after = None
        while True:
            page = self._parts.hubspot.walk(after)
            yield page.contacts
            after = page.after
            if after is None:
                return


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:.0f}/s")


def _bars(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    return Progress(*columns, console=console)
