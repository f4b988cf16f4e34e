"""What must hold after every outage, and the people it meets."""

from typing import Any

from world import World

from reconciler.commands.audit import IN_ORDER, Audit, Finding


def people(world: World, count: int, **values: str) -> None:
    """Customers and their contacts, linked and equal: c0@example.com and so on."""
    columns, given = "".join(f", {name}" for name in values), "".join(f", '{value}'" for value in values.values())
    world.sql(
        f"insert into customer (email, firstname{columns}) "
        f"select 'c' || n || '@example.com', 'C'{given} from generate_series(0, {count - 1}) n"
    )
    world.quiet()
    assert len(world.portal.contacts) == count


def due(world: World) -> int:
    """How much is left to do."""
    world.sql("select sync.fold()")
    rows = world.sql("select (select count(*) from sync.mark) + (select count(*) from sync.intent) as count")
    return int(rows[0]["count"])


def parked(world: World) -> list[dict[str, Any]]:
    return world.sql("select property, code, count(*) as count from sync.parked group by 1, 2 order by 1, 2")


def assert_unspent(world: World) -> None:
    """Nobody was blamed: no record is parked, none has spent an attempt or is counted as deadly."""
    assert parked(world) == []
    assert world.sql("select subject, attempts, crashes from sync.mark where attempts > 0 or crashes > 0") == []


def assert_sound(world: World) -> None:
    """After the outage: nothing was lost or parked, both sides are equal, and another look writes nothing."""
    world.quiet()
    assert parked(world) == []
    assert_audited(world)
    world.assert_equal()
    world.assert_fixpoint()


def assert_audited(world: World, *, parked: int = 0) -> None:
    """Whoever shares no code with the sync finds no drift."""
    audit = Audit(world.parts.database, world.parts.hubspot, world.parts.marks, world.parts.rules())
    audit.run(repair=False)
    unequal = {finding: n for finding, n in audit.counts.items() if n and finding not in IN_ORDER}
    assert unequal == ({Finding.PARKED: parked} if parked else {}), "\n".join(audit.lines())
