"""The first run: brings an existing portal and an existing table together. A killed one goes on where it stood."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import Progress

from reconciler.adapters.postgres.desk import PostgresDesk
from reconciler.core.contact import Contact, Customer
from reconciler.core.errors import NotNow
from reconciler.core.ports import Lane
from reconciler.core.step import Surroundings
from reconciler.start import check_portal
from reconciler.wiring import Parts

SAMPLES = 5


class Backfill:
    """Links by address, never twice; then both sides get what they lack."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._console = Console(stderr=True)

    def run(self) -> None:
        """Walk the portal and the table, then work off what that marked."""
        check_portal(self._parts)
        with Progress(console=self._console) as bar:
            walking = bar.add_task("contacts and customers met", total=None)
            self._parts.sweep.run(Lane.BULK, lambda count: bar.advance(walking, count))
            draining = bar.add_task("pairs made equal", total=None)
            self._parts.crew.drain(lambda count: bar.advance(draining, count))
            if self._parts.reconciler.is_postponed:
                raise NotNow("HubSpot takes no calls now; run this again, it goes on where it stood")

    def preview(self) -> "Preview":
        """Print what a run would do, in counts and samples of contact ids; write nothing."""
        self._parts.budget.shape()
        preview, after, desk = Preview(), None, PostgresDesk(self._parts.database)
        while True:
            page = self._parts.hubspot.walk(after)
            addresses = {a for a in (contact.values.get("email") for contact in page.contacts) if a is not None}
            around = self._parts.pairs.surroundings(addresses=addresses, contacts=[c.id for c in page.contacts])
            preview.count(page.contacts, around, desk.by_address(addresses))
            after = page.after
            if after is None:
                break
        row = self._parts.database.row("count_unmet", met=sorted(preview.met))
        preview.counts["customers to create in HubSpot"] = row["count"] if row else 0
        for what, number in sorted(preview.counts.items()):
            print(f"{number:>9}  {what}  {' '.join(preview.samples[what])}".rstrip())
        return preview


class Preview:
    """The plan of a backfill in counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.samples: defaultdict[str, list[str]] = defaultdict(list)
        self.met: set[str] = set()

    def count(self, contacts: Sequence[Contact], around: Surroundings, customers: Mapping[str, Customer]) -> None:
        """Count one page of contacts."""
        for contact in contacts:
            what = _verdict(contact, around, customers)
            self.met |= {contact.values["email"] or ""} if contact.values.get("email") else set()
            self.counts[what] += 1
            if len(self.samples[what]) < SAMPLES:
                self.samples[what].append(str(contact.id))


def _verdict(contact: Contact, around: Surroundings, customers: Mapping[str, Customer]) -> str:
    address = contact.values.get("email")
    holder = around.holders.get(address) if address is not None else None
    if contact.id in around.owners:
        return "contacts linked already"
    if address in around.tombstoned:
        return "contacts of erased people to ignore"
    if holder is None or address is None:
        return "customers to insert"
    if holder.contact_id is not None:
        return "contacts to park: their address belongs to another linked customer"
    same = customers[address].values == contact.values if address in customers else False
    return "pairs to link, values equal" if same else "pairs to link, values to be merged"
