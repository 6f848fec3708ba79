"""Masks cancel over all contributors and over nothing less, and no two streams are alike."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from fedsql.crypto.keys import QueryKey
from fedsql.crypto.masks import keystream, mask_columns
from fedsql.crypto.packing import Column, add_columns

WIDTHS = (1, 5, 8, 17)
ROWS, CHECKS = 9, 3
Masks = tuple[list[Column], NDArray[np.uint64]]


def masks_of(count: int, info: bytes = b"query 1") -> list[Masks]:
    keys = {f"p{i}": QueryKey() for i in range(count)}
    return [
        mask_columns(
            {peer: key.shared(keys[peer].public, info) for peer in keys if peer != me}, me, WIDTHS, ROWS, CHECKS
        )
        for me, key in keys.items()
    ]


def total(masks: list[Masks]) -> bytes:
    columns, words = masks[0]
    for more, more_words in masks[1:]:
        columns = [add_columns(a, b) for a, b in zip(columns, more, strict=True)]
        words = words + more_words
    return b"".join(c.tobytes() for c in columns) + words.tobytes()


@pytest.mark.parametrize("count", range(2, 7))
def test_only_the_whole_sum_is_free_of_masks(count: int) -> None:
    masks = masks_of(count)
    assert not any(total(masks))
    for size in range(1, count):
        for some in combinations(masks, size):
            left = total(list(some))
            assert any(left)
            assert max(left.count(bytes([b])) for b in set(left)) < 20  # noise: 303 bytes, no value prevails


def test_shapes() -> None:
    columns, words = masks_of(2)[0]
    assert [c.shape for c in columns] == [(ROWS, w) for w in WIDTHS]
    assert words.shape == (CHECKS,)
    assert words.dtype == np.uint64


def test_columns_and_checks_of_one_pair_never_share_a_stream() -> None:
    (one, two), words = mask_columns({"b": bytes(32)}, "a", (8, 8), 4, 4)
    parts = [one.tobytes(), two.tobytes(), words.tobytes()]
    assert len(set(parts)) == 3
    assert b"".join(parts) == keystream(bytes(32), 96)


def test_alone_there_is_nothing_to_hide() -> None:
    columns, words = mask_columns({}, "a", WIDTHS, ROWS, CHECKS)
    assert not any(c.any() for c in columns)
    assert not words.any()


def test_masking_with_oneself_is_refused() -> None:
    with pytest.raises(ValueError, match="itself"):
        mask_columns({"a": bytes(32)}, "a", WIDTHS, ROWS, CHECKS)


def test_keystream_is_aes256_ctr() -> None:
    # AES-256 of the zero block under the zero key (NIST SP 800-38A's primitive; known answer).
    assert keystream(bytes(32), 16).hex() == "dc95c078a2408989ad48a21492842087"
    assert keystream(bytes(32), 40)[:16] == keystream(bytes(32), 16)
