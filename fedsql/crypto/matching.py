"""Matching rows of two tables by keyed tags, and the pads under which row values travel to whoever matches them.

Tags of many rows are `Words` of two limbs: who holds a table sends them sorted, which tells nothing, for the order of
keyed tags is random. The pad of a tag and a column is AES-256 under a key of that column, applied to the tag: a block
cipher on different inputs, so as good as a random function (PRP/PRF switching, below n^2 / 2^129). Whoever lacks the key
sees uniform values; whoever has it can make the pad of any tag.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def tagged(key: bytes, labels: Sequence[bytes | None]) -> Tags:
    """Return the tags of ``labels`` under ``key`` (32 bytes). None gets a random one, which matches nothing."""
    found = np.empty((2, len(labels)), np.uint64)
    for at in range(0, len(labels), _PIECE):
        part = labels[at : at + _PIECE]
        known = np.array([label is not None for label in part], bool)
        rows = np.empty((len(part), 2), "<u8")
        rows[known] = _rows(tags(key, [label for label in part if label is not None]))
        rows[~known] = _rows(random_tags(len(part) - int(known.sum())))
        found[:, at : at + _PIECE] = rows.T
    return found


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
