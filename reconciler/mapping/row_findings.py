"""What the rows say of a mapping: how many are in scope, whose address several have, whether names are mapped."""

from collections.abc import Iterator

from reconciler.mapping.catalogue import Catalogue, Found
from reconciler.mapping.checks import ADDRESS
from reconciler.mapping.evidence import Doubles, Evidence
from reconciler.mapping.file import MappingFile
from reconciler.mapping.names import is_name, mentions
from reconciler.mapping.parts import Part, parts_of
from reconciler.mapping.remarks import Remark, refused, said


def about_rows(file: MappingFile, catalogue: Catalogue, evidence: Evidence) -> Iterator[Remark]:
    """Go through what was counted."""
    main = next(parts_of(file))
    for place in evidence.slow:
        yield said(place, "could not be counted in time", "look at it by hand")
    if evidence.rows is not None:
        dead = (evidence.inside or 0) - (evidence.alive or 0)
        count = f"{evidence.inside} of {evidence.rows} rows are in scope, {dead} of these are dead"
        yield said(main.name, f"{count}, {evidence.rows - (evidence.inside or 0)} are out of scope")
    if evidence.doubles.addresses:
        yield _doubles(file, evidence.doubles)
    for index, several in evidence.several.items():
        joined = file.joined[index]
        instead = f"write joined[{index}].where, which leaves one row for each key"
        yield refused(joined.table, f"keys that several of its rows have: {several}", instead)
    if main.name in catalogue.tables:
        yield from _names(main, catalogue.tables[main.name], evidence)


def name_columns(part: Part, table: Found) -> list[str]:
    """Return the columns that hold names, or are mapped as if they did."""
    mapped = [part.mapped[name] for name in ("firstname", "lastname") if name in part.mapped]
    likely = [each.name for each in table.columns if is_name(each)]
    return [each for each in dict.fromkeys([*mapped, *likely]) if table.column(each) is not None]


def _doubles(file: MappingFile, doubles: Doubles) -> Remark:
    what = f"addresses that several rows in scope have: {doubles.addresses}, one row of each meets its contact"
    # A key may be an address itself: those are not told.
    keys = [key for key in doubles.keys if "@" not in key]
    look = f"look at the keys {', '.join(keys)}, or narrow where" if keys else "narrow where"
    return said(file.mapped[ADDRESS].column or ADDRESS, what, look)


def _names(part: Part, table: Found, evidence: Evidence) -> Iterator[Remark]:
    filled = [name for name in name_columns(part, table) if evidence.filled.get(name)]
    if filled and not any(_is_mapped(name, part) for name in filled):
        instead = f'write firstname = {{ column = "{filled[0]}" }}'
        yield refused(filled[0], "it holds names, and no field of the file shows them", instead)
    for name in evidence.filled:
        empty = (evidence.alive or 0) - evidence.filled[name]
        if _is_mapped(name, part) and empty > 0:
            yield said(name, f"empty in {empty} of {evidence.alive} living rows in scope")


def _is_mapped(name: str, part: Part) -> bool:
    return any(field.column == name or mentions(field.read or "", name) for field in part.fields.values())
