"""The one mapping table is the only one: SQL that lists columns lists all of them."""

import re
from pathlib import Path

from reconciler.adapters.postgres.queries import INSTALL, named, statements
from simulation.mapped import FIELDS

ROOT = Path(__file__).parents[2]


def test_every_mapped_column_stands_in_the_schema_and_its_triggers() -> None:
    schema = (ROOT / "schema.sql").read_text()
    table = schema.split("alter table customer\n")[1].split(";")[0]
    for column in FIELDS:
        assert re.search(rf"^\s+add column if not exists {column} text,$", table, re.MULTILINE)
        assert schema.count(f"case when {column} is distinct from was_{column} then '{column}' end") == 1
        assert schema.count(f"o.{column}, n.{column}") == 2
        assert f"null, {column}" in schema.split("function sync.on_insert")[1]
        assert f"new.{column}" in schema.split("function sync.touch")[1]


def test_every_statement_that_lists_columns_lists_them_all() -> None:
    for name, text in statements().items():
        if "lastname" in text:
            missing = [column for column in FIELDS if column not in text]
            assert not missing, f"{name} lacks {missing}"


def test_every_statement_is_used_and_every_use_is_one() -> None:
    code = "".join(
        path.read_text() for folder in ("reconciler", "api", "webhook") for path in (ROOT / folder).rglob("*.py")
    )
    used = set(re.findall(r'\.(?:rows|row|run)\(\s*"(\w+)"', code))
    used |= set(re.findall(r'statements\(\)\["(\w+)"\]', code))
    assert used == set(statements())


def test_no_two_statements_have_one_name() -> None:
    files = [path for path in (ROOT / "reconciler" / "adapters" / "postgres").glob("*.sql") if path.name != INSTALL]
    assert sum(len(re.findall(r"^-- \w+: ", path.read_text(), re.MULTILINE)) for path in files) == len(statements())


def test_what_is_said_about_a_statement_is_not_sent() -> None:
    assert not any("--" in text for text in [*statements().values(), *named(INSTALL).values()])


def test_every_statement_of_the_installation_is_used() -> None:
    code = (ROOT / "reconciler" / "adapters" / "postgres" / "install.py").read_text()
    used = {one or other for one, other in re.findall(r'_(?:rows|fill)\("(\w+)"|_statements\["(\w+)"\]', code)}
    assert used == set(named(INSTALL))
