"""From the columns of an answer to Python values, the same for the DB-API and the shell.

DuckDB hands HUGEINT to Arrow as a decimal: here it is a whole number again. Nanoseconds, which Python's datetime does
not have, are cut to microseconds; an INTERVAL is a timedelta with months of 30 days, as DuckDB's own client has it.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

Columns = Sequence[tuple[str, str]]  # (name, DuckDB type)


def rows_of(table: pa.Table, columns: Columns) -> list[tuple[Any, ...]]:
    """Return the rows of ``table``, whose columns have DuckDB's types ``columns``, as tuples of Python values."""
    if not columns:
        return []
    values = [_column(column, type_) for column, (_, type_) in zip(table.columns, columns, strict=True)]
    return list(zip(*values, strict=True))


def whole_numbers(table: pa.Table, columns: Columns) -> pa.Table:
    """Return ``table`` with each HUGEINT column as int64 where all its values fit, for consumers without decimals."""
    for index, (name, type_) in enumerate(columns):
        if type_ in ("HUGEINT", "UHUGEINT"):
            try:
                table = table.set_column(index, name, table.column(index).cast(pa.int64()))
            except pa.ArrowInvalid:
                continue
    return table


def _column(column: pa.ChunkedArray, type_: str) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    elif pa.types.is_time64(kind) and kind.unit == "ns":
        column = column.cast(pa.time64("us"), safe=False)
    values: list[Any] = column.to_pylist()
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
