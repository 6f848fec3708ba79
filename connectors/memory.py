"""Objects in memory, for federations made in Python: anything with Arrow's stream interface (Arrow, pandas, polars)."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import pyarrow as pa

from fedsql.connectors.source import ObjectSource
from fedsql.errors import ConfigError

NAME = "memory"


def open_object(value: Any) -> ObjectSource:
    """Return the rows of an Arrow table, reader, pandas or polars data frame, or whatever speaks Arrow's C stream.

    A table's version is a digest of its contents; a reader, which can be read only once, gets a random one. Raises
    ConfigError for an object that cannot become Arrow, without saying which value is to blame.
    """
    if isinstance(value, pa.RecordBatchReader):
        return ObjectSource(NAME, secrets.token_hex(32), value)
    try:
        table = value if isinstance(value, pa.Table) else pa.table(value)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ConfigError(f"{type(value).__name__} cannot become an Arrow table ({type(error).__name__})") from None
    return ObjectSource(NAME, _digest(table), table)


def _digest(table: pa.Table) -> str:
    """Return the SHA-256 of the table in Arrow's streaming format, in hexadecimal."""
    sink = _Hashing()
    with pa.PythonFile(sink, mode="w") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    return sink.record.hexdigest()


class _Hashing:
    """A file that keeps nothing of what is written but its hash."""

    closed = False

    def __init__(self) -> None:
        self.record = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Hash ``data``."""
        self.record.update(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: there is no buffer."""

    def close(self) -> None:
        """Do nothing: pyarrow closes what it opened."""
