"""Quantiles as ranks: which value of a sorted list is meant, in sums that parties can add up (DuckDB's definitions).

Of n values, QUANTILE_DISC(x, q) is the least one that at least q n of them do not pass. QUANTILE_CONT(x, q) lies between
the values at floor and ceiling of (n - 1) q, counted from 0, by the fraction that is left; MEDIAN is q = 1/2. With q = a/b
all of these read "the first v with b * (values up to v) - a * n >= threshold".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from sqlglot import exp

from fedsql.errors import NotSupportedError, PolicyDenied
from fedsql.planner.ordered import Order
from fedsql.planner.positions import position, shown
from fedsql.types import SqlType

QUANTILES = ("median", "quantile_cont", "quantile_disc")
MOST_VALUES = 1 << 19  # that a column may have, by its bounds
MOST_COMPARISONS = 1 << 20  # of one release: values times slots, of all its ranks
_FEWEST = 8  # slots that any number of groups takes, where tags align them
_DIGITS = 10**6  # what a quantile may be a fraction of


@dataclass(frozen=True)
class Rank:
    """The first of ``values`` values v with ``times`` * (values up to v) - ``less`` * (all values) >= ``threshold``."""

    values: int
    times: int
    less: int
    threshold: int


def fraction_of(function: str, node: exp.Expr | None) -> Fraction:
    """Return the q of a quantile's call (None: MEDIAN's). Raises NotSupportedError for what is no constant in [0, 1]."""
    if node is None:
        return Fraction(1, 2)
    bare = node
    while isinstance(bare, exp.Paren | exp.Cast | exp.TryCast):
        bare = bare.this
    try:
        found = Fraction(bare.name) if isinstance(bare, exp.Literal) else Fraction(-1)
    except ValueError:
        found = Fraction(-1)
    if not 0 <= found <= 1 or found.denominator > _DIGITS:
        raise NotSupportedError(
            f"{function} is answered for constant quantiles from 0 to 1 of at most six digits, not for {shown(node)}",
            hint="for a descending order 1 - q",
            position=position(node),
        )
    return found


def ranks_of(function: str, q: Fraction, order: Order) -> tuple[Rank, ...]:
    """Return the rank of QUANTILE_DISC, or both that QUANTILE_CONT lies between."""
    values, a, b = max(2, order.high - order.low + 1), q.numerator, q.denominator
    if function == "quantile_disc":
        return (Rank(values, b, a, 0) if a else Rank(values, 1, 0, 1),)  # the least value has rank 1, not 0
    return Rank(values, b, a, 1 - a), Rank(values, b, a, b - a)


def check_values(call: str, argument: exp.Expr, order: Order, owner_key: str) -> None:
    """Raise PolicyDenied when a column may have too many values, naming the bounds that would help."""
    if order.high - order.low >= MOST_VALUES:
        whole = ""
        if SqlType.parse(order.type).family == "float":
            whole = " and .scale, its digits after the point; or round(x, 1) of a column that has bounds"
        elif order.type.upper() == "TIMESTAMP":
            whole = f", dates; then {call}(CAST({shown(argument)} AS DATE)) is answered"
        elif not (order.is_whole or order.is_date):
            whole = ", and declare it as a whole number, a DECIMAL or a DATE (tables.*.sql)"
        raise PolicyDenied(
            f"{call} of {shown(argument)} is not answered: it can have more than {MOST_VALUES:,} values ({order.type})",
            hint=f"the owner would set {owner_key}.bounds = [low, high]{whole}; a count per range works: GROUP BY",
            position=position(argument),
        )


def check_comparisons(ranks: Sequence[Rank], domain: int | None) -> None:
    """Raise NotSupportedError when a release takes too many comparisons, as far as that is public.

    ``domain``: how many groups there are, where that is public.
    """
    comparisons = sum(rank.values - 1 for rank in ranks) * (_FEWEST if domain is None else domain)
    if comparisons > MOST_COMPARISONS:
        raise NotSupportedError(
            f"the quantiles asked for take {comparisons:,} comparisons at least (their columns' possible values, in every"
            f" group), and {MOST_COMPARISONS:,} is the most",
            hint="ask for fewer of them at once, or of columns with narrower bounds; MEDIAN and QUANTILE_CONT take two each",
        )


def above(q: Fraction, count: int, low: float, high: float) -> float:
    """Return how far QUANTILE_CONT lies above the lower of the values at both ranks, in DuckDB's doubles."""
    return (high - low) * _share(q, count)


def between(q: Fraction, count: int, low: float, high: float) -> float:
    """Return where QUANTILE_CONT lies between the values at both ranks, in DuckDB's doubles.

    It computes low * (1 - d) + high * d, and the processor rounds the first product and the sum at once (a fused
    multiply-add, IEEE 754-2019, 5.4.1): of decimals, whose fraction is cut off, that is seen.
    """
    share = _share(q, count)
    return float(Fraction(low) * Fraction(1.0 - share) + Fraction(high * share))


def _share(q: Fraction, count: int) -> float:
    return (count - 1) * float(q) - math.floor((count - 1) * q)
