"""Tags depend on key and label alone; shuffles are permutations without visible bias."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from fedsql.crypto.tags import random_tags, shuffled, tags

KEY = bytes(range(32))


def test_tags_are_keyed_blake2b() -> None:
    labels = [b"F", b"", b"north", b"x" * 300]
    expected = [hashlib.blake2b(x, key=KEY, digest_size=16, person=b"fedsql tag").digest() for x in labels]
    assert tags(KEY, labels) == expected


def test_tags_align_equal_labels_and_separate_others_and_other_keys() -> None:
    first, second, third = tags(KEY, [b"a", b"b", b"a"])
    assert first == third != second
    assert not set(tags(KEY, [b"a", b"b"])) & set(tags(bytes(32), [b"a", b"b"]))
    assert tags(KEY, []) == []


def test_tag_key_length() -> None:
    with pytest.raises(ValueError, match="not 0"):  # an empty key would make the tag an open hash
        tags(b"", [b"a"])


def test_random_tags_are_distinct_and_full_length() -> None:
    drawn = random_tags(1000)
    assert len(set(drawn)) == 1000
    assert {len(tag) for tag in drawn} == {16}
    assert random_tags(0) == []


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_shuffles_are_permutations(count: int) -> None:
    assert np.array_equal(np.sort(shuffled(count)), np.arange(count))


def test_shuffles_show_no_bias() -> None:
    seen = Counter(tuple(shuffled(3).tolist()) for _ in range(6000))
    assert set(seen) == set(permutations(range(3)))
    # Chi-square with 5 degrees of freedom: above 41.6 with probability 1e-7 if unbiased.
    assert sum((n - 1000) ** 2 / 1000 for n in seen.values()) < 41.6


def test_what_is_drawn_equal_is_shuffled_again() -> None:
    one = np.array([5, 9, 5, 1, 9, 5], "<u8").tobytes()  # 3 alone, then 0, 2 and 5, then 1 and 4
    seen = Counter()
    for _ in range(3000):
        rest = iter([one])
        seen[tuple(shuffled(6, lambda size, rest=rest: next(rest, None) or os.urandom(size)).tolist())] += 1
    assert set(seen) == {(3, *a, *b) for a in permutations((0, 2, 5)) for b in permutations((1, 4))}
    # Chi-square with 11 degrees of freedom: above 54 with probability 1e-7 if unbiased.
    assert sum((n - 250) ** 2 / 250 for n in seen.values()) < 54
