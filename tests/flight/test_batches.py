from __future__ import annotations

import pyarrow as pa
import pytest

from fedsql.flight.batches import LARGEST, reader_of


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"a": list(range(10))}),
        pa.table({"a": pa.array([], pa.int32())}),
        pa.table({"a": ["x" * 1000] * 20_000, "b": list(range(20_000))}),
        pa.table({"a": ["x" * (LARGEST + 1), "y", "z" * LARGEST]}),
        pa.table({"d": pa.array(["a", "b"] * 100_000).dictionary_encode(), "n": [None, 1] * 100_000}),
        pa.chunked_array([[1, 2], [3]]) and pa.table({"a": pa.chunked_array([[1, 2], [3]])}),
    ],
)
def test_batches_are_small_and_all_rows_come(table: pa.Table) -> None:
    batches = list(reader_of(table))
    assert pa.Table.from_batches(batches, table.schema).equals(table)
    for batch in batches:
        assert batch.num_rows == 1 or sum(c.nbytes for c in batch.columns) <= LARGEST + 1000


def test_no_columns() -> None:
    assert list(reader_of(pa.table({}))) == []
