"""What happens to a contact after a sweep has read its page, and before it has worked that page off."""

from collections.abc import Callable

import pytest
from disturbed import DisturbedPool
from histories import Person, change, count, during, lives, row, worker
from world import World

from reconciler.adapters.postgres.database import Database

PAGE = "/contacts?"


@pytest.fixture(params=["told", "told and looked at"])
def tell(world: World, request: pytest.FixtureRequest) -> Callable[[object], None]:
    """Have an event of a contact arrive; another worker may have looked at it, too."""

    def arrive(contact: object) -> None:
        world.event(contact)
        if request.param == "told and looked at":
            worker(world).drain()

    return arrive


def sweep(world: World, happens: Callable[[], object]) -> None:
    """Sweep once, with something that happens when the page is read; then work off what is marked."""
    during(world, PAGE, happens)
    world.parts.sweep.run()
    world.quiet()


def test_a_contact_that_goes_becomes_no_customer(world: World, tell: Callable[[object], None]) -> None:
    contact = world.portal.create({"email": "kai@example.com"}).id

    def delete() -> None:
        world.portal.delete(contact)
        tell(contact)

    sweep(world, delete)
    assert count(world, "customer where deletedat is null") == 0


def test_a_customer_whose_contact_goes_is_deleted(world: World, kai: Person, tell: Callable[[object], None]) -> None:
    uuid, contact = kai
    world.portal.edit(contact, {"company": "b"})

    def delete() -> None:
        world.portal.delete(contact)
        tell(contact)

    sweep(world, delete)
    assert row(world, uuid)["deletedat"] is not None


def test_an_edit_arrives(world: World, kai: Person, tell: Callable[[object], None]) -> None:
    uuid, contact = kai
    world.portal.edit(contact, {"company": "b"})

    def edit() -> None:
        world.portal.edit(contact, {"company": "c"})
        tell(contact)

    sweep(world, edit)
    assert row(world, uuid)["company"] == "c"


def test_an_edit_arrives_that_is_told_when_the_page_is_about_to_be_worked_off(
    world: World, kai: Person, pool: DisturbedPool
) -> None:
    uuid, contact = kai
    world.portal.edit(contact, {"company": "b"})

    def edit() -> None:
        world.portal.edit(contact, {"company": "c"})
        world.event(contact)

    pool.before["claim_page"] = edit
    world.rebuilt(Database(pool)).sweep.run()
    world.quiet()
    assert row(world, uuid)["company"] == "c"


def test_a_deletion_that_was_under_way_brings_nobody_back(world: World, kai: Person) -> None:
    uuid, contact = kai
    change(world, uuid, deletedat="2026-01-01")
    world.sql("select sync.fold()")
    claims = world.parts.marks.claim(1)
    during(world, PAGE, lambda: worker(world).reconcile(claims))
    world.parts.sweep.run()
    assert row(world, uuid)["deletedat"] is not None
    world.quiet()
    assert not lives(world, contact)
