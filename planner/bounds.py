"""Interval arithmetic: how large can an expression be, given verified bounds and types of its columns.

Bounds decide slot widths (exactness), fixed-point positions of DOUBLE, and, with noise, sensitivities. Intervals are of
exact rationals (of dates and timestamps: days since 1970-01-01); None means unknown. An unknown interval never narrows anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from sqlglot import exp

from fedsql.planner.offer import ColumnOffer
from fedsql.planner.trees import sql_of
from fedsql.types import SqlType

MOST_ROWS = 1 << 40  # of one party in one group
_FLOAT_LIMIT = 1 << 48  # what parties verify for DOUBLE columns that declare a scale and no bounds


@dataclass(frozen=True)
class Interval:
    """A closed interval [low, high] of rationals."""

    low: Fraction
    high: Fraction

    @property
    def magnitude(self) -> Fraction:
        """The largest absolute value in it."""
        return max(abs(self.low), abs(self.high))

    def hull(self, other: Interval) -> Interval:
        """Return the least interval that holds both."""
        return Interval(min(self.low, other.low), max(self.high, other.high))


Known = Mapping[str, Interval]  # column name, lower case -> verified interval


def type_interval(type_: SqlType) -> Interval | None:
    """Return what a type alone allows: None for floats and non-numbers."""
    if type_.family not in ("integer", "decimal", "boolean"):
        return None
    unit = Fraction(1, 10**type_.scale)
    return Interval(type_.low * unit, type_.high * unit)


def meet(known: Interval | None, type_range: Interval) -> Interval:
    """Return what of a type's range is left by what is known of an expression."""
    if known is None:
        return type_range
    low, high = max(known.low, type_range.low), min(known.high, type_range.high)
    return Interval(low, high) if low <= high else type_range


def column_interval(columns: Sequence[ColumnOffer]) -> Interval | None:
    """Return the interval of a column that every party has verified; a DOUBLE with a scale is below 2^48."""
    intervals = []
    for column in columns:
        if column.bounds is not None:
            intervals.append(Interval(*(Fraction(str(bound)) for bound in column.bounds)))
        elif SqlType.parse(column.type).family == "float":
            if column.scale is not None:
                intervals.append(Interval(Fraction(-_FLOAT_LIMIT), Fraction(_FLOAT_LIMIT)))
        elif (range_ := type_interval(SqlType.parse(column.type))) is not None:
            intervals.append(range_)
    return _hull(list(intervals)) if len(intervals) == len(columns) else None


_SPELLED = {"INT": "INTEGER", "INT128": "HUGEINT", "TEXT": "VARCHAR", "REAL": "FLOAT", "DECIMAL": "DECIMAL(18,3)"}


def sql_type(node: exp.Expr) -> SqlType:
    """Return the type that a CAST names, in DuckDB's own spelling."""
    text = re.sub(r"^DECIMAL\((\d+)\)$", r"DECIMAL(\1,0)", sql_of(node))
    return SqlType.parse(_SPELLED.get(text, text))


def interval(node: exp.Expr, known: Known) -> Interval | None:
    """Return the interval of a row-wise expression, or None when it cannot be told."""
    if isinstance(node, exp.Paren):
        return interval(node.this, known)
    if isinstance(node, exp.Column):
        return known.get(node.name.lower())
    if isinstance(node, exp.Literal) and not node.is_string:
        value = Fraction(node.this)
        return Interval(value, value)
    if isinstance(node, exp.Boolean | exp.Predicate | exp.Not | exp.Connector):
        return Interval(Fraction(0), Fraction(1))
    if isinstance(node, exp.Neg):
        inner = interval(node.this, known)
        return inner and Interval(-inner.high, -inner.low)
    if isinstance(node, exp.Abs):
        inner = interval(node.this, known)
        return inner and Interval(Fraction(0), inner.magnitude)
    if isinstance(node, exp.Cast | exp.TryCast):
        return _cast(node, known)
    if isinstance(node, exp.Case | exp.If | exp.Coalesce | exp.Greatest | exp.Least | exp.Nullif):
        found = _hull([interval(part, known) for part in _branches(node)])
        if found is None and isinstance(node, exp.Greatest | exp.Least):
            low, high = (_end(node, known, upper=upper) for upper in (False, True))
            return None if low is None or high is None else Interval(low, high)
        return found
    if isinstance(node, exp.Floor | exp.Ceil | exp.Round | exp.Trunc):
        inner = interval(node.this, known)
        return inner and Interval(inner.low - 1, inner.high + 1)
    if isinstance(node, exp.Mod):
        divisor = interval(node.expression, known)
        return divisor and Interval(-divisor.magnitude, divisor.magnitude)
    if isinstance(node, exp.Window):
        return interval(node.this, known)
    if isinstance(node, exp.Count | exp.CountIf | exp.RowNumber | exp.Rank | exp.DenseRank):
        return Interval(Fraction(0), Fraction(MOST_ROWS))
    if isinstance(node, exp.Sum | exp.Avg | exp.Min | exp.Max | exp.Lag | exp.Lead | exp.FirstValue | exp.LastValue):
        inner = interval(node.this, known)
        if inner is None or not isinstance(node, exp.Sum):
            return inner
        return Interval(min(inner.low * MOST_ROWS, Fraction(0)), max(inner.high * MOST_ROWS, Fraction(0)))
    if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div | exp.IntDiv):
        left, right = interval(node.left, known), interval(node.right, known)
        return _arithmetic(node, left, right) if left and right else None
    return None


