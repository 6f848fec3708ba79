"""What every kind of source gives, and the version of files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import duckdb


class Source(Protocol):
    """Rows that DuckDB can read. ``kind`` names the sort of source."""

    @property
    def kind(self) -> str:
        """The sort of source, such as "parquet"."""

    @property
    def version(self) -> str:
        """A text that changes whenever the rows may have changed."""

    def attach(self, database: duckdb.DuckDBPyConnection, name: str) -> None:
        """Make the rows readable as the temporary view ``name``. Raises duckdb.Error when they cannot be read."""


@dataclass(frozen=True)
class ViewSource:
    """Files that a table function of DuckDB reads; ``call`` is that call as SQL."""

    kind: str
    version: str
    call: str

    def attach(self, database: duckdb.DuckDBPyConnection, name: str) -> None:
        """Create the temporary view."""
        database.execute(f'CREATE TEMP VIEW "{name}" AS SELECT * FROM {self.call}')


@dataclass(frozen=True)
class ObjectSource:
    """An Arrow object that DuckDB reads in place."""

    kind: str
    version: str
    rows: object = field(repr=False)

    def attach(self, database: duckdb.DuckDBPyConnection, name: str) -> None:
        """Register the object."""
        database.register(name, self.rows)


def detach(database: duckdb.DuckDBPyConnection, name: str) -> None:
    """Take away what `Source.attach` made, of whatever kind, with every reference to its rows."""
    database.unregister(name)
    database.execute(f'DROP VIEW IF EXISTS temp."{name}"')


def version_of(paths: Sequence[Path]) -> str:
    """Return the SHA-256 over the paths, sizes and modification times of files, in hexadecimal."""
    record = hashlib.sha256()
    for path in paths:
        state = path.stat()
        record.update(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return record.hexdigest()
