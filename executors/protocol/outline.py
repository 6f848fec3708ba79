"""What passes between the steps of one release: its public outline, a party's partials, and what is released."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsql.codec import encode
from fedsql.crypto.circuit import Bits, Cell, Circuit
from fedsql.crypto.packing import Column
from fedsql.errors import ProtocolError
from fedsql.executors.protocol.threshold import Setting

Label = tuple[str | None, ...]


@dataclass(frozen=True)
class Outline:
    """The public shape of a release: all that the coordinator knows of it.

    ``slots``: how many there are where the groups are public, None where tags align them. ``circuit`` is None under
    noise: then every slot is sent. ``widths`` are those of the partials, in bytes; ``tagged`` are the indexes of those
    that the coordinator counts by tags.
    """

    number: int
    contributors: tuple[str, ...]
    slots: int | None
    circuit: Circuit | None
    widths: tuple[int, ...]
    tagged: tuple[int, ...] = ()

    def computing(self, query_id: bytes) -> tuple[str, ...]:
        """Return the computing parties: two of the contributors, which ones depends on the query; one if alone."""
        first = query_id[0] % len(self.contributors)
        return (self.contributors[first:] + self.contributors[:first])[:2]

    def setting(self, slots: int, query_id: bytes) -> Setting:
        """Return the setting of the threshold step (two contributors or more)."""
        assert self.circuit is not None
        c1, c2 = self.computing(query_id)
        return Setting(self.number, self.circuit, slots, self.contributors, (c1, c2))

    def record(self) -> dict[str, Any]:
        """Return what the coordinator is sent."""
        circuit = self.circuit and {
            "tests": list(self.circuit.tests),
            "survive": list(self.circuit.survive),
            "cells": [[c.enough, c.rest_some, c.rest_enough, list(c.also)] for c in self.circuit.cells],
        }
        return {
            "number": self.number,
            "contributors": list(self.contributors),
            "slots": self.slots,
            "circuit": circuit,
            "widths": list(self.widths),
            "tagged": list(self.tagged),
        }

    @classmethod
    def of(cls, record: Any) -> Outline:
        """Read `record`. Raises ProtocolError when it is malformed."""
        try:
            circuit = record["circuit"]
            if circuit is not None:
                cells = tuple(Cell(e, some, rest, tuple(also)) for e, some, rest, also in circuit["cells"])
                circuit = Circuit(tuple(circuit["tests"]), tuple(circuit["survive"]), cells)
            slots = record["slots"]
            return cls(
                int(record["number"]),
                tuple(str(c) for c in record["contributors"]),
                None if slots is None else int(slots),
                circuit,
                tuple(int(w) for w in record["widths"]),
                tuple(int(index) for index in record["tagged"]),
            )
        except (KeyError, TypeError, ValueError):
            raise ProtocolError("the outline of a release is malformed") from None


@dataclass(frozen=True)
class GroupPartials:
    """What a party's fragment yielded: G labels, counts int64 [G, tests], and a column [G, width] for each partial.

    ``cells[j]`` lists the cells that show partial j; None among them: it is shown with its group. ``values[j]`` are the
    texts of each group's distinct values, where partial j is tagged (its column holds zeros).
    """

    labels: Sequence[Label]
    counts: NDArray[np.int64]
    columns: Sequence[Column]
    cells: Sequence[Sequence[int | None]]
    values: Mapping[int, Sequence[Sequence[str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class NoiseDraws:
    """A party's noise: int64 [slots] for each partial, in multiples of the partial's grid."""

    draws: Sequence[NDArray[np.int64]]
    grids: Sequence[int]


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
    def of(cls, record: Any) -> Released:
        """Read `record`. Raises ProtocolError when it is malformed."""
        try:
            found = cls(
                record["rows"],
                tuple(record["positions"]),
                record["bits"],
                dict(record["signatures"]),
                record["vector"],
                record["label_key"],
                tuple(record["labels"]),
            )
        except (KeyError, TypeError, ValueError):
            raise ProtocolError("a released vector is malformed") from None
        texts = (found.bits, found.vector, found.label_key, *found.labels, *found.signatures.values())
        if {type(n) for n in (found.rows, *found.positions)} != {int} or {type(t) for t in texts} != {bytes}:
            raise ProtocolError("a released vector is malformed")
        return found


def released_record(outline: Outline, positions: Sequence[int], bits: bytes) -> bytes:
    """Return what the computing parties sign for the analyst: which rows are shown, and which of their cells."""
    shown: object = len(positions) if outline.slots is None else list(positions)
    return encode({"release": outline.number, "shown": shown, "bits": bits})


def row_bytes(outline: Outline) -> int:
    """Return the bytes of one slot's packed bits: survive and cells."""
    return -(-(1 + (len(outline.circuit.cells) if outline.circuit else 0)) // 8)


def packed_rows(bits: Bits) -> bytes:
    """Return the bits of all slots, each packed to `row_bytes`."""
    return np.packbits(np.column_stack([bits.survive, bits.cells]), axis=1).tobytes()


def unpacked_rows(data: bytes, outline: Outline) -> Bits:
    """Read `packed_rows`. Raises ProtocolError on a wrong length."""
    width, cells = row_bytes(outline), len(outline.circuit.cells) if outline.circuit else 0
    if len(data) % width:
        raise ProtocolError("the bits of a release are malformed")
    table = np.unpackbits(np.frombuffer(data, np.uint8).reshape(-1, width), axis=1, count=1 + cells).astype(bool)
    return Bits(table[:, 0], table[:, 1:])
