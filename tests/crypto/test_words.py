"""Words against Python's integers, at the edges where limbs carry; what is drawn is uniform and never the same twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from fedsql.crypto import words
from fedsql.crypto.packing import from_ints, to_ints

EDGES = [0, 1, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**127, 2**128 - 1, 2**128 - 2**64]
NUMBERS = st.sampled_from(EDGES) | st.integers(0, 2**128 - 1)
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12)


def made(numbers, limbs):
    limb = [[n >> 64 * i & 2**64 - 1 for n in numbers] for i in range(limbs)]
    return np.array(limb, np.uint64).reshape(limbs, len(numbers))


def read(found):
    return [sum(int(limb) << 64 * i for i, limb in enumerate(row)) for row in found.T]


@pytest.mark.parametrize("limbs", [1, 2])
@given(PAIRS)
def test_arithmetic_is_that_of_integers(limbs, pairs):
    one, two = made([a for a, _ in pairs], limbs), made([b for _, b in pairs], limbs)
    modulus = 2 ** (64 * limbs)
    assert read(words.add(one, two)) == [(a + b) % modulus for a, b in pairs]
    assert read(words.subtract(one, two)) == [(a - b) % modulus for a, b in pairs]
    assert read(words.multiply(one, two)) == [a * b % modulus for a, b in pairs]
    assert read(words.negative(one)) == [-a % modulus for a, _ in pairs]
    sums = words.running(one)
    assert read(sums) == [sum(a for a, _ in pairs[: i + 1]) % modulus for i in range(len(pairs))]
    np.testing.assert_array_equal(words.differences(sums), one)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=8))
def test_columns_and_limbs_keep_the_sign(numbers):
    values = np.array(numbers, np.int64)
    for limbs in (1, 2):
        assert to_ints(words.to_column(words.of_int64(values, limbs))) == numbers
    np.testing.assert_array_equal(words.resized(words.of_int64(values, 1), 2), words.of_int64(values, 2))
    np.testing.assert_array_equal(words.resized(words.of_int64(values, 2), 1), words.of_int64(values, 1))


def test_wide_columns_become_words_and_come_back():
    column = from_ints([-(2**127), -1, 0, 2**100, 2**127 - 1], 16)
    np.testing.assert_array_equal(words.to_column(words.of_column(column)), column)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="not 3"):
        words.of_int64(np.zeros(1, np.int64), 3)
    with pytest.raises(ValueError, match="not 9"):
        words.of_column(np.zeros((1, 9), np.uint8))
    for combine in (words.add, words.subtract, words.multiply):
        with pytest.raises(ValueError, match="do not go together"):
            combine(np.zeros((1, 1), np.uint64), np.zeros((1, 3), np.uint64))
    with pytest.raises(ValueError, match="not 4"):
        words.drawn(b"seed", b"", 1, 1)


def test_drawn_words_are_uniform_and_each_purpose_has_its_own(monkeypatch):
    monkeypatch.setattr(words, "_PIECE", 1000)  # several pieces
    found = [words.drawn(bytes(32), purpose, 2, 2500) for purpose in (b"a", b"b")]
    found.append(words.drawn(bytes([1]) * 32, b"a", 2, 2500))
    for each in found:
        assert chisquare(np.bincount(each.view(np.uint8).ravel(), minlength=256)).pvalue > 1e-6
    assert len(np.unique(np.concatenate([each.ravel() for each in found]))) == 3 * 5000
    np.testing.assert_array_equal(found[0], words.drawn(bytes(32), b"a", 2, 2500))
