"""`python -m reconciler`: the scheduler process, and the commands an operator uses. Exit 2: settings or usage."""

import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer

from reconciler.adapters.postgres.install import Ambiguous, Refused, install, remove
from reconciler.adapters.postgres.records import PostgresRecords
from reconciler.adapters.postgres.tombstones import restore_tombstones
from reconciler.commands.audit import Audit
from reconciler.commands.erase import StillDue, erase
from reconciler.core.brake import Danger
from reconciler.core.errors import CopiedDatabase, OtherMapping, SyncError
from reconciler.core.fields import Policy
from reconciler.core.ports import Lane
from reconciler.mapping.file import MappingFile
from reconciler.mapping.problems import MappingRefused
from reconciler.process import log
from reconciler.process.account import check_home, check_portal
from reconciler.process.schedule import Schedule
from reconciler.process.settings import Database, InvalidSettings, Look, Sync, load
from reconciler.process.wiring import open_database, open_parts

SCHEMA = Path(__file__).parents[1] / "schema.sql"

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, help="Keeps customers and HubSpot contacts equal."
)
db = typer.Typer(no_args_is_help=True, help="The database.")
app.add_typer(db, name="db")
mapping = typer.Typer(no_args_is_help=True, help="The mapping file.")
app.add_typer(mapping, name="mapping")

Settings = TypeVar("Settings", bound=Database)


def _settings(model: type[Settings], process: str) -> Settings:
    try:
        settings = load(model)
    except InvalidSettings as error:
        _fail(str(error))
    log.configure(style=settings.log_format, level=settings.log_level, process=process)
    return settings


def _fail(text: str, code: int = 2) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(code)


@app.callback(invoke_without_command=True)
def run(context: typer.Context) -> None:
    """Run the scheduler: drain, poll, sweep and prune until stopped."""
    if context.invoked_subcommand is None:
        settings = _settings(Sync, "reconciler")
        with open_parts(settings) as parts:
            raise typer.Exit(Schedule(parts, settings).run())


@db.command("init")
def init(
    renamed: Annotated[
        list[str] | None, typer.Option(help="OLD=NEW: a property of the mapping that has another name by now.")
    ] = None,
) -> None:
    """Bring the database to schema.sql and to MAPPING_FILE: idempotent, and online on a live database.

    Exit 2: the mapping cannot be used as it is, and nothing was changed.
    """
    settings = _settings(Database, "db")
    if settings.mapping_file is not None:
        _check_before(_settings(Look, "db"))
    try:
        dsn = settings.database_url.get_secret_value()
        done = install(dsn, SCHEMA.read_text(), settings.own_table, _pairs(renamed))
    except Ambiguous as error:
        _fail(str(error))
    except Refused as error:
        _fail(str(error), code=1)
    print("\n".join(done))


def _pairs(renamed: list[str] | None) -> dict[str, str]:
    pairs = [each.split("=", 1) for each in renamed or ()]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        _fail("--renamed OLD=NEW: two names of properties")
    return {pair[0]: pair[1] for pair in pairs}


def _check_before(settings: Look) -> None:
    """Change nothing where the check refuses."""
    from reconciler.commands.mapping import check

    if wrong := [str(remark) for remark in check(settings) if remark.is_refused]:
        _fail("\n".join(wrong))


