"""A copy of a linked database (staging made of production's dump, with the same token) writes nothing until told."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import psycopg
import pytest
from databases import Databases
from programs import dumped, program
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from running_servers import ROOT, bare
from standbys import standby_of
from systems import KAI, ApiInProcess, api_environment, api_in_process
from test_commands import command
from world import World

from reconciler.adapters.postgres.database import Database, open_pool
from reconciler.commands.backfill import Backfill
from reconciler.commands.erase import erase
from reconciler.core.errors import CopiedDatabase
from reconciler.process.account import Account, check_portal
from sandbox import start

pytestmark = pytest.mark.trial

UWE = {**KAI, "email": "uwe@hubspot.com"}


def by_template(server: str, original: str, name: str) -> None:
    source = conninfo_to_dict(original)["dbname"]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{source}" strategy file_copy')


def by_dump(server: str, original: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    restore = [program("psql", server), "--quiet", "--set", "ON_ERROR_STOP=1", make_conninfo(server, dbname=name)]
    subprocess.run(restore, input=dumped(original), check=True, capture_output=True, text=True)


@contextmanager
def copied(server: str, original: str, copy: Callable[[str, str, str], None]) -> Iterator[str]:
    name = f"copy_{uuid4().hex[:12]}"
    try:
        copy(server, original, name)
        yield make_conninfo(server, dbname=name)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'drop database if exists "{name}" with (force)')


@pytest.fixture(params=[by_template, by_dump])
def staging(server: str, databases: Databases, request: pytest.FixtureRequest) -> Iterator[World]:
    """The sides of a copy: its database has everything of the linked one, its HubSpot is the same."""
    with ExitStack() as stack:
        dsn = stack.enter_context(databases.own())
        sandbox = stack.enter_context(start(rate_per_10s=0, search_per_second=0))
        with open_pool(dsn, size=4) as pool:
            original = World(sandbox, dsn, Database(pool))
            original.insert(**KAI)
            check_portal(original.parts)
            original.quiet()
            # There is work that a copy would do.
            original.sql("update customer set company = 'stale'")
            original.connection.close()
        copy = stack.enter_context(copied(server, dsn, request.param))
        pool = stack.enter_context(open_pool(copy, size=8))
        world = World(sandbox, copy, Database(pool))
        stack.callback(world.connection.close)
        yield world


@pytest.fixture
def api(staging: World) -> ApiInProcess:
    return api_in_process(staging, staging.parts.database)


@pytest.mark.parametrize("prefer", [None, "respond-async"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/", UWE), ("PUT", "/kai@hubspot.com", {"company": "b"}), ("DELETE", "/kai@hubspot.com", None)],
)
def test_the_api_of_a_copy_reads_and_writes_nothing(
    api: ApiInProcess, method: str, path: str, body: dict[str, str] | None, prefer: str | None
) -> None:
    before = api.state()
    reply = api.admin(method, path, **({} if body is None else {"json": body}), Prefer=prefer)
    assert (reply.status, reply.json["code"]) == (503, "copied_database")
    assert api.admin("POST", "/batch", json=[{"op": "create", **UWE}]).json[0]["code"] == "copied_database"
    assert api.user("GET", "/kai@hubspot.com").json["company"] == "stale"
    ready = api.anyone("GET", "/readyz")
    assert (ready.status, ready.json["code"]) == (503, "copied_database")
    assert api.state() == before


def test_nobody_is_erased_looked_for_or_brought_together_by_a_copy(staging: World) -> None:
    before = staging.portal.revision
    for act in (
        lambda: erase(staging.parts, KAI["email"]),
        lambda: Backfill(staging.parts).run(),
        lambda: check_portal(staging.parts),
        Account(staging.parts).require,
    ):
        with pytest.raises(CopiedDatabase, match="adopt"):
            act()
    assert staging.portal.revision == before


def reconciler(world: World, **settings: str) -> "subprocess.Popen[str]":
    environment = bare({**api_environment(world), "POLL_INTERVAL": "0.2", **settings})
    arguments = [sys.executable, "-m", "reconciler"]
    return subprocess.Popen(arguments, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def test_the_reconciler_of_a_copy_ends_and_says_what_would_make_it_the_one(staging: World) -> None:
    before = staging.portal.revision
    process = reconciler(staging)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    account = staging.portal.settings.portal_id
    assert f"a copy of the one that is linked with HubSpot account {account}" in said
    assert "python -m reconciler adopt" in said
    assert "Traceback" not in said
    assert staging.portal.revision == before


def test_the_commands_of_a_copy_say_so(staging: World) -> None:
    for words, code in ((("audit",), 2), (("backfill",), 1), (("erase", "kai@hubspot.com"), 1)):
        ended, _, said = command(staging, *words)
        assert (ended, "python -m reconciler adopt" in said) == (code, True), words
    assert "copied_database" in command(staging, "status")[1]


def test_a_copy_that_is_told_to_be_the_one_works_without_a_restart(api: ApiInProcess) -> None:
    assert api.admin("POST", "/", json=UWE).status == 503
    ended, said, _ = command(api.world, "adopt")
    assert (ended, str(api.world.portal.settings.portal_id) in said) == (0, True)
    assert api.anyone("GET", "/readyz").status == 200
    assert api.admin("POST", "/", json=UWE).status == 201
    api.world.quiet()
    assert api.world.contact("kai@hubspot.com")["company"] == "stale"
    assert "copied_database" not in command(api.world, "status")[1]


def test_an_api_whose_database_becomes_a_copy_stops_writing(world: World) -> None:
    now = [0.0]
    account = Account(world.parts, lambda: now[0])
    account.require()
    world.sql("update sync.setting set value = '1:' || split_part(value, ':', 2) where name = 'home'")
    account.require()
    now[0] = 31.0
    with pytest.raises(CopiedDatabase):
        account.require()
    world.sql("delete from sync.setting where name = 'home'")
    account.require()
    assert account.problem is None


def test_a_reconciler_whose_database_becomes_a_copy_ends(world: World, until: Callable[..., None]) -> None:
    process = reconciler(world)
    until(lambda: world.sql("select 1 from sync.heartbeat where job = 'drain'"), seconds=60)
    world.sql("update sync.setting set value = split_part(value, ':', 1) || ':1' where name = 'home'")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "python -m reconciler adopt" in said


@pytest.mark.parametrize("home", ["?:{oid}", "{cluster}:{oid}"])
def test_where_the_cluster_cannot_be_asked_the_database_is_known_by_itself(world: World, home: str) -> None:
    check_portal(world.parts)
    (row,) = world.sql("select value from sync.setting where name = 'home'")
    cluster, oid = row["value"].split(":")
    world.sql("update sync.setting set value = %s where name = 'home'", home.format(cluster=cluster, oid=oid))
    check_portal(world.parts)
    world.sql("update sync.setting set value = %s where name = 'home'", home.format(cluster=cluster, oid="1"))
    with pytest.raises(CopiedDatabase):
        check_portal(world.parts)


def test_a_database_of_an_earlier_version_is_at_home_where_it_is_first_met(world: World) -> None:
    world.sql("insert into sync.setting values ('portal', %s)", str(world.portal.settings.portal_id))
    check_portal(world.parts)
    assert world.sql("select sync.is_home(value) as here from sync.setting where name = 'home'") == [{"here": True}]


def test_a_promoted_replica_is_no_copy(
    world: World, server: str, tmp_path_factory: pytest.TempPathFactory, until: Callable[..., None]
) -> None:
    check_portal(world.parts)
    with standby_of(server, tmp_path_factory.mktemp("standby")) as standby:
        promoted = make_conninfo(standby, dbname=conninfo_to_dict(world.dsn)["dbname"])
        with psycopg.connect(promoted, autocommit=True) as connection:
            connection.execute("select pg_promote()")
            until(lambda: connection.execute("select not pg_is_in_recovery()").fetchone() == (True,))
        with open_pool(promoted, size=2) as pool:
            other = World(world.sandbox, promoted, Database(pool))
            check_portal(other.parts)
            other.connection.close()


def test_a_role_with_few_rights_sees_the_same_place(world: World) -> None:
    role = f"plain_{uuid4().hex[:8]}"
    (here,) = world.sql("select sync.place() as place")
    with psycopg.connect(world.dsn, autocommit=True) as connection:
        connection.execute(f'create role "{role}"')
        connection.execute(f'grant usage on schema sync to "{role}"')
        connection.execute(f'grant execute on all functions in schema sync to "{role}"')
        connection.execute(f'set role "{role}"')
        assert connection.execute("select sync.place()").fetchone() == (here["place"],)
        connection.execute("reset role")
        connection.execute(f'drop owned by "{role}"')
        connection.execute(f'drop role "{role}"')
