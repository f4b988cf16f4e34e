"""Faults in what is decided about values: merge, base, conflicts."""

from fault import Edit, Fault, simulated
from places import ALIVE, BASE, BOTH_ALIVE, CONTRACT, JUDGE, MERGE, MIRROR, PLAN, RULES, THROUGH, VALUES

VALUES: tuple[Fault, ...] = (
    simulated(
        "base moves to what was sent, not to the answer",
        "a pushed property moves the base to HubSpot's answer",
        Edit(
            MIRROR,
            "Accepted.pushed",
            "answered = {c: self.contact.values[c] for c in self.write.values if c in self.contact.values}",
            "answered = {c: v for c, v in self.write.values.items() if c in self.contact.values}",
        ),
        tests=(f"{RULES}::test_an_edit_here_while_hubspot_stores_a_value_otherwise_is_pushed_over_it",),
    ),
    simulated(
        "a property missing from an answer is empty",
        "a property missing from an answer is unknown, never empty",
        Edit(
            MIRROR,
            "Accepted.pushed",
            "answered = {c: self.contact.values[c] for c in self.write.values if c in self.contact.values}",
            "answered = {c: self.contact.values.get(c) for c in self.write.values}",
        ),
        tests=(f"{CONTRACT}_answers.py::test_a_property_missing_from_the_answer_stays_open",),
    ),
    simulated(
        "a property missing from a read is empty",
        "a property missing from an answer is unknown, never empty",
        Edit(
            MERGE,
            "merge",
            "for name, contact in remote.items():",
            "for name, contact in {**dict.fromkeys(base), **remote}.items():",
        ),
        tests=("tests/unit/test_merge.py",),
    ),
    simulated(
        "addresses are compared as they are written",
        "values are normalised once, at the border (e-mail trimmed and lower-cased)",
        Edit(
            VALUES,
            "normalise_email",
            "return (address.lower() if address.isascii() else address.translate(LOWER)) or None",
            "return address or None",
        ),
        tests=(f"{RULES}::test_an_address_in_other_letters_is_the_same_and_is_left_as_it_was_written",),
    ),
    simulated(
        "our own open intent is taken for a person's edit",
        "a remote value equal to an open intent is ours",
        Edit(BOTH_ALIVE, "merged", "ours=_ours(pair, rules),", "ours={},"),
        tests=(f"{BASE}::test_what_we_sent_before_a_crash_is_no_persons_edit",),
    ),
    simulated(
        "the loser of a conflict is logged nowhere",
        "the loser is logged before it is overwritten",
        Edit(
            MERGE,
            "_settle",
            "            merged.conflicts.append(Conflict(field=name, winner=verdict, kept=remote, lost=local))\n",
            "",
        ),
        tests=("tests/unit/test_merge.py",),
    ),
    simulated(
        "what a delete overtakes is logged nowhere",
        "delete wins, the other side's edits go to the log",
        Edit(PLAN, "_archive", "action=Archive(), conflicts=_unpulled(pair, rules)", "action=Archive()"),
        tests=(ALIVE,),
    ),
    simulated(
        "what a PUT overwrote unseen is not looked up",
        "what a PUT overwrote unseen is found afterwards and kept as a conflict's loser",
        Edit(PLAN, "_linked", "if not pair.link.blind_pushes or pair.contact is None:", "if True:"),
        tests=(THROUGH,),
    ),
    simulated(
        "a row edited during an API write loses silently",
        "success means both sides have held the change",
        Edit(
            MIRROR,
            "Accepted.left_out",
            "if not self.write.hubspot_first:\n            return []",
            "if True:\n            return []",
        ),
        tests=(THROUGH,),
    ),
    simulated(
        "the clocks' difference is ignored",
        "times of edits here are corrected by the measured skew",
        Edit(JUDGE, "Judge._newest", "edited_locally = edited + self._rules.skew", "edited_locally = edited"),
        tests=(f"{RULES}::test_the_newest_edit_wins_although_the_clocks_differ",),
    ),
)
