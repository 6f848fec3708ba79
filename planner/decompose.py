"""From the aggregates of a release to its partials, tests and cells, at one party's way of counting units."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from sqlglot import exp

from fedsql.crypto.circuit import Circuit
from fedsql.errors import PolicyDenied
from fedsql.planner.bounds import MOST_ROWS, Known, interval
from fedsql.planner.builder import COUNTS, MEANS, SQUARES, Builder
from fedsql.planner.cells import Render
from fedsql.planner.coding import Coded, code
from fedsql.planner.fragments import Typing, label_sql, unit_counter
from fedsql.planner.logical import Aggregate, Release
from fedsql.planner.ordered import EXTREMES, Order, order_of, whole_sql
from fedsql.planner.positions import position, shown
from fedsql.planner.quantiles import QUANTILES, check_values, fraction_of
from fedsql.planner.ranges import check_bounds, check_inside, ranges_of
from fedsql.planner.relations import Join, Rows, scans_of
from fedsql.planner.safe import node_type, safe, safe_condition
from fedsql.planner.siblings import Beside
from fedsql.planner.summable import Argument, line, null_as_data, polynomial, split
from fedsql.planner.terms import Terms
from fedsql.planner.trees import find, sql_of
from fedsql.types import SqlType


def decompose(
    release: Release,
    terms: Terms,
    typing: Typing,
    known: Known,
    unique: bool,
    beside: Beside | None = None,
    *,
    groups: int | None = None,
    most: int = MOST_ROWS,
    builder: Builder | None = None,
) -> tuple[Builder, Circuit | None]:
    """Return the partials, tests and outputs of a typed release, and its circuit (None under noise).

    ``unique``: each unit has one row at this party; ``beside``: the releases of the same rows that are shown already;
    ``groups``: how many there are, None where their keys are not public: then noise decides which are shown. Names, thresholds and widths are the same whatever ``unique`` is;
    only the SQL that counts units differs. ``most``: rows that a party has at most. ``builder``: collects them where rows are those of a private join, of which any
    column is counted alike.
    """
    # One unit or more are there when one row is: without a threshold nobody needs to count units.
    count_units = unit_counter(unique or (terms.min_group_size == 1 and not terms.noisy))
    exact_units = unit_counter(unique)
    if builder is None:
        parties = len(typing.leaf.offers)
        builder = Builder(parties, terms.min_group_size, count_units, exact_units, terms.noisy, beside, rows=most)
    survive = builder.groups(terms.min_parties) if not terms.noisy else ()
    if terms.noisy and groups is None:
        builder.test(builder.exact_units(None), 1)  # the threshold follows from the noise

    def render(expression: exp.Expr) -> str:
        return sql_of(safe(expression, known, typing.type_of))

    for aggregate in release.aggregates:
        if _join_of(typing) is not None:
            aggregate = replace(aggregate, counts="")
        if aggregate.function == "count_if":  # NULL where no row has a truth value, as in DuckDB, not 0
            aggregate = replace(aggregate, function="sum")
        condition = None
        if aggregate.condition is not None:
            condition = sql_of(safe_condition(aggregate.condition, known, typing.type_of))
        pairs = (
            [] if aggregate.counts == "units" else list(zip(aggregate.arguments, aggregate.argument_types, strict=True))
        )
        splits = tuple(_split(aggregate, argument, type_, typing) for argument, type_ in pairs)
        if terms.noisy and aggregate.function in QUANTILES:
            _add_noisy_quantile(builder, aggregate, condition, typing, known, render, groups)
            continue
        if aggregate.function in (*EXTREMES, *QUANTILES):
            part = _single(aggregate, splits[0], plain=terms.min_group_size > 1)
            add = _add_extreme if aggregate.function in EXTREMES else _add_quantile
            add(builder, aggregate, part, condition, typing, known, render)
            continue
        coded: tuple[Coded, ...]
        if aggregate.function in COUNTS:
            coded = tuple(_counted(argument, type_, typing, render) for argument, type_ in pairs)
            if aggregate.distinct and not aggregate.counts:
                ((argument, type_),) = pairs
                label = label_sql("COUNT(DISTINCT ...)", argument, type_, known, typing)
                coded = (replace(coded[0], sql=label),)
        elif (terms.noisy or terms.min_group_size == 1) and not _of_several(aggregate, typing):
            squares = aggregate.function in SQUARES
            coded = tuple(_coded(argument, type_, typing, known, squares=squares) for argument, type_ in pairs)
        elif aggregate.function in ("sum", *MEANS):
            _add_polynomial(builder, aggregate, splits[0], condition, typing, known, render)
            continue
        else:
            coded = tuple(
                _line(part, argument, typing, known) for part, (argument, _) in zip(splits, pairs, strict=True)
            )
        builder.add(aggregate, coded, splits, condition, render)
    return builder, builder.circuit(survive) if survive else None


def _join_of(typing: Typing) -> Join | None:
    return typing.leaf.join if isinstance(typing.leaf, Rows) else None


def _of_several(aggregate: Aggregate, typing: Typing) -> bool:
    """Say whether an argument has columns of several parts of a private join: then it is summed column by column."""
    join = _join_of(typing)
    return join is not None and not all(join.parts(argument) for argument in aggregate.arguments)


def _split(aggregate: Aggregate, argument: exp.Expr, type_: str, typing: Typing) -> Argument:
    """Split an argument's condition off; what an expression that is counted makes NULL is a condition, too."""
    if aggregate.function not in COUNTS:
        part = split(argument, type_ == "BOOLEAN")
        deciding = part.truth if part.truth is not None else part.value  # where it is NULL a row takes no part
        padded = tuple(column for column in find(deciding, exp.Column) if _is_conditional(column, typing))
        if part.truth is not None:
            part = replace(part, chosen=bool(padded) or not null_as_data(part.truth))
        else:
            part = replace(part, chosen=bool(padded), padded=padded)
        if part.condition is not None and node_type(part.condition, typing.type_of) != "BOOLEAN":
            part = replace(part, condition=exp.cast(part.condition, "BOOLEAN", dialect="duckdb"))
        return part
    if isinstance(argument, exp.Column) and not _is_conditional(argument, typing):
        return Argument(argument)
    return Argument(argument, exp.Not(this=exp.Is(this=exp.paren(argument.copy()), expression=exp.null())))


