"""Commits changes of links: contacts that are attached, adopted, merged, and links that end."""

from typing import Any

from reconciler.adapters.postgres.database import Work, to_json
from reconciler.adapters.postgres.rows import conflict_rows
from reconciler.core.ports import LANDING, Lane, Subject
from reconciler.core.step import Absorb, Adopt, Attach, Detach, Forget, Ignore, Step


def rearrange(work: Work, step: Step) -> None:
    """Change whose contact it is, or end the link; the claim holds."""
    if step.conflicts:
        work.run("log_conflicts", conflicts=to_json(conflict_rows(step.pair.uuid, step.conflicts)))
    if step.closes:
        work.run("close_unanswered", ids=list(step.closes), landing=LANDING)
    match step.action:
        case Attach(contact_id, former):
            if former is not None and work.row("hand_over", contact=contact_id, former=former) is not None:
                work.run("inherit", heir=step.pair.uuid, giver=former)
                work.run("show_contacts", uuids=[former])
            work.run("drop_placeholder", contact=contact_id, owner=step.pair.uuid, looked_at=None)
            link = step.pair.link
            row = {"uuid": link.uuid, "fence": step.pair.fence, "contact": contact_id, "known": link.contact_id}
            work.run("attach", rows=to_json([row]))
            work.run("show_contacts", uuids=[step.pair.uuid])
        case Adopt(owner, contact_id) if work.row("may_adopt", owner=owner) is None:
            work.run("mark", subjects=[Subject.contact(contact_id).key], lane=Lane.FRESH, privacy=False)
        case Adopt(owner, contact_id):
            work.run("drop_placeholder", contact=contact_id, owner=owner, looked_at=step.pair.uuid)
            work.run("ensure_links", uuids=[owner])
            work.run("adopt", contact=contact_id, owner=owner)
            work.run("show_contacts", uuids=[owner])
            work.run("mark", subjects=[Subject.customer(owner).key], lane=Lane.FRESH, privacy=False)
        case Absorb() as merged if not _may_absorb(work, merged):
            # The other one was erased, or forgotten, meanwhile.
            work.run("mark", subjects=[Subject.customer(step.pair.uuid).key], lane=Lane.FRESH, privacy=False)
        case Absorb() as merged:
            _absorb(work, merged)
        case Forget():
            work.run("forget", rows=to_json([_ended(step)]))
        case Ignore():
            work.run("ignore", rows=to_json([_ended(step)]))
        case Detach():
            work.run("detach", rows=to_json([_ended(step)]))
        case _:
            pass


def _may_absorb(work: Work, merged: Absorb) -> bool:
    return len(work.rows("hold_links", uuids=[merged.winner, merged.loser], contact=merged.contact_id)) == 2


def _absorb(work: Work, merged: Absorb) -> None:
    names = {"winner": merged.winner, "loser": merged.loser, "contact": merged.contact_id}
    work.run("absorb_aliases", uuids=[merged.winner, merged.loser], **names)
    work.run("inherit", heir=merged.winner, giver=merged.loser)
    work.run("drop_intents", uuids=[merged.loser])
    work.run("log_unsent", loser=merged.loser)
    work.run("absorb_loser", loser=merged.loser)
    work.run("absorb_customer", winner=merged.winner, loser=merged.loser)
    work.run("absorb_winner", **names)
    work.run("show_contacts", uuids=[merged.winner])
    work.run("mark", subjects=[Subject.customer(merged.winner).key], lane=Lane.FRESH, privacy=False)


def _ended(step: Step) -> dict[str, Any]:
    return {"uuid": step.pair.uuid, "fence": step.pair.fence, "known": step.pair.link.contact_id}
