"""Arrow IPC files (Feather version 2 is the same): mapped into memory, read in place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from fedsql.connectors.source import ObjectSource, version_of
from fedsql.errors import ConfigError

NAME = "arrow"
ENDINGS = (".arrow", ".feather", ".ipc", ".arrows")


def open_files(paths: Sequence[Path]) -> ObjectSource:
    """Return the rows of all ``paths``, which must have the same columns. Raises ConfigError if one is no Arrow file."""
    tables = [_table(path) for path in paths]
    if other := next(
        (
            p
            for p, t in zip(paths, tables, strict=True)
            if t.schema.remove_metadata() != tables[0].schema.remove_metadata()
        ),
        None,
    ):
        raise ConfigError(f"{other.name} has other columns or types than {paths[0].name}")
    return ObjectSource(NAME, version_of(paths), pa.concat_tables(tables))


def _table(path: Path) -> pa.Table:
    try:
        with pa.memory_map(str(path)) as mapped:
            try:
                return pa.ipc.open_file(mapped).read_all()
            except pa.ArrowInvalid:
                mapped.seek(0)
                return pa.ipc.open_stream(mapped).read_all()  # the streaming format, often called .arrows
    except pa.ArrowInvalid:
        raise ConfigError(f"{path.name} is not an Arrow IPC file") from None
