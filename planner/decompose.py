"""From the aggregates of a release to its partials, tests and cells, at one party's way of counting units."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from fedsql.crypto.circuit import Circuit
from fedsql.errors import PolicyDenied
from fedsql.planner.arguments import Arguments
from fedsql.planner.bounds import MOST_ROWS, Known, interval
from fedsql.planner.builder import COUNTS, MEANS, SQUARES, Builder
from fedsql.planner.coding import Coded
from fedsql.planner.fragments import Typing, unit_counter
from fedsql.planner.logical import Aggregate, Release
from fedsql.planner.ordered import EXTREMES, order_of, whole_sql
from fedsql.planner.positions import position, shown
from fedsql.planner.quantiles import QUANTILES, check_values, fraction_of
from fedsql.planner.ranges import check_bounds, check_inside, ranges_of
from fedsql.planner.safe import node_type
from fedsql.planner.siblings import Beside
from fedsql.planner.summable import Argument, null_as_data, split
from fedsql.planner.terms import Terms
from fedsql.planner.trees import find


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

    arguments = Arguments(typing, known)
    for aggregate in release.aggregates:
        if arguments.join is not None:
            aggregate = replace(aggregate, counts="")
        if aggregate.function == "count_if":  # NULL where no row has a truth value, as in DuckDB, not 0
            aggregate = replace(aggregate, function="sum")
        condition = arguments.condition(aggregate.condition)
        pairs = (
            [] if aggregate.counts == "units" else list(zip(aggregate.arguments, aggregate.argument_types, strict=True))
        )
        splits = tuple(_split(aggregate, argument, type_, arguments) for argument, type_ in pairs)
        if terms.noisy and aggregate.function in QUANTILES:
            _add_noisy_quantile(builder, aggregate, condition, arguments, groups)
            continue
        if aggregate.function in (*EXTREMES, *QUANTILES):
            part = _single(aggregate, splits[0], plain=terms.min_group_size > 1)
            add = _add_extreme if aggregate.function in EXTREMES else _add_quantile
            add(builder, aggregate, part, condition, arguments)
            continue
        coded: tuple[Coded, ...]
        if aggregate.function in COUNTS:
            coded = tuple(arguments.counted(argument, type_) for argument, type_ in pairs)
            if aggregate.distinct and not aggregate.counts:
                ((argument, type_),) = pairs
                coded = (replace(coded[0], sql=arguments.label(argument, type_)),)
        elif (terms.noisy or terms.min_group_size == 1) and not arguments.are_of_several(aggregate.arguments):
            squares = aggregate.function in SQUARES
            coded = tuple(arguments.coded(argument, type_, squares=squares) for argument, type_ in pairs)
        elif aggregate.function in ("sum", *MEANS):
            _add_polynomial(builder, aggregate, splits[0], condition, arguments)
            continue
        else:
            coded = tuple(arguments.line(part, argument) for part, (argument, _) in zip(splits, pairs, strict=True))
        builder.add(aggregate, coded, splits, condition, arguments.render)
    return builder, builder.circuit(survive) if survive else None


def _split(aggregate: Aggregate, argument: exp.Expr, type_: str, arguments: Arguments) -> Argument:
    """Split an argument's condition off; what an expression that is counted makes NULL is a condition, too."""
    if aggregate.function not in COUNTS:
        part = split(argument, type_ == "BOOLEAN")
        deciding = part.truth if part.truth is not None else part.value  # where it is NULL a row takes no part
        padded = tuple(column for column in find(deciding, exp.Column) if arguments.is_conditional(column))
        if part.truth is not None:
            part = replace(part, chosen=bool(padded) or not null_as_data(part.truth))
        else:
            part = replace(part, chosen=bool(padded), padded=padded)
        if part.condition is not None and node_type(part.condition, arguments.typing.type_of) != "BOOLEAN":
            part = replace(part, condition=exp.cast(part.condition, "BOOLEAN", dialect="duckdb"))
        return part
    if isinstance(argument, exp.Column) and not arguments.is_conditional(argument):
        return Argument(argument)
    return Argument(argument, exp.Not(this=exp.Is(this=exp.paren(argument.copy()), expression=exp.null())))


def _add_polynomial(
    builder: Builder,
    aggregate: Aggregate,
    part: Argument,
    condition: str | None,
    arguments: Arguments,
) -> None:
    """Add a SUM or a mean that must be summed column by column."""
    (whole,) = aggregate.arguments
    found = arguments.polynomial(part, whole)
    builder.add_polynomial(aggregate, found, arguments.column, part, condition, arguments.render)


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
    arguments: Arguments,
) -> None:
    """Add MIN or MAX."""
    type_ = arguments.typing.type_of(part.value)
    upwards = aggregate.function == "max"
    order = order_of(aggregate.function.upper(), part.value, type_, arguments.known, upwards=upwards)
    whole = whole_sql(arguments.render(part.value), type_)
    builder.add_extreme(aggregate, whole, order, part, condition, arguments.render)


def _add_quantile(
    builder: Builder,
    aggregate: Aggregate,
    part: Argument,
    condition: str | None,
    arguments: Arguments,
) -> None:
    """Add a quantile: of a column that has few values."""
    call, type_ = aggregate.function.upper(), arguments.typing.type_of(part.value)
    fraction = fraction_of(call, aggregate.arguments[1] if len(aggregate.arguments) > 1 else None)
    order = order_of(call, part.value, type_, arguments.known, upwards=True, digits=arguments.digits(part.value))
    check_values(call, part.value, order, arguments.owner_key(part.value))
    if order.digits is not None:
        coded = arguments.in_digits(part.value, order, order.digits)
    elif order.is_date:
        coded = arguments.days(part.value, order)
    else:
        coded = arguments.coded(part.value, type_)
    builder.add_quantile(aggregate, coded, order, fraction, part, condition, arguments.render)


def _add_noisy_quantile(
    builder: Builder,
    aggregate: Aggregate,
    condition: str | None,
    arguments: Arguments,
    groups: int | None,
) -> None:
    """Add a quantile that noisy counts in ranges tell."""
    call, argument = aggregate.function.upper(), aggregate.arguments[0]
    type_, key = arguments.typing.type_of(argument), arguments.owner_key(argument)
    fraction = fraction_of(call, aggregate.arguments[1] if len(aggregate.arguments) > 1 else None)
    check_inside(call, fraction, argument)
    order = order_of(call, argument, type_, arguments.known, upwards=True)
    check_bounds(call, argument, order, key, known=interval(argument, arguments.known) is not None)
    coded = arguments.days(argument, order) if order.is_date else arguments.coded(argument, type_)
    rows = sum(offer.rows for offer in arguments.typing.leaf.offers)
    builder.add_noisy_quantile(aggregate, coded, ranges_of(coded.low, coded.high, groups, rows), fraction, condition)
