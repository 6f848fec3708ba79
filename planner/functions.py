"""The allow-lists: which functions may run below the cut, at the parties, row by row and in nested queries.

A party runs only SQL that was rebuilt from its plan, and the plan holds only what stands here. Everything else is
refused by name: unknown functions, volatile ones, and all that read the system. (Above the cut the analyst's own locked
DuckDB runs what it likes, on released values.)
"""

from __future__ import annotations

import re
from collections import Counter

from sqlglot import exp, parse_one

from fedsql.errors import NotSupportedError
from fedsql.planner.aggregates import function_name, is_aggregate
from fedsql.planner.positions import position
from fedsql.planner.trees import copied, find, sql_of, walk

# Scalar nodes of sqlglot that may run at a party. Each is deterministic and reads nothing but its arguments.
SCALARS: tuple[type[exp.Expr], ...] = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Cast, exp.TryCast, exp.DataType,
    exp.DataTypeParam, exp.Interval, exp.IntervalSpan, exp.Var, exp.Neg, exp.Not, exp.And, exp.Or, exp.EQ, exp.NEQ,
    exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.Between, exp.In, exp.Like, exp.ILike,
    exp.Escape, exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod,
    exp.DPipe, exp.Concat, exp.Abs, exp.Sign, exp.Round, exp.Floor, exp.Ceil, exp.Trunc, exp.Sqrt, exp.Cbrt, exp.Ln,
    exp.Log, exp.Exp, exp.Pow, exp.Greatest, exp.Least, exp.Lower, exp.Upper, exp.Length, exp.Trim, exp.Substring,
    exp.Left, exp.Right, exp.Replace, exp.StartsWith, exp.EndsWith, exp.Contains, exp.StrPosition, exp.Reverse,
    exp.Extract, exp.Year, exp.Month, exp.Day, exp.Week, exp.Quarter, exp.DayOfWeek, exp.DayOfYear, exp.DateTrunc,
    exp.TimestampTrunc, exp.DateDiff, exp.Hour, exp.Minute, exp.Second, exp.RegexpLike, exp.RegexpFullMatch, exp.IsNan,
    exp.IsInf, exp.Tuple, exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.LastDay, exp.Dayname, exp.Monthname,
    exp.ConcatWs, exp.SplitPart, exp.DayOfWeekIso, exp.DayOfMonth, exp.WeekOfYear, exp.DateFromParts,
    exp.Acos, exp.Acosh, exp.Asin, exp.Asinh, exp.Atan, exp.Atan2, exp.Atanh, exp.Cos, exp.Cosh, exp.Cot, exp.Sin, exp.Sinh,
    exp.Tan, exp.Tanh, exp.Degrees, exp.Radians, exp.Pi, exp.Factorial, exp.Ascii, exp.Chr, exp.BitLength, exp.Levenshtein,
    exp.RegexpExtract, exp.RegexpReplace, exp.TimeToStr, exp.TimeToUnix,
)  # fmt: skip
SCALAR_NAMES = frozenset(
    ["isfinite", "isnan", "isinf", "regexp_full_match", "ends_with", "suffix", "prefix", "contains", "strlen", "isoyear",
     "yearweek", "weekday", "decade", "century", "millennium", "era", "julian", "microsecond", "millisecond", "epoch_ns",
     "epoch_us", "bit_count", "even", "fmod", "gamma", "lgamma", "gcd", "greatest_common_divisor", "lcm",
     "least_common_multiple", "round_even", "signbit", "damerau_levenshtein", "hamming", "mismatches", "jaccard",
     "jaro_similarity", "length_grapheme", "left_grapheme", "right_grapheme", "nfc_normalize", "ord", "regexp_escape",
     "strip_accents"]
)  # fmt: skip

_WORD = re.compile(r"[A-Za-z_]+")
_NUMBER = re.compile(r"[0-9_]*\.?[0-9_]*([eE][+-]?[0-9_]+)?")
# What else may stand in a block that a party runs: queries nested in each other, and what is grouped or numbered there.
INNER_AGGREGATES = (exp.Count, exp.CountIf, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.LogicalAnd, exp.LogicalOr)
_STRUCTURE = (
    exp.Select, exp.Subquery, exp.From, exp.Join, exp.Table, exp.TableAlias, exp.Where, exp.Having, exp.Qualify, exp.Group,
    exp.Distinct, exp.Alias, exp.Star, exp.Exists, exp.Any, exp.All, exp.Filter, exp.Union, exp.Intersect, exp.Except,
)  # fmt: skip
_WINDOWS = (exp.Window, exp.WindowSpec, exp.Order, exp.Ordered)
WINDOW_FUNCTIONS = (
    exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile, exp.Lag, exp.Lead, exp.FirstValue,
    exp.LastValue,
)  # fmt: skip

# What a date is cut into. DuckDB finds a unit unknown, or unknown for a type, only when it meets a row.
UNITS = (
    "MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR", "DECADE", "CENTURY",
    "MILLENNIUM", "EPOCH", "DOW", "DAYOFWEEK", "ISODOW", "DOY", "DAYOFYEAR", "ISOYEAR", "YEARWEEK", "ERA",
)  # fmt: skip


