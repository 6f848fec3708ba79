"""Quantiles under noise: into which public ranges the values between two bounds are cut, and how many ranges they may be.

What is released are noisy counts of the values in these ranges, and in wider ones above them (`fedsql.privacy.tree`); the
analyst reads quantiles off them. Each row is in one range of each level, so a unit with r rows moves each level by r in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from sqlglot import exp

from fedsql.errors import NotSupportedError, PolicyDenied
from fedsql.planner.ordered import Order
from fedsql.planner.positions import position, shown
from fedsql.privacy.tree import BRANCHES, tree_sizes

MOST_COUNTS = 1 << 16  # of one quantile, in all public groups together
MOST_SENT = 1 << 20  # of one quantile, in all groups together, where their number is not public
_MOST_TOGETHER = 1 << 15  # of all quantiles of a release, in one group: the outline of a release holds no more
_DEEPEST = 3  # levels
_MANY_ROWS = 1 << 13  # in a group: from here on the finest ranges cost less than what they add
_WIDEST = 1 << 100  # bounds of whole numbers: their differences fit 128 bits


@dataclass(frozen=True)
class Ranges:
    """``count`` ranges of ``width`` whole numbers each, the first one from ``low``: the finest level of the tree."""

    low: int
    width: int
    count: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many ranges each level has, the widest ranges first. Each row is in as many counts as there are levels."""
        return tree_sizes(self.count)

    @property
    def counts(self) -> int:
        """How many counts there are for each group."""
        return sum(self.sizes)

    def sql(self, whole: str) -> str:
        """Return SQL of the number of the range that a ``whole`` number is in; the outermost ranges take what is beyond."""
        wide = "BIGINT" if abs(self.low) + self.width * self.count < 1 << 62 else "HUGEINT"
        number = f"(CAST({whole} AS {wide}) - CAST({self.low} AS {wide})) // {self.width}"
        return f"CAST(greatest(0, least({self.count - 1}, {number})) AS INTEGER)"

    def even_error(self, rank: float, rows: float) -> float:
        """Return how many whole numbers ``rank`` rows are, and a range, where ``rows`` values are spread evenly."""
        return min(1.0, rank / rows) * self.count * self.width + self.width - 1


def ranges_of(low: int, high: int, groups: int | None, rows: float) -> Ranges:
    """Return ranges of the whole numbers from ``low`` to ``high``: one for each number where there are few enough.

    ``groups``: how many there are, None where that is not public; ``rows`` of the tables, at most.
    """
    levels = _DEEPEST if groups is not None and rows / groups >= _MANY_ROWS else _DEEPEST - 1
    while levels > 1 and sum(tree_sizes(BRANCHES**levels)) * (groups or 1) > MOST_COUNTS:
        levels -= 1
    width = -(-(high - low + 1) // BRANCHES**levels)
    return Ranges(low, width, -(-(high - low + 1) // width))


def check_together(counts: int) -> None:
    """Raise NotSupportedError where the quantiles of a release take too many ``counts`` in each group."""
    if counts > _MOST_TOGETHER:
        raise NotSupportedError(
            f"the quantiles asked for take {counts:,} noisy counts a group, and {_MOST_TOGETHER:,} is the most",
            hint="ask for those of fewer columns at once: all quantiles of one column take its counts but once",
        )


def check_bounds(call: str, argument: exp.Expr, order: Order, key: str, *, known: bool) -> None:
    """Raise PolicyDenied where no bounds are ``known`` that ranges could be cut from, naming the owner's ``key``."""
    if order.type.upper() == "TIMESTAMP":
        raise NotSupportedError(
            f"under noise {call} of {shown(argument)} is not answered: timestamps are taken by day",
            hint=f"{call}(CAST({shown(argument)} AS DATE))",
            position=position(argument),
        )
    if not known or order.high - order.low >= _WIDEST:
        raise PolicyDenied(
            f"under noise {call} of {shown(argument)} ({order.type}) needs to know between which bounds its values are",
            hint=f"take it of a column, or of sums and products of columns; the owner would set {key}.bounds = [low, high]",
            position=position(argument),
        )


def check_inside(call: str, q: Fraction, argument: exp.Expr) -> None:
    """Raise NotSupportedError for the least and the largest value, which are what noise hides."""
    if q in (0, 1):
        raise NotSupportedError(
            f"under noise {call} is not answered for the quantile {q}: the {'largest' if q else 'least'} value is one row's",
            hint=f"quantile_cont({shown(argument)}, {'0.99' if q else '0.01'})",
            position=position(argument),
        )
