"""Columns of Arrow tables that fragments yield, as exact integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedsql.crypto.packing import Column, from_decimal128, from_int64


def wide(column: pa.ChunkedArray, width: int) -> Column:
    """Return an integer or decimal column as two's complement [rows, width]; NULL is zero."""
    array = combined(column)
    if pa.types.is_decimal(array.type):
        if not pa.types.is_decimal128(array.type):
            array = array.cast(pa.decimal128(38, array.type.scale))
        values = pc.is_valid(array).to_numpy(zero_copy_only=False)
        data = array.buffers()[1]
        raw = np.frombuffer(data, np.uint8).reshape(-1, 16)[array.offset : array.offset + len(array)]
        cleared = np.where(values[:, None], raw, 0).astype(np.uint8)
        return from_decimal128(cleared.tobytes(), width)
    return from_int64(int64(column), width)


def int64(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return an integer column [rows]; NULL is zero. Raises what Arrow does where a value needs more than 64 bits."""
    array = combined(column)
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.int64())
    filled: Any = pc.fill_null(array.cast(pa.int64()), 0)
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.int64)


def combined(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece."""
    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)
