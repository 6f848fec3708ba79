"""What C1 and C2 sign after the threshold step, so that each party can verify the bits of its own slots and no others.

Each slot's bits are committed to under a salt of its own (BLAKE2b, RFC 7693, keyed by the salt); both computing parties
derive the salts from the seed they share, and sign a record that holds the digest of all commitments. Everybody may see
the commitments: without a slot's salt they tell nothing. Whoever knows which slots are a party's passes it those salts and bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fedsql.crypto.circuit import Bits
from fedsql.crypto.shares import keystream
from fedsql.errors import ProtocolError

SALT_BYTES = 16
COMMITMENT_BYTES = 16
_PERSON = b"fedsql verdict"


@dataclass(frozen=True)
class Verdict:
    """The bits of all slots with their ``salts`` (16 bytes a slot) and ``commitments`` (16 bytes a slot)."""

    bits: Bits
    salts: bytes
    commitments: bytes

    def reveal(self, slots: Sequence[int]) -> tuple[bytes, bytes]:
        """Return the salts and the packed bits of ``slots``, in their order: what `check` takes."""
        rows = _rows(self.bits)
        salts = b"".join(_part(self.salts, SALT_BYTES, slot) for slot in slots)
        return salts, b"".join(rows[slot] for slot in slots)


def commit(bits: Bits, seed: bytes) -> Verdict:
    """Commit to ``bits`` under salts derived from ``seed`` (32 bytes, fresh, known to C1 and C2 alone)."""
    rows = _rows(bits)
    salts = keystream(seed, SALT_BYTES * len(rows))
    return Verdict(bits, salts, _commitments(range(len(rows)), salts, rows))


def check(slots: Sequence[int], bits: bytes, salts: bytes, commitments: bytes, cells: int) -> Bits:
    """Return the bits of ``slots`` if the revealed ``bits`` and ``salts`` fit the ``commitments`` of all slots.

    The caller has verified both signatures over a `record` made from these commitments. ``cells`` is the circuit's
    number of cells. Raises ProtocolError otherwise.
    """
    width = -(-(1 + cells) // 8)
    if (
        len(bits) == width * len(slots)
        and len(salts) == SALT_BYTES * len(slots)
        and all(0 <= slot < len(commitments) // COMMITMENT_BYTES for slot in slots)
    ):
        rows = [_part(bits, width, i) for i in range(len(slots))]
        wanted = b"".join(_part(commitments, COMMITMENT_BYTES, slot) for slot in slots)
        if _commitments(slots, salts, rows) == wanted:
            flat = np.frombuffer(bits, np.uint8).reshape(len(slots), width)
            table = np.unpackbits(flat, axis=1, count=1 + cells).astype(bool)
            return Bits(table[:, 0], table[:, 1:])
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
    return [row.tobytes() for row in packed]


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
