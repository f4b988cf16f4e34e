"""What Postgres says about a row, and every other text of an unexpected error, stays out of all processes' logs."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
import running_servers
from deliveries import event, signed
from raw_http import ask
from systems import api_environment, as_admin, webhook_environment
from world import World

from reconciler.core.errors import Transient
from reconciler.process import log

pytestmark = pytest.mark.trial

Until = Callable[..., Any]
PERSON = {
    "email": "canary@hubspot.com",
    "firstname": "CanaryFirst",
    "lastname": "CanaryLast",
    "phone": "+49 555 7777123",
    "company": "CanaryCompany",
}
TELLING = ["canary", "7777123"]

# What owners put on their table: each refuses Canary in words of its own.
OWNERS = {
    "a trigger": """
        create function tell() returns trigger language plpgsql as $$ begin
            raise exception 'no % here', new.phone using detail = new.lastname, hint = new.firstname;
        end $$;
        create trigger tell before insert or update on customer for each row
            when (new.phone like '%7777123%') execute function tell()""",
    "a check": "alter table customer add constraint not_this_one check (company <> 'CanaryCompany')",
    "an exclusion": """
        insert into customer (email, phone) values ('first@hubspot.com', '+49 555 7777123');
        alter table customer add constraint one_phone exclude using btree (phone with =)""",
    "a unique phone": """
        insert into customer (email, phone) values ('first@hubspot.com', '+49 555 7777123');
        create unique index one_phone on customer (phone)""",
    "a cast": """
        create function cast_it() returns trigger language plpgsql as $$ begin
            perform new.lastname::integer; return new;
        end $$;
        create trigger cast_it before insert or update on customer for each row
            when (new.phone like '%7777123%') execute function cast_it()""",
}


def hits(text: str) -> list[str]:
    return [line for line in text.splitlines() if any(word in line.lower() for word in TELLING)]


@pytest.mark.parametrize("owner", OWNERS)
def test_the_api_logs_no_detail(world: World, tmp_path: Path, owner: str) -> None:
    world.connection.execute(OWNERS[owner])
    admin = as_admin()
    with running_servers.server("api", api_environment(world, LOG_LEVEL="debug"), tmp_path / "log") as api:
        for prefer in ("respond-async", "wait"):
            body = {**PERSON, "email": f"{prefer}.canary@hubspot.com"}
            assert ask(api.port, "POST", "/", orjson.dumps(body), **admin, Prefer=prefer)[0] == 400
    assert "api.bug" not in api.log
    assert hits(api.log) == []


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("owner", OWNERS)
def test_the_webhook_logs_no_detail(world: World, tmp_path: Path, until: Until, owner: str, style: str) -> None:
    world.connection.execute(OWNERS[owner])
    contact = world.portal.create(PERSON)
    environment = webhook_environment(world, LOG_LEVEL="debug", LOG_FORMAT=style)
    with running_servers.server("webhook", environment, tmp_path / "log") as webhook:
        delivery = signed([event(contact.id)])
        headers = {name: str(value) for name, value in delivery.items() if name != "data"}
        assert ask(webhook.port, "POST", "/", delivery["data"], **headers)[0] == 204
        until(lambda: "reconcile." in webhook.log)
    assert hits(webhook.log) == []


@pytest.fixture
def reconciler(world: World, tmp_path: Path) -> Iterator[Path]:
    """A running reconciler that finds Canary in HubSpot: its log."""
    world.portal.create(PERSON)
    environment = running_servers.bare(
        api_environment(world, LOG_LEVEL="debug", POLL_INTERVAL="0.5", DRAIN_INTERVAL="0.2")
    )
    with (tmp_path / "log").open("wb") as file:
        command = [sys.executable, "-m", "reconciler"]
        process = subprocess.Popen(command, cwd=running_servers.ROOT, env=environment, stdout=file, stderr=file)
        yield tmp_path / "log"
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("owner", ["a trigger", "a check"])
def test_the_reconciler_logs_no_detail(world: World, reconciler: Path, until: Until, owner: str) -> None:
    world.connection.execute(OWNERS[owner])
    world.portal.create({**PERSON, "email": "other.canary@hubspot.com"})
    until(lambda: world.sql("select 1 from sync.parked where code = 'row_refused'"))
    assert hits(reconciler.read_text()) == []


CAUGHT = "try: fail()\nexcept Exception as e: "
CRASHES = {
    "the process": "fail()",
    "a thread": "import threading; t = threading.Thread(target=fail); t.start(); t.join()",
    "a finaliser": "class A:\n    def __del__(self): fail()\nA()",
    "a library": f"import logging\n{CAUGHT}logging.error('said %s', e); logging.exception(e)",
    "a value": f"import structlog\n{CAUGHT}structlog.get_logger().error('x', said=e, exc_info=e)",
}


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("where", CRASHES)
def test_a_crash_tells_where_it_was_and_no_detail(dsn: str, where: str, style: str) -> None:
    code = f"""
import psycopg
from reconciler.process import log
log.configure(style="{style}", level="debug", process="test")
def fail():
    with psycopg.connect({dsn!r}) as connection:
        connection.execute("alter table customer add constraint not_this_one check (company <> 'CanaryCompany')")
        try:
            connection.execute("insert into customer (company, phone) values ('CanaryCompany', '+49 555 7777123')")
        except psycopg.Error as error:
            raise RuntimeError("about CanaryCompany") from error
{CRASHES[where]}
"""
    ran = subprocess.run(
        [sys.executable, "-"], input=code, cwd=running_servers.ROOT, capture_output=True, text=True, check=False
    )
    said = ran.stdout + ran.stderr
    assert "RuntimeError" in said
    assert hits(said) == []
    assert (ran.returncode == 1) == (where == "the process")


def test_a_table_that_cannot_be_used_is_still_told_in_words(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        connection.execute("create table customer (uuid text)")
    ran = subprocess.run(
        [sys.executable, "-m", "reconciler", "db", "init"],
        cwd=running_servers.ROOT,
        env=running_servers.bare({"DATABASE_URL": empty}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("customer.uuid is not of type uuid")


def test_an_error_is_told_by_its_kind_its_place_and_what_it_is_about(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("alter table customer add constraint not_this_one check (company <> 'CanaryCompany')")
        try:
            connection.execute("insert into customer (company, phone) values (%(company)s, %(phone)s)", PERSON)
        except psycopg.Error as error:
            text = log.rendered(error)
    assert "CheckViolation" in text
    assert "23514" in text
    assert "not_this_one" in text
    assert "test_log_details.py" in text
    assert "7777123" not in text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("CanaryLast"), "KeyError"),
        (ValueError("CanaryLast"), "ValueError"),
        (OSError(28, "No space left on device", "/CanaryLast"), "OSError: No space left on device"),
        (Transient("no database connection"), "Transient: no database connection"),
    ],
)
def test_only_words_of_ours_and_of_the_system_are_told(error: Exception, text: str) -> None:
    assert log.described(error) == text
