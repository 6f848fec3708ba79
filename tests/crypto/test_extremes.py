"""The largest number on shares, both computing parties in lockstep without messages, against the maximum itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from fedsql.crypto import extremes
from fedsql.crypto.extremes import Shape


def columns(numbers, bits):
    """Return numbers [inputs][slots] as unsigned columns."""
    width = -(-bits // 8)
    return [
        np.frombuffer(b"".join(n.to_bytes(width, "little") for n in row), np.uint8).reshape(-1, width)
        for row in numbers
    ]


def dealt(shape, number=1):
    rng = np.random.default_rng(number)
    one, two = rng.bytes(32), rng.bytes(32)
    return extremes.hold(shape, one), extremes.hold(shape, two, extremes.deal(shape, one, two))


def lockstep(numbers, bits, number=1):
    """Return the largest of each slot, and everything that was opened."""
    planes = np.stack([extremes.planes_of(column, bits) for column in columns(numbers, bits)])
    shape = Shape(len(numbers), bits, planes.shape[2])
    mine = np.frombuffer(np.random.default_rng(number).bytes(planes.size), np.uint8).reshape(planes.shape)
    both = [
        extremes.largest(share, triples, first)
        for share, triples, first in zip((mine, planes ^ mine), dealt(shape, number), (True, False), strict=True)
    ]
    opened, shares, masked = [], [], [next(steps) for steps in both]
    while not shares:
        assert masked[0].shape == masked[1].shape
        opened.append(masked[0] ^ masked[1])
        masked = []
        for steps in both:
            try:
                masked.append(steps.send(opened[-1]))
            except StopIteration as stop:
                shares.append(stop.value)
    assert len(shares) == 2
    assert len(opened) == shape.rounds
    column = extremes.column_of(shares[0] ^ shares[1], len(numbers[0]), -(-bits // 8))
    return [int.from_bytes(row.tobytes(), "little") for row in column], opened, shares


@st.composite
def inputs(draw):
    bits = draw(st.sampled_from([1, 2, 3, 8, 33, 64, 129]))
    number = st.integers(0, (1 << bits) - 1) | st.sampled_from([0, (1 << bits) - 1, 1 << (bits - 1)])
    slots = draw(st.integers(1, 17))
    return bits, draw(st.lists(st.lists(number, min_size=slots, max_size=slots), min_size=2, max_size=20))


@given(inputs(), st.integers(0, 2**32))
def test_the_largest_is_the_maximum(given_, number):
    bits, numbers = given_
    assert lockstep(numbers, bits, number)[0] == [max(column) for column in zip(*numbers, strict=True)]


def test_every_pair_of_small_numbers():
    pairs = [(x, y) for x in range(16) for y in range(16)]
    assert lockstep([[x for x, _ in pairs], [y for _, y in pairs]], 4)[0] == [max(pair) for pair in pairs]


@pytest.mark.parametrize("place", range(11))
def test_wherever_the_largest_is(place):
    numbers = [[7] * 3 for _ in range(11)]
    numbers[place] = [8, 7, 200]
    assert lockstep(numbers, 8)[0] == [8, 7, 200]


@pytest.mark.parametrize(
    ("inputs", "bits", "rounds"),
    [(2, 1, 2), (2, 64, 8), (3, 64, 9), (5, 64, 10), (8, 64, 11), (9, 64, 18), (64, 64, 22), (5, 7, 7), (5, 129, 12)],
)
def test_rounds_are_few(inputs, bits, rounds):
    assert Shape(inputs, bits, 1).rounds == rounds


def test_a_single_number_takes_nothing():
    shape = Shape(1, 9, 2)
    assert (shape.triples, shape.rounds) == (0, 0)


@pytest.mark.parametrize("slots", [1, 7, 8, 9])
def test_planes_are_the_bits_of_numbers(slots):
    numbers = [(37 * n + 5) % 512 for n in range(slots)]
    (column,) = columns([numbers], 9)
    planes = extremes.planes_of(column, 9)
    assert planes.shape == (9, -(-slots // 8))
    np.testing.assert_array_equal(extremes.column_of(planes, slots, 2), column)
    for bit in range(9):
        assert np.unpackbits(planes[bit], count=slots).tolist() == [n >> bit & 1 for n in numbers]
    assert extremes.planes_of(column, 30).shape == (30, -(-slots // 8))  # wider: zeros on top


def test_the_dealing_keeps_its_relation_and_the_stream_ends():
    shape = Shape(5, 12, 9)
    one, two = dealt(shape)
    (a1, b1, p1), (a2, b2, p2) = (each.take(shape.triples) for each in (one, two))
    np.testing.assert_array_equal((a1 ^ a2) & (b1 ^ b2), p1 ^ p2)
    with pytest.raises(ValueError, match="more triples"):
        one.take(1)


@pytest.mark.parametrize("wrong", [b"", b"\0"])
def test_a_correction_of_another_length_is_refused(wrong):
    with pytest.raises(ValueError, match="reshape"):
        extremes.hold(Shape(2, 3, 1), bytes(32), wrong)


def uniform(data):
    return chisquare(np.bincount(np.frombuffer(data.tobytes(), np.uint8), minlength=256)).pvalue


@pytest.mark.parametrize("value", [0, 5, 255])
def test_what_is_opened_and_each_share_look_uniform_whatever_the_numbers_are(value):
    numbers = [[value] * 40_000, [3] * 40_000, [value] * 40_000]
    _, opened, shares = lockstep(numbers, 8)
    for data in (*(part for each in opened for part in each), *shares):
        assert uniform(data) > 1e-6
    rows = [row for each in opened for row in each.reshape(-1, each.shape[-1])]
    for at, row in enumerate(rows):  # no mask twice
        assert all(uniform(row ^ other) > 1e-8 for other in rows[:at])
