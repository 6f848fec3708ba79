"""From the aggregates of a release to its partials, tests and cells, at one party's way of counting units."""

from __future__ import annotations

from fractions import Fraction

from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.bounds import Known
from fedsql.planner.coding import Coded, code
from fedsql.planner.fragments import Typing, unit_counter
from fedsql.planner.logical import Aggregate, Release
from fedsql.planner.partials import SQUARES, Builder
from fedsql.planner.policy import Terms
from fedsql.planner.safe import safe
from fedsql.planner.summable import Argument, check_summable, split
from fedsql.types import SqlType

_COUNTS = ("count", "regr_count")


def decompose(release: Release, terms: Terms, typing: Typing, known: Known, unique: bool) -> Builder:
    """Return the partials, tests and outputs of a typed release; ``unique``: each unit has one row at this party.

    Names, thresholds and widths are the same whatever ``unique`` is; only the SQL that counts units differs.
    """
    builder = Builder(len(typing.scan.offers), terms.min_group_size, unit_counter(unique), terms.noisy)
    if not terms.noisy:
        builder.test(builder.count_units(None), terms.min_group_size)
        if terms.min_parties > 1:
            builder.test(f"CAST({builder.count_units(None)} > 0 AS INTEGER)", terms.min_parties)

    def render(expression: exp.Expr) -> str:
        return safe(expression, known, typing.type_of).sql("duckdb")

    for aggregate in release.aggregates:
        if terms.noisy and aggregate.distinct:
            raise NotSupportedError("COUNT(DISTINCT ...) under noise is not answered yet", hint="COUNT(*) is")
        condition = render(aggregate.condition) if aggregate.condition is not None else None
        pairs = [] if aggregate.distinct else list(zip(aggregate.arguments, aggregate.argument_types, strict=True))
        splits = tuple(_split(aggregate, argument, type_) for argument, type_ in pairs)
        coded = tuple(_coded(aggregate, argument, type_, typing, known) for argument, type_ in pairs)
        if terms.min_group_size > 1 and not terms.noisy and aggregate.function not in _COUNTS:
            for part, (argument, _) in zip(splits, pairs, strict=True):
                check_summable(part, argument, f"tables.{typing.scan.name}")
        builder.add(aggregate, coded, splits, condition, render)
    return builder


def _split(aggregate: Aggregate, argument: exp.Expr, type_: str) -> Argument:
    """Split an argument's condition off; COUNT(x) of a plain boolean counts it whatever its value."""
    is_boolean = type_ == "BOOLEAN" and aggregate.function not in _COUNTS
    conditional = any(argument.find_all(exp.Case, exp.If, exp.Nullif, exp.Coalesce))
    if aggregate.function in _COUNTS and not isinstance(argument, exp.Column) and conditional:
        return Argument(argument, exp.Not(this=exp.Is(this=exp.paren(argument.copy()), expression=exp.null())))
    return split(argument, is_boolean) if aggregate.function not in _COUNTS else Argument(argument, None)


def _coded(aggregate: Aggregate, argument: exp.Expr, type_: str, typing: Typing, known: Known) -> Coded:
    rewritten = safe(argument, known, typing.type_of)
    if aggregate.function not in _COUNTS:
        return code(
            argument, rewritten, type_, known, _owner_key(argument, typing), squares=aggregate.function in SQUARES
        )
    sql = f"({rewritten.sql('duckdb')})"  # counted, never summed: any type will do
    is_float = SqlType.parse(type_).family == "float"
    present = f"coalesce(isfinite(CAST({sql} AS DOUBLE)), false)" if is_float else f"{sql} IS NOT NULL"
    return Coded(sql, present, Fraction(1), 0, 1)


def _owner_key(argument: exp.Expr, typing: Typing) -> str:
    """Return the key of the party file that would give an argument bounds."""
    columns = sorted({c.name.lower() for c in argument.find_all(exp.Column)})
    floats = [
        c
        for c in columns
        if any(SqlType.parse(f.type).family == "float" for o in typing.scan.offers if (f := o.column(c)))
    ]
    return f"tables.{typing.scan.name}.columns.{(floats or columns or ['...'])[0]}"
