"""Additive partials and tests: what of a release is summed over the parties, and what is decided before it is shown.

All partials are integers, so adding them over parties loses nothing. Next to them stand the *tests*: counts of units
that decide, on secret shares, whether a group and each of its cells may be shown. `collected` and
`cells` collect them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from fedsql.planner.ordered import Order
from fedsql.planner.quantiles import Rank
from fedsql.planner.ranges import Ranges


def counted(condition: str | None) -> str:
    """Return SQL that counts the rows under a condition. A CASE costs DuckDB about half of what a FILTER does."""
    return f"COUNT(CASE WHEN {condition} THEN 1 END)" if condition else "COUNT(*)"


def summed(sql: str, condition: str | None) -> str:
    """Return SQL of the sum of a value over the rows under a condition."""
    return f"SUM(CASE WHEN {condition} THEN {sql} END)" if condition else f"SUM({sql})"


def filter_of(condition: str | None) -> str:
    """Return the FILTER clause of an aggregate that is neither: it takes the rows under a condition."""
    return f" FILTER (WHERE {condition})" if condition else ""


@dataclass(frozen=True)
class Partial:
    """One additive integer per group. ``sql`` holds one aggregate, or two: the high part (times 2^64) and the low.

    ``tagged``: it is a number of distinct values over all parties; ``sql`` lists those of one party, as texts. ``order``: it
    is one share of the code of a value over all parties, and the next partial, which has no ``sql``, the other: of the value
    at ``rank``, for which ``sql`` is a histogram, else of the largest one. ``ranges``: it is not one integer but the counts of
    all levels of these, and ``sql`` a histogram of the finest one.
    """

    name: str
    sql: tuple[str, ...]
    limit: int
    width: int
    low: int = 0  # of one row's contribution, for sensitivities
    high: int = 1
    counts_units: bool = False
    tagged: bool = False
    order: Order | None = None
    rank: Rank | None = None
    once: bool = False  # a unit adds one at most at a party, however many rows it has
    ranges: Ranges | None = None

    @property
    def columns(self) -> int:
        """How many integers it is."""
        return 1 if self.ranges is None else self.ranges.counts


@dataclass(frozen=True)
class Test:
    """A count of units per group (SQL over one party's rows) against a public threshold on the total."""

    __test__ = False  # not a pytest class

    name: str
    sql: str
    threshold: int


@dataclass(frozen=True)
class Output:
    """How the analyst makes one released column: ``function`` over opened ``partials``.

    ``units`` and ``offsets`` turn integers into values. SUM and the means add up their partials (a mean's after the count),
    each times its unit; other functions have one unit and offset for each argument. ``cell`` is the index of its cell; a
    column without one is shown whenever its group is. ``order`` tells what the codes are of, that MIN, MAX and quantiles
    put together; ``fraction`` is the q of QUANTILE_CONT, and of any quantile that is read off the counts in ``ranges``.
    """

    name: str
    type: str
    function: str
    partials: tuple[str, ...]
    units: tuple[Fraction, ...] = ()
    offsets: tuple[Fraction, ...] = ()
    cell: int | None = None
    order: Order | None = None
    fraction: Fraction | None = None
    ranges: Ranges | None = None
