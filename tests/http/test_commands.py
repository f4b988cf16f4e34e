"""The commands of an operator as processes: what went wrong is said in a line."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from lines import make_authority, terminator
from systems import api_environment
from world import World

ROOT = Path(__file__).parents[2]


def command(world: World, *words: str, **settings: str) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it said on both channels, without a traceback."""
    environment = {**api_environment(world), **settings}
    ran = subprocess.run(
        [sys.executable, "-m", "reconciler", *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stdout, ran.stderr


@pytest.mark.parametrize(("name", "code"), [("status", 1), ("audit", 2), ("backfill", 1), ("healthy", 1)])
def test_a_missing_schema_is_said(world: World, empty: str, name: str, code: int) -> None:
    ended, _, said = command(world, name, DATABASE_URL=empty)
    assert ended == code
    assert "db init" in said


def test_a_certificate_of_no_known_authority_is_said(world: World, tmp_path: Path) -> None:
    with terminator(world.sandbox.url, make_authority(tmp_path / "authority")) as port:
        ended, _, said = command(world, "audit", HUBSPOT_BASE_URL=f"https://localhost:{port}")
    assert ended == 2
    assert "certificate is not trusted here" in said


def test_two_customers_with_one_address_are_in_the_way_of_the_schema(world: World, empty: str) -> None:
    with psycopg.connect(empty) as old:
        old.execute("create table customer (email text)")
        old.execute("insert into customer values ('kai@example.com'), (' Kai@example.com')")
    ended, _, said = command(world, "db", "init", DATABASE_URL=empty)
    assert ended == 1
    assert "having count(*) > 1" in said
    assert "kai@example.com" not in said.lower()


def test_a_file_of_tombstones_that_is_not_there_is_a_wrong_argument(world: World, tmp_path: Path) -> None:
    assert command(world, "restored", str(tmp_path / "none"))[0] == 2


def test_an_erase_says_whom_it_did_not_find_and_what_a_backup_will_not_know(world: World, tmp_path: Path) -> None:
    world.insert(email="kai@example.com", firstname="Kai")
    world.quiet()
    assert command(world, "erase", "nobody@example.com")[0] == 1
    ended, printed, said = command(world, "erase", "kai@example.com")
    assert (ended, printed) == (0, "erased\n")
    assert "TOMBSTONE_FILE" in said


def test_an_allowance_says_what_was_allowed(world: World) -> None:
    assert command(world, "allow", "delete", "500")[1].startswith("500 more of delete may pass")
