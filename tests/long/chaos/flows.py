"""The flows that survive any death: what people did, what a process of ours then does, and what must come of it."""

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from acts import Act
from deliveries import event, signed
from world import World

OVERLAP = 0.2
"""POLL_OVERLAP of the processes, in seconds."""

Parts = Mapping[str, bool | None]
"""Per part of a flow: it happened on both sides (True), on neither (False), or in halves (None)."""


@dataclass(frozen=True, slots=True)
class Flow:
    """`begin` makes the world before and returns the acts; `look` says what came of them.

    A request (`is_asked`) may end undone when its caller was never told that it is done; all else must be done.
    """

    begin: Callable[[World], list[Act]]
    look: Callable[[World], Parts]
    is_asked: bool = False


def people(world: World, *emails: str, **values: Any) -> list[Any]:
    """Customers with their contacts, both known to the sync."""
    uuids = [world.insert(email=email, firstname="Kai", lastname="Bo", **values) for email in emails]
    world.quiet()
    return uuids


def call(method: str, path: str, json: Any = None) -> Act:
    return ("call", {"method": method, "path": path, "json": json, "key": "the-key"})


def delivery(*events: dict[str, Any]) -> Act:
    """A delivery of HubSpot, as an act."""
    values = signed(list(events))
    body = base64.b64encode(values.pop("data")).decode()
    return ("deliver", {"body": body, **values})


def told(world: World, email: str, kind: str = "contact.propertyChange") -> Act:
    contact = world.portal.contact(email)
    assert contact is not None
    return delivery(event(contact.id, kind))


DRAIN: Act = ("drain", {})


def has(world: World, email: str, was: Mapping[str, Any] | None, **values: Any) -> bool | None:
    """Whether both sides hold the values (True), or are both as before (False): `was`, or absent."""
    sides = [world.customer(email), world.contact(email)]
    if all(side is not None and all(side[name] == value for name, value in values.items()) for side in sides):
        return True
    if was is None:
        return False if sides == [None, None] else None
    is_as_before = all(side is not None and all(side[n] == v for n, v in was.items()) for side in sides)
    return False if is_as_before else None


def is_gone(world: World, email: str) -> bool | None:
    """Whether the person is deleted on both sides (True), or on neither (False)."""
    sides = [world.customer(email), world.contact(email)]
    return True if sides == [None, None] else False if None not in sides else None


def _create(world: World) -> list[Act]:
    return [call("POST", "/", {"email": "ada@example.com", "firstname": "Ada", "lastname": "L", "phone": "1"})]


def _update(world: World) -> list[Act]:
    people(world, "kai@example.com", phone="1")
    return [call("PUT", "/kai@example.com", {"phone": "2", "company": "new"})]


def _update_of_unlinked(world: World) -> list[Act]:
    world.insert(email="kai@example.com", firstname="Kai", lastname="Bo", phone="1")
    return [call("PUT", "/kai@example.com", {"phone": "2"})]


def _delete(world: World) -> list[Act]:
    people(world, "kai@example.com")
    return [call("DELETE", "/kai@example.com")]


def _batch(world: World) -> list[Act]:
    people(world, "kai@example.com", "uwe@example.com", phone="1")
    items = [
        {"op": "create", "email": "ada@example.com", "firstname": "Ada", "lastname": "L"},
        {"op": "update", "email": "kai@example.com", "phone": "2"},
        {"op": "delete", "email": "uwe@example.com"},
        {"op": "upsert", "email": "eva@example.com", "firstname": "Eva", "lastname": "M"},
        {"op": "update", "email": "kai@example.com", "company": "new"},
    ]
    return [call("POST", "/batch", items)]


def _look_at_batch(world: World) -> Parts:
    return {
        "create": has(world, "ada@example.com", None, firstname="Ada"),
        "update": has(world, "kai@example.com", {"phone": "1"}, phone="2"),
        "delete": is_gone(world, "uwe@example.com"),
        "upsert": has(world, "eva@example.com", None, firstname="Eva"),
        "again": has(world, "kai@example.com", {"company": None}, company="new"),
    }


