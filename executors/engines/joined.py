"""From the rows that a fragment of a private join yields (see `planner.joint`) to what its protocol takes.

Keys stay texts, as bytes; labels are numbered; own columns become words, in which NULL is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fedsql.crypto.matching import Keys
from fedsql.crypto.words import Words, of_column, of_int64, resized
from fedsql.errors import InternalError
from fedsql.executors.engines.columns import combined, int64, wide
from fedsql.executors.protocol.join_tables import AnchorTable, Numbers, ProviderTable
from fedsql.executors.protocol.outline import Label
from fedsql.planner.joint import JoinPlan, LinkPlan


def read_joined(table: pa.Table, plan: JoinPlan, party: str) -> AnchorTable | ProviderTable:
    """Return what the fragment of ``party`` yielded. Raises InternalError when it is not what was planned."""
    return _anchor(table, plan) if party in plan.anchors else _provider(table, plan.link(party))


def _anchor(table: pa.Table, plan: JoinPlan) -> AnchorTable:
    kept = _flags(table, "kept")
    labels, groups = _labelled(table, plan.keys, kept)
    keys = [_keys(_bytes(table, f"key_{number}")) for number in range(len(plan.links))]
    columns = [_words(table, f"x{j}", limbs) for j, limbs in enumerate(plan.own)]
    return AnchorTable(labels, np.where(kept, groups, -1), keys, columns)


def _provider(table: pa.Table, link: LinkPlan) -> ProviderTable:
    absent = _flags(table, "absent")
    if int(absent.sum()) != (not link.inner):
        raise InternalError("the fragment of a private join has not one row of what matches nothing")
    rows, nothing = table.filter(pa.array(~absent)), table.filter(pa.array(absent))
    encoded = _bytes(rows, "key").dictionary_encode()
    places = _numbers(encoded)
    labels, groups = _labelled(rows, link.keys, places >= 0, _labels(nothing, link.keys))
    if not link.keys:  # one group value, also where no row has a key
        labels, groups = [()], np.zeros(rows.num_rows, np.int64)
    columns, of_nothing = (
        [_words(each, f"y{j}", limbs) for j, limbs in enumerate(link.limbs)] for each in (rows, nothing)
    )
    # As many keys as rows: so their number does not tell how many are NULL, or equal.
    keys = _keys(encoded.dictionary).padded(rows.num_rows)
    return ProviderTable(keys, places, labels, groups, columns, [] if link.inner else of_nothing)


def _labelled(
    table: pa.Table, keys: Sequence[int], rows: NDArray[np.bool_], first: Sequence[Label] = ()
) -> tuple[list[Label], Numbers]:
    """Return the distinct labels, of the ``keys`` at these places of the release, of some ``rows``; and the number of each row's.

    Labels begin with those in ``first``; -1 is the number of a row whose label is none of them.
    """
    numbers = np.zeros(table.num_rows, np.int64)
    for place, key in enumerate(keys):
        encoded = combined(table.column(f"k{key}")).dictionary_encode("encode")
        numbers = numbers * len(encoded.dictionary) + _numbers(encoded)
        if place:  # the numbers of the first key are as small as they can be
            _, numbers = np.unique(numbers, return_inverse=True)
    there = np.flatnonzero(rows)[::-1]
    example = np.full(int(numbers.max(initial=0)) + 1, -1, np.int64)
    example[numbers[there]] = there  # of several rows the one that is written last stays
    distinct = np.flatnonzero(example >= 0)
    found = _labels(table.take(pa.array(example[distinct])), keys)
    labels = list(dict.fromkeys([*first, *found]))
    index = {label: i for i, label in enumerate(labels)}
    number_of = np.full(len(example), -1, np.int64)
    number_of[distinct] = [index[label] for label in found]
    return labels, number_of[numbers]


def _labels(table: pa.Table, keys: Sequence[int]) -> list[Label]:
    """Return the label of each row."""
    return list(zip(*(table.column(f"k{key}").to_pylist() for key in keys), strict=True)) or [()] * table.num_rows


def _bytes(table: pa.Table, name: str) -> pa.Array:
    """Return a column of texts, as bytes."""
    return combined(table.column(name).cast(pa.large_binary()))


def _keys(array: pa.Array) -> Keys:
    """Return an array of bytes as join keys."""
    _, ends, data = array.buffers()
    offsets = np.frombuffer(ends, np.int64)[array.offset : array.offset + len(array) + 1]
    known = np.asarray(array.is_valid().to_numpy(zero_copy_only=False), bool)
    return Keys(np.frombuffer(data or b"", np.uint8), offsets, known)


def _numbers(encoded: pa.DictionaryArray) -> Numbers:
    """Return the number of each row's value in the dictionary, -1 for NULL."""
    filled: Any = pc.fill_null(encoded.indices.cast(pa.int64()), -1)
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.int64)


def _flags(table: pa.Table, name: str) -> NDArray[np.bool_]:
    """Return a column of truth values; NULL is false."""
    filled: Any = pc.fill_null(combined(table.column(name)), False)
    return np.asarray(filled.to_numpy(zero_copy_only=False), bool)


def _words(table: pa.Table, name: str, limbs: int) -> Words:
    """Return an integer column, NULL as 0, modulo 2^(64 * limbs)."""
    column = table.column(name)
    if limbs == 1 and pa.types.is_integer(column.type):
        return of_int64(int64(column), limbs)
    return resized(of_column(wide(column, 16)), limbs)