def _is_conditional(column: exp.Column, typing: Typing) -> bool:
    return isinstance(typing.leaf, Rows) and typing.leaf.column(column.name).conditional


def _add_polynomial(
    builder: Builder,
    aggregate: Aggregate,
    part: Argument,
    condition: str | None,
    typing: Typing,
    known: Known,
    render: Render,
) -> None:
    """Add a SUM or a mean that must be summed column by column."""
    (whole,) = aggregate.arguments
    types = _types(part.value, typing)
    found = polynomial(part, whole, types, known, _table(typing))

    def code_column(name: str, squares: bool) -> Coded:
        return _coded_column(name, typing, known, squares=squares)

    builder.add_polynomial(aggregate, found, code_column, part, condition, render)


def _single(aggregate: Aggregate, part: Argument, *, plain: bool) -> Argument:
    """Return the argument of what shows one value; ``plain``: a column, for an expression could pick one person's."""
    whole, function = aggregate.arguments[0], aggregate.function.upper()
    if not plain:
        return Argument(whole)
    if not isinstance(part.value, exp.Column) or part.otherwise:
        raise PolicyDenied(
            f"above min_group_size = 1, {function} of {shown(whole)} is not answered: only of columns, under one condition",
            hint="take it of a column; or ask the owner to declare the expression as one",
            position=position(whole),
        )
    return part


def _add_extreme(
    builder: Builder,
    aggregate: Aggregate,
    part: Argument,
    condition: str | None,
    typing: Typing,
    known: Known,
    render: Render,
) -> None:
    """Add MIN or MAX."""
    type_ = typing.type_of(part.value)
    upwards = aggregate.function == "max"
    order = order_of(aggregate.function.upper(), part.value, type_, known, upwards=upwards)
    builder.add_extreme(aggregate, whole_sql(render(part.value), type_), order, part, condition, render)


def _add_quantile(
    builder: Builder,
    aggregate: Aggregate,
    part: Argument,
    condition: str | None,
    typing: Typing,
    known: Known,
    render: Render,
) -> None:
    """Add a quantile: of a column that has few values."""
    call, type_ = aggregate.function.upper(), typing.type_of(part.value)
    fraction = fraction_of(call, aggregate.arguments[1] if len(aggregate.arguments) > 1 else None)
    order = order_of(call, part.value, type_, known, upwards=True, digits=_digits(part.value, typing))
    check_values(call, part.value, order, _owner_key(part.value, typing))
    if order.digits is not None:
        coded = _in_digits(part.value, order, order.digits, render)
    elif order.is_date:
        coded = _days(part.value, order, render)
    else:
        coded = _coded(part.value, type_, typing, known, squares=False)
    builder.add_quantile(aggregate, coded, order, fraction, part, condition, render)


def _add_noisy_quantile(
    builder: Builder,
    aggregate: Aggregate,
    condition: str | None,
    typing: Typing,
    known: Known,
    render: Render,
    groups: int | None,
) -> None:
    """Add a quantile that noisy counts in ranges tell."""
    call, argument = aggregate.function.upper(), aggregate.arguments[0]
    type_, key = typing.type_of(argument), _owner_key(argument, typing)
    fraction = fraction_of(call, aggregate.arguments[1] if len(aggregate.arguments) > 1 else None)
    check_inside(call, fraction, argument)
    order = order_of(call, argument, type_, known, upwards=True)
    check_bounds(call, argument, order, key, known=interval(argument, known) is not None)
    coded = _days(argument, order, render) if order.is_date else _coded(argument, type_, typing, known, squares=False)
    rows = sum(offer.rows for offer in typing.leaf.offers)
    builder.add_noisy_quantile(aggregate, coded, ranges_of(coded.low, coded.high, groups, rows), fraction, condition)