def check_scalar(expression: exp.Expr) -> None:
    """Raise unless every node of a row-wise ``expression`` is on the allow-list."""
    for node in walk(expression):
        if isinstance(node, exp.Query | exp.Subquery | exp.Exists):
            raise NotSupportedError(
                "a subquery inside of an aggregate or a GROUP BY over federated rows is not answered",
                hint="compute it in a derived table: SELECT ... FROM (SELECT ..., (SELECT ...) AS x FROM t)",
                position=position(node),
            )
        if isinstance(node, exp.Window):
            raise NotSupportedError(
                "a window inside of an aggregate or a GROUP BY over federated rows is not answered",
                hint="compute it in a derived table; windows over the released groups work",
                position=position(node),
            )
        if is_aggregate(node):
            raise NotSupportedError(
                f"{function_name(node)} inside another aggregate is not answered",
                hint="aggregate once below, then again over the released groups in an outer query",
                position=position(node),
            )
        _check_node(node)
    _check_print(expression)


def check_rows(select: exp.Select) -> None:
    """Raise unless all that a block below the cut computes, nested blocks included, is on the allow-lists."""
    passed, calls = (*_STRUCTURE, *_WINDOWS), (*INNER_AGGREGATES, *WINDOW_FUNCTIONS)
    for node in walk(select):
        if isinstance(node, passed):
            continue
        if isinstance(node, calls):
            if isinstance(node, WINDOW_FUNCTIONS) and node.find_ancestor(exp.Window) is None:
                raise _not_at_a_party(node)
            continue
        if is_aggregate(node):
            raise NotSupportedError(
                f"{function_name(node)} in a subquery over federated rows is not answered",
                hint="there: count, sum, avg, min, max, bool_and, bool_or",
                position=position(node),
            )
        _check_node(node)
    _check_print(select)


def is_runnable(query: exp.Select) -> bool:
    """Say whether parties may run a query over public tables as it is."""
    plain = not any(query.args.get(part) for part in ("with_", "laterals", "limit", "offset", "sample", "windows"))
    try:
        check_rows(query)
    except NotSupportedError:
        return False
    return plain and not any(isinstance(node, exp.SetOperation | exp.With | exp.Window) for node in walk(query))


def _check_node(node: exp.Expr) -> None:
    """Raise unless a node of a row-wise expression is on the allow-list."""
    if isinstance(node, exp.Anonymous):
        if node.name.lower() in SCALAR_NAMES:
            return
    elif type(node) in SCALARS:
        _check_unit(node)
        _check_words(node)
        return
    raise _not_at_a_party(node)


def _not_at_a_party(node: exp.Expr) -> NotSupportedError:
    return NotSupportedError(
        f"{function_name(node)} cannot run at a party: it is not on the list of deterministic, closed functions",
        hint="apply it to the released values in an outer query, or have the owner declare it in the table's sql =",
        position=position(node),
    )


def _check_unit(node: exp.Expr) -> None:
    """Raise for a part of a date that DuckDB does not know."""
    if isinstance(node, exp.Extract | exp.DateTrunc | exp.TimestampTrunc | exp.DateDiff):
        unit = node.this if isinstance(node, exp.Extract) else node.args.get("unit")
        name = unit.name.upper() if unit is not None else "?"
        if name not in UNITS:
            raise NotSupportedError(
                f"{name.lower()} is not a unit of time that is answered",
                hint=f"units: {', '.join(UNITS).lower()}",
                position=position(node),
            )


def _check_words(node: exp.Expr) -> None:
    """Raise where the text of a node would be printed as it is, and is more than a word, a number or a type of DuckDB."""
    if isinstance(node, exp.DataType):
        inner = (exp.DataType, exp.DataTypeParam)
        plain = node.this != exp.DType.USERDEFINED and all(isinstance(each, inner) for each in node.expressions)
    elif isinstance(node, exp.DataTypeParam):
        plain = isinstance(node.this, exp.Literal)
    elif isinstance(node, exp.Literal):
        plain = node.is_string or _NUMBER.fullmatch(node.name) is not None
    else:
        plain = not isinstance(node, exp.Var) or _WORD.fullmatch(node.name) is not None
    if not plain:
        raise NotSupportedError(
            f"{sql_of(node)} is not the name of a type, unit or number that can run at a party",
            position=position(node),
        )


def _check_print(tree: exp.Expr) -> None:
    """Raise unless what is printed for a party reads as what was checked here: nothing in it may become SQL by printing."""
    text = sql_of(_with_star(tree) if isinstance(tree, exp.Select) and not tree.expressions else tree)
    if isinstance(tree, exp.Select):
        read = [parse_one(text, dialect="duckdb")]
    else:
        read = parse_one(f"SELECT {text}", dialect="duckdb").expressions
    if len(read) != 1 or _shape(read[0]) != _shape(tree):
        raise NotSupportedError(
            f"{text} cannot run at a party: it would mean something else there", position=position(tree)
        )


def _with_star(select: exp.Select) -> exp.Select:
    select = copied(select)
    select.set("expressions", [exp.Star()])
    return select


def _shape(expression: exp.Expr) -> Counter[str]:
    """Count what an expression reads and decides: columns, conditions, AND and OR, queries."""
    kinds = (exp.Column, exp.Predicate, exp.Connector, exp.Query, exp.Table)
    found = find(expression, *kinds)
    return Counter(node.name if isinstance(node, exp.Column) else type(node).__name__ for node in found)
