"""Parquet files: read by DuckDB, only the columns that are wanted. `key=value` folders become columns."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from fedsql.connectors.source import ViewSource, version_of

NAME = "parquet"
ENDINGS = (".parquet", ".parq", ".pq")


def open_files(paths: Sequence[Path]) -> ViewSource:
    """Return the rows of all ``paths``, which must have the same columns."""
    return ViewSource(NAME, version_of(paths), f"read_parquet([{literals(paths)}])")


def literals(paths: Sequence[Path]) -> str:
    """Return the paths as SQL texts that DuckDB takes as they are: neither quotes nor glob signs mean anything."""
    return ", ".join("'" + glob.escape(str(path)).replace("'", "''") + "'" for path in paths)
