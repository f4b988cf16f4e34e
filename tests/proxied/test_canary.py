"""Nothing that the system writes or shows tells of a person or a secret; and after an erase nothing that it keeps."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from databases import Databases
from deliveries import event
from lives import OTHER, PASSWORD, PERSON, SECRETS, WORD, Life, hits, live, running
from programs import dumped
from wire import ask
from world import World, until

from reconciler.adapters.postgres.database import Database
from webhook.events import KINDS

RENAMED = f"{WORD}.renamed@hubspot.com"

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def life(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """The running system after a person's whole life; a conflict from before it started included."""
    with ExitStack() as stack:
        lent = stack.enter_context(databases.lend())
        world = stack.enter_context(World.open(lent.dsn, Database(lent.pool)))
        _be_in_conflict(world)
        life = stack.enter_context(running(world, tmp_path_factory.mktemp("life")))
        live(life)
        yield life


def _be_in_conflict(world: World) -> None:
    third = {**PERSON, "email": f"{WORD}.third@hubspot.com"}
    world.insert(**third)
    world.quiet()
    world.sql("update customer set phone = '+49 555 7777123 here' where email = %s", third["email"])
    contact = world.portal.contact(third["email"])
    assert contact is not None
    world.portal.edit(contact.id, {"phone": "+49 555 7777123 there"})
    world.quiet()
    assert world.sql("select 1 from sync.conflict")


def test_no_log_tells_of_anybody_or_of_a_secret(life: Life) -> None:
    assert {"api.log", "webhook.log", "reconciler.process.log"} <= life.logs.keys()
    for name, text in life.logs.items():
        assert '"event"' in text, name
        assert hits(text) == [], name
        assert "eyJ" not in text, name
        assert ".bug" not in text, name


def _page(life: Life, path: str) -> str:
    """Return a page as somebody on this machine sees it, who needs no token."""
    reply = ask(life.api.port, "GET", path, Host=f"127.0.0.1:{life.api.port}")
    assert reply.status in ((200, 503) if path == "/healthz" else (200,))
    return reply.text


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/livez", "/readyz", "/openapi.json", "/docs"])
def test_no_page_that_is_open_tells_of_anybody(life: Life, path: str) -> None:
    assert hits(_page(life, path)) == []


def test_no_refusal_tells_another_caller_what_is_stored(life: Life) -> None:
    stored = [value.lower() for name, value in PERSON.items() if name != "email"]
    told = [body.decode().lower() for body in life.refusals if b"HubSpot API Error (400)" not in body]
    assert len(told) > 5
    for body in told:
        assert not [value for value in (*stored, *SECRETS.values(), PASSWORD) if value in body], body
        assert not [word for word in ("traceback", "psycopg", "select ", "boom") if word in body], body


def test_no_process_and_no_session_shows_a_secret(life: Life) -> None:
    for process in life.processes():
        assert hits(" ".join(process.cmdline())) == []
    sessions = life.world.sql(
        "select application_name || ' ' || query as text from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert sessions
    assert [hits(session["text"]) for session in sessions if hits(session["text"])] == []


@pytest.fixture(scope="module")
def erased(life: Life) -> Life:
    """The same system after everybody was erased, by HubSpot and by command, and all was told again."""
    portal, world = life.world.portal, life.world
    assert hits(dump(life)), "nothing to be found before: the search would prove nothing"
    contacts = [int(contact.id) for contact in portal.contacts]
    # The database's sessions were ended: the first write may still meet one of them.
    path = f"/{PERSON['email']}"
    until(lambda: life.call("PUT", path, {"email": RENAMED}, 200, 503, Idempotency_Key="rename") == b"")
    life.call("PUT", f"/{PERSON['email']}", {"phone": "1"}, 404, Idempotency_Key="too late")
    life.call("PUT", f"/{RENAMED}", {"phone": "1"}, 200, Idempotency_Key=f"change-{RENAMED}")
    life.rest()
    portal.erase(f"{WORD}.third@hubspot.com", id_property="email")
    portal.erase(RENAMED, id_property="email")
    until(lambda: len(world.sql("select 1 from customer where erasedat is not null")) == 2, seconds=60)
    assert "erased" in life.command("erase", OTHER["email"])
    life.rest()
    portal.calls.clear()
    life.revision = portal.revision
    _tell_everything_again(life, contacts)
    return life


def _tell_everything_again(life: Life, contacts: list[int]) -> None:
    assert life.world.portal.outbox.redeliver() > 10
    told = [
        event(contact, f"contact.{kind}", propertyName="email", propertyValue=PERSON["email"])
        for contact in contacts
        for kind in sorted(KINDS)
    ]
    assert life.deliver(told) == 204
    assert life.deliver(list(reversed(told))) == 204
    life.rest()
    swept = life.world.sql("select at from sync.heartbeat where job = 'sweep'")[0]["at"]
    until(lambda: life.world.sql("select 1 from sync.heartbeat where job = 'sweep' and at > %s", swept), seconds=60)
    life.rest()


def dump(life: Life) -> str:
    """Return the whole database as text."""
    return dumped(life.world.dsn, "--inserts")


def test_no_table_holds_anything_of_an_erased_person(erased: Life) -> None:
    assert hits(dump(erased)) == []


def test_no_log_tells_of_an_erased_person(erased: Life) -> None:
    assert [line for text in erased.logs.values() for line in hits(text)] == []


def test_no_metric_tells_of_an_erased_person(erased: Life) -> None:
    metrics = _page(erased, "/metrics")
    assert "sync_events" in metrics
    assert hits(metrics) == []


def test_nothing_is_written_to_hubspot_when_an_erased_person_is_told_of_again(erased: Life) -> None:
    calls = erased.world.portal.calls.recent
    reads = ("/batch/read", "/search")
    assert [call for call in calls if call.method != "GET" and not call.path.partition("?")[0].endswith(reads)] == []
    assert erased.world.portal.revision == erased.revision
    assert erased.world.portal.contacts == []


def test_an_erased_person_is_not_welcome_again(erased: Life) -> None:
    for address in (RENAMED, OTHER["email"]):
        assert b"erased_subject" in erased.call("POST", "/", {**PERSON, "email": address}, 409)
    assert erased.world.sql("select 1 from customer where email is not null") == []
