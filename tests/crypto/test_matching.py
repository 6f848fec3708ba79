"""Rows are matched by tags exactly, NULL by none; pads belong to a tag, a column and a key, and look uniform."""

from __future__ import annotations

import os

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from fedsql.crypto import matching
from fedsql.crypto.matching import NOWHERE, Keys, pads, positions, rising, sorting, tagged
from fedsql.crypto.tags import tags
from fedsql.crypto.words import derived

KEY = bytes(range(32))
KEYS = st.lists(st.none() | st.binary(max_size=2) | st.sampled_from([15, 16, 17]).map(bytes), max_size=40)


@given(KEYS, KEYS)
def test_equal_keys_meet_and_null_meets_nothing(wanted, held):
    held = [None if key in held[:i] else key for i, key in enumerate(held)]
    table = tagged(KEY, Keys.of(held))
    order = sorting(table)
    assert rising(table[:, order])
    found = positions(tagged(KEY, Keys.of(wanted)), table[:, order])
    for key, at in zip(wanted, found, strict=True):
        assert (held[order[at]] if at != NOWHERE else None) == (key if key in held else None)


def test_tags_are_those_of_the_keys(monkeypatch):
    monkeypatch.setattr(matching, "_PIECE", 2)
    keys = [b"a", None, b"", b"a", b"long" * 40, b"a\x80", b"a\0", b"\x80", None, b"x" * 15, b"x" * 16, b"\0"]
    found = np.ascontiguousarray(tagged(KEY, Keys.of(keys)).T).tobytes()
    parts = [found[i : i + 16] for i in range(0, len(found), 16)]
    cipher = Cipher(AES256(derived(KEY, b"short keys")), ECB()).encryptor()
    for part, key in zip(parts, keys, strict=True):
        if key is not None:
            assert part == (cipher.update((key + b"\x80").ljust(16, b"\0")) if len(key) < 16 else tags(KEY, [key])[0])
    distinct = [part for at, part in enumerate(parts) if keys[at] is None or keys[at] not in keys[:at]]
    assert len(set(distinct)) == len(distinct) == len(keys) - 1
    nothing = Keys.of([None])
    assert not np.array_equal(tagged(KEY, nothing), tagged(KEY, nothing))


def test_rows_of_no_key_are_added_after_others():
    keys = Keys.of([b"a", None, b"bc"]).padded(5)
    table = tagged(KEY, Keys.of([b"a", b"bc"]))
    order = sorting(table)
    found = positions(tagged(KEY, keys), table[:, order])
    assert [NOWHERE if at == NOWHERE else order[at] for at in found] == [0, NOWHERE, 1, NOWHERE, NOWHERE]


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
    given_tags = tagged(KEY, Keys.of([bytes([i & 255, i >> 8]) for i in range(2000)]))
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
