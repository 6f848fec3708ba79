"""Dummy tags: what many parties mix into the tags of their values, so that whoever counts tags learns no exact number.

All holders of a key derive the same dummies, as the key's stream says: how many there are at each place, which tags they
are, and which holders send each one. So the holders know what to take off the count, and the numbers that several of them
share are blurred too. Without the key a dummy looks like any other tag.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsql.crypto.masks import keystream
from fedsql.crypto.tags import TAG_BYTES

_ALL = 1 << 17  # about how many dummies a list of tags has, over all places
_MOST = 1 << 16
_LEAST = 16


@dataclass(frozen=True)
class Dummies:
    """The dummies of all places. ``numbers`` int64 [places] counts them, over all holders.

    ``places`` uint32 [n] and ``tags`` uint8 [n, 16] are those that one holder sends.
    """

    numbers: NDArray[np.int64]
    places: NDArray[np.uint32]
    tags: NDArray[np.uint8]


def below(places: int) -> int:
    """Return what the number of dummies at each of ``places`` places stays below."""
    return min(_MOST, max(_LEAST, _ALL // max(1, places)))


def dummies(key: bytes, places: int, holders: int, at: int) -> Dummies:
    """Return the dummies under ``key`` (32 bytes, used once), as holder number ``at`` of ``holders`` sends them.

    Numbers are uniform below `below`; a dummy goes to a random set of holders, to the first where nobody was drawn.
    """
    drawn = np.frombuffer(keystream(_derived(key, b"numbers"), 8 * places), "<u8")
    numbers = (drawn % np.uint64(below(places))).astype(np.int64)
    total = int(numbers.sum())
    bits = np.frombuffer(keystream(_derived(key, b"holders"), -(-total * holders // 8)), np.uint8)
    held = np.unpackbits(bits, count=total * holders).reshape(total, holders).astype(bool)
    held[:, 0] |= ~held.any(axis=1)
    tags = np.frombuffer(keystream(_derived(key, b"tags"), TAG_BYTES * total), np.uint8).reshape(total, TAG_BYTES)
    mine = held[:, at]
    return Dummies(numbers, np.repeat(np.arange(places, dtype=np.uint32), numbers)[mine], tags[mine])


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(purpose, key=key, digest_size=32, person=b"fedsql dummies").digest()