def _days(argument: exp.Expr, order: Order, render: Render) -> Coded:
    """Code a date by its days."""
    sql = whole_sql(render(argument), order.type)
    return Coded(sql, f"({sql}) IS NOT NULL", Fraction(1), order.low, order.high)


def _digits(argument: exp.Expr, typing: Typing) -> int | None:
    """Return how many digits after the point a double has: as declared, or as it is rounded; None where neither says."""
    node = argument.unnest()
    if isinstance(node, exp.Column):
        found = [column.scale for offer in typing.leaf.offers if (column := offer.column(node.name)) is not None]
        scales = [scale for scale in found if scale is not None]
        return max(scales) if scales and len(scales) == len(found) else None
    if not isinstance(node, exp.Round | exp.Floor | exp.Ceil):
        return None
    places = node.args.get("decimals")
    if places is None:
        return 0
    return int(places.name) if isinstance(places, exp.Literal) and places.name in "0123456789" else None


def _in_digits(argument: exp.Expr, order: Order, digits: int, render: Render) -> Coded:
    """Code a double in units of the last of its digits that matter."""
    value = f"CAST({render(argument)} AS DOUBLE)"
    finite = f"coalesce(isfinite({value}), false)"
    whole = f"TRY_CAST(round({value} * {10**digits}::DOUBLE) AS BIGINT)"
    return Coded(f"(CASE WHEN {finite} THEN {whole} END)", finite, Fraction(1, 10**digits), order.low, order.high)


def _line(part: Argument, whole: exp.Expr, typing: Typing, known: Known) -> Coded:
    """Code an argument that will be squared: a column, scaled and shifted."""
    name, slope, offset = line(part, whole, _types(part.value, typing), known, _table(typing))
    return _coded_column(name, typing, known, squares=True).scaled(slope, offset)


def _types(value: exp.Expr, typing: Typing) -> dict[str, SqlType]:
    columns = {column.name.lower(): column for column in find(value, exp.Column)}
    types = typing.types_of(list(columns.values()))
    return {name: SqlType.parse(type_) for name, type_ in zip(columns, types, strict=True)}


def _coded_column(name: str, typing: Typing, known: Known, *, squares: bool) -> Coded:
    column = exp.column(name, table=typing.leaf.alias, quoted=True)
    return _coded(column, typing.type_of(column), typing, known, squares=squares)


def _coded(argument: exp.Expr, type_: str, typing: Typing, known: Known, *, squares: bool) -> Coded:
    rewritten = safe(argument, known, typing.type_of)
    key, digits = _owner_key(argument, typing), typing.digits
    coded = code(argument, rewritten, type_, known, key, squares=squares, digits=digits)
    return replace(coded, present=None, value=None) if _is_required(argument, type_, typing) else coded


def _counted(argument: exp.Expr, type_: str, typing: Typing, render: Render) -> Coded:
    """Code what is counted, never summed: any type will do; NaN and infinities count as NULL."""
    sql = render(argument) if isinstance(argument, exp.Column) else f"({render(argument)})"  # as it is when summed
    is_float = SqlType.parse(type_).family == "float"
    if _is_required(argument, type_, typing):
        return Coded(sql, None, Fraction(1), 0, 1)
    if is_float:
        return Coded(sql, f"coalesce(isfinite(CAST({sql} AS DOUBLE)), false)", Fraction(1), 0, 1)
    return Coded(sql, f"{sql} IS NOT NULL", Fraction(1), 0, 1, value=sql)


def _is_required(argument: exp.Expr, type_: str, typing: Typing) -> bool:
    """Say whether every row has a value: a column that all contributors say so of, in its own type, so no cast fails."""
    if not isinstance(argument, exp.Column):
        return False
    found = [offer.column(argument.name) for offer in typing.leaf.offers]
    return all(column is not None and column.required and column.type == type_ for column in found)


def _owner_key(argument: exp.Expr, typing: Typing) -> str:
    """Return the key of the party file that would give an argument bounds."""
    columns = sorted({c.name.lower() for c in find(argument, exp.Column)})
    floats = [
        c
        for c in columns
        if any(SqlType.parse(f.type).family == "float" for o in typing.leaf.offers if (f := o.column(c)))
    ]
    name = (floats or columns or ["..."])[0]
    leaf = typing.leaf
    if isinstance(leaf, Rows) and columns and (bases := leaf.column(name).bases or leaf.column(name).reads):
        index, base = bases[0]
        return f"tables.{leaf.scans[index].name}.columns.{base}"
    return f"tables.{leaf.name}.columns.{name}"


def _table(typing: Typing) -> str:
    """Return the name of the table whose owner could declare a column."""
    return scans_of(typing.leaf)[0].name
