"""Whether sums of counts reach thresholds, on secret shares: the arithmetic alone, no talking and no I/O.

Two computing parties, C1 and C2, hold additive shares mod 2^W of x = sum - threshold for every test of every slot. A
dealer who never sees a count gives them a random r, shared additively and bit by bit, and AND triples (Beaver, CRYPTO
1991). They open z = x + r; x is negative iff z_msb ^ r_msb ^ borrow is 1, the borrow by a Kogge-Stone prefix (IEEE
Trans. Comput. 1973) over generate = ~z & r, propagate = ~(z ^ r), on whole words for all slots and tests at once. A small
`Circuit` of ANDs turns the signs into the bits that may be opened; nothing else is.

Costs less than the textbook: counts are clamped to the threshold, so words are narrow; the dealer also deals r & (r << 1),
which makes the first prefix level local; both products of a level share two openings, because a shifted word is masked by
the shifted mask. Arrays are test-major: words [T, P], bits packed along the slots [wires, B] with B = ceil(P / 8).
Semi-honest: the dealer must not collude with C1 or C2, nor C1 with C2 (that would open sums, or every count).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from fedsql.crypto.circuit import Bits, Circuit, Counts, Gates, gates

Words = NDArray[np.unsignedinteger[Any]]
Packed = NDArray[np.uint8]

SEED_BYTES = 32
_NOISY_LIMIT = 1 << 62
BARRED = 1 << 61  # more than noise alone ever is


def word_bits(parties: int, thresholds: Sequence[int]) -> int:
    """Return the least W in 8, 16, 32, 64 with N t + t < 2^(W-1) for every threshold t, else raise ValueError."""
    for bits in (8, 16, 32, 64):
        if (parties + 1) * max(thresholds) < 1 << (bits - 1):
            return bits
    raise ValueError("a threshold is too large for 64-bit words")


@dataclass(frozen=True)
class Shape:
    """The public sizes of one decision; every length on the wire follows from them alone."""

    circuit: Circuit
    slots: int
    parties: int

    @cached_property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The little-endian unsigned word type of W bits."""
        bits = word_bits(self.parties, self.circuit.tests)
        whole = self.circuit.noisy or self.circuit.shared
        if whole and max(self.circuit.tests) >= _NOISY_LIMIT:
            raise ValueError("a threshold is too large for 64-bit words")
        return np.dtype(f"<u{8 if whole else bits // 8}")

    @cached_property
    def words(self) -> tuple[int, int]:
        """The shape of an array of words: (T, P)."""
        return len(self.circuit.tests), self.slots

    @cached_property
    def levels(self) -> int:
        """Prefix levels that need talking: log2(W) - 1, the first one being local."""
        return self.dtype.itemsize.bit_length() + 1

    @cached_property
    def gates(self) -> Gates:
        """The compiled circuit."""
        return gates(self.circuit)

    def size(self, planes: int, rows: int = 0) -> int:
        """Bytes of ``planes`` arrays of words and ``rows`` rows of packed bits."""
        return planes * self.words[0] * self.slots * self.dtype.itemsize + rows * -(-self.slots // 8)

    def read(self, data: bytes, planes: int, rows: int = 0) -> tuple[Words, Packed]:
        """Cut ``data`` into words [planes, T, P] and packed bits [rows, B]; ValueError when its length is not `size`."""
        if len(data) != self.size(planes, rows):
            raise ValueError("wrong length")
        middle = self.size(planes)
        words = np.frombuffer(data[:middle], self.dtype).reshape(planes, *self.words)
        return words, np.frombuffer(data[middle:], np.uint8).reshape(rows, -(-self.slots // 8))

    def one(self, data: bytes) -> Words:
        """Read one plane of words [T, P]; ValueError when the length of ``data`` is wrong."""
        return self.read(data, 1)[0].reshape(self.words)


def keystream(seed: bytes, size: int) -> bytes:
    """Return AES-256-CTR's keystream: the PRG. A seed is drawn for one use only, so the counter starts at zero."""
    return Cipher(algorithms.AES(seed), modes.CTR(bytes(16))).encryptor().update(bytes(size))


def clamp(shape: Shape, counts: Counts) -> Words:
    """Return one party's counts [P, T] as words [T, P], each clamped to its threshold, which changes no outcome.

    Noisy counts are bounded by 2^62 / N on both sides instead, and shares, which may be any int64, are not bounded.
    Raises ValueError for another shape or a count below 0.
    """
    counts = counts.astype(np.int64, casting="safe")
    if shape.circuit.shared and counts.shape == (shape.slots, len(shape.circuit.tests)):
        return np.ascontiguousarray(counts.T.astype(shape.dtype))
    tests = np.array(shape.circuit.tests, np.int64)
    limit = _NOISY_LIMIT // shape.parties
    if counts.shape != (shape.slots, len(tests)) or (not shape.circuit.noisy and (counts < 0).any()):
        raise ValueError("counts must be [slots, tests] and not negative")
    clamped = np.clip(counts, -limit, limit) if shape.circuit.noisy else np.minimum(counts, tests)
    return np.ascontiguousarray(clamped.T.astype(shape.dtype))


def pad(shape: Shape, seed: bytes) -> Words:
    """Return C1's share [T, P] of the counts of the party that drew ``seed``."""
    return shape.one(keystream(seed, shape.size(1)))


def split(shape: Shape, counts: Counts, seed: bytes) -> Words:
    """Return C2's share [T, P] of ``counts`` [P, T]; C1's is `pad` of the seed."""
    return clamp(shape, counts) - pad(shape, seed)


def total(shape: Shape, own: Counts, shares: Iterable[Words], first: bool) -> Words:
    """Return a computing party's share of sum - threshold.

    Its own counts [P, T] enter whole: only z = x + r is ever opened, so sharing them would hide nothing more.
    """
    result = clamp(shape, own)
    for share in shares:
        result += share
    return result - np.array(shape.circuit.tests, np.int64).astype(shape.dtype)[:, None] if first else result


@dataclass(frozen=True)
class Dealing:
    """One computing party's share of the correlated randomness, with L = `Shape.levels` and G gates.

    ``offset`` [T, P]: of r, additive. ``bits`` [T, P]: of r, XOR. ``masks`` [L, 2, T, P]: of a and b that mask
    propagate and generate. ``products`` [2 L, T, P]: of r & r<<1, then for each level of a & b<<s and a & a<<s (not for
    the last). ``gate_masks`` [2, G, B] and ``gate_products`` [G, B]: of bit triples.
    """

    offset: Words
    bits: Words
    masks: Words
    products: Words
    gate_masks: Packed
    gate_products: Packed


def _drawn(shape: Shape, seed: bytes, fixed: bool) -> tuple[tuple[Words, Packed], bytes]:
    planes, rows = 1 + 2 * shape.levels, len(shape.gates.inputs)
    free = shape.size(planes, 2 * rows)
    stream = keystream(seed, free + (shape.size(planes, rows) if fixed else 0))
    return shape.read(stream[:free], planes, 2 * rows), stream[free:]


def hold(shape: Shape, seed: bytes, correction: bytes | None = None) -> Dealing:
    """Expand what the dealer sent: C1 a seed, C2 a seed and a correction (ValueError when its length is wrong)."""
    (words, packed), rest = _drawn(shape, seed, correction is None)
    count = len(shape.gates.inputs)
    fixed, products = shape.read(rest if correction is None else correction, 1 + 2 * shape.levels, count)
    masks = words[1:].reshape(shape.levels, 2, *shape.words)
    return Dealing(fixed[0], words[0], masks, fixed[1:], packed.reshape(2, count, packed.shape[1]), products)


def deal(shape: Shape, first_seed: bytes, second_seed: bytes, barred: NDArray[np.bool_] | None = None) -> bytes:
    """Return the correction that makes C2's masks fit C1's: (1 + 2 L) words a test and one bit a gate, per slot.

    ``barred`` [P], of a noisy circuit: slots that hold noise alone, which shall not reach a threshold by it. There the
    offset is of r less 2^61, so what is compared is; nobody but the dealer can tell, for z stays uniformly random.
    """
    one = hold(shape, first_seed)
    (words, packed), _ = _drawn(shape, second_seed, False)
    r = one.bits ^ words[0]
    a, b = np.moveaxis(one.masks ^ words[1:].reshape(one.masks.shape), 1, 0)
    products = [r & (r << 1)]
    for level in range(shape.levels):
        products += [a[level] & (b[level] << (2 << level)), a[level] & (a[level] << (2 << level))]
    left, right = one.gate_masks ^ packed.reshape(one.gate_masks.shape)
    offset = r - one.offset
    if barred is not None:
        offset -= np.where(barred, BARRED, 0).astype(shape.dtype)
    parts = (offset, np.stack(products[:-1]) ^ one.products, (left & right) ^ one.gate_products)
    return b"".join(part.tobytes() for part in parts)


def _and(x: Words, y: Words, a: Words, b: Words, product: Words, first: bool) -> Words:
    """Share of (x ^ a) & (y ^ b), for opened x and y and shared a, b and a & b (Beaver 1991)."""
    share = (x & b) ^ (y & a) ^ product
    return share ^ (x & y) if first else share


def borrow_start(dealing: Dealing, z: Words, first: bool) -> Words:
    """Return shares [2, T, P] of propagate and generate after the first prefix level, from the opened z [T, P]."""
    u, r, pair = ~z, dealing.bits, dealing.products[0]
    u_next, r_next = u << 1, r << 1
    propagate = (u & r_next) ^ (u_next & r) ^ pair
    if first:
        propagate ^= u & u_next
    return np.stack([propagate, (u & r) ^ (u & u_next & r_next) ^ (u_next & pair)])


def borrow_step(dealing: Dealing, level: int, state: Words, opened: Words, first: bool) -> Words:
    """Return the state after talking level 0, 1, ...: ``opened`` [2, T, P] is state ^ masks, of both parties together.

    The last level leaves propagate as it was: nobody needs it, so nothing was dealt for it.
    """
    (x, y), (a, b), shift = opened, dealing.masks[level], 2 << level
    generate = state[1] ^ _and(x, y << shift, a, b << shift, dealing.products[2 * level + 1], first)
    if level + 1 == len(dealing.masks):
        return np.stack([state[0], generate])
    return np.stack([_and(x, x << shift, a, a << shift, dealing.products[2 * level + 2], first), generate])


def holds(dealing: Dealing, z: Words, state: Words, first: bool) -> Packed:
    """Return packed shares [T, B] of "x >= 0" for every test."""
    sign = (state[1] << 1) ^ dealing.bits
    if first:
        sign ^= ~z
    return np.packbits(sign >> (8 * z.itemsize - 1), axis=1)


def _literals(wires: Packed, literals: Sequence[int], first: bool) -> Packed:
    picked = wires[[literal >> 1 for literal in literals]]
    if first:
        picked[[bool(literal & 1) for literal in literals]] ^= 0xFF
    return picked


def gate_inputs(shape: Shape, dealing: Dealing, level: int, wires: Packed, first: bool) -> Packed:
    """Return the masked inputs [2, gates of the level, B] to be opened, from the shares of all wires so far."""
    numbers = list(shape.gates.levels[level])
    sides = [[shape.gates.inputs[gate][side] for gate in numbers] for side in (0, 1)]
    return np.stack([_literals(wires, side, first) for side in sides]) ^ dealing.gate_masks[:, numbers]


def gate_outputs(shape: Shape, dealing: Dealing, level: int, wires: Packed, opened: Packed, first: bool) -> None:
    """Write the shares of the level's gates into ``wires`` [T + G, B], from the opened inputs."""
    numbers = list(shape.gates.levels[level])
    a, b = dealing.gate_masks[:, numbers]
    products = _and(opened[0], opened[1], a, b, dealing.gate_products[numbers], first)
    wires[[shape.words[0] + gate for gate in numbers]] = products


def result(shape: Shape, wires: Packed, first: bool) -> Packed:
    """Return the shares [1 + cells, B] of the bits that both parties open: survive, then the cells."""
    return _literals(wires, shape.gates.outputs, first)


def unpack(shape: Shape, opened: Packed) -> Bits:
    """Return the opened bits [1 + cells, B] as `Bits`."""
    bits = np.unpackbits(opened, axis=1, count=shape.slots).astype(bool)
    return Bits(bits[0], np.ascontiguousarray(bits[1:].T))
