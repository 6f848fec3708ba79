"""Copies of public tables in a DuckDB: of a party that does not offer them itself, or of an analyst.

They stand in the schema `copies` under names that hold a digest of their rows, so a copy is never out of date: other rows
are another relation.
"""

from __future__ import annotations

import hashlib
from threading import Lock

import duckdb
import pyarrow as pa

from fedsql.errors import ProtocolError
from fedsql.executors.engines import texts
from fedsql.planner.catalog import PublicTable
from fedsql.types import quoted

SCHEMA = "copies"
MOST_BYTES = 1 << 28  # of a public table as it is sent
_VERSIONS = 2  # of each owner's table: a query that was planned before the owner's data changed still finds the older


def packed(cursor: duckdb.DuckDBPyConnection, name: str) -> bytes:
    """Return the rows of a public table, which stands in `main`, as they are sent."""
    return texts.packed(texts.read(cursor, f"memory.main.{quoted(name)}"))


def too_large(content: bytes) -> str | None:
    """Return what is wrong with a public table that is sent as ``content``, if it is too large."""
    if len(content) <= MOST_BYTES:
        return None
    size, most = -(-len(content) >> 20), MOST_BYTES >> 20
    return f"its rows are sent whole, and {size} MiB are more than {most}; list fewer columns, or filter them in sql"


def opened(table: PublicTable, columns: texts.Columns, data: bytes) -> pa.Table:
    """Return the rows in ``data`` as a table of texts.

    Raises ProtocolError, naming the owner, unless they are exactly those that the owner offers.
    """
    problem = f"the rows of {table.name} that {table.owner} sent are not those that it offers"
    if hashlib.sha256(data).digest() != table.content:
        raise ProtocolError(problem)
    try:
        rows = texts.unpacked(data)
    except ValueError:
        raise ProtocolError(problem) from None
    if texts.columns_of(rows) != tuple(columns):
        raise ProtocolError(problem)
    return rows


class Copies:
    """The schema `copies` of ``database``. Threads may share it.

    Of each table of each owner the newest two versions stay; all of them count towards the database's memory limit.
    """

    def __init__(self, database: duckdb.DuckDBPyConnection) -> None:
        self._database = database
        self._guard = Lock()
        self._versions: dict[tuple[str, str], list[str]] = {}  # (owner, name): relations, the newest last
        database.execute(f"CREATE SCHEMA memory.{SCHEMA}")

    def holds(self, relation: str) -> bool:
        """Say whether a table is here."""
        with self._guard:
            return self._held(relation)

    def show(self, table: PublicTable) -> None:
        """Let a table that stands in `main` be read like a copy too."""
        self._database.execute(f"CREATE VIEW {_name(table.relation)} AS SELECT * FROM memory.main.{quoted(table.name)}")
        self._versions[table.owner, table.name] = [table.relation]

    def keep(self, table: PublicTable, rows: pa.Table) -> None:
        """Keep ``rows`` (a table of texts) under ``table.relation``; do nothing where it is held.

        Raises ProtocolError, naming the owner, where texts are none of their types.
        """
        with self._guard:
            if self._held(table.relation):
                return
            cursor = self._database.cursor()
            try:
                texts.create(cursor, f"TABLE {_name(table.relation)}", rows)
                versions = self._versions.setdefault((table.owner, table.name), [])
                versions.append(table.relation)
                if len(versions) > _VERSIONS:
                    cursor.execute(f"DROP TABLE {_name(versions.pop(0))}")
            except (ValueError, duckdb.ConversionException):
                raise ProtocolError(
                    f"the rows of {table.name} that {table.owner} sent do not fit their types"
                ) from None
            finally:
                cursor.close()

    def _held(self, relation: str) -> bool:
        return any(relation in versions for versions in self._versions.values())


def _name(relation: str) -> str:
    return f"memory.{SCHEMA}.{quoted(relation)}"
