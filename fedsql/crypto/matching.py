"""Matching rows of two tables by keyed tags, and the pads under which row values travel to whoever matches them.

Tags of many rows are `Words` of two limbs: who holds a table sends them sorted, which tells nothing, for the order of
keyed tags is random. The tag of a key of at most 15 bytes is AES-256 applied to it, padded to one block; of a longer one the
keyed BLAKE2b of `crypto.tags`, which takes a hundred times as long. The pad of a tag and a column is AES-256 under a key of
that column, applied to the tag. A block cipher on different inputs is as good as a random function (PRP/PRF switching, below
n^2 / 2^129). Whoever lacks the key sees uniform values; whoever has it can make any tag, and the pad of any tag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from numpy.typing import NDArray

from fedsql.crypto.tags import TAG_BYTES, random_tags, tags
from fedsql.crypto.words import Words, derived

Tags = Words  # [2, rows]
_PIECE = 1 << 18  # rows tagged or padded at a time
NOWHERE = -1


@dataclass(frozen=True)
class Keys:
    """The join keys of many rows, as bytes in one piece.

    Row i has ``data[ends[i] : ends[i + 1]]`` (uint8, int64 [rows + 1]), or no key, which matches nothing, unless ``known[i]``.
    """

    data: NDArray[np.uint8]
    ends: NDArray[np.int64]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, keys: Sequence[bytes | None]) -> Keys:
        """Return a list of keys, None for no key, in this form."""
        given = [key or b"" for key in keys]
        ends = np.cumsum([0, *map(len, given)], dtype=np.int64)
        return cls(np.frombuffer(b"".join(given), np.uint8), ends, np.array([key is not None for key in keys], bool))

    def __len__(self) -> int:
        return len(self.known)

    def padded(self, rows: int) -> Keys:
        """Return them with rows of no key after them, ``rows`` in all."""
        more = rows - len(self)
        return Keys(self.data, np.pad(self.ends, (0, more), "edge"), np.pad(self.known, (0, more)))


def tagged(key: bytes, keys: Keys) -> Tags:
    """Return the tags of ``keys`` under ``key`` (32 bytes). A row of no key gets a random one, which matches nothing."""
    found = np.empty((2, len(keys)), np.uint64)
    cipher = Cipher(AES256(derived(key, b"short keys")), ECB()).encryptor()
    for at in range(0, len(keys), _PIECE):
        ends, known = keys.ends[at : at + _PIECE + 1], keys.known[at : at + _PIECE]
        lengths, data = np.diff(ends), keys.data[ends[0] : ends[-1]]
        short = lengths < TAG_BYTES
        blocks = _blocks(lengths * short, data if short.all() else data[np.repeat(short, lengths)])
        rows = np.frombuffer(cipher.update(blocks.tobytes()), "<u8").reshape(-1, 2).copy()
        long = np.flatnonzero(known & ~short)
        rows[long] = _rows(tags(key, [keys.data[ends[i] : ends[i + 1]].tobytes() for i in long]))
        rows[~known] = _rows(random_tags(len(known) - int(known.sum())))
        found[:, at : at + _PIECE] = rows.T
    return found


def _blocks(lengths: NDArray[np.int64], data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return keys of these ``lengths``, which follow one another in ``data``, each in a block: after it comes 128, then 0."""
    blocks = np.zeros((len(lengths), TAG_BYTES), np.uint8)
    blocks[np.arange(TAG_BYTES) < lengths[:, None]] = data
    blocks[np.arange(len(lengths)), lengths] = 128
    return blocks


def _rows(given: Sequence[bytes]) -> Words:
    return np.frombuffer(b"".join(given), "<u8").reshape(-1, 2)


def sorting(given: Tags) -> NDArray[np.intp]:
    """Return the order that sorts tags by their first limb, then by their second."""
    order = np.argsort(given[0])
    first = given[0][order]
    if (first[1:] == first[:-1]).any():  # hardly ever, unless tags repeat; and then both limbs decide
        return np.lexsort((given[1], given[0]))
    return order


def rising(given: Tags) -> bool:
    """Say whether tags are sorted and no two are equal."""
    (first, second), after = given[:, :-1], given[:, 1:]
    return bool(((first < after[0]) | ((first == after[0]) & (second < after[1]))).all())


def positions(wanted: Tags, table: Tags) -> NDArray[np.int64]:
    """Return for each wanted tag where it stands in ``table``, which is `rising`, and `NOWHERE` where it does not."""
    order = np.argsort(wanted[0])  # sorted needles are found several times faster
    low, high = wanted[0][order], wanted[1][order]
    at = np.searchsorted(table[0], low)
    found = np.full(len(order), NOWHERE, np.int64)
    left = np.arange(len(order))
    while len(left := left[at[left] < table.shape[1]]):
        left = left[table[0][at[left]] == low[left]]
        equal = table[1][at[left]] == high[left]
        found[left[equal]] = at[left[equal]]
        left = left[~equal]  # first limbs that are equal by chance: the next one may be it
        at[left] += 1
    placed = np.empty_like(found)
    placed[order] = found
    return placed


def pads(key: bytes, column: int, given: Tags, limbs: int) -> Words:
    """Return the pad [limbs, rows] of each tag for a numbered column, under ``key`` (32 bytes)."""
    if limbs not in (1, 2):
        raise ValueError(f"pads have 1 or 2 limbs, not {limbs}")
    cipher = Cipher(AES256(derived(key, column.to_bytes(8, "little"))), ECB()).encryptor()
    found = np.empty((limbs, given.shape[1]), np.uint64)
    for at in range(0, given.shape[1], _PIECE):
        part = np.ascontiguousarray(given[:, at : at + _PIECE].T, "<u8")
        assert part.nbytes == part.shape[0] * TAG_BYTES
        blocks = np.frombuffer(cipher.update(part.tobytes()), "<u8").reshape(-1, 2)
        found[:, at : at + _PIECE] = blocks.T[:limbs]
    return found
