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
from fedsql.planner.cells import Cells, Part, Render, all_of
from fedsql.planner.coding import ROW_CAP, Coded, needs_halves, slot_width
from fedsql.planner.logical import Aggregate
from fedsql.planner.ordered import Order
from fedsql.planner.partials import Output, Partial, counted, summed
from fedsql.planner.quantiles import Rank, ranks_of
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
class Builder(Cells):
    """Collects the partials and outputs of one release, with the tests and cells of `Cells`; equal ones are shared."""

    partials: list[Partial] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    rows: int = ROW_CAP  # of one party in one group, at most

    def partial(
        self,
        sql: tuple[str, ...],
        limit: int,
        low: int = 0,
        high: int = 1,
        *,
        counts_units: bool = False,
        tagged: bool = False,
        once: bool = False,
    ) -> str:
        """Return the name of the partial with this SQL, adding it when new. ``limit`` bounds one party's sum.

        A count of units is no other count, even where its SQL is the same: it is not at every party.
        """
        for known in self.partials:
            if (known.sql, known.counts_units) == (sql, counts_units):
                return known.name
        name, width = f"p{len(self.partials)}", slot_width(limit, self.parties)
        self.partials.append(Partial(name, sql, limit, width, low, high, counts_units, tagged, once=once))
        return name

    def count(self, condition: str | None, *coded: Coded) -> str:
        """Add the partial COUNT of the rows under ``condition``; ``coded`` is what is then summed over them."""
        value = coded[0].value if len(coded) == 1 and _beyond(condition, *coded) is None else None
        return self.partial((counted(condition) if value is None else f"COUNT({value})",), self.rows)

    def distinct(self, label: str, condition: str | None) -> str:
        """Add the number of distinct values of ``label``, whose texts are equal where the values are."""
        where = _filter(condition)
        if self.parties == 1:
            return self.partial((f"COUNT(DISTINCT {label}){where}",), self.rows)
        return self.partial((f"list(DISTINCT CAST({label} AS VARCHAR)){where}",), ROW_CAP, tagged=True)

    def shared(self, sql: str, order: Order, rank: Rank | None = None) -> tuple[str, str]:
        """Add the code of a value over all parties: two shares."""
        for at, known in enumerate(self.partials):
            if (known.sql, known.order, known.rank) == ((sql,), order, rank):
                return known.name, self.partials[at + 1].name
        names, width = (f"p{len(self.partials)}", f"p{len(self.partials) + 1}"), -(-order.bits // 8)
        self.partials.append(Partial(names[0], (sql,), 1 << order.bits, width, order=order, rank=rank))
        self.partials.append(Partial(names[1], (), 1 << order.bits, width))
        return names

    def histogram(self, sql: str, ranges: Ranges) -> str:
        """Add the counts of all levels of ``ranges``, of which ``sql`` is a histogram."""
        for known in self.partials:
            if (known.sql, known.ranges) == ((sql,), ranges):
                return known.name
        name = f"p{len(self.partials)}"
        self.partials.append(Partial(name, (sql,), ROW_CAP, slot_width(ROW_CAP, self.parties), ranges=ranges))
        return name

    def sum(self, coded: Coded, condition: str | None) -> str:
        """Add the partial SUM of a coded value."""
        where = _beyond(condition, coded)
        if coded.sum_as_is is not None:
            return self.partial((summed(coded.sum_as_is, where),), coded.limit * self.rows, coded.low, coded.high)
        return self._sum(coded.sql, coded.limit, where, coded.low, coded.high)

    def product(self, a: Coded, b: Coded, condition: str | None) -> str:
        """Add the partial SUM of the product of two coded values."""
        limit = a.limit * b.limit
        wide = "BIGINT" if limit < 1 << 62 else "HUGEINT"
        sql = f"CAST({a.sql} AS {wide}) * CAST({b.sql} AS {wide})"
        return self._sum(f"({sql})", limit, _beyond(condition, a, b), -limit, limit)

    def _sum(self, sql: str, limit: int, condition: str | None, low: int, high: int) -> str:
        if not needs_halves(limit):
            return self.partial((summed(sql, condition),), limit * self.rows, low, high)
        wide = f"CAST({sql} AS HUGEINT)"
        halves = (summed(f"{wide} >> 64", condition), summed(f"{wide} & 18446744073709551615::HUGEINT", condition))
        return self.partial(halves, limit * self.rows, low, high)

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
            names = (self.partial((f"COUNT(DISTINCT {coded[0].sql}){_filter(rows)}",), self.rows, counts_units=True),)
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
        where = _filter(all_of(condition, inside))
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
        histogram = f"histogram(TRY_CAST({whole.sql} AS BIGINT)){_filter(rows)}"
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
        rows = _filter(all_of(condition, whole.present))
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


def _beyond(condition: str | None, *coded: Coded) -> str | None:
    """Return a condition, unless it only says that the values are there: a sum leaves out what is not."""
    return None if condition == all_of(*(each.present for each in coded)) else condition


def _filter(condition: str | None) -> str:
    return f" FILTER (WHERE {condition})" if condition else ""
