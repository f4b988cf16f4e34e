"""Faults in which changes go over: directions, and emptyings that stay."""

from fault import Edit, Fault, simulated
from places import MERGE, MIRROR, PLAN, STEP, WRITING

STAYS = "a blocked side's edit is neither taken over nor reverted, and is no conflict"
EMPTYING = "an emptying that is not carried over leaves both sides as they are"
NEW = "the blocked side's value of a new record stays where it is"
DIRECTED = ("tests/unit/test_ways.py",)
ANSWERED = "an API write succeeds on both sides or leaves both as they were"

WAYS: tuple[Fault, ...] = (
    simulated(
        "a blocked edit in HubSpot is taken over",
        STAYS,
        Edit(MERGE, "merge", "elif not comes_in:", "elif False:"),
    ),
    simulated(
        "a blocked edit in HubSpot is reverted",
        STAYS,
        Edit(
            MERGE,
            "merge",
            "elif not comes_in:\n            if row != last:",
            "elif not comes_in:\n            if True:",
        ),
    ),
    simulated(
        "a blocked edit here is pushed over",
        STAYS,
        Edit(
            MERGE,
            "merge",
            "elif contact == last:\n            if goes_out:",
            "elif contact == last:\n            if True:",
        ),
    ),
    simulated(
        "a one-way field conflicts",
        STAYS,
        Edit(MERGE, "merge", "elif row == last or not goes_out:", "elif row == last:"),
    ),
    simulated(
        "an emptying is carried over all the same",
        EMPTYING,
        Edit(MERGE, "merge", "if row != contact and not is_ahead and", "if False and"),
    ),
    simulated(
        "an emptying is carried over with a restored contact",
        EMPTYING,
        Edit(PLAN, "_reviving", "if not (value is None and fields[name].when_empty is WhenEmpty.KEEP)", "if True"),
        tests=DIRECTED,
    ),
    simulated(
        "a restored contact reverts a blocked edit here",
        STAYS,
        Edit(PLAN, "_reviving", "and (name in fields.to_hubspot or value != base.get(name))", ""),
        tests=DIRECTED,
    ),
    simulated(
        "edits that a restored contact leaves are not looked at again",
        "a row's edits go over",
        Edit(PLAN, "_revive", "closes=_open(pair), again=again)", "closes=_open(pair))"),
        tests=DIRECTED,
    ),
    simulated(
        "a new row takes what does not go over",
        NEW,
        Edit(PLAN, "_beginning", "**fields.inbound(values)", "**values"),
    ),
    simulated(
        "a new row has the base of one that is gone",
        NEW,
        Edit(STEP, "Step.agree", "{field: None for field in self.pair.link.base if field not in pull}", "{}"),
        tests=DIRECTED,
    ),
    simulated(
        "a create sends what does not go over",
        NEW,
        Edit(PLAN, "_create", "rules.fields.outbound(pair.customer.values)", "pair.customer.values"),
    ),
    simulated(
        "an API write's create sends what does not go over",
        NEW,
        Edit(
            WRITING,
            "WriteThrough._create_of",
            "self._fields.outbound(pair.customer.values)",
            "pair.customer.values",
        ),
    ),
    simulated(
        "a row made after an API write lacks what does not come in",
        ANSWERED,
        Edit(
            PLAN, "_beginning", "for name, value in values.items() if (name, value) in ahead", "for name, value in ()"
        ),
        tests=DIRECTED,
    ),
    simulated(
        "what HubSpot sets beside an edit here is forgotten",
        "the open side's value goes over",
        Edit(MIRROR, "Accepted.carried", "for c, v in self._edited.items() if c not", "for c, v in () if c not"),
        tests=DIRECTED,
    ),
)
