"""Dummies: all holders derive the same, every one is sent by somebody, and without the key nothing tells them apart."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from fedsql.crypto.dummies import below, dummies

KEY = bytes(range(32))


@pytest.mark.parametrize(("places", "most"), [(1, 65536), (2, 65536), (8, 16384), (4096, 32), (8192, 16), (10**6, 16)])
def test_the_fewer_places_the_more_dummies(places, most):
    assert below(places) == most


@pytest.mark.parametrize("holders", [1, 2, 5])
@pytest.mark.parametrize("places", [0, 1, 9, 5000])
def test_holders_agree_and_send_every_dummy(holders, places):
    drawn = [dummies(KEY, places, holders, at) for at in range(holders)]
    assert all(np.array_equal(each.numbers, drawn[0].numbers) for each in drawn)
    assert len(drawn[0].numbers) == places
    assert all(0 <= number < below(places) for number in drawn[0].numbers)
    sent = {(int(p), t.tobytes()) for each in drawn for p, t in zip(each.places, each.tags, strict=True)}
    assert Counter(place for place, _ in sent) == Counter(dict(enumerate(drawn[0].numbers))) - Counter()


def test_numbers_are_uniform_and_holders_are_random():
    numbers = dummies(KEY, 8192, 2, 0).numbers
    assert chisquare(np.bincount(numbers, minlength=16)).pvalue > 1e-4
    first, second, third = (dummies(KEY, 1, 3, at) for at in range(3))
    total = int(first.numbers[0])
    for at, expected in ((first, 5 / 8), (second, 1 / 2), (third, 1 / 2)):  # the first also sends what nobody drew
        assert abs(len(at.places) - total * expected) < 6 * total**0.5
    shared = {t.tobytes() for t in second.tags} & {t.tobytes() for t in third.tags}
    assert abs(len(shared) - total / 4) < 6 * total**0.5


def test_another_key_shares_nothing():
    one, two = dummies(KEY, 3, 2, 0), dummies(bytes(32), 3, 2, 0)
    assert not np.array_equal(one.numbers, two.numbers)
    assert not {t.tobytes() for t in one.tags} & {t.tobytes() for t in two.tags}
    bytes_ = np.bincount(one.tags.reshape(-1), minlength=256)
    assert chisquare(bytes_).pvalue > 1e-4
