"""Thresholds on shares, both computing parties in lockstep without messages; circuits against hand-written tables."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from fedsql.crypto import shares
from fedsql.crypto.circuit import Cell, Circuit, Rest, evaluate_clear, gates
from fedsql.crypto.shares import Shape, word_bits

FULL = Circuit((10, 2, 10, 1, 10), (0, 1), (Cell(2, (Rest(3, (4,)),)), Cell(2), Cell(None, (Rest(3, (4,)),)), Cell()))


def seeds(number):
    rng = np.random.default_rng(number)
    return rng.bytes(32), rng.bytes(32)


def dealt(shape, number=1):
    one, two = seeds(number)
    return shares.hold(shape, one), shares.hold(shape, two, shares.deal(shape, one, two))


def lockstep(shape, first_share, second_share, number=1):
    """Decide from two shares of sum - threshold, opening what the protocol opens."""
    both = list(zip(dealt(shape, number), (True, False), strict=True))
    z = first_share + both[0][0].offset + second_share + both[1][0].offset
    states = [shares.borrow_start(d, z, first) for d, first in both]
    for level in range(shape.levels):
        opened = states[0] ^ both[0][0].masks[level] ^ states[1] ^ both[1][0].masks[level]
        states = [shares.borrow_step(d, level, s, opened, first) for s, (d, first) in zip(states, both, strict=True)]
    signs = [shares.holds(d, z, s, first) for s, (d, first) in zip(states, both, strict=True)]
    wires = [np.vstack([sign, np.zeros((len(shape.gates.inputs), sign.shape[1]), np.uint8)]) for sign in signs]
    for level in range(len(shape.gates.levels)):
        inputs = [shares.gate_inputs(shape, d, level, w, first) for w, (d, first) in zip(wires, both, strict=True)]
        for w, (d, first) in zip(wires, both, strict=True):
            shares.gate_outputs(shape, d, level, w, inputs[0] ^ inputs[1], first)
    return shares.unpack(shape, shares.result(shape, wires[0], True) ^ shares.result(shape, wires[1], False))


def same(bits, wanted):
    np.testing.assert_array_equal(bits.survive, wanted.survive)
    np.testing.assert_array_equal(bits.cells, wanted.cells)


def uniform(data):
    """p-value of "the bytes of data are uniform"."""
    return chisquare(np.bincount(np.frombuffer(bytes(data), np.uint8), minlength=256)).pvalue


@pytest.mark.parametrize(
    ("parties", "thresholds", "bits"),
    [
        (2, (1,), 8),
        (5, (10, 2), 8),
        (11, (10,), 8),
        (12, (10,), 16),  # 130 does not fit 7 bits
        (2, (42,), 8),
        (2, (43,), 16),
        (50, (100,), 16),
        (2, (100_000, 1), 32),
        (2, (1 << 40,), 64),
    ],
)
def test_words_are_as_narrow_as_the_clamped_sums_allow(parties, thresholds, bits):
    assert word_bits(parties, thresholds) == bits


def test_thresholds_too_large_for_any_word_are_refused():
    with pytest.raises(ValueError, match="too large"):
        word_bits(2, (1 << 62,))
    with pytest.raises(ValueError, match="too large"):
        _ = Shape(Circuit((1 << 62,), (0,), noisy=True), 1, 1).dtype


@pytest.mark.parametrize(
    "arguments",
    [
        ((), (0,)),
        ((10,), ()),
        ((0,), (0,)),
        ((10,), (1,)),
        ((10,), (-1,)),
        ((10,), (0,), (Cell(1),)),
        ((10,), (0,), (Cell(0, (Rest(1),)),)),
        ((10,), (0,), (), (Rest(0, (1,)),)),
    ],
)
def test_circuits_that_say_nothing_sensible_are_refused(arguments):
    with pytest.raises(ValueError):
        Circuit(*arguments)


def test_clear_evaluation_follows_the_definition():
    #        units parties enough rest>=1 rest>=10 | survives, then the four cells of FULL
    table = [
        ((10, 2, 10, 0, 0), (1, 1, 1, 1, 1)),
        ((9, 2, 10, 0, 0), (0, 0, 0, 0, 0)),
        ((10, 1, 10, 0, 0), (0, 0, 0, 0, 0)),
        ((20, 2, 9, 11, 11), (1, 0, 0, 1, 1)),  # too few in the cell
        ((20, 2, 19, 1, 1), (1, 0, 1, 0, 1)),  # the rest is one
        ((20, 3, 11, 9, 9), (1, 0, 1, 0, 1)),
        ((20, 3, 10, 10, 10), (1, 1, 1, 1, 1)),
    ]
    bits = evaluate_clear(FULL, np.array([row for row, _ in table]))
    np.testing.assert_array_equal(np.column_stack([bits.survive, bits.cells]), [wanted for _, wanted in table])


def test_what_is_left_is_nothing_or_enough_of_everything():
    #                                                    units, left >= 1, left >= 10, parties of it
    circuit = Circuit((10, 1, 10, 2), (0,), (Cell(), Cell(None, (Rest(3),))), (Rest(1, (2, 3)),))
    table = [
        ((10, 0, 0, 0), (1, 1, 1)),
        ((10, 9, 9, 2), (0, 0, 0)),
        ((20, 10, 10, 1), (0, 0, 0)),  # of one party alone
        ((20, 10, 10, 2), (1, 1, 0)),  # where nothing may be left, something is
        ((9, 0, 0, 0), (0, 0, 0)),
    ]
    bits = evaluate_clear(circuit, np.array([row for row, _ in table]))
    np.testing.assert_array_equal(np.column_stack([bits.survive, bits.cells]), [wanted for _, wanted in table])


@pytest.mark.parametrize(
    ("circuit", "rounds", "ands"),
    [
        (Circuit((10,), (0,)), 0, 0),
        (Circuit((10,), (0,), (Cell(),)), 0, 0),
        (Circuit((10, 2), (0, 1)), 1, 1),
        (Circuit((10, 2, 3, 4), (0, 1, 2, 3)), 2, 3),
        (Circuit((10, 10), (0,), (Cell(1),)), 1, 1),
        (Circuit((10, 2, 10), (0, 1), (Cell(2),)), 2, 2),
        (Circuit((10, 10, 1, 10), (0,), (Cell(1, (Rest(2, (3,)),)),)), 2, 3),
        (Circuit((10, 2, 1, 10), (0, 1), (Cell(None, (Rest(2, (3,)),)),)), 2, 3),
        (
            Circuit((10, 2, 10, 1, 10), (0, 1), (Cell(2, (Rest(3, (4,)),)), Cell(2, (Rest(3, (4,)),)))),
            3,
            4,
        ),  # equal cells share their gates
        (Circuit((10, 1, 10, 2), (0,), (), (Rest(1, (2, 3)),)), 3, 3),
        (Circuit((10, 1), (0,), (), (Rest(1),)), 1, 1),
        (FULL, 3, 5),
    ],
)
def test_circuits_compile_to_the_fewest_rounds(circuit, rounds, ands):
    compiled = gates(circuit)
    assert len(compiled.levels) == rounds
    assert len(compiled.inputs) == ands
    assert sorted(itertools.chain(*compiled.levels)) == list(range(ands))


def test_every_combination_of_tests_gives_the_defined_bits():
    sums = np.array(list(itertools.product(*((t - 1, t) for t in FULL.tests))))
    shape = Shape(FULL, len(sums), 2)
    rng = np.random.default_rng(3)
    mine = rng.integers(0, 256, shape.words).astype(shape.dtype)
    rest = (sums - np.array(FULL.tests)).T.astype(shape.dtype) - mine
    same(lockstep(shape, mine, rest), evaluate_clear(FULL, sums))


def test_every_byte_is_compared_right_under_many_masks():
    slots = 128 * 400
    shape = Shape(Circuit((42,), (0,)), slots, 2)
    assert shape.dtype.itemsize == 1
    x = np.arange(slots) % 256 - 128  # all that a word can hold, wider than what sums reach
    bits = lockstep(shape, np.zeros(shape.words, shape.dtype), x[None].astype(shape.dtype))
    np.testing.assert_array_equal(bits.survive, x >= 0)


@given(st.sampled_from([8, 16, 32, 64]), st.data(), st.integers(0, 2**32))
def test_all_word_widths_compare_right(width, data, number):
    threshold = {8: 1, 16: 1000, 32: 10**6, 64: 10**12}[width]
    edge = st.sampled_from([-(1 << (width - 1)), -1, 0, 1, (1 << (width - 1)) - 1])
    x = np.array(data.draw(st.lists(edge | st.integers(-(1 << (width - 1)), (1 << (width - 1)) - 1), min_size=1)))
    shape = Shape(Circuit((threshold,), (0,)), len(x), 2)
    assert 8 * shape.dtype.itemsize == width
    mine = np.frombuffer(np.random.default_rng(number).bytes(shape.size(1)), shape.dtype).reshape(shape.words)
    bits = lockstep(shape, mine, x[None].astype(shape.dtype) - mine, number)
    np.testing.assert_array_equal(bits.survive, x >= 0)


@pytest.mark.parametrize("threshold", [10, 1000, 10**6, 10**12])
def test_the_dealing_keeps_its_relations(threshold):
    shape = Shape(Circuit((threshold, 2, 1), (0, 1), (Cell(0, (Rest(2, (0,)),)),)), 77, 3)
    one, two = dealt(shape)
    r = one.bits ^ two.bits
    np.testing.assert_array_equal(one.offset + two.offset, r)
    products = one.products ^ two.products
    np.testing.assert_array_equal(products[0], r & (r << 1))
    for level, (a, b) in enumerate(one.masks ^ two.masks):
        np.testing.assert_array_equal(products[1 + 2 * level], a & (b << 2 ** (level + 1)))
        if level + 1 < shape.levels:
            np.testing.assert_array_equal(products[2 + 2 * level], a & (a << 2 ** (level + 1)))
    assert 2 ** (shape.levels + 1) == 8 * shape.dtype.itemsize
    left, right = one.gate_masks ^ two.gate_masks
    np.testing.assert_array_equal(left & right, one.gate_products ^ two.gate_products)


def test_neither_party_can_tell_the_mask_from_its_own_dealing():
    shape = Shape(Circuit((10,), (0,)), 40_000, 3)
    parts = dealt(shape)
    r = parts[0].bits ^ parts[1].bits
    for part in parts:
        for guess in (part.bits, part.offset, *part.products, *part.masks.reshape(-1, *shape.words)):
            assert uniform(r - guess) > 1e-4
            assert uniform(r ^ guess) > 1e-4
    masks = (parts[0].masks ^ parts[1].masks).reshape(-1, *shape.words)
    for mask, part in itertools.product(masks, parts):
        for guess in (part.bits, part.offset, *part.products, *part.masks.reshape(-1, *shape.words)):
            assert uniform(mask ^ guess) > 1e-4


def test_split_shares_add_up_to_the_clamped_counts():
    shape = Shape(Circuit((10, 3), (0, 1)), 4, 3)
    counts = np.array([[0, 0], [9, 2], [10, 3], [2**62, 77]])
    seed, _ = seeds(5)
    np.testing.assert_array_equal(
        shares.pad(shape, seed) + shares.split(shape, counts, seed), [[0, 9, 10, 10], [0, 2, 3, 3]]
    )


def test_noisy_counts_stay_negative_and_bounded():
    shape = Shape(Circuit((10,), (0,), noisy=True), 4, 4)
    counts = np.array([[-5], [2**63 - 1], [-(2**63)], [3]])
    assert shape.dtype.itemsize == 8
    np.testing.assert_array_equal(shares.clamp(shape, counts).astype(np.int64), [[-5, 2**60, -(2**60), 3]])


def test_shares_of_counts_enter_as_they_are():
    shape = Shape(Circuit((10,), (0,), shared=True), 3, 2)
    counts = np.array([[-(2**63)], [2**63 - 1], [-1]])
    assert shape.dtype.itemsize == 8
    np.testing.assert_array_equal(shares.clamp(shape, counts).view(np.int64), counts.T)
    with pytest.raises(ValueError, match="slots, tests"):
        shares.clamp(shape, counts[:2])
    with pytest.raises(ValueError, match="too large"):
        _ = Shape(Circuit((1 << 62,), (0,), shared=True), 1, 1).dtype


@pytest.mark.parametrize("counts", [np.zeros((3, 2), np.int64), np.zeros((2, 3), np.int64), np.array([[0], [-1]])])
def test_counts_of_another_shape_or_sign_are_refused(counts):
    with pytest.raises(ValueError, match="counts"):
        shares.clamp(Shape(Circuit((10,), (0,)), 2, 2), counts)


def test_a_correction_of_another_length_is_refused():
    shape = Shape(FULL, 9, 3)
    one, two = seeds(1)
    correction = shares.deal(shape, one, two)
    for wrong in (b"", correction[:-1], correction + b"\0"):
        with pytest.raises(ValueError, match="length"):
            shares.hold(shape, two, wrong)
