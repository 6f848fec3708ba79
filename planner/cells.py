"""What decides, on secret shares, whether a group and each of its values may be shown (DESIGN, section 3).

A group needs k units; above k = 1 so does every value but COUNT(*), in rows where its argument is neither NULL nor zero, and
the rest of a condition must hold no unit or k. Where other groupings of the same rows are shown already (`siblings`), what
they leave over must as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from fedsql.crypto.circuit import Cell, Circuit, Rest
from fedsql.planner.logical import Aggregate
from fedsql.planner.ordered import EXTREMES
from fedsql.planner.partials import Test
from fedsql.planner.quantiles import QUANTILES
from fedsql.planner.siblings import Beside
from fedsql.planner.summable import Argument

Render = Callable[[exp.Expr], str]  # SQL of a row-wise expression that cannot raise
Part = tuple[str, str | None, list[str]]  # a partial, the rows that it is made of, and what is non-zero where it is


@dataclass
class Cells:
    """Collects the tests and cells of one release; equal ones are shared."""

    parties: int
    min_group_size: int
    count_units: Callable[[str | None], str]  # SQL that reaches k where the units of the rows under a condition do
    exact_units: Callable[[str | None], str]  # SQL counting these units
    noisy: bool = False
    beside: Beside | None = None  # the releases of the same rows that are shown already
    tests: list[Test] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)

    def test(self, sql: str, threshold: int) -> int:
        """Return the index of the test, adding it when new."""
        for index, known in enumerate(self.tests):
            if (known.sql, known.threshold) == (sql, threshold):
                return index
        self.tests.append(Test(f"t{len(self.tests)}", sql, threshold))
        return len(self.tests) - 1

    def cell(self, cell: Cell) -> int:
        """Return the index of the cell, adding it when new."""
        if cell not in self.cells:
            self.cells.append(cell)
        return self.cells.index(cell)

    def circuit(self, survive: tuple[int, ...]) -> Circuit:
        """Return what is decided for each group; ``survive`` are the indexes of the tests that a group must pass."""
        return Circuit(tuple(t.threshold for t in self.tests), survive, tuple(self.cells), tuple(self.rests))

    def groups(self, min_parties: int) -> tuple[int, ...]:
        """Add what decides whether a group is shown; return the tests that it must pass. Before all else."""

        def enough(condition: str | None) -> tuple[int, ...]:
            units = self.count_units(condition)
            found = (self.test(units, self.min_group_size),)
            return (*found, self.test(f"CAST({units} > 0 AS INTEGER)", min_parties)) if min_parties > 1 else found

        survive = enough(None)
        if self.beside is not None:
            left = f"NOT ({self.beside.finer()})"
            self.rests.append(Rest(self.test(self.count_units(left), 1), enough(left)))
            if across := self.beside.across():
                self.rests.append(self.none(all_of(left, across)))
        return survive

    def none(self, condition: str | None) -> Rest:
        """Return that no unit has rows under ``condition``."""
        return Rest(self.test(self.count_units(condition), 1))

    def none_or_enough(self, condition: str | None) -> Rest:
        """Return that no unit has rows under ``condition``, or k have."""
        units = self.count_units(condition)
        return Rest(self.test(units, 1), (self.test(units, self.min_group_size),))

    def cell_of(
        self,
        aggregate: Aggregate,
        splits: tuple[Argument, ...],
        condition: str | None,
        render: Render,
        present: list[str],
        nonzero: list[str],
        parts: list[list[str]],
        made_of: list[Part],
        rests: Sequence[Rest] = (),
        value: str | None = None,
    ) -> int | None:
        """Return the cell of an aggregate: k units with a non-NULL, non-zero argument; and 0 or k in a condition's rest.

        ``parts``: the same must hold for each monomial of a sum, or SUM(a + b) less SUM(b) would open a rare a. ``rests``
        are further ones that must hold none or k. ``value``: SQL that is NULL in just the rows that do not take part, if
        there is any.
        """
        k = self.min_group_size
        if self.noisy:
            return None
        if k == 1:  # only whether a SUM or a single value is NULL must be known; other functions count their rows
            if aggregate.function not in ("sum", *EXTREMES, *QUANTILES):
                return None
            rows = f"COUNT({value})" if value is not None else self.count_units(all_of(condition, *present))
            return self.cell(Cell(self.test(rows, 1)))
        conditions = [condition] if condition else []
        for split in splits:
            conditions += [render(split.condition)] if split.condition is not None else []
            conditions += [f"{render(column)} IS NOT NULL" for column in split.padded]
        if not present and not nonzero and not conditions:
            return None
        enough = self.test(self.count_units(all_of(*conditions, *present, *nonzero)), k)
        also = tuple(self.test(self.count_units(all_of(*conditions, *present, *part)), k) for part in parts)
        rests = list(rests)
        if conditions:
            rests.append(self.none_or_enough(f"NOT coalesce({all_of(*conditions)}, false)"))
        if self.beside is not None:
            rests += self._left(self.beside, conditions, made_of)
        return self.cell(Cell(enough, tuple(rests), also))

    def _left(self, beside: Beside, conditions: list[str], made_of: list[Part]) -> list[Rest]:
        """Return what must hold of the rows that no finer group shows a value of, so that this one does not open it.

        In each partial that it is made of, no unit or k take part. Where the query itself says which rows take part, COUNT(*)
        of a finer group would open the others. So the same must hold of these, and no unit may take part in a finer group that
        is shown without the value.
        """
        rests = []
        for partial, rows, nonzero in made_of:
            left = f"NOT ({beside.finer(partial)})"
            barred = beside.finer() if conditions else beside.across(partial)
            rests += [self.none_or_enough(all_of(rows, left)), self.none_or_enough(all_of(rows, *nonzero, left))]
            if barred:
                rests.append(self.none(all_of(rows, left, barred)))
        if conditions:
            others = f"NOT coalesce({all_of(*conditions)}, false)"
            rests.append(self.none_or_enough(all_of(others, f"NOT ({beside.finer()})")))
        return list(dict.fromkeys(rests))


def all_of(*parts: str | None) -> str | None:
    """Join SQL conditions, each in parentheses; None when there is none."""
    given = list(dict.fromkeys(p for p in parts if p))
    return " AND ".join(f"({p})" for p in given) or None
