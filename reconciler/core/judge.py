"""Which side wins a conflict, by the field's policy and the two edits' times; what a push without a read overwrote."""

from datetime import UTC, datetime

from reconciler.core.contact import BlindPush, Customer, Entry, Pair
from reconciler.core.context import Rules
from reconciler.core.fields import Policy
from reconciler.core.merge import Conflict, Verdict
from reconciler.core.values import Value

LONG_AGO = datetime.fromtimestamp(0, UTC)


class Judge:
    """Which side wins a conflict of one pair, by the field's policy and the two edits' times."""

    def __init__(self, pair: Pair, customer: Customer, rules: Rules) -> None:
        self._pair, self._customer, self._rules = pair, customer, rules

    def __call__(self, field: str, local: Value, remote: Value) -> Verdict:
        policy = self._rules.fields[field].policy
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
                return self._newest(field, remote)

    def _newest(self, field: str, remote: Value) -> Verdict:
        contact = self._pair.contact
        assert contact is not None
        base = self._pair.link.base.get(field)
        if base is None and remote is None:
            return Verdict.LOCAL
        if not contact.history:
            return Verdict.HISTORY
        edited_remotely = next((entry.at for entry in contact.history.get(field, ()) if entry.value == remote), None)
        # A row of unknown age was edited long ago.
        edited = self._pair.link.edited.get(field) or self._customer.updated_at or LONG_AGO
        edited_locally = edited + self._rules.skew
        return Verdict.LOCAL if edited_locally > (edited_remotely or contact.updated_at) else Verdict.REMOTE


def overwritten_blindly(pair: Pair) -> tuple[Conflict, ...]:
    """Log what pushes without a read overwrote: entries of the history since the base, neither ours nor the last.

    Where nothing was ever agreed, all of them.
    """
    assert pair.contact is not None
    found = []
    for field, push in pair.link.blind_pushes.items():
        kept = pair.contact.values.get(field)
        lost = [entry.value for entry in pair.contact.history.get(field, ())[1:] if _is_unknown(entry, push)]
        found += [Conflict(field=field, winner=Verdict.LOCAL, kept=kept, lost=value) for value in lost]
    return tuple(found)


def _is_unknown(entry: Entry, push: BlindPush) -> bool:
    """Whether the entry was not known here; a person may write in the very millisecond of the base."""
    if entry.value in push.sent:
        return False
    return push.since is None or entry.at > push.since or (entry.at == push.since and entry.value != push.base)
