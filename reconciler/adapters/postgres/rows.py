"""Turns rows into the core's values and back. Dictionaries stop here."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from reconciler.adapters.postgres.database import Work, to_json
from reconciler.core.blocks import Block, Blocks, waiting_for
from reconciler.core.contact import (
    BlindPush,
    Contact,
    ContactId,
    Customer,
    CustomerId,
    Intent,
    IntentId,
    IntentKind,
    Late,
    Link,
    Pair,
)
from reconciler.core.context import OtherLink
from reconciler.core.merge import Conflict, Verdict
from reconciler.core.ports import Claim
from reconciler.core.reasons import Reason
from reconciler.core.values import Value, Values

Json = dict[str, Any]


def customer_of(row: Mapping[str, Any]) -> Customer:
    """Return the customer in a row."""
    raw, held = row["raw"], row["canonical"]
    # A text, or an object that says why HubSpot cannot have it.
    unfit = {field: value["unfit"] for field, value in raw.items() if isinstance(value, dict)}
    return Customer(
        uuid=CustomerId(row["uuid"]),
        key=row["key"],
        raw=raw,
        values={field: held.get(field) for field in raw if field not in unfit},
        unfit=unfit,
        created_at=row["createdat"],
        updated_at=row["updatedat"],
        contact_id=row["contactid"],
        remote_created_at=row["hubspotcreatedat"],
        remote_updated_at=row["hubspotupdatedat"],
        is_deleted=row["deleted"],
        is_erased=row["erased"],
        merged_into=row["mergedinto"],
    )


def link_of(row: Mapping[str, Any]) -> Link:
    """Return the link in a row of `load`."""
    return Link(
        uuid=CustomerId(row["link_uuid"]),
        contact_id=row["contact"],
        base=row["base"],
        alive=row["alive"],
        newest_seen=row["newest_seen"],
        merged_through=row["merged_through"],
        stale_reads=row["stale_reads"],
        edited={field: datetime.fromisoformat(at) for field, at in row["edited"].items()},
        blocks={field: _block(each) for field, each in row["blocks"].items()},
        blind_pushes={field: _blind_push(push) for field, push in row["blind_pushes"].items()},
        late=tuple(_late(each, row) for each in row["late"]),
        is_detached=row["detached"],
        privacy=row["privacy"],
        is_deletion_seen=row["deletion_seen"],
        is_erase_due=row["erase_due"],
    )


def _late(each: Json, row: Mapping[str, Any]) -> Late:
    return Late(
        field=each["column"],
        value=each["value"],
        until=datetime.fromisoformat(each["until"]),
        is_overtaken=_is_overtaken(each["column"], each["before"], row),
    )


def _is_overtaken(field: str, before: Sequence[Any] | None, row: Mapping[str, Any]) -> bool:
    """Whether something was agreed on the field since its base was `before`."""
    return before is not None and list(before) != [row["base"].get(field), row["base_at"].get(field)]


def _blind_push(push: Json) -> BlindPush:
    since = push["since"]
    at = None if since is None else datetime.fromisoformat(since)
    return BlindPush(since=at, base=push["base"], sent=tuple(push["sent"]))


def _block(each: Json) -> Block:
    return Block(reason=Reason(each["reason"]), fingerprint=each["fingerprint"], detail=each.get("detail", ""))


def pair_of(row: Mapping[str, Any], claim: Claim) -> Pair:
    """Return the claimed pair in a row of `load`, without its remote side."""
    return Pair(
        link=link_of(row),
        customer=None if row["uuid"] is None else customer_of(row),
        intents=tuple(_intent(each, row) for each in row["intents"] or ()),
        fence=claim.fence,
        privacy=claim.privacy or row["privacy"],
        hides_rows=row["hides_rows"],
    )


def _intent(each: Json, row: Mapping[str, Any]) -> Intent:
    return Intent(
        id=IntentId(each["id"]),
        kind=IntentKind(each["kind"]),
        values=each["values"],
        at=datetime.fromisoformat(each["at"]),
        is_overdue=each["overdue"],
        hubspot_first=each["hubspot_first"],
        reserved=each["reserved"],
        overtaken=frozenset(c for c in each["values"] if _is_overtaken(c, each["before"].get(c), row)),
    )


def other_link_of(row: Mapping[str, Any]) -> OtherLink:
    """Return the other link in a row of `holders` or `owners`."""
    return OtherLink(
        uuid=CustomerId(row["uuid"]),
        contact_id=None if row["contact"] is None else ContactId(row["contact"]),
        email=row["email"],
        created_at=row["createdat"],
        is_busy=row["busy"],
        is_alive=row["alive"],
        is_placeholder=row["placeholder"],
        base_email=row["base_email"],
        is_blocked=row["blocked"],
        is_outside=row["outside"],
    )


def claim_of(row: Mapping[str, Any]) -> Claim:
    """Return the claim in a row of `claim`."""
    marks = tuple((subject, generation) for subject, generation in row["marks"])
    return Claim(
        uuid=CustomerId(row["uuid"]),
        fence=row["fence"],
        marks=marks,
        attempts=row["attempts"],
        delays=row["delays"],
        privacy=row["privacy"],
    )


def page_of(contacts: Sequence[Contact]) -> str:
    """Return a page of contacts as `sync.news` takes it."""
    return to_json([{"contact": contact.id, "updated": contact.updated_at} for contact in contacts])


def mark_json(mark: tuple[str, int], **more: Any) -> Json:
    """Return a claimed mark, a subject with its generation, as the statements take it."""
    return {"subject": mark[0], "generation": mark[1], **more}


def blocks_json(blocks: Blocks) -> Json:
    """Return blocks as the link row keeps them."""
    return {
        field: {
            "reason": block.reason,
            "fingerprint": block.fingerprint,
            **({"detail": block.detail} if block.detail else {}),
        }
        for field, block in blocks.items()
    }


def conflict_rows(uuid: CustomerId, conflicts: Sequence[Conflict]) -> list[Json]:
    """Return the losers as rows of the conflict log."""
    side = {Verdict.LOCAL: "postgres", Verdict.REMOTE: "hubspot"}
    return [
        {
            "uuid": uuid,
            "property": conflict.field,
            "winner": None if conflict.winner is None else side[conflict.winner],
            "kept": conflict.kept,
            "lost": conflict.lost,
        }
        for conflict in conflicts
    ]


def changes(before: Values, after: Values) -> Json:
    """Return what a history row keeps: field -> [before, after]."""
    return {field: [before.get(field), value] for field, value in after.items()}


def wake_waiting(work: Work, freed: Sequence[Value]) -> None:
    """Look again at the links that want an address that its contact has given up."""
    addresses = [address for address in freed if address is not None]
    if addresses:
        work.run("wake_waiting", fingerprints=[key for address in addresses for key in waiting_for(address)])
