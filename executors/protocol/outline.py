"""What passes between the steps of one release: its public outline, a party's partials, and what is released."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsql.codec import encode
from fedsql.crypto.circuit import Bits, Cell, Circuit, Rest
from fedsql.crypto.packing import MAX_VECTORS, MAX_WIDTH, Column
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.join_outline import JoinOutline
from fedsql.executors.protocol.threshold import Setting
from fedsql.executors.protocol.wire import Message
from fedsql.planner.quantiles import MOST_VALUES

Label = tuple[str | None, ...]
MOST = 1 << 16  # public slots, tests, cells or partials of a release: more than anybody plans
_MOST_LITERALS = 1 << 14  # of all cells of a circuit
_MOST_UNITS = 1 << 40  # a threshold
Codes = Mapping[int, Column]  # index of the partial of C1's shares -> codes or shares of them [rows, width]


@dataclass(frozen=True)
class Outline:
    """The public shape of a release: all that the coordinator knows of it.

    ``slots``: how many there are where the groups are public, else None: tags align them, or a private join tells. ``circuit`` is None under
    noise: then every slot is sent. ``widths`` are those of the partials, in bytes; ``tagged`` are the indexes of those
    that the coordinator counts by tags. ``extremes`` are (index, bits) of partials that hold C1's share of a code, each
    followed by the one that holds C2's; so are ``ranks``, (index, number of values in the list). ``told``: each party learns
    which of its groups are shown before anybody is READY, for another release of the same rows waits for that. ``join``: its
    counts and partials are shares that a private join yields, each contributor's over all slots.
    """

    number: int
    contributors: tuple[str, ...]
    slots: int | None
    circuit: Circuit | None
    widths: tuple[int, ...]
    tagged: tuple[int, ...] = ()
    extremes: tuple[tuple[int, int], ...] = ()
    ranks: tuple[tuple[int, int], ...] = ()
    told: bool = False
    join: JoinOutline | None = None

    def computing(self, draw: bytes) -> tuple[str, ...]:
        """Return the computing parties: two of the contributors, by what their fresh keys drew; one if alone."""
        return tuple(sorted(self.contributors, key=lambda name: hashlib.sha256(draw + name.encode()).digest())[:2])

    def setting(self, slots: int, draw: bytes) -> Setting:
        """Return the setting of the threshold step (two contributors or more)."""
        assert self.circuit is not None
        c1, c2 = self.computing(draw)
        return Setting(self.number, self.circuit, slots, self.contributors, (c1, c2))

    def record(self) -> dict[str, Any]:
        """Return what the coordinator is sent."""
        circuit = self.circuit and {
            "tests": list(self.circuit.tests),
            "survive": list(self.circuit.survive),
            "cells": [[c.enough, _listed(c.rests), list(c.also)] for c in self.circuit.cells],
            "rests": _listed(self.circuit.rests),
            "noisy": self.circuit.noisy,
            "shared": self.circuit.shared,
        }
        return {
            "number": self.number,
            "contributors": list(self.contributors),
            "slots": self.slots,
            "circuit": circuit,
            "widths": list(self.widths),
            "tagged": list(self.tagged),
            "extremes": [list(each) for each in self.extremes],
            "ranks": [list(each) for each in self.ranks],
            "told": self.told,
            "join": self.join and self.join.record(),
        }

    @classmethod
    def of(cls, record: object, message: Message) -> Outline:
        """Read `record`, which ``message`` holds. Raises ProtocolError when it is malformed or larger than any plan."""
        number, contributors, slots, circuit, widths, tagged, extremes, ranks, told, join = message.values(
            record,
            number=int,
            contributors=list[str],
            slots=int | None,
            circuit=dict[str, Any] | None,
            widths=list[int],
            tagged=list[int],
            extremes=list[tuple[int, int]],
            ranks=list[tuple[int, int]],
            told=bool,
            join=dict[str, Any] | None,
        )
        if not (0 <= number < MOST and 0 < len(set(contributors)) == len(contributors) <= MAX_VECTORS):
            raise message.malformed()
        if not (slots is None or 0 < slots <= MOST) or len(widths) > MOST:
            raise message.malformed()
        if not all(0 < width <= MAX_WIDTH for width in widths):
            raise message.malformed()
        special = [*tagged, *(first + second for first, _ in (*extremes, *ranks) for second in (0, 1))]
        if not all(0 <= partial < len(widths) for partial in special) or len(set(special)) != len(special):
            raise message.malformed()
        if not all(0 < bits <= 8 * widths[first] for first, bits in extremes):
            raise message.malformed()
        if not all(1 < values <= MOST_VALUES and values.bit_length() <= 8 * widths[first] for first, values in ranks):
            raise message.malformed()
        if told and circuit is None:
            raise message.malformed()
        read = None if circuit is None else _circuit(circuit, message)
        joint = None if join is None else JoinOutline.of(join, message, contributors, slots)
        if joint is not None and (special or told or not {*widths} <= {8, 16} or not (read is None or read.shared)):
            raise message.malformed()
        largest, at_ranks = (tuple((first, size) for first, size in listed) for listed in (extremes, ranks))
        sent = tuple(widths), tuple(tagged), largest, at_ranks
        return cls(number, tuple(contributors), slots, read, *sent, told, joint)


def _listed(rests: Sequence[Rest]) -> list[object]:
    return [[rest.some, list(rest.enough)] for rest in rests]


def _circuit(record: dict[str, Any], message: Message) -> Circuit:
    rests: Any = list[tuple[int, list[int]]]
    cells: Any = list[tuple[int | None, rests, list[int]]]
    tests, survive, cells, rests, noisy, shared = message.values(
        record, tests=list[int], survive=list[int], cells=cells, rests=rests, noisy=bool, shared=bool
    )
    left = [*rests, *(rest for _, each, _ in cells for rest in each)]
    literals = len(survive) + sum(len(also) + 1 for *_, also in cells) + sum(len(enough) + 1 for _, enough in left)
    if max(len(tests), len(cells), literals) > _MOST_LITERALS:
        raise message.malformed()
    try:
        shown = tuple(Cell(enough, _rests(left), tuple(also)) for enough, left, also in cells)
        made = Circuit(tuple(tests), tuple(survive), shown, _rests(rests), noisy, shared)
    except ValueError:
        raise message.malformed() from None
    if max(map(abs, tests)) >= _MOST_UNITS:
        raise message.malformed()
    return made


def _rests(listed: Sequence[tuple[int, Sequence[int]]]) -> tuple[Rest, ...]:
    return tuple(Rest(some, tuple(enough)) for some, enough in listed)


@dataclass(frozen=True)
class Ranks:
    """What finds the value at a rank.

    The sums over all parties of ``counts``, int64 [rows, values - 1], reach ``threshold`` from the value in question on.
    """

    counts: NDArray[np.int64]
    threshold: int


@dataclass(frozen=True)
class GroupPartials:
    """What a party's fragment yielded: G labels, counts int64 [G, tests], and a column [G, width] for each partial.

    ``cells[j]`` lists the cells that show partial j; None among them: it is shown with its group. ``values[j]`` are the
    texts of each group's distinct values, where partial j is tagged, ``codes[j]`` a column of each group's codes, where it
    is an extreme, and ``ranks[j]`` what it takes, where it is a value at a rank (their columns hold zeros).
    """

    labels: Sequence[Label]
    counts: NDArray[np.int64]
    columns: Sequence[Column]
    cells: Sequence[Sequence[int | None]]
    values: Mapping[int, Sequence[Sequence[str]]] = field(default_factory=dict)
    codes: Codes = field(default_factory=dict)
    ranks: Mapping[int, Ranks] = field(default_factory=dict)


@dataclass(frozen=True)
class NoiseDraws:
    """A party's noise: int64 [rows] for each partial, in multiples of the partial's grid."""

    draws: Sequence[NDArray[np.int64]]
    grids: Sequence[int]


@dataclass(frozen=True)
class NoiseShares:
    """How a party draws its noise for a release: ``values(rows)``; ``units(slots)`` for the count that decides a slot.

    Where groups are public their number is known, and all is drawn before the data is touched.
    """

    values: Callable[[int], NoiseDraws]
    units: Callable[[int], NDArray[np.int64]] | None = None


@dataclass(frozen=True)
class Released:
    """What the analyst gets of one release: ciphertexts of ``rows`` rows, of which those at ``positions`` are shown.

    ``bits`` [shown, cells] says which cells; ``signatures`` are the computing parties' over `released_record`;
    ``labels`` the sealed labels in the order of ``positions`` (none where groups are public), under the key in
    ``label_key`` (sealed to the analyst).
    """

    rows: int
    positions: tuple[int, ...]
    bits: bytes
    signatures: Mapping[str, bytes]
    vector: bytes
    label_key: bytes = b""
    labels: tuple[bytes, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return what is sent."""
        return {
            "rows": self.rows,
            "positions": list(self.positions),
            "bits": self.bits,
            "signatures": dict(self.signatures),
            "vector": self.vector,
            "label_key": self.label_key,
            "labels": list(self.labels),
        }

    @classmethod
    def of(cls, record: object, message: Message) -> Released:
        """Read `record`, which ``message`` holds. Raises ProtocolError when it is malformed."""
        rows, positions, bits, signatures, vector, label_key, labels = message.values(
            record,
            rows=int,
            positions=list[int],
            bits=bytes,
            signatures=dict[str, bytes],
            vector=bytes,
            label_key=bytes,
            labels=list[bytes],
        )
        return cls(rows, tuple(positions), bits, signatures, vector, label_key, tuple(labels))


