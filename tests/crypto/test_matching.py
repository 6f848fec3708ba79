"""Rows are matched by tags exactly, NULL by none; pads belong to a tag, a column and a key, and look uniform."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from fedsql.crypto import matching
from fedsql.crypto.matching import NOWHERE, pads, positions, rising, sorting, tagged
from fedsql.crypto.tags import tags

KEY = bytes(range(32))
KEYS = st.lists(st.none() | st.binary(max_size=2), max_size=40)


@given(KEYS, KEYS)
def test_equal_keys_meet_and_null_meets_nothing(wanted, held):
    held = [None if key in held[:i] else key for i, key in enumerate(held)]
    table = tagged(KEY, held)
    order = sorting(table)
    assert rising(table[:, order])
    found = positions(tagged(KEY, wanted), table[:, order])
    for key, at in zip(wanted, found, strict=True):
        assert (held[order[at]] if at != NOWHERE else None) == (key if key in held else None)


def test_tags_are_those_of_the_labels(monkeypatch):
    monkeypatch.setattr(matching, "_PIECE", 2)
    labels = [b"a", None, b"", b"a", b"long" * 40]
    found = np.ascontiguousarray(tagged(KEY, labels).T).tobytes()
    parts = [found[i : i + 16] for i in range(0, len(found), 16)]
    assert [part for part, label in zip(parts, labels, strict=True) if label is not None] == tags(
        KEY, [label for label in labels if label is not None]
    )
    assert not np.array_equal(tagged(KEY, [None]), tagged(KEY, [None]))


def test_both_limbs_of_a_tag_decide():
    table = np.array([[3, 5, 5, 5, 2**64 - 1], [9, 1, 4, 2**64 - 1, 0]], np.uint64)
    assert rising(table)
    wanted = np.array([[5, 5, 5, 5, 3, 2**64 - 1, 2**64 - 1], [4, 2**64 - 1, 1, 2, 8, 0, 1]], np.uint64)
    assert positions(wanted, table).tolist() == [2, 3, 1, NOWHERE, NOWHERE, 4, NOWHERE]
    for other in ([[1, 1], [2, 2]], [[1, 1], [2, 1]], [[2, 1], [0, 3]]):
        assert not rising(np.array(other, np.uint64))
    mixed = table[:, [4, 2, 0, 3, 1]]
    np.testing.assert_array_equal(mixed[:, sorting(mixed)], table)


def test_pads_look_uniform_and_differ_by_tag_column_and_key(monkeypatch):
    monkeypatch.setattr(matching, "_PIECE", 700)
    given_tags = tagged(KEY, [bytes([i & 255, i >> 8]) for i in range(2000)])
    found = [pads(KEY, 0, given_tags, 2), pads(KEY, 1, given_tags, 2), pads(bytes(32), 0, given_tags, 2)]
    for each in found:
        assert chisquare(np.bincount(each.view(np.uint8).ravel(), minlength=256)).pvalue > 1e-6
    assert len(np.unique(np.concatenate([each.ravel() for each in found]))) == 3 * 4000
    np.testing.assert_array_equal(pads(KEY, 0, given_tags[:, 5:6], 1), found[0][:1, 5:6])


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="not 3"):
        pads(os.urandom(32), 0, np.zeros((2, 1), np.uint64), 3)
    with pytest.raises(ValueError, match="32 bytes"):
        pads(b"short", 0, np.zeros((2, 1), np.uint64), 1)
    with pytest.raises(ValueError, match="32 bytes"):
        tagged(b"short", [b"a"])
