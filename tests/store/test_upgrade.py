"""A database of a released version becomes one of today in place, with its data."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from statements import rows
from world import until

from reconciler.adapters.postgres.customer_store import PostgresCustomerStore, Turn
from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.adapters.postgres.install import install
from reconciler.core.contact import CustomerId

ROOT = Path(__file__).parents[2]
SCHEMA = (ROOT / "schema.sql").read_text()
RELEASED = (Path(__file__).parent / "released" / "0.1.0.sql").read_text()


@pytest.fixture
def released(empty: str) -> str:
    """A database of 0.1.0 with a customer that is linked, and work that is under way."""
    rows(
        empty,
        RELEASED,
        r"insert into customer (email, firstname) values (E'Kai@example.com\r', 'Kai')",
        "select sync.fold()",
        r"""update sync.link set contact = 7, alive = true, base = '{"email": "kai@example.com\r"}'""",
        "insert into sync.intent (uuid, kind, vals, deadline, reserved) "
        r"""select uuid, 'create', '{"email": "uwe@example.com\t"}', now(), E'uwe@example.com\t' from customer""",
        "select sync.retry('Vera@example.com' || chr(160))",
    )
    return empty


def test_addresses_take_their_new_form_in_place(released: str) -> None:
    before = rows(released, "select * from customer")
    for _ in range(2):
        rows(released, SCHEMA)
        assert rows(released, "select * from customer") == before
        assert rows(released, "select base, contact, alive from sync.link") == [({"email": "kai@example.com"}, 7, True)]
        assert rows(released, "select vals, reserved from sync.intent") == [
            ({"email": "uwe@example.com"}, "uwe@example.com")
        ]
        assert rows(released, "select subject from sync.mark where subject like 'e:%'") == [("e:vera@example.com",)]
        with pytest.raises(psycopg.errors.UniqueViolation):
            rows(released, "insert into customer (email) values ('kai@example.com')")
        assert not rows(released, "select from pg_indexes where indexdef like '%lower(btrim(%'")


def test_a_released_database_is_upgraded_in_place_with_its_data(empty: str) -> None:
    rows(
        empty,
        RELEASED,
        "insert into customer (email, company) values ('kai@example.com', 'Acme')",
        "select sync.fold()",
        'update sync.link set contact = 7, alive = true, base = \'{"email": "kai@example.com"}\'',
    )
    before = rows(empty, "select * from customer"), rows(empty, "select uuid, contact, base from sync.link")
    install(empty, SCHEMA)
    assert (rows(empty, "select * from customer"), rows(empty, "select uuid, contact, base from sync.link")) == before
    assert rows(empty, "select count(*) from sync.setting where name = 'salt'") == [(1,)]


def test_what_did_not_move_is_blocked_for_the_same_reason(empty: str) -> None:
    rows(
        empty,
        RELEASED,
        "insert into customer (email) values ('kai@example.com')",
        "select sync.fold()",
        """update sync.link set trouble = '{"phone": {"code": "invalid_value", "fingerprint": "f"}}'""",
        "insert into sync.mapping (name, code) values ('website', 'forbidden_property')",
    )
    for _ in range(2):
        install(empty, SCHEMA)
    assert rows(empty, "select blocks from sync.link") == [
        ({"phone": {"reason": "invalid_value", "fingerprint": "f"}},)
    ]
    parked = rows(empty, "select property, code, fault, wake from sync.parked order by property")
    assert parked == [
        ("phone", "invalid_value", "record", "value"),
        ("website", "forbidden_property", "hubspot", "schema"),
    ]


def test_a_salt_that_was_there_stays(empty: str) -> None:
    rows(empty, RELEASED, "insert into sync.tombstone (hash) values (sync.hash_of('kai@example.com'))")
    install(empty, SCHEMA)
    with pytest.raises(psycopg.errors.CheckViolation, match="erased"):
        rows(empty, "insert into customer (email) values ('Kai@example.com')")


def test_a_key_of_a_release_before_keys_had_fences_is_taken_over_and_answered(empty: str) -> None:
    begun = "insert into sync.idempotency (caller, key, request, lease_until) values ('c', 'k', 'r', '-infinity')"
    rows(empty, RELEASED, begun)
    for _ in range(2):
        install(empty, SCHEMA)
    with open_pool(empty, size=1) as pool:
        customer_store = PostgresCustomerStore(Database(pool))
        turn = customer_store.begin(caller="c", key="k", request="r", uuid=CustomerId(uuid4()))
        assert isinstance(turn, Turn)
        assert turn.lease is not None
        customer_store.end(turn.lease, status=204, body=None)
    assert rows(empty, "select status, fence from sync.idempotency") == [(204, turn.lease.fence)]


def test_the_schema_takes_its_locks_in_the_order_in_which_inserts_do() -> None:
    """Else an insert that has one of these tables and the upgrade that has another would wait for each other."""
    first = [SCHEMA.index(f"create table if not exists sync.{name} ") for name in ("tombstone", "setting", "dirty")]
    assert first == sorted(first)
    renamed, altered = SCHEMA.index("alter table sync.secret"), SCHEMA.index("alter table sync.tombstone")
    assert altered < renamed < SCHEMA.index("alter table sync.dirty")


def test_an_insert_under_way_and_an_upgrade_do_not_wait_for_each_other(released: str) -> None:
    with psycopg.connect(released) as inserting:
        inserting.execute("insert into sync.tombstone (hash) values ('h')")
        inserting.commit()
        inserting.execute("select from sync.tombstone limit 1")
        with ThreadPoolExecutor(1) as threads:
            upgrade = threads.submit(rows, released, SCHEMA)
            with psycopg.connect(released, autocommit=True) as other:
                until(lambda: other.execute("select 1 from pg_stat_activity where wait_event_type = 'Lock'").fetchall())
            inserting.execute("insert into customer (email) values ('vera@example.com')")
            inserting.commit()
            upgrade.result()
    assert rows(released, "select count(*) from customer") == [(2,)]
