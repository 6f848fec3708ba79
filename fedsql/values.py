"""From the columns of an answer to Python values, the same for the DB-API and the shell.

DuckDB hands HUGEINT to Arrow as a decimal, and UUID as text: here they are an int and a uuid.UUID again, and a MAP is a
dict. Nanoseconds, which Python's datetime does not have, are cut to microseconds; an INTERVAL is a timedelta with months of
30 days, as DuckDB's own client has it.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fedsql.errors import DataError

Columns = Sequence[tuple[str, str]]  # (name, DuckDB type)


def rows_of(table: pa.Table, columns: Columns) -> list[tuple[Any, ...]]:
    """Return the rows of ``table``, whose columns have DuckDB's types ``columns``, as tuples of Python values.

    Raises DataError for a date or time that Python has no object for.
    """
    if not columns:
        return []
    values = []
    for column, (name, type_) in zip(table.columns, columns, strict=True):
        try:
            values.append(_column(column, type_))
        except (OverflowError, ValueError):
            raise DataError(
                f"{name} has a {type_} outside of Python's years 1 to 9999, or infinity",
                hint=f"CAST({name} AS VARCHAR) gives its text; fetch_arrow_table() all of them",
                sqlstate="22008",
            ) from None
    return list(zip(*values, strict=True))


def for_frames(table: pa.Table, columns: Columns) -> pa.Table:
    """Return ``table`` for data frames: HUGEINT as int64 where all its values fit, INTERVAL as a duration."""
    for index, (name, type_) in enumerate(columns):
        column = table.column(index)
        if type_ == "INTERVAL":
            table = table.set_column(index, name, pa.array(_column(column, type_), pa.duration("us")))
        elif type_ in ("HUGEINT", "UHUGEINT"):
            if type_ == "UHUGEINT" and pc.any(pc.less(column, 0)).as_py():
                continue  # from 2^127 on Arrow's decimal has wrapped around
            try:
                table = table.set_column(index, name, column.cast(pa.int64()))
            except pa.ArrowInvalid:
                continue
    return table


def _column(column: pa.ChunkedArray, type_: str) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    elif pa.types.is_time64(kind) and kind.unit == "ns":
        column = column.cast(pa.time64("us"), safe=False)
    values: list[Any] = column.to_pylist(maps_as_pydicts="lossy") if "MAP(" in type_ else column.to_pylist()
    if type_ == "UHUGEINT":
        return [None if value is None else int(value) % 2**128 for value in values]
    if type_ == "UUID":
        return [None if value is None else uuid.UUID(value) for value in values]
    if "HUGEINT" in type_ or "INTERVAL" in type_:
        return [_restored(value) for value in values]
    return values


def _restored(value: Any) -> Any:
    """Return a value of a type with HUGEINT or INTERVAL in it: DECIMAL(n,0) beside them becomes an int, too."""
    if isinstance(value, Decimal) and value.as_tuple().exponent == 0:
        return int(value)
    if isinstance(value, pa.MonthDayNano):
        return datetime.timedelta(days=30 * value.months + value.days, microseconds=value.nanoseconds // 1000)
    if isinstance(value, Mapping):
        return {key: _restored(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_restored(inner) for inner in value)
    return value
