"""What must hold when both real sides have come to rest: the simulation's properties, asked of them."""

from collections.abc import Iterator

from sides import Sides, values_of

from reconciler.core.values import Value
from sandbox import Contact
from simulation.mapped import FIELDS, NORMALISE, normalised


def problems(sides: Sides) -> list[str]:
    """Return a sentence for each thing that is wrong."""
    return [*differences(sides), *lost(sides), *created_twice(sides), *spent(sides)]


def differences(sides: Sides) -> Iterator[str]:
    """Pairs that are not equal, and records without a counterpart; what is parked for a reason is left out."""
    fields = ", ".join(f"c.{field}" for field in FIELDS)
    rows = sides.world.sql(
        f"select c.uuid, c.contactid, {fields}, l.contact, l.base, coalesce(l.blocks, '{{}}') as blocks "
        "from customer c left join sync.link l using (uuid) where c.deletedat is null"
    )
    live = {record.id: record for record in sides.records()}
    for row in rows:
        record = live.get(row["contact"])
        if record is None and not row["blocks"]:
            yield f"P1 customer {row['uuid']} has no contact"
        elif record is not None:
            yield from _unequal(row, record)
    excused = sides.world.sql("select contact from sync.link where blocks <> '{}' and contact is not null")
    known = {row["contact"] for row in rows} | {row["contact"] for row in excused}
    yield from (f"P1 contact {each} has no customer" for each in live.keys() - known)


def _unequal(row: dict, record: Contact) -> Iterator[str]:  # type: ignore[type-arg]
    local, remote = normalised(row), values_of(record)
    for field in FIELDS:
        is_equal = local[field] == remote[field] == row["base"].get(field)
        if not is_equal and field not in row["blocks"] and "*" not in row["blocks"]:
            values = f"local {local[field]!r}, remote {remote[field]!r}, base {row['base'].get(field)!r}"
            yield f"P1 customer {row['uuid']}, contact {record.id}, {field}: {values}"
    if row["contactid"] != record.id:
        yield f"P1 customer {row['uuid']} shows contact {row['contactid']} instead of {record.id}"


def lost(sides: Sides) -> Iterator[str]:
    """Acknowledged edits that are on neither side, in no log, and that nobody wrote over knowingly."""
    present: set[tuple[str, Value]] = set()
    for row in sides.world.sql("select * from customer"):
        present |= set(normalised(row).items())
    for record in sides.records():
        present |= set(values_of(record).items())
        present |= {("email", NORMALISE["email"](address)) for address in record.secondary}
    logged = {
        (row["property"], NORMALISE[row["property"]](row["lost"]))
        for row in sides.world.sql("select property, lost from sync.conflict")
    }
    missing = sides.oracle.lost(present=present, logged=logged, excused=(), erased=(), windows=())
    return (f"P2 lost: {e.field} = {e.value!r}, written by {e.by} to {e.entity}" for e in missing)


def created_twice(sides: Sides) -> Iterator[str]:
    """Living contacts that we made of one customer, but for those that somebody renamed or restored."""
    made: dict[str, list[int]] = {}
    for record in sides.records():
        is_ours = record.origin.source_type == "INTEGRATION" and record.id not in sides.restored
        if is_ours and not record.merged and len(record.entries("email")) <= 1:
            made.setdefault(record.get("lastname") or "", []).append(record.id)
    return (f"P7 {tag} was created as contacts {ids}" for tag, ids in made.items() if len(ids) > 1)


def spent(sides: Sides) -> Iterator[str]:
    """Records parked for causes that were not their own."""
    rows = sides.world.sql("select uuid, property, code from sync.parked where code = 'attempts_exhausted'")
    return (f"P11 {row['uuid']} is parked: {row['property']}, {row['code']}" for row in rows)
