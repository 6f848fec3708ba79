"""DuckDB as the planner's `Typer`: DESCRIBE over empty tables that mirror the catalog.

It holds no data, is small, and only binds. It is locked before anything that others named reaches it, be it a table of
their offers or a statement of a question: no file, network or extension can be reached from it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

import duckdb

from fedsql.errors import DataError, NotSupportedError, ProgrammingError
from fedsql.planner.catalog import Catalog
from fedsql.planner.logical import MARGIN
from fedsql.planner.schema import Local, mirror
from fedsql.types import is_type, quoted

_DESCRIBE = "DESCRIBE "
_LOCKED = {
    "threads": "1",
    "memory_limit": "256MB",
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


class DuckDBTyper:
    """A `fedsql.planner.typer.Typer` over the tables of ``catalog`` and the analyst's ``local`` ones.

    Raises ProgrammingError when a table cannot be: its names or types are none.
    """

    def __init__(self, catalog: Catalog, local: Local = ()) -> None:
        self._guard = threading.Lock()
        self._db = duckdb.connect(":memory:", config=dict(_LOCKED))
        self._db.execute("SET TimeZone = 'UTC'")
        self._db.execute(f"CREATE MACRO {MARGIN}(aggregate) AS CAST(0 AS DOUBLE)")
        self._db.execute("SET lock_configuration = true")
        self.tables = mirror(catalog, local, self.supertype)
        for schema, tables in self.tables.items():
            if schema != "main":
                self._run(f"CREATE SCHEMA {quoted(schema)}")
            for table, columns in tables.items():
                listed = ", ".join(f"{quoted(name)} {_type(text)}" for name, text in columns.items())
                self._run(f"CREATE TABLE {quoted(schema)}.{quoted(table)} ({listed or 'nothing INTEGER'})")

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """Return (name, type) of each column of ``sql``."""
        return [(row[0], row[1]) for row in self._run(f"{_DESCRIBE}{sql}", before=len(_DESCRIBE))]

    def supertype(self, types: Sequence[str]) -> str:
        """Return the common supertype of ``types``."""
        return self.describe(" UNION ALL ".join(f"SELECT CAST(NULL AS {_type(t)}) AS x" for t in types))[0][1]

    def _run(self, sql: str, before: int = 0) -> list[Any]:
        with self._guard:
            try:
                if len(self._db.extract_statements(sql)) != 1:
                    raise ProgrammingError("write one statement at a time")
                return self._db.execute(sql).fetchall()
            except duckdb.Error as error:
                raise as_sql_error(error, before) from None


def _type(text: str) -> str:
    if not is_type(text):
        raise ProgrammingError(f"{text!a} is not a type")
    return text


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
