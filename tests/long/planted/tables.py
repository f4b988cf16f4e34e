"""Faults about a table of the owner's: scope, kinds, and what is generated from the mapping."""

from fault import Edit, Fault, real
from places import PLAN

BORDER, TEMPLATE = "reconciler/adapters/postgres/border.py", "reconciler/adapters/postgres/border.sql.jinja"
KINDS, AUDIT = "reconciler/core/kinds.py", "reconciler/commands/audit.py"
SCOPE = "what is out of scope is left alone, on either side, and loops nowhere"
FITS = "reading and writing are inverse on every value a type holds"
OWNERS = "the owner's application goes on as before, and his table is his"
LIFE = ("tests/mapping/test_adoption.py",)
SCOPED = ("tests/mapping/test_scope.py",)
ALTERED = ("tests/mapping/test_owners_alterations.py",)

TABLES: tuple[Fault, ...] = (
    real(
        "every contact becomes a row",
        SCOPE,
        Edit(PLAN, "becomes_customer", "rules.inserts and contact.is_wanted and all(", "True or all("),
        tests=SCOPED,
    ),
    real(
        "a contact of a row out of scope becomes another row",
        SCOPE,
        Edit(PLAN, "_insert", "if holder is not None and holder.is_outside:", "if False:"),
        tests=SCOPED,
    ),
    real(
        "a row that leaves the scope takes its contact along",
        SCOPE,
        Edit(BORDER, "_Border.names", '"true" if self._table.leaves == "archive" else "false"', '"true"'),
        tests=SCOPED,
    ),
    real(
        "rows that no trigger saw come stay unknown",
        OWNERS,
        Edit(TEMPLATE, "find_rows", "limit find_rows.most", "limit 0"),
        tests=LIFE,
    ),
    real(
        "a column that is gone counts as empty",
        OWNERS,
        Edit(BORDER, "_Field.raw", "return GONE", 'return "null::jsonb"'),
        tests=ALTERED,
    ),
    real(
        "a row whose key changes is another one",
        OWNERS,
        Edit(TEMPLATE, "on_update", "update sync.identity i set key = its_key where i.key = was_key;", "null;"),
        tests=ALTERED,
    ),
    real(
        "a number keeps its needless zeros",
        FITS,
        Edit(KINDS, "_within_digits", 'fraction = fraction.rstrip("0")', "pass"),
        tests=("tests/unit/test_kinds.py",),
    ),
    real(
        "an option is written as HubSpot has it",
        FITS,
        Edit(BORDER, "_Field.to_column", "if self.mapped.values is not None:", "if False:"),
        tests=("tests/mapping/test_types.py",),
    ),
)
