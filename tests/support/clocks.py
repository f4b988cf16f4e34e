"""Time that passes in the database: its times are moved back instead of waiting, for all processes at once."""

from typing import Any

from psycopg import Connection

HUBSPOTS_OWN = ["newest_seen", "merged_through"]
"""Times of HubSpot's clock, which does not move."""

LOGS = ["history", "conflict", "tombstone", "quarantine", "dirty"]
"""Tables whose times say only when something happened."""

TIMES = """
select c.relname as name, a.attname as col, exists (
    select from pg_index i where i.indrelid = c.oid and i.indisunique and a.attnum = any(i.indkey)) as is_key
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relnamespace = 'sync'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
and a.atttypid = 'timestamptz'::regtype and a.attname <> all(%s) and c.relname <> all(%s)
"""


def move_back(connection: Connection[dict[str, Any]], seconds: float) -> None:
    """Let time pass in the database: leases, delays, windows and whatever else waits."""
    for each in connection.execute(TIMES, [HUBSPOTS_OWN, LOGS]).fetchall():
        table, column = f"sync.{each['name']}", each["col"]
        if each["is_key"]:
            _move_keys_back(connection, table, column, seconds)
        else:
            moved = f"{column} = {column} - make_interval(secs => %s)"
            connection.execute(f"update {table} set {moved}".encode(), [seconds])


def _move_keys_back(connection: Connection[dict[str, Any]], table: str, column: str, seconds: float) -> None:
    """Move far away first, so that none passes over another's place, and seen by nobody there."""
    back = f"{column} - interval '100000 days' - make_interval(secs => %s)"
    with connection.transaction():
        connection.execute(f"lock table {table}".encode())
        connection.execute(f"update {table} set {column} = {column} + interval '100000 days'".encode())
        connection.execute(f"update {table} set {column} = {back}".encode(), [seconds])
