"""Aggregates as additive partials: what each party computes, and how the sums become the released value.

AVG, BOOL_AND, BOOL_OR -> COUNT, SUM    VAR, STDDEV -> COUNT, SUM, SUM of squares
COVAR, CORR, REGR -> the power sums of pairs
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod

from fedsql.crypto.circuit import Rest
from fedsql.planner.cells import Part, Render, all_of
from fedsql.planner.coding import Coded
from fedsql.planner.collected import Collected
from fedsql.planner.logical import Aggregate
from fedsql.planner.ordered import Order
from fedsql.planner.partials import Output, filter_of
from fedsql.planner.quantiles import ranks_of
from fedsql.planner.ranges import Ranges
from fedsql.planner.summable import Argument, Polynomial

PAIRS = frozenset(
    [
        "covar_samp",
        "covar_pop",
        "corr",
        "regr_avgx",
        "regr_avgy",
        "regr_count",
        "regr_intercept",
        "regr_r2",
        "regr_slope",
        "regr_sxx",
        "regr_sxy",
        "regr_syy",
    ]
)
COUNTS = ("count", "regr_count")
MEANS = ("avg", "bool_and", "bool_or")  # of a sum and a count
SQUARES = frozenset(["var_samp", "var_pop", "stddev_samp", "stddev_pop"]) | PAIRS - {
    "regr_avgx",
    "regr_avgy",
    "regr_count",
}


@dataclass
class Builder(Collected):
    """Decomposes the aggregates of one release: its outputs, over what is `Collected`."""

    outputs: list[Output] = field(default_factory=list)

    def add(
        self,
        aggregate: Aggregate,
        coded: tuple[Coded, ...],
        splits: tuple[Argument, ...],
        condition: str | None,
        render: Render,
    ) -> None:
        """Decompose ``aggregate`` over coded arguments (none: COUNT(*)); ``condition`` is SQL of its FILTER."""
        present = [c.present for c in coded if c.present]
        rows = all_of(condition, *present)
        function = aggregate.function
        value = None
        if self.min_group_size == 1 and len(coded) == 1 and condition is None:
            value = coded[0].value
        if self.noisy and function in SQUARES | {"avg"} | PAIRS:  # around the middle of its bounds a value weighs half
            coded = tuple(c.around((c.low + c.high) // 2) for c in coded)
        names: tuple[str, ...]
        factors: tuple[tuple[Coded, ...], ...] = ((),)
        if aggregate.counts == "units":
            names = (self.partial((self.exact_units(condition),), self.rows, counts_units=True, once=True),)
        elif aggregate.counts == "ids":  # of one party each, so their counts add up
            names = (self.partial((f"COUNT(DISTINCT {coded[0].sql}){filter_of(rows)}",), self.rows, counts_units=True),)
        elif aggregate.distinct:
            names = (self.distinct(coded[0].sql, rows),)
        elif function in COUNTS:
            names = (self.count(rows, *coded),)
        elif function == "sum":
            names, factors = (self.sum(coded[0], condition),), (coded,)
        elif function in MEANS:
            names, factors = (self.count(rows, *coded), self.sum(coded[0], condition)), ((), coded)
        elif function in PAIRS:
            y, x = coded  # DuckDB's order: f(y, x), over rows where both are present
            names, factors = (self.count(rows), self.sum(x, rows), self.sum(y, rows)), ((), (x,), (y,))
            if function in SQUARES:
                names += (self.product(x, x, rows), self.product(y, y, rows), self.product(x, y, rows))
                factors += ((x,), (y,), (x, y))
        else:
            names = (
                self.count(rows, *coded),
                self.sum(coded[0], condition),
                self.product(coded[0], coded[0], condition),
            )
            factors = ((), coded, coded)
        nonzero = [f"{c.sql} <> 0" for c in coded] if function not in COUNTS else []
        made_of = [(name, rows, [f"{f.sql} <> 0" for f in each]) for name, each in zip(names, factors, strict=True)]
        cell = self.cell_of(aggregate, splits, condition, render, present, nonzero, [], made_of, value=value)
        units, offsets = tuple(c.unit for c in coded), tuple(c.offset for c in coded)
        self.outputs.append(Output(aggregate.name, aggregate.type, function, names, units, offsets, cell))

    def add_extreme(
        self,
        aggregate: Aggregate,
        whole: str,
        order: Order,
        split: Argument,
        condition: str | None,
        render: Render,
    ) -> None:
        """Add MIN or MAX of ``whole``, SQL of a number in the order of the values of ``split``, NULL where there is none."""
        present = f"({whole}) IS NOT NULL"
        inside = render(split.condition) if split.condition is not None else None
        where = filter_of(all_of(condition, inside))
        names = self.shared(f"{'MAX' if order.upwards else 'MIN'}({whole}){where}", order)
        made_of: list[Part] = [(name, all_of(condition, inside, present), []) for name in names]
        cell = self.cell_of(aggregate, (split,), condition, render, [present], [], [], made_of)
        function, type_ = aggregate.function, aggregate.type
        self.outputs.append(Output(aggregate.name, type_, function, names, cell=cell, order=order))

    def add_quantile(
        self,
        aggregate: Aggregate,
        whole: Coded,
        order: Order,
        fraction: Fraction,
        split: Argument,
        condition: str | None,
        render: Render,
    ) -> None:
        """Add a quantile of ``whole``, the code of the value of ``split``; MEDIAN and QUANTILE_CONT also count the values."""
        inside = render(split.condition) if split.condition is not None else None
        rows = all_of(condition, inside, whole.present)
        function = _quantile(aggregate)
        histogram = f"histogram(TRY_CAST({whole.sql} AS BIGINT)){filter_of(rows)}"
        shares = [name for rank in ranks_of(function, fraction, order) for name in self.shared(histogram, order, rank)]
        names = shares if function == "quantile_disc" else [self.count(rows), *shares]
        made_of: list[Part] = [(name, rows, []) for name in names]
        present = [whole.present] if whole.present else []
        cell = self.cell_of(aggregate, (split,), condition, render, present, [], [], made_of)
        q = fraction if function == "quantile_cont" else None
        self.outputs.append(
            Output(aggregate.name, aggregate.type, function, tuple(names), cell=cell, order=order, fraction=q)
        )

    def add_noisy_quantile(
        self, aggregate: Aggregate, whole: Coded, ranges: Ranges, fraction: Fraction, condition: str | None
    ) -> None:
        """Add a quantile of ``whole`` that is read off noisy counts of it in ``ranges``."""
        rows = filter_of(all_of(condition, whole.present))
        name = self.histogram(f"histogram({ranges.sql(whole.sql)}){rows}", ranges)
        units = (whole.unit,), (whole.offset,)
        self.outputs.append(
            Output(
                aggregate.name, aggregate.type, _quantile(aggregate), (name,), *units, fraction=fraction, ranges=ranges
            )
        )

    def nonzero(self, split: Argument, render: Render, monomials: Sequence[list[str]]) -> list[str]:
        """Return what says that a value is not zero; ``monomials`` says so of each of which it is made."""
        return [f"{render(split.value)} <> 0"]

    def add_polynomial(
        self,
        aggregate: Aggregate,
        polynomial: Polynomial,
        code: Callable[[str, bool], Coded],
        split: Argument,
        condition: str | None,
        render: Render,
    ) -> None:
        """Decompose SUM or a mean of a polynomial into sums of its monomials; ``code(column, squares)`` codes a column."""
        inside = render(split.condition) if split.condition is not None else None
        present = [p for name in sorted(polynomial.required) if (p := code(name, False).present)]
        rows = all_of(condition, inside, *present)
        names, units, nonzero = [], [], []
        made_of: list[Part] = []
        rests: list[Rest] = []  # what is counted beside what is summed: less this, it would open the others
        for monomial, coefficient in sorted(polynomial.terms.items()):
            factors = [code(name, len(monomial) > 1) for name in monomial]
            if not factors:
                names.append(self.count(rows))
            elif len(factors) == 1:
                names.append(self.sum(factors[0], rows))
            else:
                names.append(self.product(factors[0], factors[1], rows))
            units.append(coefficient * prod((f.unit for f in factors), start=Fraction(1)))
            nonzero.append([f"{f.sql} <> 0" for f in factors])
            made_of.append((names[-1], rows, nonzero[-1]))
        if aggregate.function in MEANS:
            here = all_of(*present)
            if split.truth is not None:
                here = f"({render(split.truth)}) IS NOT NULL"
            elif split.otherwise and inside and here:
                here = f"(NOT coalesce({inside}, false)) OR ({here})"
            taking_part = all_of(condition, here) if split.otherwise else rows
            names.insert(0, self.count(taking_part))
            made_of.append((names[0], taking_part, []))
            if taking_part and split.otherwise and (condition or split.truth is not None or split.padded):
                rests.append(self.none_or_enough(all_of(taking_part, f"NOT coalesce({inside}, false)")))
            if taking_part and split.otherwise and (condition or split.chosen):
                rests.append(self.none_or_enough(f"NOT coalesce({taking_part}, false)"))
        value = self.nonzero(split, render, nonzero)
        parts = [n for n in nonzero if n] if len(nonzero) > 1 else []
        if self.min_group_size == 1 and inside:  # which rows a sum is NULL without
            here = all_of(*present)
            if not split.otherwise:
                present = [inside, *present]
            elif here:
                present = [f"(NOT coalesce({inside}, false)) OR ({here})"]
        cell = self.cell_of(aggregate, (split,), condition, render, present, value, parts, made_of, rests)
        self.outputs.append(
            Output(aggregate.name, aggregate.type, aggregate.function, tuple(names), tuple(units), (), cell)
        )


def _quantile(aggregate: Aggregate) -> str:
    """Return whether a quantile may lie between two values, "quantile_cont", or is one, "quantile_disc"."""
    if aggregate.function != "median":
        return aggregate.function
    return "quantile_disc" if aggregate.type == "BOOLEAN" else "quantile_cont"
