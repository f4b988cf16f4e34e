"""Whoever has an idempotency key keeps it while he runs, and he alone says what is remembered under it."""

from typing import Any
from uuid import uuid4

import pytest
from world import World

from reconciler.adapters.postgres.desk import Lease, PostgresDesk, Repeat, Replay, Turn
from reconciler.core.contact import CustomerId

NAME: dict[str, Any] = {"caller": "c", "key": "k", "request": "r", "uuid": CustomerId(uuid4())}


@pytest.fixture
def desk(world: World) -> PostgresDesk:
    return PostgresDesk(world.parts.database)


def begin(desk: PostgresDesk) -> Lease:
    turn = desk.begin(**NAME)
    assert isinstance(turn, Turn)
    assert turn.lease is not None
    return turn.lease


def lapse(world: World) -> None:
    world.sql("update sync.idempotency set lease_until = now() - interval '1 second'")


def test_a_renewed_key_is_not_taken_over(world: World, desk: PostgresDesk) -> None:
    lease = begin(desk)
    lapse(world)
    desk.renew(lease)
    assert desk.begin(**NAME) is Repeat.IN_FLIGHT


def test_who_lost_a_key_neither_renews_it_nor_says_how_it_ended(world: World, desk: PostgresDesk) -> None:
    first = begin(desk)
    lapse(world)
    second = begin(desk)
    lapse(world)
    before = world.sql("select * from sync.idempotency")
    desk.renew(first)
    desk.end(first, status=404, body={"of": "the first"})
    desk.fail(first, body=None)
    assert world.sql("select * from sync.idempotency") == before
    desk.end(second, status=204, body=None)
    desk.fail(first, body=None)
    assert desk.begin(**NAME) == Replay(status=204, body=None)
