"""Catalogue, HubSpot's properties, a mapping file and what trying it brought -> what is wrong, and what to know.

Pure: `mapping check` prints it, and nothing is begun with a mapping of which something is refused.
"""

from collections.abc import Iterator, Mapping

from reconciler.mapping.catalogue import UTF8, Catalogue
from reconciler.mapping.evidence import Evidence, trials_of
from reconciler.mapping.field_findings import about_fields
from reconciler.mapping.file import MappingFile
from reconciler.mapping.parts import parts_of
from reconciler.mapping.properties import Property
from reconciler.mapping.property_findings import about_properties
from reconciler.mapping.remarks import Remark, refused
from reconciler.mapping.row_findings import about_rows
from reconciler.mapping.table_findings import about_table, missing_table


def findings(
    catalogue: Catalogue, properties: Mapping[str, Property], file: MappingFile, evidence: Evidence
) -> list[Remark]:
    """Return everything there is to say, what is refused first."""
    remarks = list(dict.fromkeys(_all(catalogue, properties, file, evidence)))
    return sorted(remarks, key=lambda remark: not remark.is_refused)


def _all(
    catalogue: Catalogue, properties: Mapping[str, Property], file: MappingFile, evidence: Evidence
) -> Iterator[Remark]:
    if catalogue.encoding != UTF8:
        yield refused(
            catalogue.database, f"its encoding is {catalogue.encoding}", "write another database, one of encoding UTF8"
        )
        return
    if not catalogue.may_try and trials_of(file, catalogue):
        instead = f"grant temporary on database {catalogue.database} to {catalogue.role}"
        yield refused(
            catalogue.database, "SQL of the file is tried on a temporary table, and none may be made", instead
        )
    for part in parts_of(file):
        table = catalogue.tables.get(part.name)
        if table is None:
            yield missing_table(part, catalogue)
            continue
        yield from about_table(part, table, file, catalogue)
        yield from about_fields(part, table, file, evidence)
    yield from about_properties(file, properties, catalogue, evidence)
    yield from about_rows(file, catalogue, evidence)
