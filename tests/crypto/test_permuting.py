"""Group sums of the holder's words: exact for any grouping, and neither order nor ends show in what the holder is sent."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from fedsql.crypto import words
from fedsql.crypto.permuting import Grouping, Masks, asked, dealt_order, owner_share


def run(slots, groups, held, own, owner_seed, holder_seed):
    """Return both shares, and what was sent: both sigmas, both answers, both shifts."""
    grouping = Grouping.of(slots, groups)
    every, limbs = len(slots) + groups, len(held)
    rho, ends_rho = (dealt_order(owner_seed, purpose, every) for purpose in (b"order", b"ends"))
    masks = Masks.of(holder_seed, 0, limbs, len(slots), groups)
    sigma, ends_sigma = asked(grouping.order, rho), asked(grouping.ends_first(), ends_rho)
    answers = masks.permuted(held, sigma), masks.ends(ends_sigma)
    shifts = masks.shifts(rho, ends_rho)
    owner = owner_share(grouping, (rho, ends_rho), shifts, answers, own)
    return owner, masks.share(), ((sigma, ends_sigma), answers, shifts)


def summed(slots, groups, column):
    found = [sum(int(v) for v, slot in zip(column, slots, strict=True) if slot == group) for group in range(groups)]
    return np.array([[total & 2**64 - 1, total >> 64 & 2**64 - 1] for total in found], np.uint64).T


@st.composite
def tables(draw):
    groups = draw(st.integers(1, 6))
    slots = draw(st.lists(st.integers(-1, groups - 1), max_size=30))
    return np.array(slots, np.int64), groups, draw(st.integers(1, 2)), draw(st.integers(0, 2**32))


@given(tables())
def test_shares_add_up_to_the_sums_of_the_groups(table):
    slots, groups, limbs, seed = table
    rng = np.random.default_rng(seed)
    held, own = rng.integers(-(2**63), 2**63, (2, len(slots)))
    one, two, _ = run(
        slots, groups, words.of_int64(held, limbs), words.of_int64(own, limbs), os.urandom(32), os.urandom(32)
    )
    wanted = summed(slots, groups, held.astype(object) + own.astype(object))
    np.testing.assert_array_equal(words.add(one, two), wanted[:limbs])


def test_both_shares_and_all_that_is_sent_look_uniform():
    rng = np.random.default_rng(3)
    slots = np.sort(rng.integers(-1, 3000, 20_000))
    zeros = np.zeros((1, len(slots)), np.uint64)
    one, two, (_, answers, shifts) = run(slots, 3000, zeros, zeros, rng.bytes(32), rng.bytes(32))
    for found in (one, two, *answers, *shifts):
        assert chisquare(np.bincount(found.view(np.uint8).ravel(), minlength=256)).pvalue > 1e-6


def test_the_holder_is_sent_uniform_orders_whatever_the_groups_are():
    counted = {}
    for name, slots in {"one": [0, 0], "two": [1, 0]}.items():
        seen = np.zeros((2, 4, 4), int)
        for number in range(1200):
            seed = np.random.default_rng(number).bytes(32)
            _, _, (sigmas, _, _) = run(
                np.array(slots), 2, np.zeros((1, 2), np.uint64), np.zeros((1, 2), np.uint64), seed, seed
            )
            for at, sigma in enumerate(sigmas):
                seen[at, np.arange(4), sigma] += 1
        counted[name] = seen
    for seen in counted.values():
        assert chisquare(seen.reshape(-1, 4), axis=1).pvalue.min() > 1e-6


def test_orders_are_the_dealers_and_the_owners_alike_and_fresh_for_each_purpose():
    one = dealt_order(bytes(32), b"order", 1000)
    np.testing.assert_array_equal(one, dealt_order(bytes(32), b"order", 1000))
    np.testing.assert_array_equal(np.sort(one), np.arange(1000))
    assert not np.array_equal(one, dealt_order(bytes(32), b"ends", 1000))


def test_slots_that_are_none_are_refused():
    for slots in ([2], [-2]):
        with pytest.raises(ValueError, match="not one of the groups"):
            Grouping.of(np.array(slots), 2)
    with pytest.raises(ValueError, match="more than"):
        Grouping.of(np.broadcast_to(np.int64(0), (2**32,)), 2)
