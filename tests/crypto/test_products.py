"""Products on shares add up, for words and for bits, and nothing that either side receives depends on the other's words."""

from __future__ import annotations

import os

import numpy as np
import pytest
from scipy.stats import chisquare

from fedsql.crypto import words
from fedsql.crypto.products import Giver, taken, taker_product


def run(x, y, giver_seed, taker_seed, number=0):
    """Return what both sent, the correction, and both shares."""
    limbs, rows = x.shape
    giver, q = Giver.of(giver_seed, number, limbs, rows), taken(taker_seed, 0, limbs, rows)
    masked, opened = giver.masked(x), words.subtract(y, q)
    correction = giver.correction(q)
    return masked, opened, correction, giver.product(x, opened), taker_product(masked, q, correction)


@pytest.mark.parametrize("limbs", [1, 2])
@pytest.mark.parametrize("bits", [True, False], ids=["bits", "words"])
def test_the_shares_add_up_to_the_product(limbs, bits):
    rng = np.random.default_rng(5)
    x = rng.integers(0, 2**64, (limbs, 500), np.uint64)
    y = rng.integers(0, 2**64, (limbs, 500), np.uint64)
    if bits:
        y = words.of_int64(rng.integers(0, 2, 500), limbs)
    *_, one, two = run(x, y, os.urandom(32), os.urandom(32))
    np.testing.assert_array_equal(words.add(one, two), words.multiply(x, y))


@pytest.mark.parametrize("fill", [0, 1, 2**63])
def test_what_travels_and_what_is_held_looks_uniform(fill):
    x = np.full((1, 20_000), fill, np.uint64)
    rng = np.random.default_rng(6)
    for found in run(x, x, rng.bytes(32), rng.bytes(32)):
        assert chisquare(np.bincount(found.view(np.uint8).ravel(), minlength=256)).pvalue > 1e-6


def test_a_bit_is_hidden_from_the_giver_though_it_serves_many_columns():
    """The taker's words are sent once: with ones and with zeros, what the giver sees is the same uniform number."""
    seed = bytes(32)
    ones, zeros = (run(np.zeros((1, 9), np.uint64), np.full((1, 9), bit, np.uint64), seed, seed)[1] for bit in (1, 0))
    np.testing.assert_array_equal(ones, zeros + np.uint64(1))
    first, second = Giver.of(seed, 0, 1, 9), Giver.of(seed, 1, 1, 9)
    drawn = np.concatenate([first.r, first.share, second.r, second.share, taken(seed, 0, 1, 9), taken(seed, 1, 1, 9)])
    assert len(np.unique(drawn)) == drawn.size


def test_other_lengths_are_refused():
    giver = Giver.of(bytes(32), 0, 1, 3)
    with pytest.raises(ValueError, match="do not go together"):
        giver.masked(np.zeros((1, 1), np.uint64))
    with pytest.raises(ValueError, match="do not go together"):
        giver.correction(np.zeros((2, 3), np.uint64))
