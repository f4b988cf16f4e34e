"""`mapping check` and `mapping propose`: what the database and HubSpot say is joined, and decided by pure functions."""

from dataclasses import replace

from reconciler.adapters.postgres.catalogue import looking, open_line, read_catalogue
from reconciler.adapters.postgres.trials import Measures, Samples, try_all
from reconciler.mapping.catalogue import Catalogue
from reconciler.mapping.choosing import choose
from reconciler.mapping.evidence import Evidence, trials_of
from reconciler.mapping.file import MappingFile
from reconciler.mapping.findings import findings
from reconciler.mapping.parts import parts_of
from reconciler.mapping.problems import MappingRefused
from reconciler.mapping.properties import Property, properties_of
from reconciler.mapping.proposing import Proposal, propose
from reconciler.mapping.reading import load
from reconciler.mapping.remarks import Remark, refused
from reconciler.mapping.row_findings import name_columns
from reconciler.mapping.table_findings import NO_TABLES
from reconciler.process.settings import Look, secret_source
from reconciler.process.wiring import open_gateway


def check(settings: Look) -> list[Remark]:
    """Return everything there is to say of the mapping; raise `SyncError` where it could not be looked at."""
    try:
        file = load(None if settings.mapping_file is None else str(settings.mapping_file))
    except MappingRefused as error:
        return [_of_file(problem.key, problem.line, problem.said) for problem in error.problems]
    properties = _properties(settings)
    catalogue, evidence = look_at(secret_source("DATABASE_URL", settings.database_url)(), file)
    return findings(catalogue, properties, file, evidence)


def look_at(dsn: str, file: MappingFile) -> tuple[Catalogue, Evidence]:
    """Return what the database says of a mapping."""
    with open_line(dsn) as line:
        with looking(line):
            catalogue = read_catalogue(line, {part.name for part in parts_of(file)})
            measured = _measured(catalogue, file, Measures(line, file))
        tried = try_all(line, trials_of(file, catalogue) if catalogue.may_try else [])
    return catalogue, replace(measured, faults={**measured.faults, **tried.faults}, shapes=tried.shapes)


def suggest(settings: Look, table: str | None) -> Proposal:
    """Return a mapping file for a table, without one for the table that fits best; raise `NoTable`."""
    properties = _properties(settings)
    with open_line(secret_source("DATABASE_URL", settings.database_url)()) as line, looking(line):
        catalogue = read_catalogue(line)
        chosen = choose(catalogue, table)
        return propose(chosen, catalogue, properties, Samples(line).take(chosen.found))


def _of_file(key: str, line: int | None, words: str) -> Remark:
    wrong, _, instead = words.partition(": ")
    place = key or "the file"
    return refused(place if line is None else f"{place} (line {line})", wrong, instead or "write it as documented")


def _properties(settings: Look) -> dict[str, Property]:
    return properties_of(open_gateway(settings).properties())


def _measured(catalogue: Catalogue, file: MappingFile, measures: Measures) -> Evidence:
    """Count what is there to be counted."""
    main = next(parts_of(file))
    table = catalogue.tables.get(main.name)
    if table is None or table.relation in NO_TABLES:
        return Evidence()
    return measures.take(name_columns(main, table))
