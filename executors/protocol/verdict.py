"""What C1 and C2 sign after the threshold step, so that each party can verify the bits of its own slots and no others.

Each slot's bits are committed to under a salt of its own (BLAKE2b, RFC 7693, keyed by the salt); both computing parties
derive the salts from the seed they share, and sign a record that holds the digest of all commitments. Everybody may see
the commitments: without a slot's salt they tell nothing. Whoever knows which slots are a party's passes it those salts and bits.

A slot's row holds its bits and its *rank* among the survivors: the place of its group in the answer. So every holder of a
group puts it in one and the same place, whatever it is told: told apart, two parties would open their partials apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsql.crypto.circuit import Bits
from fedsql.crypto.shares import keystream
from fedsql.errors import ProtocolError

SALT_BYTES = 16
COMMITMENT_BYTES = 16
NO_RANK = 0xFFFFFFFF  # the rank of a slot that does not survive
_RANK_BYTES = 4
_PERSON = b"fedsql verdict"


@dataclass(frozen=True)
class Revealed(Bits):
    """Verified bits of some slots, with each one's ``ranks`` among all survivors (`NO_RANK`: it is none), uint32 [slots]."""

    ranks: NDArray[np.uint32]


@dataclass(frozen=True)
class Verdict:
    """The bits of all slots with their ``salts`` (16 bytes a slot) and ``commitments`` (16 bytes a slot)."""

    bits: Bits
    salts: bytes
    commitments: bytes

    def reveal(self, slots: Sequence[int]) -> tuple[bytes, bytes]:
        """Return the salts and the rows of ``slots``, in their order: what `check` takes."""
        rows = _rows(self.bits)
        salts = b"".join(_part(self.salts, SALT_BYTES, slot) for slot in slots)
        return salts, b"".join(rows[slot] for slot in slots)


def commit(bits: Bits, seed: bytes) -> Verdict:
    """Commit to ``bits`` under salts derived from ``seed`` (32 bytes, fresh, known to C1 and C2 alone)."""
    rows = _rows(bits)
    salts = keystream(seed, SALT_BYTES * len(rows))
    return Verdict(bits, salts, _commitments(range(len(rows)), salts, rows))


def check(slots: Sequence[int], bits: bytes, salts: bytes, commitments: bytes, cells: int) -> Revealed:
    """Return what ``bits`` (rows) says of ``slots`` if it and ``salts`` fit the ``commitments`` of all slots.

    The caller has verified both signatures over a `record` made from these commitments. ``cells`` is the circuit's
    number of cells. Raises ProtocolError otherwise.
    """
    packed = -(-(1 + cells) // 8)
    width = packed + _RANK_BYTES
    if (
        len(bits) == width * len(slots)
        and len(salts) == SALT_BYTES * len(slots)
        and all(0 <= slot < len(commitments) // COMMITMENT_BYTES for slot in slots)
    ):
        rows = [_part(bits, width, i) for i in range(len(slots))]
        wanted = b"".join(_part(commitments, COMMITMENT_BYTES, slot) for slot in slots)
        if _commitments(slots, salts, rows) == wanted:
            flat = np.frombuffer(bits, np.uint8).reshape(len(slots), width)
            table = np.unpackbits(flat[:, :packed], axis=1, count=1 + cells).astype(bool)
            ranks = np.ascontiguousarray(flat[:, packed:]).view("<u4").reshape(len(slots))
            return Revealed(table[:, 0], table[:, 1:], ranks)
    raise ProtocolError("the threshold's result does not fit its commitments")


def record(
    query: bytes, attempt: int, release: int, contributors: Iterable[str], plan: bytes, commitments: bytes
) -> dict[str, object]:
    """Return the record that C1 and C2 sign; ``plan`` is the plan's digest. A verifier rebuilds it and compares."""
    return {
        "query": query,
        "attempt": attempt,
        "release": release,
        "contributors": sorted(contributors),
        "plan": plan,
        "commitments": hashlib.sha256(commitments).digest(),
    }


def _part(data: bytes, size: int, number: int) -> bytes:
    return data[size * number : size * (number + 1)]


def _rows(bits: Bits) -> list[bytes]:
    packed = np.packbits(np.column_stack([bits.survive, bits.cells]), axis=1)
    ranks = np.where(bits.survive, np.cumsum(bits.survive) - 1, NO_RANK).astype("<u4").view(np.uint8).reshape(-1, 4)
    return [row.tobytes() for row in np.hstack([packed, ranks])]


def _commitments(slots: Iterable[int], salts: bytes, rows: Sequence[bytes]) -> bytes:
    return b"".join(
        hashlib.blake2b(
            slot.to_bytes(8, "little") + row,
            key=_part(salts, SALT_BYTES, i),
            person=_PERSON,
            digest_size=COMMITMENT_BYTES,
        ).digest()
        for i, (slot, row) in enumerate(zip(slots, rows, strict=True))
    )
