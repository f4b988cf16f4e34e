"""What a first run would do, in counts, by field with the winner, and in samples of contact ids. Nothing is written."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from reconciler.core.contact import Contact, Customer, Link, Pair, Snapshot
from reconciler.core.context import Context, Rules
from reconciler.core.judge import Judge
from reconciler.core.merge import Verdict, merge
from reconciler.core.plan import becomes_customer

WINNERS = {Verdict.LOCAL: "Postgres", Verdict.REMOTE: "HubSpot", None: "nobody, until a person decides"}
MERGED = "pairs to link, values to be merged"
OUTSIDE = "contacts out of scope, left alone"


class Preview:
    """The plan of a backfill in counts; `met`: how many live customers without a contact have a met one's address."""

    def __init__(self, rules: Rules, samples: int) -> None:
        self.counts: Counter[str] = Counter()
        self.samples: defaultdict[str, list[str]] = defaultdict(list)
        self.met = 0
        self._rules, self._most = rules, samples

    def count(
        self, contacts: Sequence[Contact], context: Context, customers: Mapping[str, Customer]
    ) -> list[tuple[Contact, Customer]]:
        """Count one page of contacts; return the pairs whose values both sides have, and have otherwise."""
        differing = []
        self.met += _unlinked(context, customers)
        for contact in contacts:
            address = contact.values.get("email") or ""
            what = _verdict(contact, context, customers, self._rules)
            self._note(what, contact)
            if what == MERGED and address in customers and _differs(contact, customers[address]):
                differing.append((contact, customers[address]))
        return differing

    def compare(self, pairs: Sequence[tuple[Contact, Customer]]) -> None:
        """Count, by field, which side's value would win; the contacts come with their history."""
        for contact, customer in pairs:
            link = Link(uuid=customer.uuid, contact_id=contact.id)
            pair = Pair(link=link, customer=customer, remote=Snapshot(contact=contact))
            judge = Judge(pair, customer, self._rules)
            merged = merge(
                self._rules.fields,
                base={},
                local=customer.values,
                remote=contact.values,
                ours={},
                ahead={},
                judge=judge,
            )
            for conflict in merged.conflicts:
                self._note(f"{conflict.field} differs, {WINNERS[conflict.winner]} wins", contact)

    def lines(self) -> Iterator[str]:
        """Yield the plan for people."""
        for what, number in sorted(self.counts.items()):
            yield f"{number:>9}  {what}  {' '.join(self.samples[what])}".rstrip()

    def _note(self, what: str, contact: Contact) -> None:
        self.counts[what] += 1
        if len(self.samples[what]) < self._most:
            self.samples[what].append(str(contact.id))


def _unlinked(context: Context, customers: Mapping[str, Customer]) -> int:
    """Return how many of a page's customers have no contact."""
    holders = [context.holders.get(address) for address in customers]
    return sum(holder is not None and holder.contact_id is None for holder in holders)


def _differs(contact: Contact, customer: Customer) -> bool:
    """Whether both sides have a value, and another one."""
    both = ((value, customer.values.get(field)) for field, value in contact.values.items())
    return any(remote is not None and local is not None and remote != local for remote, local in both)


def _verdict(contact: Contact, context: Context, customers: Mapping[str, Customer], rules: Rules) -> str:
    address = contact.values.get("email")
    holder = context.holders.get(address) if address is not None else None
    if contact.id in context.owners:
        return "contacts linked already"
    if address in context.tombstoned:
        return "contacts of erased people to ignore"
    if holder is None or address is None:
        return "customers to insert" if becomes_customer(contact, rules) else OUTSIDE
    if holder.is_outside:
        return OUTSIDE
    if holder.contact_id is not None:
        return "contacts to park: their address belongs to another linked customer"
    same = customers[address].values == contact.values if address in customers else False
    return "pairs to link, values equal" if same else MERGED
