"""Results as they are streamed: in batches under 4 MB, for ADBC takes no message over 16 MB."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

LARGEST = 4 << 20  # bytes


def reader_of(table: pa.Table) -> pa.RecordBatchReader:
    """Return the rows of ``table`` in batches of at most `LARGEST` bytes, or of one row where that is larger.

    A reader, not a generator: pyarrow's GeneratorStream breaks dictionary columns.
    """
    return pa.RecordBatchReader.from_batches(table.schema, _sliced(table))


def _sliced(table: pa.Table) -> Iterator[pa.RecordBatch]:
    for batch in table.combine_chunks().to_batches() if table.num_columns else ():
        yield from _halves(batch)


def _halves(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    if batch.num_rows < 2 or _size(batch) <= LARGEST:
        yield batch
        return
    middle = batch.num_rows // 2
    yield from _halves(batch.slice(0, middle))
    yield from _halves(batch.slice(middle))


def _size(batch: pa.RecordBatch) -> int:
    """Return the bytes of the rows of a batch that may be a slice; dictionaries, which are sent once, not counted."""
    columns = [c.indices if pa.types.is_dictionary(c.type) else c for c in batch.columns]
    return sum(int(column.nbytes) for column in columns)
