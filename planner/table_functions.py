"""Functions that stand where tables do, and functions that read settings: which of them a statement may call.

Most of DuckDB's tell of the database and of the machine that it runs on (settings, folders, memory), or run a text as a
statement that nobody has checked (`query`). What makes rows of its arguments alone is allowed.
"""

from __future__ import annotations

from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.positions import position
from fedsql.planner.trees import find

_ALLOWED = ("generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest")
_KNOWN = (exp.GenerateSeries, exp.Repeat, exp.Unnest)
_READS_SETTINGS = ("current_setting", "getvariable")


def check_functions(tree: exp.Expr) -> None:
    """Raise NotSupportedError for a function in FROM that is not allowed, or for one that reads settings."""
    for table in find(tree, exp.Table):
        called = table.this
        if not isinstance(called, exp.Func) or isinstance(called, _KNOWN):
            continue
        name = called.name if isinstance(called, exp.Anonymous) else called.sql_name()
        if not isinstance(called, exp.Anonymous) or name.lower() not in _ALLOWED:
            raise NotSupportedError(
                f"{name.lower()}() in FROM is not answered",
                hint=f"functions there: {', '.join(_ALLOWED)}; SHOW TABLES tells what tables there are",
                position=position(called) or position(table),
            )
    for call in find(tree, exp.Anonymous):
        if call.name.lower() in _READS_SETTINGS:
            raise NotSupportedError(
                f"{call.name.lower()}() is not answered",
                hint="SHOW SETTINGS tells fedsql's own",
                position=position(call),
            )