def _sql_insert(world: World) -> list[Act]:
    world.insert(email="ada@example.com", firstname="Ada", company="new")
    return [DRAIN]


def _sql_update(world: World) -> list[Act]:
    people(world, "kai@example.com", phone="1")
    world.sql("update customer set phone = '2', company = 'new'")
    return [DRAIN]


def _sql_delete(world: World) -> list[Act]:
    people(world, "kai@example.com", "uwe@example.com")
    world.sql("delete from customer where email = 'kai@example.com'")
    world.sql("update customer set deletedat = now() where email = 'uwe@example.com'")
    return [DRAIN]


def _sql_swap(world: World) -> list[Act]:
    people(world, "kai@example.com", company="kai's")
    people(world, "uwe@example.com", company="uwe's")
    with world.connection.transaction():
        world.sql("update customer set email = 'x' where email = 'kai@example.com'")
        world.sql("update customer set email = 'kai@example.com' where email = 'uwe@example.com'")
        world.sql("update customer set email = 'uwe@example.com' where email = 'x'")
    return [DRAIN]


def _look_at_swap(world: World) -> Parts:
    names = {"kai": has(world, "kai@example.com", None, company="uwe's")}
    return {**names, "uwe": has(world, "uwe@example.com", None, company="kai's")}


def _sql_stage(world: World) -> list[Act]:
    people(world, "kai@example.com", lifecyclestage="customer")
    world.sql("update customer set lifecyclestage = 'lead'")
    return [DRAIN]


def _webhook_create(world: World) -> list[Act]:
    world.portal.create({"email": "ada@example.com", "firstname": "Ada", "company": "new"})
    return [told(world, "ada@example.com", "contact.creation"), DRAIN]


def _webhook_edit(world: World) -> list[Act]:
    people(world, "kai@example.com", phone="1")
    world.portal.edit("kai@example.com", {"phone": "2", "company": "new"}, id_property="email")
    return [told(world, "kai@example.com"), DRAIN]


def _webhook_delete(world: World) -> list[Act]:
    people(world, "kai@example.com")
    act = told(world, "kai@example.com", "contact.deletion")
    world.portal.delete(_id(world, "kai@example.com"))
    return [act, DRAIN]


def _webhook_merge(world: World) -> list[Act]:
    people(world, "kai@example.com", phone="1")
    people(world, "uwe@example.com", phone="2")
    kai, uwe = _id(world, "kai@example.com"), _id(world, "uwe@example.com")
    survivor = world.portal.merge(kai, uwe)
    ids = {"primaryObjectId": kai, "mergedObjectIds": [uwe], "newObjectId": survivor.id}
    return [delivery(event(survivor.id, "contact.merge", **ids), event(kai, "contact.deletion")), DRAIN]


def _look_at_merge(world: World) -> Parts:
    kept = has(world, "kai@example.com", None, phone="1")
    rows = world.sql("select mergedinto is not null as merged from customer where email = 'uwe@example.com'")
    return {"winner": kept, "loser": rows == [{"merged": True}]}


def _webhook_privacy(world: World) -> list[Act]:
    people(world, "kai@example.com")
    contact = _id(world, "kai@example.com")
    world.portal.erase(contact)
    return [delivery(event(contact, "contact.deletion"), event(contact, "contact.privacyDeletion")), DRAIN]


def _erase(world: World) -> list[Act]:
    people(world, "kai@example.com")
    return [("erase", {"address": "kai@example.com"})]


