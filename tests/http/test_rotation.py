"""Secrets are replaced while everything runs: files are read again, and two may be good at a time."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import quote

import forging
import memory
import psycopg
import pytest
import running_servers
from deliveries import event, signed
from psycopg.conninfo import conninfo_to_dict
from raw_http import ask
from systems import ApiInProcess, Logged, webhook_environment
from world import World

from api.auth import Role, Tokens
from dev.embedded import running
from reconciler.adapters.postgres.database import Database
from reconciler.adapters.postgres.listen import listen
from reconciler.core.errors import DatabaseDown
from reconciler.process.settings import Api, InvalidSettings, load, secret_source
from reconciler.process.settings import Database as DatabaseSettings
from reconciler.process.wiring import open_database

OLD, NEW = "an old secret of more than 32 bytes 01234", "a new secret of more than 32 bytes 01234"
PASSWORDS = ("old: p@ss/w?rd#%41", "new' p@ss\\w=rd&")


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A server that asks the role `app` for its password."""
    with memory.folder() as folder, running(folder, durable=False) as dsn:
        with psycopg.connect(dsn, autocommit=True) as operator:
            operator.execute("create role app login")
            (hba,) = operator.execute("select setting from pg_settings where name = 'hba_file'").fetchone() or ("",)
            rules = Path(hba)
            rules.write_text(f"local all app scram-sha-256\n{rules.read_text()}")
            operator.execute("select pg_reload_conf()")
        yield dsn


def url(dsn: str, password: str) -> str:
    return f"postgresql://app:{quote(password, safe='')}@{quote(conninfo_to_dict(dsn)['host'], safe='')}/postgres"


def pairs(dsn: str, password: str) -> str:
    return psycopg.conninfo.make_conninfo(dsn, user="app", password=password)


