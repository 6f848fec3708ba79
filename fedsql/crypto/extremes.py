"""The largest of several shared numbers, in every slot at once: the arithmetic alone, no talking and no I/O.

Two computing parties hold XOR shares of one number for each input and slot, as *planes*: plane b holds bit b of all slots,
packed along the slots. A number is never opened. Every round opens bits masked by the dealer's AND triples (Beaver, CRYPTO
1991), and what is left in the end are shares of the largest number, which whoever gets both puts together.

y > x is told by a tree over the planes: (above, equal) of the higher half beside those of the lower one. Up to `_FAN`
inputs are compared pairwise in the same rounds; the one that is beaten by nobody is selected. More are met in groups, and
their winners again. The triples are a stream that both parties read in the same order, so what must be dealt, and the
length of every message, follow from the `Shape` alone. Semi-honest: neither the dealer nor the other party may collude.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedsql.crypto.packing import Column
from fedsql.crypto.shares import keystream

Planes = NDArray[np.uint8]  # [..., bytes of packed slots]
Rounds = Generator[Planes, Planes, Planes]  # yields what to send, is sent what both opened, returns a share
_FAN = 8  # so many inputs are compared pairwise at once: rounds are dearer than bits


@dataclass(frozen=True)
class Shape:
    """The public sizes: ``inputs`` numbers of ``bits`` bits in ``width`` bytes of packed slots."""

    inputs: int
    bits: int
    width: int

    @property
    def size(self) -> int:
        """Bytes of the planes of one input."""
        return self.bits * self.width

    @property
    def triples(self) -> int:
        """How many AND triples each slot takes."""
        return _needed(self.inputs, self.bits)[0]

    @property
    def rounds(self) -> int:
        """How many messages each party sends the other."""
        return _needed(self.inputs, self.bits)[1]


def planes_of(column: Column, bits: int) -> Planes:
    """Return the low ``bits`` bits of a column of unsigned integers [slots, width] as planes [bits, bytes]."""
    table = np.unpackbits(column, axis=1, count=bits, bitorder="little")
    return np.packbits(table.T, axis=1)


def column_of(planes: Planes, slots: int, width: int) -> Column:
    """Return planes [bits, bytes] as a column [slots, width]."""
    table = np.unpackbits(planes, axis=1, count=slots)
    packed = np.packbits(table.T, axis=1, bitorder="little")
    column: Column = np.zeros((slots, width), np.uint8)
    column[:, : packed.shape[1]] = packed
    return column


def pad(shape: Shape, seed: bytes) -> Planes:
    """Return C1's share [bits, width] of the number of the party that drew ``seed``."""
    return np.frombuffer(keystream(seed, shape.size), np.uint8).reshape(shape.bits, shape.width)


class Triples:
    """One computing party's share of the AND triples a, b, a & b [triples, width], taken in order."""

    def __init__(self, a: Planes, b: Planes, product: Planes) -> None:
        self._parts = a, b, product
        self.taken = 0

    def take(self, count: int) -> tuple[Planes, Planes, Planes]:
        """Return the next ``count`` triples. Raises ValueError when there are no more: the shapes differ."""
        first, self.taken = self.taken, self.taken + count
        a, b, product = (part[first : self.taken] for part in self._parts)
        if len(a) != count:
            raise ValueError("more triples are needed than were dealt")
        return a, b, product


def _drawn(shape: Shape, seed: bytes, parts: int) -> Planes:
    size = parts * shape.triples * shape.width
    return np.frombuffer(keystream(seed, size), np.uint8).reshape(parts, shape.triples, shape.width)


def hold(shape: Shape, seed: bytes, correction: bytes | None = None) -> Triples:
    """Expand what the dealer sent: C1 a seed, C2 a seed and a correction (ValueError when its length is wrong)."""
    if correction is None:
        a, b, product = _drawn(shape, seed, 3)
        return Triples(a, b, product)
    a, b = _drawn(shape, seed, 2)
    return Triples(a, b, np.frombuffer(correction, np.uint8).reshape(shape.triples, shape.width))


def deal(shape: Shape, first_seed: bytes, second_seed: bytes) -> bytes:
    """Return the correction that makes C2's masks fit C1's: one bit a triple and slot."""
    one, two = _drawn(shape, first_seed, 3), _drawn(shape, second_seed, 2)
    correction: Planes = ((one[0] ^ two[0]) & (one[1] ^ two[1])) ^ one[2]
    return correction.tobytes()


