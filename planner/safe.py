"""Row-wise expressions that cannot raise: an error would tell one bit about a row (DESIGN, promise 8).

CAST becomes TRY_CAST, a division that would fail on zero gets NULL for it, and what may still raise (overflow, dates out
of range, values that DuckDB must convert before it compares them) is put under TRY as a whole: the value is NULL in the
rows where DuckDB would have raised. Constants are no exception, for inside of a CASE a row decides whether they fail.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Iterator

from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.bounds import Known, interval, type_interval
from fedsql.planner.positions import position
from fedsql.planner.trees import copied, find, sql_of, walk
from fedsql.types import SqlType

# These neither overflow nor fail on any value of their argument types.
_CALM = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Cast, exp.TryCast, exp.DataType,
    exp.DataTypeParam, exp.IntervalSpan, exp.Var, exp.DPipe, exp.Concat, exp.Sign, exp.Lower, exp.Upper, exp.Length,
    exp.Trim, exp.Reverse, exp.StartsWith, exp.EndsWith, exp.Contains, exp.StrPosition, exp.Like, exp.ILike, exp.Year,
    exp.Month, exp.Day, exp.Quarter, exp.DayOfWeek, exp.DayOfYear, exp.Week, exp.Hour, exp.Minute, exp.Second,
    exp.IsNan, exp.IsInf, exp.Tuple,
)  # fmt: skip
_CALM_NAMES = frozenset(["isfinite", "isnan", "isinf", "ends_with", "suffix", "prefix", "contains"])
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
_DECIMAL_DIGITS = 38
_WITHIN_A_DAY = ("HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND")

_ASKED = (exp.Column, exp.Literal, exp.Cast, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod)

TypeOf = Callable[[exp.Expr], str]


def safe(expression: exp.Expr, known: Known, type_of: TypeOf) -> exp.Expr:
    """Return ``expression`` rewritten so that it cannot raise; ``type_of`` asks DuckDB for the type of a node."""
    root = exp.paren(copied(expression), copy=False)
    for minus in find(root, exp.Neg):
        if isinstance(minus.this, exp.Binary):  # -mod(a, b), which would be printed as -a % b
            minus.this.replace(exp.paren(minus.this))
    nodes = list(walk(root.this))
    for node in nodes:
        _refuse_days_of_times(node, type_of)
    risky = any(may_raise(node, known, type_of) for node in nodes)
    for node in nodes:
        guard_zero(node, type_of)
    for node in nodes:
        if type(node) is exp.Cast:
            node.replace(exp.TryCast(this=node.this, to=node.to))
    return exp.func("TRY", root.this, dialect="duckdb") if risky else root.this


def to_type(nodes: Iterable[exp.Expr], tables: Container[str]) -> list[exp.Expr]:
    """Return those of ``nodes`` whose types `safe` may well ask for, so that they are asked for in one question.

    Those alone that mean the same wherever they stand: of columns they read those of ``tables`` (in lower case) only.
    """
    return [node for node in nodes if isinstance(node, _ASKED) and _stands_alone(node, tables)]


def _stands_alone(node: exp.Expr, tables: Container[str]) -> bool:
    for part in walk(node):
        if isinstance(part, exp.Column):
            if part.table.lower() not in tables or isinstance(part.this, exp.Star):
                return False
        elif isinstance(part, exp.Query | exp.Subquery | exp.Window | exp.Lambda | exp.AggFunc | exp.Anonymous):
            return False
    return not (isinstance(node, exp.Literal) and node.is_string)


def asked_as(node: exp.Expr) -> Hashable:
    """Return what nodes of equal SQL have in common; of columns, of which most questions are, without writing it."""
    if type(node) is exp.Column and isinstance(node.this, exp.Identifier):
        return node.table, node.name
    return sql_of(node)


def safe_condition(expression: exp.Expr, known: Known, type_of: TypeOf) -> exp.Expr:
    """Return a condition that cannot raise; what is no BOOLEAN becomes one, as DuckDB would make it."""
    if node_type(expression, type_of) != "BOOLEAN":
        expression = exp.cast(expression, "BOOLEAN", dialect="duckdb")
    return safe(expression, known, type_of)


def _refuse_days_of_times(node: exp.Expr, type_of: TypeOf) -> None:
    """Raise for differences of times of day in days or more: DuckDB's error would pass TRY."""
    if not isinstance(node, exp.DateDiff) or node.args["unit"].name.upper() in _WITHIN_A_DAY:
        return
    if type_of(node.this) == "TIME":
        raise NotSupportedError(
            "the difference of two TIME values is counted in hours, minutes or seconds", position=position(node)
        )


