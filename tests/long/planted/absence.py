"""Faults of the world context: absence taken for a deletion, the owner's rules, causes that are nobody's fault."""

from fault import Edit, Fault, real, simulated
from places import PLAN, QUERIES, REAL_PAIRS, RECONCILE, SCHEMA, STEP

ABSENCE, RULED = "tests/sync/test_absence.py", "tests/sync/test_owners_rules.py"
FORMS, API_RULED = "tests/gateway/test_gateway_forms.py", "tests/http/test_api_owners_rules.py"
CAUSES, REQUIRED = "tests/sync/test_database_causes.py", "tests/sync/test_required.py"
CALLS, CLIENT, BRAKE = (
    "reconciler/adapters/gateway/calls.py",
    "reconciler/adapters/gateway/client.py",
    "tests/unit/test_brake.py",
)
PROOF = "absence needs proof"
OWNED = "one bad record never harms its batch, whichever side refuses it"
NAMED = "causes that are no record's own have a name and spend nothing"

AROUND: tuple[Fault, ...] = (
    real(
        "a path that HubSpot does not know says that a contact is gone",
        PROOF,
        Edit(
            CALLS,
            "_of_status",
            "case status if status in _UNROUTED and not is_of_contract(reply):",
            "case status if status in (405, 410):",
        ),
        Edit(
            CLIENT,
            "Gateway._read_one",
            "is_missing = error.reply.status == 404 and (",
            "is_missing = error.reply.status == 404 or (",
        ),
        tests=(FORMS, ABSENCE),
    ),
    real(
        "any refused read says that a contact is gone",
        PROOF,
        Edit(CLIENT, "Gateway._read_one", "                if not is_missing:\n", "                if False:\n"),
        tests=(FORMS, ABSENCE),
    ),
    simulated(
        "a contact counts as gone without a look whether the account is ours",
        PROOF,
        Edit("reconciler/sync/witness.py", "Witness.examined", "        self._require_account()\n", ""),
        tests=(ABSENCE,),
    ),
    simulated(
        "a contact counts as gone although no other reads well",
        PROOF,
        Edit("reconciler/sync/witness.py", "Witness.examined", "if self._has_living(pairs, gone):", "if True:"),
        tests=(ABSENCE,),
    ),
    simulated(
        "a row that is not there was deleted, seen or not",
        PROOF,
        Edit(
            STEP,
            "Step.is_missing",
            "self.pair.is_row_missing or self.pair.is_contact_missing",
            "self.pair.is_contact_missing",
        ),
        tests=(ABSENCE,),
    ),
    simulated(
        "a row that this role may not see was deleted",
        PROOF,
        Edit(PLAN, "decide", "    if pair.is_hidden:\n", "    if False:\n"),
        tests=(ABSENCE,),
    ),
    real(
        "the trigger's word that a row was deleted is not kept",
        PROOF,
        Edit(
            SCHEMA,
            "on_delete",
            "insert into sync.dirty (uuid, deleted) select uuid, true from old_rows;",
            "insert into sync.dirty (uuid) select uuid from old_rows;",
        ),
        tests=("tests/sync/test_being_alive.py",),
    ),
    real(
        "a row that came back and went unseen counts as deleted with the trigger",
        PROOF,
        Edit(
            SCHEMA,
            "fold",
            "\n                and not exists (select from sync.customers() c where c.uuid = excluded.uuid),",
            ",",
        ),
        tests=(ABSENCE,),
    ),
    real(
        "a sweep passes over links whose row is gone",
        PROOF,
        Edit(
            QUERIES,
            "mark_drifted",
            "and not exists (select from sync.customers() c where c.uuid = l.uuid) and not sync.hides_rows()",
            "and false",
        ),
        tests=(ABSENCE,),
    ),
    simulated(
        "what is missing passes the brake",
        PROOF,
        Edit(
            "reconciler/core/brake.py",
            "LIMITS",
            "Danger.MISSING: Limit(number=0),",
            "Danger.MISSING: Limit(number=100),",
        ),
        tests=(BRAKE, ABSENCE),
    ),
    simulated(
        "a held record whose cause is gone stays held",
        "what is blocked wakes when that which blocked it is gone",
        Edit(STEP, "Step.lifted", "sorted(held - self.blocks.keys())", "[]"),
        tests=(ABSENCE,),
    ),
    real(
        "an erase on request is forgotten when HubSpot does not confirm it",
        "an erase stays due until HubSpot has confirmed it",
        Edit(
            RECONCILE,
            "Reconciler._purge",
            "                again(endings, step.pair.uuid, error.delay)\n                continue\n",
            "",
        ),
        tests=(ABSENCE,),
    ),
    real(
        "a row that the owner refuses takes its batch along",
        OWNED,
        Edit(
            REAL_PAIRS,
            "PostgresPairs.merge",
            "            if len(changing) == 1:\n                (step,) = changing\n",
            "            if True:\n                step = changing[0]\n",
        ),
        tests=(RULED,),
    ),
    simulated(
        "a row that was refused is tried again and again",
        OWNED,
        Edit(
            PLAN,
            "_insert",
            "action = Rest() if is_row_blocked(pair) else Insert(",
            "action = Insert(",
        ),
        tests=(RULED,),
    ),
    real(
        "a trigger swallows a row, and the base says that it took",
        OWNED,
        Edit(
            "reconciler/adapters/postgres/table.py",
            "require_all",
            'if any(row["swallowed"] for row in rows):',
            "if False:",
        ),
        tests=(RULED, API_RULED),
    ),
    real(
        "what the owner refuses after HubSpot has taken it stays there",
        "a refusal leaves both as they were",
        Edit(
            "reconciler/adapters/postgres/answers.py",
            "_put_back",
            '    work.run("put_back", uuids',
            '    "put_back".format(uuids',
        ),
        tests=(API_RULED,),
    ),
    simulated(
        "a cause of the system lets records be looked at alone",
        NAMED,
        Edit(RECONCILE, "Reconciler.reconcile", "is_delayed = not error.is_systemic", "is_delayed = True"),
        tests=(ABSENCE, CAUSES),
    ),
    real(
        "an answer is settled although its row is hidden",
        "the base moves with what it describes",
        Edit(
            QUERIES,
            "links_now",
            "or r.known and sync.hides_rows() and not l.deleted",
            "or false and not l.deleted",
        ),
        tests=("tests/store/test_contract_held.py",),
    ),
    simulated(
        "a refusal that names no value keeps every value back",
        OWNED,
        Edit(
            "reconciler/sync/sender.py",
            "Sender.update",
            "nameless = [write for write, answer in results if _is_nameless(write, answer)]",
            "nameless: list[Write] = []",
        ),
        tests=(REQUIRED,),
    ),
    real(
        "an allowance is used up by what would have passed anyway",
        "an allowance is used up by what passes because of it",
        Edit(
            SCHEMA,
            "grant_danger",
            "select least(need.needed - usual, a.count) into extra",
            "select least(need.needed, a.count) into extra",
        ),
        tests=("tests/store/test_contract_records.py",),
    ),
)