def _end(node: exp.Expr, known: Known, *, upper: bool) -> Fraction | None:
    """Return one end of an expression: what LEAST and GREATEST make certain, whatever is compared in them.

    GREATEST is at least, LEAST at most, each constant in it; other arguments may be NULL, which both pass over.
    """
    certain, nearest, farthest = (exp.Least, min, max) if upper else (exp.Greatest, max, min)
    if isinstance(node, certain):
        constants = [c for c in map(_constant, _branches(node)) if c is not None]
        if constants:
            return nearest(constants)
    if isinstance(node, exp.Greatest | exp.Least):
        ends = [_end(part, known, upper=upper) for part in _branches(node)]
        found = [end for end in ends if end is not None]
        return farthest(found) if len(found) == len(ends) else None
    inner = interval(node, known)
    return None if inner is None else inner.high if upper else inner.low


def _constant(node: exp.Expr) -> Fraction | None:
    """Return the value of a number in the text; None of anything else, which may be NULL."""
    inner = node.this if isinstance(node, exp.Neg) else node
    if not isinstance(inner, exp.Literal) or inner.is_string:
        return None
    return -Fraction(inner.this) if inner is not node else Fraction(inner.this)


def _arithmetic(node: exp.Binary, a: Interval, b: Interval) -> Interval | None:
    if isinstance(node, exp.Add):
        return Interval(a.low + b.low, a.high + b.high)
    if isinstance(node, exp.Sub):
        return Interval(a.low - b.high, a.high - b.low)
    if isinstance(node, exp.Mul):
        corners = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
        return Interval(min(corners), max(corners))
    if b.low <= 0 <= b.high:
        return None
    corners = [x / y for x in (a.low, a.high) for y in (b.low, b.high)]
    widen = 1 if isinstance(node, exp.IntDiv) else 0
    return Interval(min(corners) - widen, max(corners) + widen)


def _branches(node: exp.Expr) -> list[exp.Expr]:
    """Return the expressions whose values a conditional may take."""
    if isinstance(node, exp.Case):
        values = [branch.args["true"] for branch in node.args.get("ifs") or []]
        return values + ([node.args["default"]] if node.args.get("default") is not None else [])
    if isinstance(node, exp.If):
        return [value for value in (node.args.get("true"), node.args.get("false")) if value is not None]
    if isinstance(node, exp.Nullif):
        return [node.this]
    return [node.this, *node.expressions]


def _hull(intervals: list[Interval | None]) -> Interval | None:
    known = [i for i in intervals if i is not None]
    if not known or len(known) < len(intervals):
        return None
    return Interval(min(i.low for i in known), max(i.high for i in known))


def _cast(node: exp.Cast | exp.TryCast, known: Known) -> Interval | None:
    """A cast rounds by at most one; it fails (NULL) outside of the target's range."""
    target = type_interval(sql_type(node.to))
    inner = interval(node.this, known)
    if inner is None:
        return target
    rounded = inner if target is None else Interval(inner.low - 1, inner.high + 1)
    if target is None:
        return rounded
    return (
        Interval(max(rounded.low, target.low), min(rounded.high, target.high)) if rounded.low <= target.high else target
    )