def largest(inputs: Planes, triples: Triples, first: bool) -> Rounds:
    """Run C1's (``first``) or C2's part over its shares ``inputs`` [inputs, bits, width]; return its share [bits, width]."""
    while len(inputs) > 1:
        groups = [list(map(int, g)) for g in np.array_split(np.arange(len(inputs)), -(-len(inputs) // _FAN))]
        pairs = [(i, j) for group in groups for at, i in enumerate(group) for j in group[at + 1 :]]
        above = yield from _above(inputs[[j for _, j in pairs]], inputs[[i for i, _ in pairs]], triples, first)
        beats = dict(zip(pairs, above, strict=True))  # (i, j) -> j > i, so of equal inputs the first is selected
        factors = {
            i: [beats[h, i] if h < i else _flip(beats[i, h], first) for h in group if h != i]
            for group in groups
            for i in group[:-1]
        }
        wins = yield from _all_of(factors, triples, first)
        inputs = yield from _selected(inputs, groups, wins, triples, first)
    winner: Planes = inputs[0]
    return winner


def _flip(share: Planes, first: bool) -> Planes:
    return share ^ np.uint8(0xFF) if first else share


def _both(x: Planes, y: Planes, triples: Triples, first: bool) -> Rounds:
    """Return the share of x & y, one round for all of it."""
    a, b, product = (part.reshape(x.shape) for part in triples.take(int(np.prod(x.shape[:-1]))))
    opened_x, opened_y = yield np.stack([x ^ a, y ^ b])
    share: Planes = (opened_x & b) ^ (opened_y & a) ^ product
    if first:
        share ^= opened_x & opened_y
    return share


def _above(y: Planes, x: Planes, triples: Triples, first: bool) -> Rounds:
    """Return shares [pairs, width] of y > x, from those of y and x [pairs, bits, width]."""
    above = yield from _both(y, _flip(x, first), triples, first)
    equal = _flip(x ^ y, first)
    while above.shape[1] > 1:
        whole = above.shape[1] // 2 * 2
        low, high = slice(0, whole, 2), slice(1, whole, 2)
        left = np.concatenate([equal[:, high], equal[:, high]], axis=1)
        right = np.concatenate([above[:, low], equal[:, low]], axis=1)
        met = yield from _both(left, right, triples, first)
        half = whole // 2  # above and "equal, then above" exclude each other, so XOR is OR
        above = np.concatenate([above[:, high] ^ met[:, :half], above[:, whole:]], axis=1)
        equal = np.concatenate([met[:, half:], equal[:, whole:]], axis=1)
    return above[:, 0]


def _all_of(
    factors: dict[int, list[Planes]], triples: Triples, first: bool
) -> Generator[Planes, Planes, dict[int, Planes]]:
    """Return the AND of each list of shares [width], halving all lists in each round."""
    while any(len(each) > 1 for each in factors.values()):
        pairs = [(i, at) for i, each in factors.items() for at in range(0, len(each) - 1, 2)]
        left, right = (np.stack([factors[i][at + side] for i, at in pairs]) for side in (0, 1))
        met = iter((yield from _both(left, right, triples, first)))
        odd = {i: each[len(each) // 2 * 2 :] for i, each in factors.items()}
        halved: dict[int, list[Planes]] = {i: [] for i in factors}
        for (i, _), share in zip(pairs, met, strict=True):
            halved[i].append(share)
        factors = {i: halved[i] + odd[i] for i in factors}
    return {i: each[0] for i, each in factors.items()}


def _selected(
    inputs: Planes, groups: Sequence[Sequence[int]], wins: dict[int, Planes], triples: Triples, first: bool
) -> Rounds:
    """Return shares [groups, bits, width] of each group's winner: the last input, and what another one adds to it."""
    last = {i: group[-1] for group in groups for i in group[:-1]}
    bits = np.stack([np.broadcast_to(wins[i], inputs[i].shape) for i in last])
    added = yield from _both(bits, inputs[list(last)] ^ inputs[list(last.values())], triples, first)
    found = dict(zip(last, added, strict=True))
    return np.stack([np.bitwise_xor.reduce([inputs[g[-1]], *(found[i] for i in g[:-1])]) for g in groups])


@lru_cache(maxsize=256)
def _needed(inputs: int, bits: int) -> tuple[int, int]:
    """Count triples and rounds by going through them with no slot at all."""

    class Endless(Triples):
        def take(self, count: int) -> tuple[Planes, Planes, Planes]:
            self.taken += count
            return nothing[:count], nothing[:count], nothing[:count]

    most = bits * max(1, inputs) * (_FAN + 2)  # more than any round takes
    nothing = np.zeros((most, 0), np.uint8)
    triples, rounds = Endless(nothing, nothing, nothing), 0
    steps = largest(np.zeros((inputs, bits, 0), np.uint8), triples, True)
    try:
        opened = next(steps)
        while True:
            rounds += 1
            opened = steps.send(opened)
    except StopIteration:
        return triples.taken, rounds
