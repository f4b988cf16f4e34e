"""Which side wins a conflict, by the column's policy and the two edits' times; what a push without a read overwrote."""

from reconciler.core.contact import BlindPush, Customer, Entry, Pair
from reconciler.core.context import Rules
from reconciler.core.fields import Policy, Value
from reconciler.core.merge import Conflict, Verdict


class Judge:
    """Which side wins a conflict of one pair, by the column's policy and the two edits' times."""

    def __init__(self, pair: Pair, customer: Customer, rules: Rules) -> None:
        self._pair, self._customer, self._rules = pair, customer, rules

    def __call__(self, column: str, mine: Value, theirs: Value) -> Verdict:
        policy = self._rules.policies[column]
        if policy is Policy.NEWEST and not self._pair.link.base:
            policy = self._rules.first_link
        match policy:
            case Policy.HUBSPOT:
                return Verdict.REMOTE
            case Policy.POSTGRES:
                return Verdict.LOCAL
            case Policy.MANUAL:
                return Verdict.NEITHER
            case Policy.NEWEST:
                return self._newest(column, theirs)

    def _newest(self, column: str, theirs: Value) -> Verdict:
        contact = self._pair.contact
        assert contact is not None
        base = self._pair.link.base.get(column)
        if base is None and theirs is None:
            return Verdict.LOCAL
        if not contact.history:
            return Verdict.HISTORY
        there = next((entry.at for entry in contact.history.get(column, ()) if entry.value == theirs), None)
        here = self._pair.link.edited.get(column, self._customer.updated_at) + self._rules.skew
        return Verdict.LOCAL if here > (there or contact.updated_at) else Verdict.REMOTE


def overwritten_blindly(pair: Pair) -> tuple[Conflict, ...]:
    """Log what pushes without a read overwrote: entries of the history since the base, neither ours nor the last.

    Where nothing was ever agreed, all of them.
    """
    assert pair.contact is not None
    found = []
    for column, push in pair.link.blind_pushes.items():
        kept = pair.contact.values.get(column)
        lost = [entry.value for entry in pair.contact.history.get(column, ())[1:] if _is_unknown(entry, push)]
        found += [Conflict(column=column, winner=Verdict.LOCAL, kept=kept, lost=value) for value in lost]
    return tuple(found)


def _is_unknown(entry: Entry, push: BlindPush) -> bool:
    """Whether the entry was not known here; a person may write in the very millisecond of the base."""
    if entry.value in push.sent:
        return False
    return push.since is None or entry.at > push.since or (entry.at == push.since and entry.value != push.base)
