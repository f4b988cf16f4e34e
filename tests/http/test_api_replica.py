"""Reads from a replica that lags: a real standby, whose replay the test stops and lets go."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool
from standbys import standby_of
from systems import ApiInProcess, api_environment
from world import World, until

from api.wiring import Beside, services
from reconciler.adapters.postgres.database import Database, Timely, open_pool
from reconciler.process import wiring
from reconciler.process.settings import Api, load


@pytest.fixture(scope="module")
def standby(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with standby_of(server, tmp_path_factory.mktemp("standby")) as dsn:
        yield dsn


class Replica:
    """The standby's copy of the test's database."""

    def __init__(self, dsn: str, primary: str) -> None:
        self.dsn = make_conninfo(dsn, dbname=conninfo_to_dict(primary)["dbname"])
        self._primary = primary

    def stop(self) -> None:
        """Fall behind from now on."""
        self._run("select pg_wal_replay_pause()")
        until(lambda: self._run("select pg_get_wal_replay_pause_state()") == "paused")

    def catch_up(self) -> None:
        self._run("select pg_wal_replay_resume()")
        with psycopg.connect(self._primary) as primary:
            row = primary.execute("select pg_current_wal_lsn()").fetchone()
        assert row is not None
        until(lambda: self._run("select pg_last_wal_replay_lsn() >= %s::pg_lsn", row[0]))

    def _run(self, statement: str, *values: object) -> object:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute(statement.encode(), values).fetchone()
        return None if row is None else row[0]


@pytest.fixture
def replica(standby: str, dsn: str) -> Iterator[Replica]:
    postgres = Replica(make_conninfo(standby, dbname="postgres"), dsn)
    until(lambda: _is_there(postgres.dsn), seconds=60)
    postgres.catch_up()
    yield postgres
    postgres.catch_up()


def _is_there(dsn: str) -> bool:
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def reads(replica: Replica) -> Iterator[ConnectionPool[Timely]]:
    with open_pool(replica.dsn, size=2, wait=0.25) as pool:
        yield pool


@pytest.fixture
def api(world: World, database: Database, reads: ConnectionPool[Timely]) -> ApiInProcess:
    settings = load(Api, api_environment(world))
    beside = Beside(reads=database, health=database, replica=Database(reads))
    return ApiInProcess.of(world, services(settings, wiring.build(settings, database), beside))


KAI = {"email": "kai@example.com", "firstname": "Kai", "lastname": "K"}


def test_a_read_is_answered_by_the_replica(api: ApiInProcess, replica: Replica) -> None:
    api.admin("POST", "/", json=KAI)
    replica.catch_up()
    replica.stop()
    api.admin("PUT", "/kai@example.com", json={"company": "b"})
    assert api.user("GET", "/kai@example.com").json["company"] is None


def test_who_sends_the_tag_of_his_write_reads_his_write(api: ApiInProcess, replica: Replica) -> None:
    api.admin("POST", "/", json=KAI)
    replica.catch_up()
    replica.stop()
    tag = api.admin("PUT", "/kai@example.com", json={"company": "b"}).headers["etag"]
    assert api.user("GET", "/kai@example.com", If_None_Match=tag).status == 304
    api.admin("PUT", "/kai@example.com", json={"company": "c"})
    assert api.user("GET", "/kai@example.com", If_None_Match=tag).json["company"] == "c"


def test_who_was_just_created_is_found(api: ApiInProcess, replica: Replica) -> None:
    replica.stop()
    api.admin("POST", "/", json=KAI)
    assert api.user("GET", "/kai@example.com").status == 200


def test_a_write_never_goes_by_the_replica(api: ApiInProcess, replica: Replica) -> None:
    tag = api.admin("POST", "/", json=KAI).headers["etag"]
    replica.catch_up()
    replica.stop()
    now = api.admin("PUT", "/kai@example.com", json={"company": "b"}).headers["etag"]
    assert api.admin("PUT", "/kai@example.com", json={"company": "c"}, If_Match=tag).status == 412
    assert api.admin("PUT", "/kai@example.com", json={"company": "c"}, If_Match=now).status == 200


def test_without_the_replica_the_primary_answers(api: ApiInProcess, reads: ConnectionPool[Timely]) -> None:
    api.admin("POST", "/", json=KAI)
    reads.close()
    assert api.user("GET", "/kai@example.com").status == 200
