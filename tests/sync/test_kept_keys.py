"""Whoever has an idempotency key keeps it while he runs, and he alone says what is remembered under it."""

from typing import Any
from uuid import uuid4

import pytest
from world import World

from reconciler.adapters.postgres.customer_store import Lease, PostgresCustomerStore, Repeat, Replay, Turn
from reconciler.core.contact import CustomerId

NAME: dict[str, Any] = {"caller": "c", "key": "k", "request": "r", "uuid": CustomerId(uuid4())}


@pytest.fixture
def customer_store(world: World) -> PostgresCustomerStore:
    return PostgresCustomerStore(world.parts.database)


def begin(customer_store: PostgresCustomerStore) -> Lease:
    turn = customer_store.begin(**NAME)
    assert isinstance(turn, Turn)
    assert turn.lease is not None
    return turn.lease


def lapse(world: World) -> None:
    world.sql("update sync.idempotency set lease_until = now() - interval '1 second'")


def test_a_renewed_key_is_not_taken_over(world: World, customer_store: PostgresCustomerStore) -> None:
    lease = begin(customer_store)
    lapse(world)
    customer_store.renew(lease)
    assert customer_store.begin(**NAME) is Repeat.IN_FLIGHT


def test_who_lost_a_key_neither_renews_it_nor_says_how_it_ended(
    world: World, customer_store: PostgresCustomerStore
) -> None:
    first = begin(customer_store)
    lapse(world)
    second = begin(customer_store)
    lapse(world)
    before = world.sql("select * from sync.idempotency")
    customer_store.renew(first)
    customer_store.end(first, status=404, body={"of": "the first"})
    customer_store.fail(first, body=None)
    assert world.sql("select * from sync.idempotency") == before
    customer_store.end(second, status=204, body=None)
    customer_store.fail(first, body=None)
    assert customer_store.begin(**NAME) == Replay(status=204, body=None)
