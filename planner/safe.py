"""Row-wise expressions that cannot raise: an error would tell one bit about a row (DESIGN, promise 8).

CAST becomes TRY_CAST, a divisor of zero becomes NULL, and what may still raise (overflow, dates out of range) is put
under TRY as a whole: the value is NULL in the rows where DuckDB would have raised.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from fedsql.planner.bounds import Known, interval, type_interval
from fedsql.types import SqlType

# These neither overflow nor fail on any value of their argument types.
_CALM = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam,
    exp.Interval, exp.IntervalSpan, exp.Var, exp.Not, exp.And, exp.Or, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ,
    exp.NullSafeNEQ, exp.Is, exp.Between, exp.In, exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.DPipe, exp.Concat,
    exp.Sign, exp.Greatest, exp.Least, exp.Lower, exp.Upper, exp.Length, exp.Trim, exp.Reverse, exp.StartsWith,
    exp.EndsWith, exp.Contains, exp.StrPosition, exp.Like, exp.ILike, exp.Year, exp.Month, exp.Day, exp.Quarter,
    exp.DayOfWeek, exp.DayOfYear, exp.Week, exp.Hour, exp.Minute, exp.Second, exp.IsNan, exp.IsInf, exp.Anonymous,
    exp.Tuple,
)  # fmt: skip

TypeOf = Callable[[exp.Expr], str]


def safe(expression: exp.Expr, known: Known, type_of: TypeOf) -> exp.Expr:
    """Return ``expression`` rewritten so that it cannot raise; ``type_of`` asks DuckDB for the type of a node."""
    risky = any(_risky(node, known, type_of) for node in expression.walk())

    def calm(node: exp.Expr) -> exp.Expr:
        if type(node) is exp.Cast and not _constant(node.this):
            return exp.TryCast(this=node.this, to=node.to)
        if isinstance(node, exp.Div | exp.IntDiv | exp.Mod) and not _nonzero(node.right):
            node.set("expression", exp.Nullif(this=exp.paren(node.right.copy()), expression=exp.Literal.number(0)))
        return node

    rewritten = expression.copy().transform(calm)
    return exp.func("TRY", rewritten, dialect="duckdb") if risky else rewritten


def _risky(node: exp.Expr, known: Known, type_of: TypeOf) -> bool:
    if isinstance(node, _CALM):
        return False
    if isinstance(node, exp.Div) and not isinstance(node, exp.IntDiv):
        return False  # DuckDB's / is over doubles
    if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Neg | exp.Mod | exp.IntDiv | exp.Abs):
        if _constant(node):
            return False
        result = SqlType.parse(type_of(node))
        if result.family == "float":
            return False
        range_, limit = interval(node, known), type_interval(result)
        return not (range_ and limit and limit.low <= range_.low and range_.high <= limit.high)
    return True


def _constant(node: exp.Expr) -> bool:
    return not any(node.find_all(exp.Column))


def _nonzero(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string and float(node.this) != 0
