"""Faults in who lives and who is who: deletions, restores, merges, addresses."""

from fault import Edit, Fault, simulated
from places import ALIVE, ERASE, IDENTITY, MARKS, MERGED, PLAN, RECONCILE, RULES, TAKEN, WEATHER

BEINGS: tuple[Fault, ...] = (
    simulated(
        "a linked contact that reads 404 is created again",
        "a linked contact that reads 404 is never created again",
        Edit(
            PLAN,
            "_by_being",
            "        case True, True, False:\n",
            "        case True, True, False if pair.contact is not None:\n",
        ),
        tests=(ERASE,),
    ),
    simulated(
        "a delete here archives nothing there",
        "delete here archives there",
        Edit(
            PLAN,
            "_by_being",
            "        case _:\n            return _archive(pair, rules)",
            "        case _:\n            return Step(pair=pair, action=Agree(), closes=_open(pair))",
        ),
        tests=(ALIVE,),
    ),
    simulated(
        "a delete there deletes nothing here",
        "a delete there soft-deletes here",
        Edit(
            PLAN,
            "_by_being",
            "            return _delete(pair, rules)",
            "            return Step(pair=pair, action=Agree(), closes=_open(pair))",
        ),
        tests=(ALIVE,),
    ),
    simulated(
        "a restore is ignored",
        "restore revives the same customer",
        Edit(
            PLAN,
            "_by_being",
            "            return _revive(pair, context, rules)",
            "            return Step(pair=pair, action=Agree(), closes=_open(pair))",
        ),
        tests=(ALIVE,),
    ),
    simulated(
        "a create that landed after its customer's deletion makes it anew",
        "a contact made for a customer deleted meanwhile is archived",
        Edit(PLAN, "_by_being", "True if pair.customer is None and not _is_created_by_us(pair):", "True:"),
        tests=(IDENTITY,),
    ),
    simulated(
        "a privacy deletion is taken for a deletion",
        "erase takes everything",
        Edit(PLAN, "_decide", "if contact is None and pair.privacy:", "if False:"),
        tests=(ERASE,),
    ),
    simulated(
        "the tombstone is not asked when a contact comes in",
        "erased stays erased",
        Edit(PLAN, "_insert", "if context.tombstoned & {address, *pair.contact.other_addresses}:", "if False:"),
        Edit(
            PLAN,
            "_taken",
            "if address in context.tombstoned:\n        return Step(pair=pair, blocks=blocked(Reason.ERASED",
            "if False:\n        return Step(pair=pair, blocks=blocked(Reason.ERASED",
        ),
        tests=(ERASE,),
    ),
    simulated(
        "a merged contact's old id stays the link's",
        "every old id is an alias of the survivor",
        Edit(PLAN, "_decide", "if contact is not None and contact.id != pair.link.contact_id:", "if False:"),
        tests=(MERGED,),
    ),
    simulated(
        "who wins a merge depends on who is found first",
        "the winner follows from state alone",
        Edit(
            PLAN,
            "_merged_away",
            "winner, loser = sorted((me, rival), key=lambda each: _precedence(each, address))",
            "winner, loser = me, rival",
        ),
        tests=(MERGED,),
    ),
    simulated(
        "an address is given away although its holder keeps it",
        "one holder for an address",
        Edit(
            "reconciler/core/addresses.py",
            "release",
            "        for uuid in stuck:\n            del waiting[uuid]\n",
            "        break\n",
        ),
        tests=("tests/unit/test_addresses.py",),
    ),
    simulated(
        "a busy holder's contact is handed over",
        "one writer per pair",
        Edit(
            TAKEN, "address_taken", "if owner is not None and owner.is_busy and", "if False and owner is not None and"
        ),
        tests=(f"{RULES}::test_a_contact_is_not_handed_over_while_a_worker_is_at_it",),
    ),
    simulated(
        "a stale snapshot is believed at once",
        "a snapshot older than seen is stale: look again, then believe it",
        Edit(PLAN, "_is_stale", "return is_older and pair.link.stale_reads < len(STALE_LOOKS)", "return False"),
        tests=(MARKS,),
    ),
    simulated(
        "the brake is off",
        "what exceeds the allowance is held",
        Edit(RECONCILE, "Reconciler._braked", "steps = brake(steps, granted)", "steps = list(steps)"),
        tests=(WEATHER,),
    ),
)