def guard_zero(node: exp.Expr, type_of: TypeOf) -> None:
    """Let a division that would fail on zero yield NULL there, in place."""
    if isinstance(node, exp.Binary) and _fails_on_zero(node, type_of):
        node.set("expression", exp.Nullif(this=exp.paren(node.right, copy=False), expression=exp.Literal.number(0)))


def _fails_on_zero(node: exp.Expr, type_of: TypeOf) -> bool:
    """Say whether ``node`` divides in a way that raises on zero: / and % of doubles yield infinity and NaN instead."""
    if not isinstance(node, exp.Div | exp.IntDiv | exp.Mod):
        return False
    if isinstance(node.right.unnest(), exp.Literal):
        return False  # NULLIF would give the constant another type; TRY catches a zero
    divisor = interval(node.right, {})
    if divisor is not None and not divisor.low <= 0 <= divisor.high:
        return False
    if isinstance(node, exp.IntDiv):
        return True
    results = [node] if isinstance(node, exp.Div) else [node.left, node.right]
    return all(SqlType.parse(node_type(part, type_of)).family != "float" for part in results)


def may_raise(node: exp.Expr, known: Known, type_of: TypeOf) -> bool:
    """Say whether ``node`` itself, its parts aside, may fail for some values."""
    if isinstance(node, _CALM) or (isinstance(node, exp.Anonymous) and node.name.lower() in _CALM_NAMES):
        return False
    if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Neg | exp.Div | exp.IntDiv | exp.Mod | exp.Abs):
        result = SqlType.parse(node_type(node, type_of))
        if result.family == "float":  # // by a constant zero fails even for doubles
            return isinstance(node, exp.IntDiv) and isinstance(node.right.unnest(), exp.Literal)
        # the remainder of the least integer by -1 overflows, as its quotient does
        made = exp.IntDiv(this=node.left, expression=node.right, copy=True) if isinstance(node, exp.Mod) else node
        range_, limit = interval(made, known), type_interval(result)
        return not (range_ and limit and limit.low <= range_.low and range_.high <= limit.high)
    if isinstance(node, exp.Interval):
        return not (isinstance(node.this, exp.Literal) and node.this.name.isdecimal() and len(node.this.name) < 6)
    if (groups := list(_compared(node))) or isinstance(node, exp.If):
        return any(_must_convert({node_type(part, type_of) for part in parts} | extra) for parts, extra in groups)
    return True


def _compared(node: exp.Expr) -> Iterator[tuple[list[exp.Expr], set[str]]]:
    """Yield the operands of ``node`` that DuckDB brings to one type, with types that must be among them."""
    if isinstance(node, (*_COMPARISONS, exp.Nullif)):
        yield [node.this, node.expression], set()
    elif isinstance(node, exp.Between):
        yield [node.this, node.args["low"], node.args["high"]], set()
    elif isinstance(node, exp.In | exp.Coalesce | exp.Greatest | exp.Least):
        yield [node.this, *node.expressions], set()
    elif isinstance(node, exp.And | exp.Or):
        yield [node.left, node.right], {"BOOLEAN"}
    elif isinstance(node, exp.Not):
        yield [node.this], {"BOOLEAN"}
    elif isinstance(node, exp.Is):
        yield [node.this], {"BOOLEAN"} if isinstance(node.expression, exp.Boolean) else set()
    elif isinstance(node, exp.Case):
        tests = [branch.this for branch in node.args["ifs"]]
        yield (tests, {"BOOLEAN"}) if node.this is None else ([node.this, *tests], set())
        default = [node.args["default"]] if node.args.get("default") is not None else []
        yield [*(branch.args["true"] for branch in node.args["ifs"]), *default], set()
    elif isinstance(node, exp.If) and not isinstance(node.parent, exp.Case):
        yield [node.this], {"BOOLEAN"}
        yield [part for part in (node.args["true"], node.args.get("false")) if part is not None], set()


def _must_convert(names: set[str]) -> bool:
    """Say whether bringing values of these types to a common one may fail."""
    types = [SqlType.parse(name) for name in names if name != '"NULL"']
    if len(types) < 2:
        return False
    families = {type_.family for type_ in types}
    if not families <= {"integer", "decimal", "float"}:
        return True
    if "float" in families or "decimal" not in families:
        return False
    scale = max(type_.scale for type_ in types)
    return max(len(str(type_.high)) - type_.scale for type_ in types) + scale > _DECIMAL_DIGITS


def node_type(node: exp.Expr, type_of: TypeOf) -> str:
    """Return DuckDB's type of ``node``, asking only where it is not plain."""
    if isinstance(node, exp.Paren):
        return node_type(node.this, type_of)
    if isinstance(node, exp.Predicate | exp.Connector | exp.Not | exp.Boolean):
        return "BOOLEAN"
    if isinstance(node, exp.Null):
        return '"NULL"'
    if isinstance(node, exp.Literal) and node.is_string:
        return "VARCHAR"
    return type_of(node)
