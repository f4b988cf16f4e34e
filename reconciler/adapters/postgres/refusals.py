"""What Postgres says when a rule of the table's owner refuses a row. No value of the row goes any further.

The server's DETAIL and the texts of triggers may hold names and numbers of people: only the rule's own name is kept.
"""

import re

import psycopg

from reconciler.core.errors import RowRefused

_ANSWERS = ("22", "23", "44", "54", "P0")
"""Classes of SQLSTATE that are about a row: data, integrity, a view's check, a limit, an exception that is raised."""

_DATA = "22"
"""The class of what a type cannot hold."""

_RAISE, _POLICY = "exec_stmt_raise", "ExecWithCheckOptions"
"""Where Postgres comes from when plpgsql raises, and when a policy or a view's check refuses a row."""

_FUNCTION = re.compile(r'function ((?:"[^"]+"|\w+)(?:\.(?:"[^"]+"|\w+))?)\(')


def is_about_a_row(error: psycopg.Error) -> bool:
    """Whether the statement was refused for what a row holds."""
    return (error.sqlstate or "")[:2] in _ANSWERS or is_raised_by_the_owner(error)


def is_raised_by_the_owner(error: psycopg.Error) -> bool:
    """Whether a trigger of the owner's raised it, under whatever SQLSTATE, or a policy of the table refused the row."""
    diag = error.diag
    is_ours = diag.constraint_name == "erased_subject" or _is_ours(_function_in(diag.context))
    return diag.source_function == _POLICY or diag.source_function == _RAISE and not is_ours


def refusal_of(error: psycopg.Error) -> RowRefused:
    """Return the refusal by its rule's name."""
    diag = error.diag
    column = diag.column_name
    raised = _function_in(diag.context)
    owners = "" if _is_ours(raised) else raised
    rule = diag.constraint_name or column or owners or f"SQLSTATE {error.sqlstate}"
    is_misfit = (error.sqlstate or "").startswith(_DATA) and not diag.constraint_name and not owners
    return RowRefused(rule, frozenset({column}) if column else frozenset(), is_misfit=is_misfit)


def _function_in(context: str | None) -> str:
    """Return the innermost function."""
    found = _FUNCTION.search(context or "")
    return found[1] if found else ""


def _is_ours(function: str) -> bool:
    return function.startswith("sync.")
