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
class Rest:
    """What is left over beside something shown, by indexes of tests: nothing, or enough.

    Holds iff ``some`` does not, or all of ``enough`` do. No ``enough``: nothing may be left.
    """

    some: int
    enough: tuple[int, ...] = ()


@dataclass(frozen=True)
class Cell:
    """A suppressible value, by indexes of tests.

    Shown iff the slot survives, and ``enough``, all of ``also`` and all of ``rests`` hold. None: that part is absent.
    """

    enough: int | None = None
    rests: tuple[Rest, ...] = ()
    also: tuple[int, ...] = ()

    @property
    def needed(self) -> tuple[int, ...]:
        """The tests that must all hold."""
        return self.also if self.enough is None else (self.enough, *self.also)


@dataclass(frozen=True)
class Circuit:
    """What is decided for each slot: ``tests`` are thresholds (sum >= t).

    A slot survives where all tests in ``survive`` and all of ``rests`` hold. ``noisy``: counts may be negative, as with
    noise, so they are not clamped to t, words have 64 bits, and thresholds may be anything. ``shared``: the contributors'
    counts are shares modulo 2^64 of counts below 2^62, as of a private join, so they enter as they are.
    Raises ValueError for other thresholds below 1, unknown tests, or no ``survive`` test.
    """

    tests: tuple[int, ...]
    survive: tuple[int, ...]
    cells: tuple[Cell, ...] = ()
    rests: tuple[Rest, ...] = ()
    noisy: bool = False
    shared: bool = False

    def __post_init__(self) -> None:
        rests = [*self.rests, *(rest for cell in self.cells for rest in cell.rests)]
        used = [*self.survive, *(i for cell in self.cells for i in cell.needed)]
        used += [i for rest in rests for i in (rest.some, *rest.enough)]
        low = not self.noisy and min(self.tests, default=0) < 1
        if not self.survive or low or not all(0 <= i < len(self.tests) for i in used):
            raise ValueError("a circuit needs thresholds of at least 1, a survive test, and tests that exist")


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

    def left(rest: Rest) -> int:
        missing = [all_of(2 * i for i in rest.enough) ^ 1] if rest.enough else []
        return all_of([2 * rest.some, *missing]) ^ 1

    survive = all_of([*(2 * i for i in circuit.survive), *map(left, circuit.rests)])
    outputs = [survive]
    outputs += [all_of([survive, *(2 * i for i in c.needed), *map(left, c.rests)]) for c in circuit.cells]
    levels: list[list[int]] = [[] for _ in range(max(depth.values()))]
    for gate, wire in enumerate(wires.values()):
        levels[depth[wire] - 1].append(gate)
    return Gates(tuple(wires), tuple(map(tuple, levels)), tuple(outputs))


def evaluate_clear(circuit: Circuit, sums: Counts) -> Bits:
    """Return what the protocol returns, from the sums [P, T] themselves: the definition, and a lone party's way."""
    holds = sums >= np.array(circuit.tests)

    def all_of(tests: Iterable[int]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.logical_and.reduce(holds[:, list(tests)], axis=1)
        return found

    def hold(tests: Iterable[int], rests: Iterable[Rest]) -> NDArray[np.bool_]:
        found = all_of(tests)
        for rest in rests:
            none = ~holds[:, rest.some]
            found &= (none | all_of(rest.enough)) if rest.enough else none
        return found

    survive = hold(circuit.survive, circuit.rests)
    cells = np.repeat(survive[:, None], len(circuit.cells), axis=1)
    for number, cell in enumerate(circuit.cells):
        cells[:, number] &= hold(cell.needed, cell.rests)
    return Bits(survive, cells)
