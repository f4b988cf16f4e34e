"""Where faults are planted, and the tests that are named for them."""

BASE, ENDS, MARKS = (f"tests/sync/test_{name}.py" for name in ("base", "ends", "marks"))
ERASE, IDENTITY, WEATHER = (f"tests/sync/test_{name}.py" for name in ("erase", "identity", "weather"))
ALIVE, THROUGH = (f"tests/sync/test_{name}.py" for name in ("being_alive", "write_through"))
MERGED, WINDOWS, PAGES = (f"tests/sync/test_{name}.py" for name in ("merged_contacts", "windows", "pages"))
RULES = "tests/sync/test_rules.py"
SPENDING = "tests/store/test_budget.py"
CONTRACT = "tests/store/test_contract"

MERGE, MIRROR, PLAN, BOTH_ALIVE, VALUES, JUDGE, STEP, TAKEN = (
    f"reconciler/core/{name}.py"
    for name in ("merge", "mirror", "plan", "both_alive", "values", "judge", "step", "taken")
)
WRITING = "reconciler/sync/write_through.py"
RECONCILE, SENDER, POLL, SWEEP, BUDGET = (
    f"reconciler/{name}.py" for name in ("sync/reconcile", "sync/sender", "walks/poll", "walks/sweep", "sync/budget")
)
PAIRS, OUTBOX, ROWS, TABLES = (f"simulation/memory/{name}.py" for name in ("pairs", "outbox", "rows", "tables"))
QUERIES, SCHEMA = "reconciler/adapters/postgres/*.sql", "schema.sql"
ANSWERS, REAL_PAIRS, REAL_OUTBOX, MERGING, REARRANGING = (
    f"reconciler/adapters/postgres/{name}.py" for name in ("answers", "pairs", "outbox", "merging", "rearranging")
)