@db.command("remove")
def remove_command(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take away triggers and schema sync, with links, logs and tombstones; tables of customers stay with their rows."""
    settings = _settings(Database, "db")
    said = "links, conflicts and the tombstones of erased people go; end the sync's processes before. Remove?"
    if not yes and not typer.confirm(said):
        raise typer.Exit(1)
    try:
        gone = remove(settings.database_url.get_secret_value())
    except Refused as error:
        _fail(str(error), code=1)
    print("\n".join(gone))


@mapping.command("schema")
def schema() -> None:
    """Print the JSON Schema of the mapping file, for editors."""
    print(json.dumps(MappingFile.model_json_schema(), indent=2))


@mapping.command("check")
def check_command() -> None:
    """Say what is wrong with MAPPING_FILE, a finding a line. Exit 0: nothing refused, 1: it could not look, 2: refused.

    Writes nothing.
    """
    from reconciler.commands.mapping import check

    remarks = check(_settings(Look, "mapping"))
    for remark in remarks:
        print(remark)
    raise typer.Exit(2 if any(remark.is_refused for remark in remarks) else 0)


@mapping.command("apply")
def apply_command(
    create: Annotated[bool, typer.Option("--create", help="Make them; without it only say so.")] = False,
) -> None:
    """Make the properties that MAPPING_FILE says how to make, and that HubSpot does not have. Exit 1: it could not."""
    from reconciler.commands.mapping import lacking, make

    settings = _settings(Look, "mapping")
    try:
        missing = lacking(settings)
        if not missing:
            print("nothing to make: HubSpot has what the file says how to make")
        for definition in missing:
            if create:
                make(settings, definition)
            shape = f"{definition['type']}/{definition['fieldType']}, {definition['label']!r}"
            print(f"{'made' if create else 'would make'} {definition['name']} ({shape})")
    except MappingRefused as error:
        _fail(str(error))


@mapping.command("propose")
def propose_command(
    table: Annotated[str | None, typer.Option(help="The table; without it the one that fits best.")] = None,
) -> None:
    """Print a mapping file for the database as it is, notes beside it. Exit 2: there is no table for it."""
    from reconciler.commands.mapping import suggest
    from reconciler.mapping.choosing import NoTable

    try:
        proposal = suggest(_settings(Look, "mapping"), table)
    except NoTable as error:
        _fail(str(error))
    for note in proposal.notes:
        _say(note)
    print(proposal.text, end="")


@app.command()
def backfill(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, write nothing.")] = False,
    prefer: Annotated[
        Policy | None, typer.Option(help="Which side wins where a customer and a contact meet for the first time.")
    ] = None,
) -> None:
    """Bring an existing portal and an existing table together: link by address, then both ways. Exit 1: not all went.

    While it runs, a reconciler beside it decides by its own SYNC_FIRST_LINK.
    """
    from reconciler.commands.backfill import Backfill

    settings = _settings(Sync, "backfill")
    if prefer is not None:
        settings = settings.model_copy(update={"sync_first_link": prefer})
    with open_parts(settings) as parts:
        if dry_run:
            Backfill(parts).preview()
        elif not Backfill(parts).run():
            raise typer.Exit(1)


@app.command("audit")
def audit_command(repair: Annotated[bool, typer.Option("--repair", help="Mark what drifts.")] = False) -> None:
    """Compare both sides whole. Exit 0: equal or on its way, 1: not (drift, held, parked), 2: it could not run."""
    with open_parts(_settings(Sync, "audit")) as parts:
        rules = parts.rules()
        audit = Audit(parts.database, parts.hubspot, parts.marks, rules)
        try:
            check_portal(parts)
            with parts.budget.reserve(Lane.AUDIT, 1):
                is_equal = audit.run(repair=repair)
        except SyncError as error:
            _fail(f"the audit could not run: {error}")
    print("\n".join(audit.lines()))
    raise typer.Exit(0 if is_equal else 1)


@app.command()
def status() -> None:
    """Show where the sync stands, and what does not move."""
    settings = _settings(Database, "status")
    with open_database(settings) as database:
        for name, value in (database.row("status") or {}).items():
            print(f"{name:>14}  {value}")
        for row in database.rows("causes"):
            since = f" since {row['since']:%Y-%m-%d %H:%M:%S %Z}" if row["since"] else ""
            print(f"{row['cause']:>14}  {row['reason']}{since}")
        try:
            check_home(database, settings.digest)
        except CopiedDatabase as error:
            print(f"{'copied_database':>14}  {error}")
        except OtherMapping as error:
            print(f"{'other_mapping':>14}  {error}")
        for row in database.rows("blocks"):
            print(f"{row['code']:>14}  {row['property']}: {row['count']} ({row['sentence']})")


@app.command()
def adopt() -> None:
    """Make this database, a copy or restored, the one that is linked with the HubSpot account; stop the other first."""
    with open_database(_settings(Database, "adopt")) as database:
        database.run("adopt_database")
        row = database.row("read_home")
    account = row["portal"] if row is not None else None
    print(f"this database is the one for HubSpot account {account or '(the first that it meets)'}")


@app.command()
def healthy() -> None:
    """Exit 0 if data is moving, 1 if not: for health checks."""
    with open_database(_settings(Database, "healthy")) as database:
        raise typer.Exit(0 if PostgresRecords(database).is_moving() else 1)


@app.command()
def allow(kind: Danger, count: Annotated[int, typer.Argument(min=1)]) -> None:
    """Let COUNT more changes of KIND pass the brake within a day."""
    with open_database(_settings(Database, "allow")) as database:
        woken, held = PostgresRecords(database).allow(kind, count)
    print(f"{count} more of {kind} may pass within a day; {woken} of {held} held records are looked at again")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@app.command("erase")
def erase_command(address: str) -> None:
    """Erase the person with this address on both sides, for good. Exit 1: nobody has it, or it is still due."""
    settings = _settings(Sync, "erase")
    with open_parts(settings) as parts:
        try:
            is_known = erase(parts, address, say=_say)
        except StillDue as error:
            _fail(f"not erased yet, the reconciler goes on with it: {error}", code=1)
        if not is_known:
            _fail("no customer has this address", code=1)
    if settings.tombstone_file is None:
        print("TOMBSTONE_FILE is not set: a restored backup will not know of this", file=sys.stderr)
    print("erased")


@app.command()
def restored(tombstones: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)]) -> None:
    """After a restore from backup: erase again the people who were erased since, and void what old workers still do."""
    with open_database(_settings(Database, "restored")) as database:
        print(f"{restore_tombstones(tombstones, database)} tombstones applied")


@app.command()
def dev() -> None:
    """Run everything at once on an embedded Postgres and the local HubSpot."""
    try:
        from dev.run import Dev, DevError
    except ModuleNotFoundError as error:
        if error.name not in ("dev", "dev.run"):
            raise
        _fail("the development system is no part of this installation: it is run from the repository")
    try:
        raise typer.Exit(Dev().run())
    except DevError as error:
        _fail(str(error))


def main() -> None:
    """Run a command; what is not there (yet) is said in a line, with exit code 1."""
    try:
        app()
    except SyncError as error:
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