@pytest.fixture
def change(guarded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give the role a password and end its sessions; the file says it, in this form."""
    file = tmp_path / "database_url"
    monkeypatch.setenv("DATABASE_URL_FILE", str(file))
    monkeypatch.delenv("DATABASE_URL", raising=False)

    def to(password: str, form: Callable[[str, str], str]) -> None:
        with psycopg.connect(guarded, autocommit=True) as operator:
            operator.execute(psycopg.sql.SQL("alter role app password {}").format(password))
            file.write_text(f"\n {form(guarded, password)} \n")
            operator.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")

    return to


CAPTURED = (
    "create schema if not exists sync; create table if not exists sync.dirty (); "
    "create table if not exists sync.suspended (woken uuid); "
    "grant usage on schema sync to app; grant select on sync.dirty, sync.suspended to app"
)
"""What a listener looks at."""


@pytest.mark.parametrize("form", [url, pairs])
def test_the_database_is_found_among_several_hosts(
    change: Callable[..., None], guarded: str, form: Any, until: Callable[..., None]
) -> None:
    place = conninfo_to_dict(guarded)["host"]
    several = form(guarded, PASSWORDS[0]).replace(quote(place, safe=""), f"%2Fnowhere,{quote(place, safe='')}")
    several = several.replace(f"host={place}", f"host=/nowhere,{place}")
    writable = "?target_session_attrs=read-write" if "://" in several else " target_session_attrs=read-write"
    change(PASSWORDS[0], lambda *_: several + writable)
    settings, stopped, woken = load(DatabaseSettings), Event(), Event()
    with open_database(settings) as database:
        assert database.row("clock")
    dsn = secret_source("DATABASE_URL", settings.database_url)
    listener = Thread(target=listen, args=(dsn, woken.set, stopped), daemon=True)
    with psycopg.connect(guarded, autocommit=True) as operator:
        operator.execute(CAPTURED)
        listener.start()
        until(lambda: operator.execute("notify sync_dirty") and woken.wait(0.1))
    stopped.set()
    listener.join()


def works(database: Database) -> bool:
    try:
        return database.row("clock") is not None
    except DatabaseDown:
        return False


@pytest.mark.parametrize("form", [url, pairs])
def test_a_new_database_password_is_used_by_the_next_connection(
    change: Callable[..., None], form: Any, until: Callable[..., None]
) -> None:
    change(PASSWORDS[0], form)
    with open_database(load(DatabaseSettings)) as database:
        assert database.row("clock")
        change(PASSWORDS[1], form)
        until(lambda: works(database))


def test_what_waits_for_changes_comes_back_with_the_new_password(
    guarded: str, change: Callable[..., None], until: Callable[..., None]
) -> None:
    change(PASSWORDS[0], url)
    settings, stopped, woken = load(DatabaseSettings), Event(), Event()
    dsn = secret_source("DATABASE_URL", settings.database_url)
    listener = Thread(target=listen, args=(dsn, woken.set, stopped), daemon=True)
    with psycopg.connect(guarded, autocommit=True) as operator:
        operator.execute(CAPTURED)
        listener.start()
        listens = "select 1 from pg_stat_activity where usename = 'app' and query like '%sync.dirty%'"
        until(lambda: operator.execute(listens).fetchone())
        change(PASSWORDS[1], url)
        until(lambda: operator.execute("notify sync_dirty") and woken.wait(0.1))
    stopped.set()
    listener.join()


@pytest.mark.parametrize(
    "written", ["", "postgresql://app:canary@h:port/x", "canary", "host='canary", "postgresql://app:ca/nary@h/x"]
)
def test_a_file_that_says_nothing_usable_changes_nothing_and_is_told_without_its_text(
    change: Callable[..., None], logged: Logged, written: str
) -> None:
    change(PASSWORDS[0], url)
    settings = load(DatabaseSettings)
    dsn = secret_source("DATABASE_URL", settings.database_url)
    Path(os.environ["DATABASE_URL_FILE"]).write_text(written)
    assert [dsn(), dsn()] == [settings.database_url.get_secret_value()] * 2
    told = [each for each in logged if each["event"] == "secret.unusable"]
    assert len(told) == (1 if written else 0)
    assert "nary" not in str(told)


def test_a_webhook_takes_the_new_client_secret_without_a_restart(world: World, tmp_path: Path) -> None:
    file = tmp_path / "client_secret"
    file.write_text(f"{OLD}\n")
    environment = webhook_environment(world, HUBSPOT_CLIENT_SECRET_FILE=str(file))
    del environment["HUBSPOT_CLIENT_SECRET"]
    with running_servers.server("webhook", environment, tmp_path / "log") as server:

        def deliver(secret: str) -> int:
            delivery = signed([event(1)], secret=secret)
            return ask(server.port, "POST", "/", delivery.pop("data"), **delivery)[0]

        assert [deliver(OLD), deliver(NEW)] == [204, 401]
        file.write_text(f" {OLD} , {NEW}\n")
        assert [deliver(OLD), deliver(NEW)] == [204, 204]
        file.write_text(f"{NEW}\n")
        assert [deliver(OLD), deliver(NEW)] == [401, 204]
        file.write_text(f"{NEW},")
        assert [deliver(OLD), deliver(NEW), deliver("")] == [401, 204, 401]
        assert server.log.count("secret.unusable") == 1
        assert NEW not in server.log


def test_two_signing_secrets_verify_and_the_first_signs(make_api: Callable[..., ApiInProcess]) -> None:
    api = make_api(JWT_SECRET=f" {NEW} ,{OLD}\n")
    for key in (OLD, NEW):
        token = Tokens(key).issue(Role.ADMIN)
        assert api.anyone("GET", "/kai@hubspot.com", Authorization=f"Bearer {token}").status == 404
    assert Tokens(NEW).verify(f"Bearer {api.services.tokens.issue(Role.ADMIN)}").role is Role.ADMIN


@pytest.mark.parametrize("key", [f"{NEW},{OLD}", f" {NEW}", "", ",", f"{OLD},{NEW}", NEW[:-1]])
def test_no_other_secret_verifies(make_api: Callable[..., ApiInProcess], key: str) -> None:
    api = make_api(JWT_SECRET=f"{NEW},{OLD}")
    token = forging.token(key, {"alg": "HS256", "typ": "JWT"}, forging.claims())
    assert api.anyone("GET", "/kai@hubspot.com", Authorization=f"Bearer {token}").status == 401
    old = forging.token(OLD, {"alg": "HS256"}, forging.claims(exp=int(time.time()) - 1))
    assert api.anyone("GET", "/kai@hubspot.com", Authorization=f"Bearer {old}").status == 401


@pytest.mark.parametrize("secrets", [f"{NEW},short", f"short,{NEW}", f"{NEW},", f",{NEW}", f"{NEW},ssh-rsa {OLD}", ","])
def test_each_signing_secret_is_one(secrets: str) -> None:
    environment = {"DATABASE_URL": "host=h", "HUBSPOT_ACCESS_TOKEN": "t", "JWT_SECRET": secrets}
    with pytest.raises(InvalidSettings) as raised:
        load(Api, environment)
    assert str(raised.value).startswith("JWT_SECRET: ")
    assert NEW not in str(raised.value)
