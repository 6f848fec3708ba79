"""Tables that a draw of noise inverts: distribution functions of integers, held as 192-bit integers.

The sampled distribution differs from the exact one by less than 2^-170 in total variation, which adds the same to any
delta: no floating point is involved in a draw (Mironov 2012), and there is no generator whose state could be seeded,
forked or guessed: `Table.draw` takes the operating system's randomness.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import gmpy2
import numpy as np
from numpy.typing import NDArray

BITS = 192
WORK = 256  # bits of the weights that a table is made of
HEAD_WORK = 144  # bits of the entries that heads are made of
HEAD_TAIL = 64 * math.log(2)  # values whose tail lies below exp(-HEAD_TAIL) have no head
TAIL = BITS * math.log(2)  # values whose tail lies below exp(-TAIL) are not in a table


@dataclass(frozen=True)
class Table:
    """P(noise <= value) * 2^192 for value = ``first``, ``first`` + 1, ...; whatever lies above them all is the next."""

    first: int
    top: NDArray[np.uint64]  # the most significant 64 bits of each entry
    rest: bytes  # the other 128 bits of each entry, 16 bytes big-endian

    @classmethod
    def of(cls, first: int, weights: Sequence[int]) -> Table:
        """Tabulate probabilities that are proportional to ``weights`` (of 256 bits), of ``first`` and the values after it."""
        whole = sum(weights)
        # Times a reciprocal that is never too large, and too small by less than a step of an entry: no division for each.
        shift = whole.bit_length() + 8
        inverse = (gmpy2.mpz(1) << BITS + shift) // whole
        entries = [entry * inverse >> shift for entry in accumulate(weights[:-1])]
        raw = int(gmpy2.pack(entries[::-1], BITS)).to_bytes(BITS // 8 * len(entries), "big")
        words = np.frombuffer(raw, ">u8").reshape(-1, 3)
        return cls(first, words[:, 0].astype(np.uint64), words[:, 1:].tobytes())

    def cumulative(self, index: int) -> int:
        """Return entry ``index``, all 192 bits."""
        return int(self.top[index]) << 128 | self._low(index)

    def draw(self, size: int, entropy: Callable[[int], bytes]) -> NDArray[np.int64]:
        """Return ``size`` independent values: for a uniform u of 192 bits, how many entries are at most u."""
        uniform = np.frombuffer(entropy(8 * size), "<u8").astype(np.uint64)
        index = np.searchsorted(self.top, uniform, side="right").astype(np.int64)
        # Sixty-four bits decide unless they equal those of an entry: then, and only then, draw the other 128.
        # (An index of 0 wraps to the greatest entry, which cannot be equal to a number below the least.)
        for i in np.flatnonzero(self.top[index - 1] == uniform):
            index[i] = self.settle(uniform[i], entropy)
        return index + self.first

    def settle(self, uniform: np.uint64, entropy: Callable[[int], bytes]) -> int:
        """Return how many entries are at most a number of 192 bits, of which ``uniform`` are the first 64."""
        first, end = (int(np.searchsorted(self.top, uniform, side=side)) for side in ("left", "right"))
        if first == end:
            return end
        return first + bisect_right(range(first, end), int.from_bytes(entropy(16), "big"), key=self._low)

    def _low(self, index: int) -> int:
        return int.from_bytes(self.rest[16 * index : 16 * index + 16], "big")


@dataclass(frozen=True)
class Heads:
    """The first 64 bits of a table's entries from value 0 on, as far as they grow: made four times as fast as the table.

    They draw what the table draws, from the same randomness. Where they do not decide, ``whole`` makes the table: for
    one draw in 2^40 or more, so how long a draw takes tells nothing of it.
    """

    top: NDArray[np.uint64]
    whole: Callable[[], Table]

    @classmethod
    def of(cls, entries: Sequence[int], off: int, whole: Callable[[], Table]) -> Heads:
        """Take the heads of ``entries`` of 144 bits, each less than ``off`` < 2^64 below the exact one.

        Where that leaves open what the first 64 bits are, they are the table's own.
        """
        raw = b"".join(entry.to_bytes(HEAD_WORK // 8, "big") for entry in entries)
        words = np.frombuffer(raw, np.uint8).reshape(-1, HEAD_WORK // 8)
        top, following = (np.ascontiguousarray(words[:, at : at + 8]).view(">u8").ravel() for at in (0, 8))
        # Of the bits that follow, the last of these 64 is 2^-128: the table's own entries are within 2^-170 of the exact.
        if (following > 0).all() and (following < (1 << 64) - (off >> HEAD_WORK - 128) - 2).all():
            return cls(top.astype(np.uint64), whole)
        return cls(whole().top, whole)

    def draw(self, size: int, entropy: Callable[[int], bytes]) -> NDArray[np.int64]:
        """Return ``size`` independent values (see `Table.draw`)."""
        uniform = np.frombuffer(entropy(8 * size), "<u8").astype(np.uint64)
        index = np.searchsorted(self.top, uniform, side="right").astype(np.int64)
        for i in np.flatnonzero((self.top[index - 1] == uniform) | (index == len(self.top))):
            index[i] = self.whole().settle(uniform[i], entropy)
        return index
