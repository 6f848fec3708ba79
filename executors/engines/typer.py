"""DuckDB as the planner's `Typer`: DESCRIBE over empty tables that mirror the catalog.

The database is locked before any statement of a question reaches it, holds no data, and is small: it only binds.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence

import duckdb

from fedsql.errors import DataError, NotSupportedError, ProgrammingError
from fedsql.planner.catalog import Catalog
from fedsql.planner.schema import Local, mirror

_DESCRIBE = "DESCRIBE "
_LOCK = ("SET enable_external_access = false", "SET lock_configuration = true")


class DuckDBTyper:
    """A `fedsql.planner.typer.Typer` over the tables of ``catalog`` and the analyst's ``local`` ones."""

    def __init__(self, catalog: Catalog, local: Local = ()) -> None:
        self._guard = threading.Lock()
        self._db = duckdb.connect(":memory:", config={"threads": "1", "memory_limit": "256MB"})
        self._db.execute("SET TimeZone = 'UTC'")
        self.tables = mirror(catalog, local, self.supertype)
        for schema, tables in self.tables.items():
            if schema != "main":
                self._db.execute(f'CREATE SCHEMA "{schema}"')
            for table, columns in tables.items():
                listed = ", ".join(f'"{name}" {type_}' for name, type_ in columns.items())
                self._db.execute(f'CREATE TABLE "{schema}"."{table}" ({listed or "nothing INTEGER"})')
        for statement in _LOCK:
            self._db.execute(statement)

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """Return (name, type) of each column of ``sql``."""
        with self._guard:
            try:
                rows = self._db.execute(f"{_DESCRIBE}{sql}").fetchall()
            except duckdb.Error as error:
                raise as_sql_error(error, before=len(_DESCRIBE)) from None
        return [(row[0], row[1]) for row in rows]

    def supertype(self, types: Sequence[str]) -> str:
        """Return the common supertype of ``types``."""
        return self.describe(" UNION ALL ".join(f"SELECT CAST(NULL AS {t}) AS x" for t in types))[0][1]


def as_sql_error(error: duckdb.Error, before: int = 0) -> ProgrammingError | NotSupportedError | DataError:
    """Turn DuckDB's complaint about a statement into ours: one line, its advice as the hint, the caret's place.

    ``before``: how many characters of ours stand before the user's text on its first line.
    """
    lines = [line.strip() for line in str(error).split("\n\nLINE")[0].splitlines() if line.strip()]
    message = re.sub(r"^(\w+ ){1,2}Error: ", "", lines[0]) if lines else "the statement cannot be run"
    hint = " ".join(lines[1:]).replace(": : ", ": ") or None
    if hint and len(hint) > 300:
        hint = hint[:300] + " ..."
    position = None
    if match := re.search(r"LINE (\d+): (.*)\n(\s*)\^", str(error)):
        number, text, pad = match.groups()
        shown = len(pad) - len(f"LINE {number}: ")
        shown -= before if number == "1" else 0
        position = (int(number), shown + 1) if shown >= 0 and not text.startswith("...") else None
    if isinstance(error, duckdb.NotImplementedException):
        return NotSupportedError(message, hint=hint, position=position)
    if isinstance(error, duckdb.ConversionException | duckdb.OutOfRangeException | duckdb.InvalidInputException):
        return DataError(message, hint=hint, position=position)
    return ProgrammingError(message, hint=hint, position=position)
