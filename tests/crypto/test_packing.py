"""Columns compute as Python integers modulo 2^(8 * width), and layouts carry sums of packed vectors unharmed."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsql.crypto import packing
from fedsql.crypto.packing import Layout, add_columns, from_ints, resize, shift_left, subtract_columns, to_ints
from fedsql.errors import ProtocolError

widths = st.integers(1, packing.MAX_WIDTH)
edges = [0, 1, -1, 127, -128, 2**31, 2**32 - 1, -(2**32)]


def signed(width: int) -> st.SearchStrategy[int]:
    low, high = -(1 << (8 * width - 1)), (1 << (8 * width - 1)) - 1
    return st.integers(low, high) | st.sampled_from([v for v in [*edges, low, high] if low <= v <= high])


def wrap(value: int, width: int) -> int:
    half = 1 << (8 * width - 1)
    return (value + half) % (2 * half) - half


@st.composite
def two_columns(draw: st.DrawFn) -> tuple[int, list[int], list[int]]:
    width = draw(widths)
    pairs = draw(st.lists(st.tuples(signed(width), signed(width)), max_size=20))
    return width, [a for a, _ in pairs], [b for _, b in pairs]


@given(two_columns())
def test_arithmetic_is_that_of_integers_modulo_the_width(case: tuple[int, list[int], list[int]]) -> None:
    width, a, b = case
    left, right = from_ints(a, width), from_ints(b, width)
    assert to_ints(left) == a
    assert to_ints(left, signed=False) == [x % (1 << 8 * width) for x in a]
    assert to_ints(add_columns(left, right)) == [wrap(x + y, width) for x, y in zip(a, b, strict=True)]
    assert to_ints(subtract_columns(left, right)) == [wrap(x - y, width) for x, y in zip(a, b, strict=True)]


@given(two_columns(), st.integers(0, packing.MAX_WIDTH + 1))
def test_shift(case: tuple[int, list[int], list[int]], count: int) -> None:
    width, a, _ = case
    assert to_ints(shift_left(from_ints(a, width), 8 * count)) == [wrap(x << 8 * count, width) for x in a]


@pytest.mark.parametrize("bits", [1, 63, -8])
def test_shift_by_parts_of_bytes_is_refused(bits: int) -> None:
    with pytest.raises(ValueError, match="whole bytes"):
        shift_left(from_ints([1], 8), bits)


@given(two_columns(), widths)
def test_resize_keeps_the_value_or_refuses(case: tuple[int, list[int], list[int]], width: int) -> None:
    old, a, _ = case
    if all(wrap(x, width) == x for x in a):
        assert to_ints(resize(from_ints(a, old), width)) == a
    else:
        with pytest.raises(ValueError, match=f"does not fit {width} bytes"):
            resize(from_ints(a, old), width)


@given(st.lists(signed(8), max_size=20), st.integers(8, 40))
def test_int64(values: list[int], width: int) -> None:
    assert to_ints(packing.from_int64(np.array(values, dtype=np.int64), width)) == values


def test_int64_of_other_strides_and_too_narrow() -> None:
    array = np.arange(-6, 6, dtype=np.int64)[::2]
    assert to_ints(packing.from_int64(array, 1)) == [-6, -4, -2, 0, 2, 4]
    for value in (128, -129, 1 << 40):
        with pytest.raises(ValueError, match="does not fit 1 bytes"):
            packing.from_int64(np.array([0, value]), 1)


def test_decimal128_buffers_of_arrow() -> None:
    values = [Decimal("-1.50"), Decimal("99999999999999999999999999999999.99"), Decimal("0.01")]
    buffer = pa.array(values, type=pa.decimal128(38, 2)).buffers()[1]
    for width in (16, 24):
        assert to_ints(packing.from_decimal128(buffer, width)) == [-150, 10**34 - 1, 1]
    with pytest.raises(ValueError, match="does not fit 8 bytes"):
        packing.from_decimal128(buffer, 8)


@pytest.mark.parametrize(("value", "width"), [(128, 1), (-129, 1), (1 << 63, 8), (1 << 319, 40)])
def test_ints_that_do_not_fit_are_refused_without_being_quoted(value: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"a value does not fit {width} bytes") as caught:
        from_ints([0, value], width)
    assert str(value) not in str(caught.value)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="do not add"):
        add_columns(from_ints([1, 2], 8), from_ints([1, 2], 4))


@st.composite
def vectors(draw: st.DrawFn) -> tuple[Layout, list[tuple[list[packing.Column], np.ndarray]]]:
    layout = Layout(draw(st.lists(widths, max_size=6)), draw(st.integers(0, 70)), draw(st.sampled_from([50, 255, 383])))
    generator = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    extreme = draw(st.booleans())  # all bytes 0xFF: the largest carries
    one: list[tuple[list[packing.Column], np.ndarray]] = []
    for _ in range(draw(st.integers(1, 4))):
        drawn = [generator.integers(0, 256, (layout.rows, w), dtype=np.uint8) | (255 * extreme) for w in layout.widths]
        checks = generator.integers(0, 1 << 64, layout.plaintexts, dtype=np.uint64)
        one.append(([c.astype(np.uint8) for c in drawn], checks))
    return layout, one


@given(vectors())
def test_sum_of_packed_is_packed_sum(case: tuple[Layout, list[tuple[list[packing.Column], np.ndarray]]]) -> None:
    layout, parts = case
    packed = [layout.pack(columns, checks) for columns, checks in parts]
    columns, checks = layout.unpack([sum(each) for each in zip(*packed, strict=True)])
    expected, words = parts[0]
    for more, more_words in parts[1:]:
        expected, words = [add_columns(a, b) for a, b in zip(expected, more, strict=True)], words + more_words
    assert [c.tobytes() for c in columns] == [c.tobytes() for c in expected]
    assert checks.tolist() == words.tolist()


@pytest.mark.parametrize("width", [1, 8, 40])
def test_255_vectors_of_the_largest_values(width: int) -> None:
    layout = Layout([width], 300 // width, 255)
    full = np.full((layout.rows, width), 255, dtype=np.uint8)
    ones = np.full(layout.plaintexts, (1 << 64) - 1, dtype=np.uint64)
    columns, checks = layout.unpack([255 * m for m in layout.pack([full], ones)])
    assert to_ints(columns[0]) == [-255 if width > 1 else 1] * layout.rows
    assert checks.tolist() == [2**64 - 255] * layout.plaintexts


def test_27_64_bit_values_in_a_2048_bit_plaintext() -> None:
    layout = Layout([8], 40_000, 2048 // 8 - 1)
    assert layout.plaintexts == -(-40_000 // 27)
    assert layout.plaintexts * 512 / 40_000 < 19


def test_columns_share_plaintexts_and_the_layout_is_as_documented() -> None:
    layout = Layout([2, 4], 3, 255)
    assert layout.plaintexts == 1
    (packed,) = layout.pack([from_ints([1, -1, 2], 2), from_ints([3, 4, -5], 4)], np.array([7], dtype=np.uint64))
    expected = "0700000000000000 00 0100 00 ffff 00 0200 00 03000000 00 04000000 00 fbffffff 00"
    assert packed == int.from_bytes(bytes.fromhex(expected), "little")


def test_an_empty_layout_still_has_a_check() -> None:
    layout = Layout([8, 16], 0, 255)
    columns, checks = layout.unpack(
        layout.pack([np.empty((0, 8), np.uint8), np.empty((0, 16), np.uint8)], np.array([9], np.uint64))
    )
    assert [c.shape for c in columns] == [(0, 8), (0, 16)]
    assert checks.tolist() == [9]


@pytest.mark.parametrize(("width", "size"), [(0, 255), (41, 255), (40, 49)])
def test_widths_that_fit_nowhere_are_refused(width: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"no slot of {width} bytes"):
        Layout([width], 1, size)


def test_pack_refuses_other_shapes() -> None:
    layout = Layout([8], 3, 255)
    with pytest.raises(ValueError, match="do not fit"):
        layout.pack([from_ints([1, 2], 8)], np.zeros(1, np.uint64))
    with pytest.raises(ValueError, match="do not fit"):
        layout.pack([from_ints([1, 2, 3], 8)], np.zeros(2, np.uint64))


def test_unpack_refuses_what_cannot_be_a_sum() -> None:
    layout = Layout([8], 30, 255)
    good = layout.pack([from_ints(range(30), 8)], np.zeros(2, np.uint64))
    layout.unpack(good)
    behind_the_last_slot = 1 << 8 * (9 + 3 * 9)
    for bad in (good[:1], [*good, 0], [1 << 8 * 255, good[1]], [good[0], good[1] + behind_the_last_slot], [-1, 0]):
        with pytest.raises(ProtocolError, match="a decrypted vector"):
            layout.unpack(bad)
