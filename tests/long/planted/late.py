"""Faults of what comes late: answers, claims, intents and merges that others have overtaken."""

from fault import Edit, Fault, real, simulated
from places import (
    ALIVE,
    ANSWERS,
    BUDGET,
    CONTRACT,
    ERASE,
    JUDGE,
    MIRROR,
    PLAN,
    QUERIES,
    REAL_OUTBOX,
    REARRANGING,
    SCHEMA,
    STEP,
    WINDOWS,
)

LATE: tuple[Fault, ...] = (
    real(
        "a dropped link's worker clears the marks of its contact's customer",
        "fences are checked when marks are cleared",
        Edit(
            QUERIES, "end_claims", " or exists (select from sync.resolved(c.subjects) r where r.uuid is not null)", ""
        ),
        tests=(f"{CONTRACT}_create_answers.py::test_a_created_contacts_own_event_does_not_keep_it_from_its_customer",),
    ),
    real(
        "a row that an overtaken push disagrees with is not looked at",
        "whatever differs is marked until it is settled",
        Edit(ANSWERS, "_look_after", 'work.run("mark_overtaken", rows=to_json(carried))', "del carried"),
        tests=(f"{CONTRACT}_answers.py::test_a_push_that_hubspot_has_after_an_api_write_leaves_a_row_to_look_at",),
    ),
    simulated(
        "a late create says nothing of the columns that were empty",
        "whatever differs is marked until it is settled",
        Edit(
            MIRROR,
            "Accepted.carried",
            "**{c: None for c in held if held[c] is None and self.contact.values.get(c) is None}, ",
            "",
        ),
        tests=(f"{CONTRACT}_create_answers.py::test_what_was_entered_while_a_create_was_parked_is_looked_at",),
    ),
    real(
        "an address erased since it was read is sent",
        "erased stays erased",
        Edit(REAL_OUTBOX, "PostgresOutbox.intend", "            writes = _not_erased(work, writes)\n", ""),
        tests=(f"{CONTRACT}_intents.py::test_an_address_erased_since_it_was_read_is_not_sent",),
    ),
    real(
        "an erase leaves who is being sent with the address",
        "an erase takes every row, base, intent, log and parked reason",
        Edit(
            SCHEMA,
            "person_of",
            "\n            union select uuid from sync.intent where vals ->> 'email' = any(addresses)",
            "",
        ),
        tests=(f"{CONTRACT}_ends.py::test_an_erase_takes_whoever_is_being_sent_to_hubspot_with_the_address",),
    ),
    real(
        "who has a contact by now is created again (SQL)",
        "never two contacts",
        Edit(QUERIES, "intend", "when 'create' then l.contact is null else", "when 'create' then true else"),
        tests=(f"{CONTRACT}_intents.py::test_whoever_has_a_contact_by_now_is_not_created_again",),
    ),
    real(
        "a merge makes former contacts lead to the winner",
        "a contact restored beside its successor is looked at for itself",
        Edit(
            QUERIES,
            "absorb_aliases",
            "union select contact, kind from sync.alias where uuid = %(loser)s",
            "union select contact, 'merged' from sync.alias where uuid = %(loser)s",
        ),
        tests=(f"{CONTRACT}_links.py::test_a_former_contact_of_the_loser_stays_one",),
    ),
    real(
        "somebody is merged with whoever was erased meanwhile",
        "erased stays erased",
        Edit(REARRANGING, "rearrange", "if not _may_absorb(work, merged):", "if merged.winner == merged.loser:"),
        tests=(f"{CONTRACT}_links.py::test_nobody_is_merged_with_whoever_was_erased_meanwhile",),
    ),
    real(
        "somebody is merged into an erased person's contact",
        "erased stays erased",
        Edit(QUERIES, "hold_links", "kind = 'ignored') order by uuid for", "kind = 'none') order by uuid for"),
        tests=(f"{CONTRACT}_links.py::test_a_survivor_that_was_an_erased_persons_is_nobodys",),
    ),
    real(
        "a contact that is handed over comes without what was pushed to it unseen",
        "what a PUT overwrote unseen is found afterwards and kept as a conflict's loser",
        Edit(REARRANGING, "rearrange", 'work.run("inherit", heir=step.pair.uuid, giver=former)', "pass"),
        tests=(f"{CONTRACT}_links.py::test_what_was_pushed_unseen_to_a_contact_goes_with_it",),
    ),
    real(
        "what is on its way to a merge's loser is forgotten",
        "a remote value equal to an open intent is ours",
        Edit(REARRANGING, "_absorb", '    work.run("inherit", heir=merged.winner, giver=merged.loser)\n', ""),
        tests=(f"{CONTRACT}_links.py::test_what_is_on_its_way_to_a_losers_contact_reaches_the_survivor",),
    ),
    simulated(
        "what a person writes in the millisecond of the base is not seen",
        "what a PUT overwrote unseen is found afterwards and kept as a conflict's loser",
        Edit(JUDGE, "_is_unknown", " or (entry.at == push.since and entry.value != push.base)", ""),
        tests=("tests/unit/test_judge.py::test_a_person_may_write_in_the_millisecond_of_the_base",),
    ),
    simulated(
        "whoever has no call to make uses up the look whether HubSpot is back",
        "it comes to rest",
        Edit(BUDGET, "SharedBudget.reserve", "if permit.is_probe:", "if False:"),
        tests=(
            "tests/sync/test_outage.py::test_work_that_needs_no_call_does_not_use_up_the_look_whether_hubspot_is_back",
        ),
    ),
    simulated(
        "a PUT creates beside a PUT that creates",
        "an unknown outcome is settled by the open intent, never two contacts",
        Edit(
            "reconciler/sync/write_through.py",
            "_may_be_created_by_others",
            "pair.fence == 0 or any(not intent.is_overdue for intent in creates)",
            "pair.fence == 0 and not creates",
        ),
        tests=(f"{WINDOWS}::test_a_put_beside_a_put_that_is_just_creating_the_contact_makes_no_second_one",),
    ),
    simulated(
        "a push under way is taken for looked at",
        "what a PUT overwrote unseen is found afterwards and kept as a conflict's loser",
        Edit(
            STEP,
            "Step.has_checked_blind_pushes",
            "bool(contact.history) and not self.pair.is_pushed_unread",
            "bool(contact.history)",
        ),
        tests=(f"{CONTRACT}_intents.py::test_what_is_on_its_way_while_the_history_is_read_stays_to_be_looked_at",),
    ),
    simulated(
        "a create takes an erased person's contact for its own",
        "erased stays erased",
        Edit(PLAN, "_unlinked", " and pair.contact.id not in context.ignored\n", "\n"),
        tests=(f"{ERASE}::test_a_create_whose_contact_turned_out_to_be_an_erased_persons_is_made_anew",),
    ),
    simulated(
        "a row shows a contact that is not its link's",
        "a row shows its link's contact",
        Edit(
            STEP,
            "Step.touches_customer",
            "is_news = self.at is not None and customer.remote_updated_at != self.at",
            "is_news = self.pair.contact is not None and customer.remote_updated_at != self.pair.contact.updated_at",
        ),
        tests=(f"{ERASE}::test_a_contact_merged_into_an_erased_persons_is_not_shown_as_that",),
    ),
    simulated(
        "a merge takes back that an API write ended both",
        "the base moves with what it describes",
        Edit(STEP, "Step.alive", "return None if self.pair.link.alive else True", "return True"),
        tests=(f"{CONTRACT}_answers.py::test_a_merge_does_not_take_back_that_an_api_write_ended_both",),
    ),
    real(
        "a customer deleted in SQL loses its link when its contact is archived",
        "the link outlives its customer",
        Edit(ANSWERS, "_look_after", "if each.is_new and each.write.pair", "if each.write.pair"),
        tests=(f"{ALIVE}::test_a_customer_from_hubspot_deleted_in_sql_comes_back_as_itself",),
    ),
)
