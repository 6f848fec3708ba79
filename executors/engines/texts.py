"""Tables of texts: DuckDB's text of each value, with the column's DuckDB type beside it.

So rows go into another DuckDB: those of public tables, and those that an earlier stage released. Arrow's own types would
not do, for they have no HUGEINT, and an INTERVAL or a time zone comes back as another. DuckDB's text comes back exactly,
is the same on every machine, and so a digest can stand for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fedsql.codec import decode, encode
from fedsql.planner.question import StageInput
from fedsql.types import quoted

Columns = Sequence[tuple[str, str]]  # (name, DuckDB's text of the type)


def text_table(columns: Columns, values: Iterable[pa.Array]) -> pa.Table:
    """Return a table of texts; ``values`` has an array of text for each column."""
    fields = [pa.field(name, pa.large_string(), metadata={"type": type_}) for name, type_ in columns]
    return pa.table(list(values), schema=pa.schema(fields))


def of_input(given: StageInput) -> pa.Table:
    """Return a stage input as a table of texts; each of its rows has a value for each column."""
    values = zip(*given.rows, strict=True) if given.rows else [()] * len(given.columns)
    return text_table(given.columns, (pa.array(each, pa.large_string()) for each in values))


def columns_of(table: pa.Table) -> tuple[tuple[str, str], ...]:
    """Return the columns of a table of texts."""
    return tuple((each.name, each.metadata[b"type"].decode()) for each in table.schema)


def read(database: duckdb.DuckDBPyConnection, relation: str) -> pa.Table:
    """Return the rows of ``relation`` (SQL) as texts, in their stored order."""
    columns = [(name, type_) for name, type_, *_ in database.execute(f"DESCRIBE {relation}").fetchall()]
    listed = ", ".join(f"CAST({quoted(name)} AS VARCHAR) AS c{i}" for i, (name, _) in enumerate(columns))
    found = database.sql(f"SELECT {listed} FROM {relation}").to_arrow_table()
    return text_table(columns, (column.cast(pa.large_string()).combine_chunks() for column in found.columns))


def create(cursor: duckdb.DuckDBPyConnection, what: str, table: pa.Table) -> None:
    """Create ``what`` (SQL, such as "TEMP TABLE x") with the rows of a table of texts, in their own types.

    Raises ValueError where the text of a type is not DuckDB's own, so that nothing else can stand there, and
    duckdb.Error where a value is none of its type.
    """
    items = []
    for i, (name, type_) in enumerate(columns_of(table)):
        try:
            known = str(cursor.sqltype(type_)) == type_
        except duckdb.Error:
            known = False
        if not known:
            raise ValueError(f"not the name of a type: {type_}")
        items.append(f"CAST(c{i} AS {type_}) AS {quoted(name)}")
    cursor.register("_texts", table.rename_columns([f"c{i}" for i in range(table.num_columns)]))
    try:
        cursor.execute(f"CREATE {what} AS SELECT {', '.join(items)} FROM _texts")
    finally:
        cursor.unregister("_texts")


def packed(table: pa.Table) -> bytes:
    """Return the bytes of a table of texts: equal tables have equal ones, whoever makes them, wherever."""
    return encode([[name, type_, *_parts(table.column(i))] for i, (name, type_) in enumerate(columns_of(table))])


def unpacked(data: bytes) -> pa.Table:
    """Return the table of texts that `packed` was given. Raises ValueError when it cannot be one."""
    try:
        found = [((str(name), str(type_)), _array(lengths, text)) for name, type_, lengths, text in decode(data)]
        return text_table([column for column, _ in found], [array for _, array in found])
    except (TypeError, pa.ArrowException) as error:
        raise ValueError("not the rows of a table") from error


def _parts(column: pa.ChunkedArray) -> tuple[bytes, bytes]:
    """Return the length of each text in bytes (int32 little-endian, -1: NULL), and all of them one after the other."""
    lengths: Any = pc.fill_null(pc.binary_length(column), -1)
    held = pc.drop_null(column).combine_chunks()
    text = b""
    if len(held):
        _, offsets, whole = held.buffers()
        begin, end = np.frombuffer(offsets, "<i8")[[held.offset, held.offset + len(held)]].tolist()
        text = whole[begin:end].to_pybytes() if end > begin else b""
    return lengths.to_numpy().astype("<i4").tobytes(), text


def _array(lengths: bytes, text: bytes) -> pa.Array:
    sizes = np.frombuffer(lengths, "<i4")
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(np.maximum(sizes, 0), out=offsets[1:])
    if offsets[-1] != len(text):
        raise ValueError("the lengths of texts do not add up")
    valid = np.packbits(sizes >= 0, bitorder="little")
    buffers = [pa.py_buffer(each) for each in (valid, offsets, text)]
    array = pa.Array.from_buffers(pa.large_string(), len(sizes), buffers)
    array.validate(full=True)
    return array