def released_record(outline: Outline, positions: Sequence[int], bits: bytes) -> bytes:
    """Return what the computing parties sign for the analyst: which rows are shown, and which of their cells."""
    shown: object = len(positions) if outline.slots is None else list(positions)
    return encode({"release": outline.number, "shown": shown, "bits": bits})


def row_bytes(outline: Outline) -> int:
    """Return the bytes of one slot's packed bits: survive and cells."""
    return -(-(1 + (len(outline.circuit.cells) if outline.circuit else 0)) // 8)


def packed_rows(bits: Bits, slots: Sequence[int] | None = None) -> bytes:
    """Return the bits of these slots (None: of all), each packed to `row_bytes`."""
    rows = np.column_stack([bits.survive, bits.cells])
    return np.packbits(rows if slots is None else rows[np.asarray(slots, np.intp)], axis=1).tobytes()


def unpacked_rows(data: bytes, outline: Outline) -> Bits:
    """Read `packed_rows`. Raises ProtocolError on a wrong length."""
    width, cells = row_bytes(outline), len(outline.circuit.cells) if outline.circuit else 0
    if len(data) % width:
        raise ProtocolError("the bits of a release are malformed")
    table = np.unpackbits(np.frombuffer(data, np.uint8).reshape(-1, width), axis=1, count=1 + cells).astype(bool)
    return Bits(table[:, 0], table[:, 1:])
