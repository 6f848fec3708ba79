"""What is decided about a slot: thresholds on sums of counts, and how they combine to "survives" and "cell shown".

A `Circuit` is the same for every slot of a release, and public. `evaluate_clear` says what it means; `gates` compiles it
into rounds of ANDs on single bits, which `fedsql.crypto.shares` evaluates on shares.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Cell:
    """A suppressible value, by indexes of tests.

    Shown iff the slot survives, and ``enough`` and all of ``also`` hold, and not (``rest_some`` holds but
    ``rest_enough`` does not). None: that part is absent (the rest: both or neither).
    """

    enough: int | None = None
    rest_some: int | None = None
    rest_enough: int | None = None
    also: tuple[int, ...] = ()


@dataclass(frozen=True)
class Circuit:
    """What is decided for each slot: ``tests`` are thresholds (sum >= t), ``survive`` the tests that must all hold.

    ``noisy``: counts may be negative, as with noise, so they are not clamped to t, words have 64 bits, and thresholds may be
    anything. Raises ValueError for other thresholds below 1, unknown tests, no ``survive`` test, or half a rest.
    """

    tests: tuple[int, ...]
    survive: tuple[int, ...]
    cells: tuple[Cell, ...] = ()
    noisy: bool = False

    def __post_init__(self) -> None:
        used = [
            *self.survive,
            *(i for c in self.cells for i in (c.enough, c.rest_some, c.rest_enough, *c.also) if i is not None),
        ]
        low = not self.noisy and min(self.tests, default=0) < 1
        if not self.survive or low or not all(0 <= i < len(self.tests) for i in used):
            raise ValueError("a circuit needs thresholds of at least 1, a survive test, and tests that exist")
        if any((c.rest_some is None) != (c.rest_enough is None) for c in self.cells):
            raise ValueError("a cell's rest needs both of its tests")


@dataclass(frozen=True)
class Bits:
    """The opened bits: ``survive`` bool [P], ``cells`` bool [P, cells] (already ANDed with survive)."""

    survive: NDArray[np.bool_]
    cells: NDArray[np.bool_]


@dataclass(frozen=True)
class Gates:
    """A circuit as an and-inverter graph. A literal is 2 * wire + inverted (AIGER); wires: the tests, then the gates.

    ``levels`` lists the gates of each round, ``outputs`` the literals of survive and of the cells.
    """

    inputs: tuple[tuple[int, int], ...]
    levels: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]


@lru_cache(maxsize=256)
def gates(circuit: Circuit) -> Gates:
    """Compile ``circuit`` into ANDs of two bits in as few levels as its products need (3 with everything present)."""
    wires: dict[tuple[int, int], int] = {}
    depth = dict.fromkeys(range(len(circuit.tests)), 0)

    def all_of(literals: Iterable[int]) -> int:
        queue = list(dict.fromkeys(literals))
        while len(queue) > 1:  # always the two shallowest, as in Huffman's tree
            queue.sort(key=lambda literal: depth[literal >> 1])
            pair = (min(queue[:2]), max(queue[:2]))
            if pair not in wires:
                wires[pair] = wire = len(depth)
                depth[wire] = 1 + max(depth[literal >> 1] for literal in pair)
            queue[:2] = [2 * wires[pair]]
        return queue[0]

    survive = all_of(2 * i for i in circuit.survive)
    outputs = [survive]
    for cell in circuit.cells:
        factors = [survive, *(2 * i for i in cell.also)]
        if cell.enough is not None:
            factors.append(2 * cell.enough)
        if cell.rest_some is not None and cell.rest_enough is not None:
            factors.append(all_of((2 * cell.rest_some, 2 * cell.rest_enough + 1)) ^ 1)
        outputs.append(all_of(factors))
    levels: list[list[int]] = [[] for _ in range(max(depth.values()))]
    for gate, wire in enumerate(wires.values()):
        levels[depth[wire] - 1].append(gate)
    return Gates(tuple(wires), tuple(map(tuple, levels)), tuple(outputs))


def evaluate_clear(circuit: Circuit, sums: Counts) -> Bits:
    """Return what the protocol returns, from the sums [P, T] themselves: the definition, and a lone party's way."""
    holds = sums >= np.array(circuit.tests)
    survive: NDArray[np.bool_] = np.logical_and.reduce(holds[:, list(circuit.survive)], axis=1)
    cells = np.repeat(survive[:, None], len(circuit.cells), axis=1)
    for number, cell in enumerate(circuit.cells):
        if cell.enough is not None:
            cells[:, number] &= holds[:, cell.enough]
        cells[:, number] &= holds[:, list(cell.also)].all(axis=1)
        if cell.rest_some is not None and cell.rest_enough is not None:
            cells[:, number] &= ~(holds[:, cell.rest_some] & ~holds[:, cell.rest_enough])
    return Bits(survive, cells)
