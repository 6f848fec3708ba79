"""Commitments to the bits: one's own slots verify, altered ones do not, and unrevealed ones stay hidden."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsql.codec import digest
from fedsql.crypto.circuit import Bits
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.verdict import check, commit, record


def bits_of(slots, cells, number=1):
    rng = np.random.default_rng(number)
    return Bits(rng.random(slots) < 0.5, rng.random((slots, cells)) < 0.5)


@given(st.integers(1, 30), st.integers(0, 17), st.data())
def test_revealed_slots_verify_and_give_the_bits(slots, cells, data):
    bits = bits_of(slots, cells, data.draw(st.integers(0, 999)))
    mine = data.draw(st.lists(st.integers(0, slots - 1), unique=True))
    verdict = commit(bits, bytes(range(32)))
    salts, packed = verdict.reveal(mine)
    checked = check(mine, packed, salts, verdict.commitments, cells)
    np.testing.assert_array_equal(checked.survive, bits.survive[mine])
    np.testing.assert_array_equal(checked.cells, bits.cells[mine])


def test_commitments_follow_from_bits_and_seed():
    first, second, other = (commit(bits_of(9, 3), seed) for seed in (b"s" * 32, b"s" * 32, b"t" * 32))
    assert first.commitments == second.commitments
    assert len(first.commitments) == 9 * 16
    pairs = zip(np.frombuffer(first.commitments, "S16"), np.frombuffer(other.commitments, "S16"), strict=True)
    assert all(a != b for a, b in pairs)


def test_equal_bits_do_not_show_in_the_commitments():
    verdict = commit(Bits(np.zeros(500, bool), np.zeros((500, 2), bool)), bytes(32))
    assert len({verdict.commitments[i : i + 16] for i in range(0, len(verdict.commitments), 16)}) == 500
    salts = {verdict.salts[i : i + 16] for i in range(0, len(verdict.salts), 16)}
    assert len(salts) == 500


def altered(data, at):
    return data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda slots, bits, salts, commitments: (slots, altered(bits, 0), salts, commitments),
        lambda slots, bits, salts, commitments: (slots, altered(bits, len(bits) - 1), salts, commitments),
        lambda slots, bits, salts, commitments: (slots, bits, altered(salts, 17), commitments),
        lambda slots, bits, salts, commitments: (slots, bits, salts, altered(commitments, 16 * slots[1])),
        lambda slots, bits, salts, commitments: ([slots[0], slots[1] + 1], bits, salts, commitments),
        lambda slots, bits, salts, commitments: (slots[::-1], bits, salts, commitments),
        lambda slots, bits, salts, commitments: (slots, bits + b"\0", salts, commitments),
        lambda slots, bits, salts, commitments: (slots, bits, salts[:-1], commitments),
        lambda slots, bits, salts, commitments: (slots, b"", b"", commitments),
        lambda slots, bits, salts, commitments: ([slots[0], 6], bits, salts, commitments),
        lambda slots, bits, salts, commitments: ([slots[0], -4], bits, salts, commitments),
        lambda slots, bits, salts, commitments: (slots, bits, salts, commitments[: 16 * slots[1] + 15]),
    ],
)
def test_anything_altered_is_refused(spoil):
    verdict = commit(bits_of(6, 3), bytes(32))
    slots = [0, 2]
    salts, bits = verdict.reveal(slots)
    with pytest.raises(ProtocolError, match="does not fit"):
        check(*spoil(slots, bits, salts, verdict.commitments), cells=3)


def test_a_slot_cannot_pass_for_another_with_the_same_salt():
    """Slot numbers are committed to: moving a commitment together with its salt and bits is noticed."""
    verdict = commit(bits_of(6, 3), bytes(32))
    salts, bits = verdict.reveal([4])
    moved = verdict.commitments[64:80] + verdict.commitments[16:]
    with pytest.raises(ProtocolError):
        check([0], bits, salts, moved, cells=3)


def test_the_signed_record_binds_everything():
    base = {
        "query": b"q",
        "attempt": 1,
        "release": 0,
        "contributors": ["b", "a"],
        "plan": b"p" * 32,
        "commitments": b"c" * 16,
    }
    others = {"query": b"r", "attempt": 2, "release": 1, "contributors": ["a"], "plan": b"o" * 32, "commitments": b"d"}
    assert record(**base)["contributors"] == ["a", "b"]
    assert digest(record(**base)) == digest(record(**(base | {"contributors": ("a", "b")})))
    for name, value in others.items():
        assert digest(record(**base)) != digest(record(**(base | {name: value})))
