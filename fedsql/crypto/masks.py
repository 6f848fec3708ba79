"""Pairwise masks that cancel in the sum (Bonawitz et al., CCS 2017, without its dropout recovery).

Each two contributors expand one shared key into a stream; the one whose name sorts first adds it to its values, the
other subtracts it. A masked vector alone is uniformly random, and so is every partial sum; only the sum over all
contributors is free of masks. They live inside the Paillier plaintext, so even the analyst's key opens nothing less.

The keys are the caller's duty: each must come from ``QueryKey.shared`` with an ``info`` that binds the query, the
attempt, the stage and the list of contributors, and must serve one call here. A key used for two vectors would show
their difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from fedsql.crypto.packing import Column, add_columns, subtract_columns


def keystream(key: bytes, size: int) -> bytes:
    """Return ``size`` pseudorandom bytes: AES-256 in counter mode from zero under ``key`` (32 bytes, used once)."""
    return Cipher(AES256(key), CTR(bytes(16))).encryptor().update(bytes(size))


def mask_columns(
    shared: Mapping[str, bytes], me: str, widths: Sequence[int], rows: int, checks: int
) -> tuple[list[Column], NDArray[np.uint64]]:
    """Return ``me``'s masks: for each byte width an array [rows, width], and ``checks`` 64-bit words.

    ``shared`` maps each other contributor to the 32-byte key shared with it. Over all contributors the masks sum to
    zero modulo 2^(8 * width), the words modulo 2^64. Raises ValueError when ``me`` is among the peers.
    """
    if me in shared:
        raise ValueError("nobody shares a mask with itself")
    columns = [np.zeros((rows, width), dtype=np.uint8) for width in widths]
    words = np.zeros(checks, dtype=np.uint64)
    sizes = [rows * width for width in widths]
    for peer, key in shared.items():
        stream = np.frombuffer(keystream(key, sum(sizes) + 8 * checks), dtype=np.uint8)
        *parts, tail = np.split(stream, np.cumsum(sizes))
        combine = add_columns if me < peer else subtract_columns
        columns = [combine(c, part.reshape(c.shape)) for c, part in zip(columns, parts, strict=True)]
        drawn = tail.view("<u8").astype(np.uint64)
        words = words + drawn if me < peer else words - drawn
    return columns, words
