"""Addresses that change hands: who must go first."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.addresses import Update, release, waves
from reconciler.core.blocks import Block
from reconciler.core.contact import Contact, ContactId, Customer, CustomerId, Link, Pair, Snapshot
from reconciler.core.context import OtherLink
from reconciler.core.reasons import Reason
from reconciler.core.step import Merge, Step

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pair(number: int, here: str | None, there: str | None) -> Pair:
    uuid = CustomerId(UUID(int=number))
    contact = Contact(id=ContactId(number), values={"email": there}, created_at=NOW, updated_at=NOW)
    customer = Customer(uuid=uuid, raw={"email": here}, values={"email": here}, created_at=NOW, updated_at=NOW)
    return Pair(link=Link(uuid=uuid, contact_id=contact.id), customer=customer, remote=Snapshot(contact=contact))


def push(number: int, has: str, wants: str) -> Step:
    return Step(pair=pair(number, wants, has), action=Merge(push={"email": wants}))


def played(ordered: list[list[Update]], has: dict[int, str | None]) -> dict[int, str | None]:
    """Play the waves as HubSpot would, refusing an address that somebody has."""
    for wave in ordered:
        for update in wave:
            wanted = update.values.get("email")
            assert wanted is None or wanted not in has.values()
        has = {**has, **{update.step.pair.uuid.int: update.values.get("email") for update in wave}}
    return has


def test_a_chain_frees_addresses_from_its_end() -> None:
    ordered = waves([push(1, "x", "y"), push(2, "y", "z")])
    assert [[update.step.pair.uuid.int for update in wave] for wave in ordered] == [[2], [1]]


def test_a_swap_frees_exactly_one_address() -> None:
    ordered = waves([push(1, "x", "y"), push(2, "y", "x")])
    assert sum(update.values == {"email": None} for wave in ordered for update in wave) == 1
    assert played(ordered, {1: "x", 2: "y"}) == {1: "y", 2: "x"}


@given(st.permutations(range(6)))
def test_every_permutation_of_addresses_is_reached(order: list[int]) -> None:
    moved = [n for n in range(6) if order[n] != n]
    ordered = waves([push(n, f"{n}@x", f"{order[n]}@x") for n in moved])
    assert played(ordered, {n: f"{n}@x" for n in range(6)}) == {n: f"{order[n]}@x" for n in range(6)}


def taken(number: int, here: str, there: str) -> Step:
    return Step(
        pair=pair(number, here, there), action=Merge(), blocks={"email": Block(reason=Reason.TAKEN, fingerprint="")}
    )


def holder(number: int, address: str) -> OtherLink:
    return OtherLink(uuid=CustomerId(UUID(int=number)), contact_id=ContactId(number), email=address, created_at=NOW)


def test_customers_that_swap_addresses_are_let_go_together() -> None:
    steps = [taken(1, "x@x", "y@x"), taken(2, "y@x", "x@x")]
    freed = release(steps, {"y@x": holder(2, "y@x"), "x@x": holder(1, "x@x")})
    assert [step.pull for step in freed] == [{"email": "y@x"}, {"email": "x@x"}]
    assert not any(step.blocks for step in freed)


def test_an_address_held_by_an_open_create_is_not_freed_when_its_customer_moves_from_another() -> None:
    steps = [taken(1, "x@x", "y@x"), taken(2, "y@x", "z@x")]
    held = release(steps, {"y@x": holder(2, "y@x"), "z@x": holder(1, "z@x")})
    assert [step.pull for step in held] == [{}, {}]
    assert all(step.blocks for step in held)


def test_an_address_whose_holder_stays_is_not_given_away() -> None:
    steps = [taken(1, "x@x", "y@x")]
    (step,) = release(steps, {"y@x": holder(3, "y@x")})
    assert step.pull == {}
    assert step.blocks["email"].reason == "address_taken"


def test_two_that_block_each_other_and_one_behind_them_come_to_an_end() -> None:
    ordered = waves([push(1, "a", "b"), push(2, "b", "c"), push(3, "c", "b")])
    assert {update.step.pair.uuid.int for wave in ordered for update in wave if update.values != {"email": None}} == {
        1,
        2,
        3,
    }
