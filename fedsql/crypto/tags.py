"""Tags: short keyed names for group labels, and unbiased shuffles.

Parties that must align their groups send the coordinator tags instead of labels. A tag is a keyed BLAKE2b
(RFC 7693) of the label's encoding: whoever lacks the key cannot test a guess, whoever has it can, so the key stays
among the parties. Order would tell something too, hence the shuffles.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

TAG_BYTES = 16
_PERSON = b"fedsql tag"


def tags(key: bytes, labels: Sequence[bytes]) -> list[bytes]:
    """Return the 16-byte tag of every label under ``key`` (32 bytes), in order. Equal labels have equal tags."""
    if len(key) != 32:
        raise ValueError(f"a tag key has 32 bytes, not {len(key)}")
    copy = hashlib.blake2b(key=key, digest_size=TAG_BYTES, person=_PERSON).copy
    found: list[bytes] = []
    append = found.append  # a private join has millions of labels: looking a method up takes as long as hashing
    for label in labels:
        state = copy()  # the key's block is hashed once, not once a label
        state.update(label)
        append(state.digest())
    return found


def random_tags(count: int) -> list[bytes]:
    """Return ``count`` random tags: they match nothing, so they pad a list of tags or stand in for NULL."""
    drawn = os.urandom(count * TAG_BYTES)
    return [drawn[i : i + TAG_BYTES] for i in range(0, len(drawn), TAG_BYTES)]


def shuffled(count: int, entropy: Callable[[int], bytes] = os.urandom) -> NDArray[np.intp]:
    """Return a uniformly random permutation of ``range(count)``, by default from the operating system's randomness.

    It sorts random numbers with the indexes in their low bits, which is several times as fast as to sort indexes. Those
    whose random bits are equal are shuffled among themselves, so there is no bias at all.
    """
    low = np.uint64(count.bit_length())
    keys = np.frombuffer(entropy(8 * count), "<u8") << low | np.arange(count, dtype=np.uint64)
    keys.sort()
    order = (keys & ((np.uint64(1) << low) - np.uint64(1))).astype(np.intp)
    keys >>= low
    equal = np.concatenate([[False], keys[1:] == keys[:-1], [False]])
    if equal.any():
        tied = np.flatnonzero(equal[1:] | equal[:-1])
        ranks = shuffled(len(tied), entropy)
        order[tied] = order[tied][np.lexsort((ranks, keys[tied]))]
    return order
