"""From a fragment's Arrow table to labels, counts and columns of exact integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedsql.crypto.circuit import Bits
from fedsql.crypto.packing import (
    Column,
    add_columns,
    from_int64,
    from_ints,
    resize,
    shift_left,
    to_ints,
)
from fedsql.errors import InternalError
from fedsql.executors.engines.columns import combined, int64, wide
from fedsql.executors.protocol.outline import GroupPartials, Ranks
from fedsql.executors.protocol.quantiles import check_counts, check_size
from fedsql.planner.ordered import Order
from fedsql.planner.partials import Partial
from fedsql.planner.plans import ReleasePlan
from fedsql.planner.quantiles import Rank
from fedsql.planner.question import StageInput
from fedsql.planner.siblings import TOLD, told_columns
from fedsql.privacy.tree import all_levels

_LARGEST = 1 << 52  # of a number that is compared, at one of at most 255 parties


def read_fragment(table: pa.Table, plan: ReleasePlan) -> GroupPartials:
    """Return what a fragment of ``plan`` yielded. NULL sums are zeros.

    Raises InternalError when a partial is larger than its declared limit: the slot could overflow.
    """
    keys = [table.column(key.name).to_pylist() for key in plan.release.keys]
    labels = list(zip(*keys, strict=True)) if keys else [()] * table.num_rows
    counts = np.zeros((table.num_rows, len(plan.tests)), np.int64)
    for index, test in enumerate(plan.tests):
        counts[:, index] = int64(table.column(test.name))
    placed = list(zip(plan.starts, plan.partials, strict=True))
    return GroupPartials(
        labels=labels,
        counts=counts,
        columns=[column for partial in plan.partials for column in _columns(table, partial)],
        cells=[plan.shown_by[partial.name] for partial in plan.partials for _ in range(partial.columns)],
        values={
            index: [texts or [] for texts in table.column(partial.name).to_pylist()]
            for index, partial in placed
            if partial.tagged
        },
        codes={
            index: _codes(table.column(partial.name), partial.order, partial.width)
            for index, partial in placed
            if partial.order is not None and partial.rank is None
        },
        ranks={
            index: _ranks(table.column(partial.name), partial.order, partial.rank)
            for index, partial in placed
            if partial.order is not None and partial.rank is not None
        },
    )


def _ranks(column: pa.ChunkedArray, order: Order, rank: Rank) -> Ranks:
    """Return what finds a value at a rank, from histograms (maps from wholes to counts) of each group."""
    check_size(len(column) * rank.values)
    upto = _histograms(column, order.low, rank.values).cumsum(axis=1)
    if upto.size and int(upto.max()) * rank.times > _LARGEST:
        raise InternalError("there are too many rows for the digits of a quantile")
    return Ranks(rank.times * upto[:, :-1] - rank.less * upto[:, -1:], rank.threshold)


def _histograms(column: pa.ChunkedArray, low: int, size: int) -> NDArray[np.int64]:
    """Return maps from wholes to counts as counts [groups, size] of the wholes from ``low`` on."""
    maps, rows = combined(column), len(column)
    offsets = maps.offsets.to_numpy()
    groups = np.repeat(np.arange(rows), np.diff(offsets))
    inside = slice(int(offsets[0]), int(offsets[-1])) if len(offsets) else slice(0, 0)
    values = maps.keys.to_numpy(zero_copy_only=False)[inside] - low
    if len(values) and not (values.min() >= 0 and values.max() < size):
        raise InternalError("a value is outside of its declared bounds")
    counts = np.zeros((rows, size), np.int64)
    counts[groups, values] = maps.items.to_numpy(zero_copy_only=False)[inside].astype(np.int64)
    return counts


def _codes(column: pa.ChunkedArray, order: Order, width: int) -> Column:
    """Return the codes of values, 0 for NULL. Raises InternalError for a value that has none."""
    wholes = _float_wholes(column) if order.is_float else to_ints(wide(column, 17))
    valid = pc.is_valid(combined(column)).to_pylist()
    most = order.high - order.low + 1
    codes = [
        (whole - order.low + 1 if order.upwards else order.high + 1 - whole) if there else 0
        for whole, there in zip(wholes, valid, strict=True)
    ]
    if not all(there <= code <= most for code, there in zip(codes, valid, strict=True)):
        raise InternalError("a value is outside of its declared bounds")
    return from_ints(codes, width + 1)[:, :width]  # a code has no sign


def _float_wholes(column: pa.ChunkedArray) -> list[int]:
    """Return the bits of doubles, turned so that they grow with them (see `planner.ordered`)."""
    filled: Any = pc.fill_null(combined(column), 0.0)
    bits = np.asarray(filled.to_numpy(zero_copy_only=False), np.float64).view(np.int64)
    wholes: list[int] = np.where(bits < 0, bits ^ np.int64(0x7FFFFFFFFFFFFFFF), bits).tolist()
    return wholes


def told_groups(plan: ReleasePlan, part: GroupPartials, shown: Bits) -> StageInput:
    """Return a party's own groups of ``plan`` that are shown, and which of their cells, for a fragment of a sibling."""
    rows = tuple(
        (*part.labels[group], "true", *("true" if cell else "false" for cell in shown.cells[group]))
        for group in np.flatnonzero(shown.survive).tolist()
    )
    columns = told_columns(len(plan.release.keys), shown.cells.shape[1])
    return StageInput(f"{TOLD}{plan.number}", columns, rows)


def _columns(table: pa.Table, partial: Partial) -> list[Column]:
    """Return the columns of a partial: zeros where its values are shared or tagged."""
    if partial.ranges is not None:
        check_counts(table.num_rows * partial.columns)
        finest = _histograms(table.column(partial.name), 0, partial.ranges.count)
        counts = from_int64(all_levels(partial.ranges.sizes, finest).ravel(), partial.width)
        return list(counts.reshape(table.num_rows, partial.columns, partial.width).swapaxes(0, 1))
    if not partial.sql or partial.tagged or partial.order is not None:
        return [np.zeros((table.num_rows, partial.width), np.uint8)]
    return [_column(table, partial)]


def _column(table: pa.Table, partial: Partial) -> Column:
    if len(partial.sql) == 1:
        whole = wide(table.column(partial.name), max(partial.width, 16))
    else:
        width = max(partial.width, 25)
        high = shift_left(wide(table.column(f"{partial.name}_high"), width), 64)
        whole = add_columns(high, wide(table.column(f"{partial.name}_low"), width))
    try:
        narrow = resize(whole, partial.width)
    except ValueError:
        raise InternalError("a partial is larger than its declared limit") from None
    _check_limit(narrow, partial.limit)
    return narrow


def _check_limit(column: Column, limit: int) -> None:
    """Compare the top eight bytes, rounded towards the limit: enough to keep the sum inside its slot."""
    width = column.shape[1]
    shift = max(0, 8 * (width - 8))
    top = resize(column[:, shift // 8 :], 8) if width > 8 else resize(column, 8)
    values = np.ascontiguousarray(top).view("<i8").reshape(-1)
    bound = min(limit >> shift, 2**63 - 2) + 1
    if len(values) and (int(values.max()) > bound or int(values.min()) < -bound):
        raise InternalError("a partial is larger than its declared limit")
