"""What one side does arrives on the other, once, and then nothing moves."""

from world import World


def test_a_customer_inserted_by_sql_is_created_in_hubspot(world: World) -> None:
    world.insert(email="kai@example.com", firstname="Kai", company="Acme")
    world.quiet()
    contact = world.contact("kai@example.com")
    assert contact is not None
    assert (contact["firstname"], contact["company"], contact["lifecyclestage"]) == ("Kai", "Acme", "lead")
    world.assert_equal()
    world.assert_fixpoint()


def test_a_contact_created_in_hubspot_becomes_a_customer(world: World) -> None:
    contact = world.portal.create({"email": "Uwe@Example.com", "firstname": "Uwe"})
    world.event(contact.id)
    world.quiet()
    customer = world.customer("uwe@example.com")
    assert customer is not None
    assert customer["contactid"] == int(contact.id)
    world.assert_fixpoint()


def test_edits_on_either_side_arrive_on_the_other(world: World) -> None:
    world.insert(email="kai@example.com", firstname="Kai")
    world.quiet()
    world.sql("update customer set company = 'Acme'")
    contact = world.contact("kai@example.com")
    assert contact is not None
    world.portal.edit(str(contact["id"]), {"phone": "+1 555"})
    world.event(contact["id"])
    world.quiet()
    world.assert_equal()
    customer = world.customer("kai@example.com")
    assert customer is not None
    assert (customer["company"], customer["phone"]) == ("Acme", "+1 555")
    world.assert_fixpoint()


def test_deleting_here_archives_there_and_the_reverse(world: World) -> None:
    world.insert(email="kai@example.com", firstname="Kai")
    world.insert(email="uwe@example.com", firstname="Uwe")
    world.quiet()
    uwe = world.contact("uwe@example.com")
    assert uwe is not None
    world.sql("update customer set deletedat = now() where email = 'kai@example.com'")
    world.portal.delete(str(uwe["id"]))
    world.event(uwe["id"])
    world.quiet()
    assert world.contact("kai@example.com") is None
    assert world.customer("uwe@example.com") is None
    assert world.sql("select count(*) from customer where deletedat is not null")[0]["count"] == 2
    world.assert_fixpoint()


def test_restoring_in_hubspot_revives_the_same_customer(world: World) -> None:
    uuid = world.insert(email="kai@example.com", firstname="Kai")
    world.quiet()
    contact = world.contact("kai@example.com")
    assert contact is not None
    world.portal.delete(str(contact["id"]))
    world.event(contact["id"])
    world.quiet()
    world.portal.restore(str(contact["id"]))
    world.event(contact["id"])
    world.quiet()
    customer = world.customer("kai@example.com")
    assert customer is not None
    assert customer["uuid"] == uuid
    world.assert_equal()
    world.assert_fixpoint()


def test_a_customer_restored_here_gets_a_new_contact(world: World) -> None:
    world.insert(email="kai@example.com", firstname="Kai")
    world.quiet()
    old = world.contact("kai@example.com")
    world.sql("update customer set deletedat = now()")
    world.quiet()
    world.sql("update customer set deletedat = null")
    world.quiet()
    new = world.contact("kai@example.com")
    assert old is not None
    assert new is not None
    assert new["id"] != old["id"]
    world.assert_equal()
    world.assert_fixpoint()


def test_the_poll_repairs_a_lost_event(world: World) -> None:
    world.parts.poll.recent()
    contact = world.portal.create({"email": "uwe@example.com", "firstname": "Uwe"})
    world.portal.edit(contact.id, {"company": "Tier"})
    assert world.parts.poll.recent() == 1
    world.quiet()
    world.assert_equal()
    assert world.parts.poll.recent() == 0


def test_the_sweep_finds_what_nothing_told_of(world: World) -> None:
    world.insert(email="kai@example.com", firstname="Kai")
    world.insert(email="uwe@example.com", firstname="Uwe")
    world.quiet()
    uwe = world.contact("uwe@example.com")
    assert uwe is not None
    world.portal.delete(str(uwe["id"]))
    world.portal.create({"email": "new@example.com"})
    world.sql("alter table customer disable trigger sync_update")
    world.sql("update customer set company = 'Acme' where email = 'kai@example.com'")
    world.sql("alter table customer enable trigger sync_update")
    world.sweep()
    kai = world.contact("kai@example.com")
    assert kai is not None
    assert kai["company"] == "Acme"
    assert world.customer("uwe@example.com") is None
    assert world.customer("new@example.com") is not None
    world.assert_equal()
    world.assert_fixpoint()


def test_the_sweep_finds_customers_whatever_their_uuids_are(world: World) -> None:
    ends = [f"{digit:x}{rest}" for digit in range(16) for rest in ("0" * 30 + "1", "f" * 30 + "e", "f" * 31)]
    with world.connection.transaction():
        world.sql("set local session_replication_role = replica")
        for uuid in ends:
            world.sql("insert into customer (uuid, email) values (%s, %s)", uuid, f"{uuid}@example.com")
    world.sweep()
    assert len(world.portal.contacts) == len(ends)
    world.assert_equal()
