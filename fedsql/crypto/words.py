"""Columns of words: integers modulo 2^64 or 2^128 that numpy calculates with, as the shares of a private join are.

*Words* are a uint64 array [limbs, rows], the lowest limb first: one limb is an integer modulo 2^64, two are one modulo
2^128. Both are two's complement, so negative values need nothing extra. Nothing here raises where a value wraps: limbs
must be chosen for the largest sum. `packing.Column` is the form that is encrypted; `to_column` makes one.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from fedsql.crypto.masks import keystream
from fedsql.crypto.packing import Column

Words = NDArray[np.uint64]
_PIECE = 1 << 18  # rows drawn at a time: random bytes need not be there twice for a whole column
_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)


def of_int64(values: NDArray[np.int64], limbs: int) -> Words:
    """Return int64 values [rows] as words of 1 or 2 limbs. Raises ValueError for another number of limbs."""
    if limbs not in (1, 2):
        raise ValueError(f"words have 1 or 2 limbs, not {limbs}")
    return resized(np.asarray(values, np.int64).astype(np.uint64)[None], limbs)


def of_column(column: Column) -> Words:
    """Return a column [rows, 8 or 16] as words. Raises ValueError for another width."""
    if column.shape[1] not in (8, 16):
        raise ValueError(f"words are made of columns of 8 or 16 bytes, not {column.shape[1]}")
    rows = np.ascontiguousarray(column).view("<u8").astype(np.uint64)
    return np.ascontiguousarray(rows.T)


def to_column(words: Words) -> Column:
    """Return words as a column [rows, 8 * limbs]."""
    limbs, rows = words.shape
    return np.ascontiguousarray(words.T).astype("<u8").view(np.uint8).reshape(rows, 8 * limbs)


def resized(words: Words, limbs: int) -> Words:
    """Sign-extend words to ``limbs``, or cut them, which is to reduce them modulo 2^(64 * limbs)."""
    if limbs <= len(words):
        return words[:limbs]
    sign = (words[-1:].view(np.int64) >> 63).view(np.uint64)
    return np.concatenate([words, np.repeat(sign, limbs - len(words), axis=0)])


def drawn(seed: bytes, purpose: bytes, limbs: int, rows: int) -> Words:
    """Return uniform words from ``seed`` (32 bytes). One purpose of a seed must serve one column."""
    found = np.empty((limbs, rows), np.uint64)
    for at in range(0, rows, _PIECE):
        part = found[:, at : at + _PIECE]
        key = derived(seed, purpose + at.to_bytes(8, "little"))
        part[...] = np.frombuffer(keystream(key, part.nbytes), "<u8").reshape(part.shape)
    return found


def derived(seed: bytes, purpose: bytes) -> bytes:
    """Return the 32-byte key of one purpose of ``seed`` (32 bytes). Raises ValueError for another length."""
    if len(seed) != 32:
        raise ValueError(f"a seed has 32 bytes, not {len(seed)}")
    return hashlib.blake2b(purpose, key=seed, digest_size=32, person=b"fedsql words").digest()


def add(a: Words, b: Words) -> Words:
    """Return a + b; of as many limbs, and rows, as both have."""
    _alike(a, b)
    total = a + b
    if len(total) == 2:
        total[1] += total[0] < a[0]
    return total


def subtract(a: Words, b: Words) -> Words:
    """Return a - b; of as many limbs, and rows, as both have."""
    _alike(a, b)
    rest = a - b
    if len(rest) == 2:
        rest[1] -= a[0] < b[0]
    return rest


def negative(a: Words) -> Words:
    """Return -a."""
    return subtract(np.zeros_like(a), a)


def multiply(a: Words, b: Words) -> Words:
    """Return a * b; of as many limbs, and rows, as both have."""
    _alike(a, b)
    product: Words = a[:1] * b[:1]
    if len(a) == 1:
        return product
    return np.concatenate([product, (_above(a[0], b[0]) + a[0] * b[1] + a[1] * b[0])[None]])


def running(a: Words) -> Words:
    """Return the sums of the first 1, 2, ... rows."""
    sums = np.cumsum(a, axis=1, dtype=np.uint64)
    if len(a) == 2:  # the low sum wrapped wherever it is below what was added last
        sums[1] += np.cumsum(sums[0] < a[0], dtype=np.uint64)
    return sums


def differences(sums: Words) -> Words:
    """Return each row less the row before it, the first one as it is: what `running` undoes."""
    before = np.zeros_like(sums)
    before[:, 1:] = sums[:, :-1]
    return subtract(sums, before)


def _above(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the upper 64 bits of a * b, by halves of 32 bits."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    middle = a_high * b_low + ((a_low * b_low) >> _HALF)  # below 2^64: (2^32 - 1)^2 + 2^32
    other = a_low * b_high + (middle & _LOW)
    found: NDArray[np.uint64] = a_high * b_high + (middle >> _HALF) + (other >> _HALF)
    return found


def _alike(a: Words, b: Words) -> None:
    if a.shape != b.shape:  # numpy would repeat the shorter one
        raise ValueError(f"words of shapes {a.shape} and {b.shape} do not go together")