def _look_at_erased(world: World) -> Parts:
    tables = world.sql(
        "select schemaname || '.' || tablename as n from pg_tables where schemaname in ('public', 'sync')"
    )
    traces = [t["n"] for t in tables if world.sql(f"select 1 from {t['n']} r where r::text ilike '%%kai@%%'")]
    tombstones = world.sql("select count(*) from sync.tombstone")[0]["count"]
    here, there = not traces and tombstones == 1, world.portal.contact("kai@example.com") is None
    return {"erased": here if here == there else None}


def _poll(world: World) -> list[Act]:
    people(world, "kai@example.com", phone="1")
    world.parts.poll.recent()
    world.quiet()
    world.portal.edit(_id(world, "kai@example.com"), {"phone": "2", "company": "new"})
    # Longer before the last change than the overlap reaches back.
    time.sleep(2 * OVERLAP)
    world.portal.create({"email": "ada@example.com", "firstname": "Ada"})
    world.portal.refresh_index()
    return [("poll", {}), DRAIN]


def _look_at_poll(world: World) -> Parts:
    edited = has(world, "kai@example.com", None, phone="2", company="new")
    return {"edit": edited, "create": has(world, "ada@example.com", None, firstname="Ada")}


def _sweep(world: World) -> list[Act]:
    people(world, "kai@example.com", "uwe@example.com", "eva@example.com", phone="1")
    world.portal.delete(_id(world, "uwe@example.com"))
    world.portal.edit(_id(world, "kai@example.com"), {"phone": "2", "company": "new"})
    world.portal.create({"email": "ada@example.com", "firstname": "Ada"})
    with world.connection.transaction():
        world.sql("set local session_replication_role = replica")
        world.sql("update customer set company = 'drifted' where email = 'eva@example.com'")
    return [("sweep", {}), DRAIN]


def _look_at_sweep(world: World) -> Parts:
    drifted = has(world, "eva@example.com", None, company="drifted")
    return {**_look_at_poll(world), "delete": is_gone(world, "uwe@example.com"), "drift": drifted}


def _id(world: World, email: str) -> int:
    contact = world.portal.contact(email)
    assert contact is not None
    return contact.id


def _changed(world: World) -> Parts:
    return {"update": has(world, "kai@example.com", {"phone": "1"}, phone="2")}


def _made(world: World) -> Parts:
    return {"create": has(world, "ada@example.com", None, firstname="Ada")}


FLOWS: dict[str, Flow] = {
    "an API create": Flow(_create, _made, is_asked=True),
    "an API update": Flow(_update, _changed, is_asked=True),
    "an API update of a customer without a contact": Flow(_update_of_unlinked, _changed, is_asked=True),
    "an API delete": Flow(_delete, lambda world: {"delete": is_gone(world, "kai@example.com")}, is_asked=True),
    "an API batch": Flow(_batch, _look_at_batch, is_asked=True),
    "an SQL insert": Flow(_sql_insert, _made),
    "an SQL update": Flow(_sql_update, _changed),
    "an SQL delete": Flow(_sql_delete, lambda world: {n: is_gone(world, f"{n}@example.com") for n in ("kai", "uwe")}),
    "an SQL swap of addresses": Flow(_sql_swap, _look_at_swap),
    "an SQL edit of a stage backward": Flow(
        _sql_stage, lambda world: {"stage": has(world, "kai@example.com", None, lifecyclestage="lead")}
    ),
    "a contact made in HubSpot": Flow(_webhook_create, _made),
    "an edit in HubSpot": Flow(_webhook_edit, _changed),
    "a deletion in HubSpot": Flow(_webhook_delete, lambda world: {"delete": is_gone(world, "kai@example.com")}),
    "a merge in HubSpot": Flow(_webhook_merge, _look_at_merge),
    "a privacy deletion in HubSpot": Flow(_webhook_privacy, _look_at_erased),
    "an erasure on request": Flow(_erase, _look_at_erased, is_asked=True),
    "a poll": Flow(_poll, _look_at_poll),
    "a sweep": Flow(_sweep, _look_at_sweep),
}
