"""Aggregates as additive partials: what each party computes, and how the sums become the released value.

    AVG, BOOL_AND, BOOL_OR -> COUNT, SUM    VAR, STDDEV -> COUNT, SUM, SUM of squares
    COVAR, CORR, REGR -> the power sums of pairs

All partials are integers, so adding them over parties loses nothing. Next to them stand the *tests*: counts of units
that decide, on secret shares, whether a group and each of its cells may be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod

from sqlglot import exp

from fedsql.crypto.circuit import Cell, Circuit, Rest
from fedsql.planner.coding import ROW_CAP, Coded, needs_halves, slot_width
from fedsql.planner.logical import Aggregate
from fedsql.planner.ordered import Order
from fedsql.planner.quantiles import QUANTILES, Rank, ranks_of
from fedsql.planner.ranges import Ranges
from fedsql.planner.siblings import Beside
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
EXTREMES = ("min", "max")
Render = Callable[[exp.Expr], str]  # SQL of a row-wise expression that cannot raise
Part = tuple[str, str | None, list[str]]  # a partial, the rows that it is made of, and what is non-zero where it is
SQUARES = frozenset(["var_samp", "var_pop", "stddev_samp", "stddev_pop"]) | PAIRS - {
    "regr_avgx",
    "regr_avgy",
    "regr_count",
}


@dataclass(frozen=True)
class Partial:
    """One additive integer per group. ``sql`` holds one aggregate, or two: the high part (times 2^64) and the low.

    ``tagged``: it is a number of distinct values over all parties; ``sql`` lists those of one party, as texts. ``order``: it
    is one share of the code of a value over all parties, and the next partial, which has no ``sql``, the other: of the value
    at ``rank``, for which ``sql`` is a histogram, else of the largest one. ``ranges``: it is not one integer but the counts of
    all levels of these, and ``sql`` a histogram of the finest one.
    """

    name: str
    sql: tuple[str, ...]
    limit: int
    width: int
    low: int = 0  # of one row's contribution, for sensitivities
    high: int = 1
    counts_units: bool = False
    tagged: bool = False
    order: Order | None = None
    rank: Rank | None = None
    once: bool = False  # a unit adds one at most at a party, however many rows it has
    ranges: Ranges | None = None

    @property
    def columns(self) -> int:
        """How many integers it is."""
        return 1 if self.ranges is None else self.ranges.counts


@dataclass(frozen=True)
class Test:
    """A count of units per group (SQL over one party's rows) against a public threshold on the total."""

    __test__ = False  # not a pytest class

    name: str
    sql: str
    threshold: int


@dataclass(frozen=True)
class Output:
    """How the analyst makes one released column: ``function`` over opened ``partials``.

    ``units`` and ``offsets`` turn integers into values. SUM and the means add up their partials (a mean's after the count),
    each times its unit; other functions have one unit and offset for each argument. ``cell`` is the index of its cell; a
    column without one is shown whenever its group is. ``order`` tells what the codes are of, that MIN, MAX and quantiles
    put together; ``fraction`` is the q of QUANTILE_CONT, and of any quantile that is read off the counts in ``ranges``.
    """

    name: str
    type: str
    function: str
    partials: tuple[str, ...]
    units: tuple[Fraction, ...] = ()
    offsets: tuple[Fraction, ...] = ()
    cell: int | None = None
    order: Order | None = None
    fraction: Fraction | None = None
    ranges: Ranges | None = None


@dataclass
class Builder:
    """Collects the partials, tests and cells of one release; equal ones are shared."""

    parties: int
    min_group_size: int
    count_units: Callable[[str | None], str]  # SQL that reaches k where the units of the rows under a condition do
    exact_units: Callable[[str | None], str]  # SQL counting these units
    noisy: bool = False
    beside: Beside | None = None  # the releases of the same rows that are shown already
    partials: list[Partial] = field(default_factory=list)
    tests: list[Test] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)

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

    def test(self, sql: str, threshold: int) -> int:
        """Return the index of the test, adding it when new."""
        for index, known in enumerate(self.tests):
            if (known.sql, known.threshold) == (sql, threshold):
                return index
        self.tests.append(Test(f"t{len(self.tests)}", sql, threshold))
        return len(self.tests) - 1

    def cell(self, cell: Cell) -> int:
        """Return the index of the cell, adding it when new."""
        if cell not in self.cells:
            self.cells.append(cell)
        return self.cells.index(cell)

    def circuit(self, survive: tuple[int, ...]) -> Circuit:
        """Return what is decided for each group; ``survive`` are the indexes of the tests that a group must pass."""
        return Circuit(tuple(t.threshold for t in self.tests), survive, tuple(self.cells), tuple(self.rests))

    def groups(self, min_parties: int) -> tuple[int, ...]:
        """Add what decides whether a group is shown; return the tests that it must pass. Before all else."""

        def enough(condition: str | None) -> tuple[int, ...]:
            units = self.count_units(condition)
            found = (self.test(units, self.min_group_size),)
            return (*found, self.test(f"CAST({units} > 0 AS INTEGER)", min_parties)) if min_parties > 1 else found

        survive = enough(None)
        if self.beside is not None:
            left = f"NOT ({self.beside.finer()})"
            self.rests.append(Rest(self.test(self.count_units(left), 1), enough(left)))
            if across := self.beside.across():
                self.rests.append(self.none(_and(left, across)))
        return survive

    def none(self, condition: str | None) -> Rest:
        """Return that no unit has rows under ``condition``."""
        return Rest(self.test(self.count_units(condition), 1))

    def none_or_enough(self, condition: str | None) -> Rest:
        """Return that no unit has rows under ``condition``, or k have."""
        units = self.count_units(condition)
        return Rest(self.test(units, 1), (self.test(units, self.min_group_size),))

    def count(self, condition: str | None, value: str = "*") -> str:
        """Add the partial COUNT of the rows under ``condition``, or of those of them that have a ``value``."""
        return self.partial((f"COUNT({value}){_filter(condition)}",), ROW_CAP)

    def distinct(self, label: str, condition: str | None) -> str:
        """Add the number of distinct values of ``label``, whose texts are equal where the values are."""
        where = _filter(condition)
        if self.parties == 1:
            return self.partial((f"COUNT(DISTINCT {label}){where}",), ROW_CAP)
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
        if coded.sum_as_is is not None:
            return self.partial(
                (f"SUM({coded.sum_as_is}){_filter(condition)}",), coded.limit * ROW_CAP, coded.low, coded.high
            )
        return self._sum(coded.sql, coded.limit, condition, coded.low, coded.high)

    def product(self, a: Coded, b: Coded, condition: str | None) -> str:
        """Add the partial SUM of the product of two coded values."""
        limit = a.limit * b.limit
        wide = "BIGINT" if limit < 1 << 62 else "HUGEINT"
        sql = f"CAST({a.sql} AS {wide}) * CAST({b.sql} AS {wide})"
        return self._sum(f"({sql})", limit, condition, -limit, limit)

    def _sum(self, sql: str, limit: int, condition: str | None, low: int, high: int) -> str:
        where = _filter(condition)
        if not needs_halves(limit):
            return self.partial((f"SUM({sql}){where}",), limit * ROW_CAP, low, high)
        wide = f"CAST({sql} AS HUGEINT)"
        halves = (f"SUM({wide} >> 64){where}", f"SUM({wide} & 18446744073709551615::HUGEINT){where}")
        return self.partial(halves, limit * ROW_CAP, low, high)

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
        rows = _and(condition, *present)
        function = aggregate.function
        value = None
        if self.min_group_size == 1 and len(coded) == 1 and condition is None:
            value = coded[0].value  # COUNT of it costs far less than a FILTER, which cells need above 1
        counted = (None, value) if value is not None else (rows, "*")
        if self.noisy and function in SQUARES | {"avg"} | PAIRS:  # around the middle of its bounds a value weighs half
            coded = tuple(c.around((c.low + c.high) // 2) for c in coded)
        names: tuple[str, ...]
        factors: tuple[tuple[Coded, ...], ...] = ((),)
        if aggregate.counts == "units":
            names = (self.partial((self.exact_units(condition),), ROW_CAP, counts_units=True, once=True),)
        elif aggregate.counts == "ids":  # of one party each, so their counts add up
            names = (self.partial((f"COUNT(DISTINCT {coded[0].sql}){_filter(rows)}",), ROW_CAP, counts_units=True),)
        elif aggregate.distinct:
            names = (self.distinct(coded[0].sql, rows),)
        elif function in COUNTS:
            names = (self.count(*counted),)
        elif function == "sum":
            names, factors = (self.sum(coded[0], condition),), (coded,)
        elif function in MEANS:
            names, factors = (self.count(*counted), self.sum(coded[0], condition)), ((), coded)
        elif function in PAIRS:
            y, x = coded  # DuckDB's order: f(y, x), over rows where both are present
            names, factors = (self.count(rows), self.sum(x, rows), self.sum(y, rows)), ((), (x,), (y,))
            if function in SQUARES:
                names += (self.product(x, x, rows), self.product(y, y, rows), self.product(x, y, rows))
                factors += ((x,), (y,), (x, y))
        else:
            names = (self.count(*counted), self.sum(coded[0], condition), self.product(coded[0], coded[0], condition))
            factors = ((), coded, coded)
        nonzero = [f"{c.sql} <> 0" for c in coded] if function not in COUNTS else []
        made_of = [(name, rows, [f"{f.sql} <> 0" for f in each]) for name, each in zip(names, factors, strict=True)]
        cell = self._cell(aggregate, splits, condition, render, present, nonzero, [], made_of, value=value)
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
        where = _filter(_and(condition, inside))
        names = self.shared(f"{'MAX' if order.upwards else 'MIN'}({whole}){where}", order)
        made_of: list[Part] = [(name, _and(condition, inside, present), []) for name in names]
        cell = self._cell(aggregate, (split,), condition, render, [present], [], [], made_of)
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
        rows = _and(condition, inside, whole.present)
        function = _quantile(aggregate)
        histogram = f"histogram(TRY_CAST({whole.sql} AS BIGINT)){_filter(rows)}"
        shares = [name for rank in ranks_of(function, fraction, order) for name in self.shared(histogram, order, rank)]
        names = shares if function == "quantile_disc" else [self.count(rows), *shares]
        made_of: list[Part] = [(name, rows, []) for name in names]
        present = [whole.present] if whole.present else []
        cell = self._cell(aggregate, (split,), condition, render, present, [], [], made_of)
        q = fraction if function == "quantile_cont" else None
        self.outputs.append(
            Output(aggregate.name, aggregate.type, function, tuple(names), cell=cell, order=order, fraction=q)
        )

    def add_noisy_quantile(
        self, aggregate: Aggregate, whole: Coded, ranges: Ranges, fraction: Fraction, condition: str | None
    ) -> None:
        """Add a quantile of ``whole`` that is read off noisy counts of it in ``ranges``."""
        rows = _filter(_and(condition, whole.present))
        name = self.histogram(f"histogram({ranges.sql(whole.sql)}){rows}", ranges)
        units = (whole.unit,), (whole.offset,)
        self.outputs.append(
            Output(
                aggregate.name, aggregate.type, _quantile(aggregate), (name,), *units, fraction=fraction, ranges=ranges
            )
        )

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
        rows = _and(condition, inside, *present)
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
            here = _and(*present)
            if split.truth is not None:
                here = f"({render(split.truth)}) IS NOT NULL"
            elif split.otherwise and inside and here:
                here = f"(NOT coalesce({inside}, false)) OR ({here})"
            taking_part = _and(condition, here) if split.otherwise else rows
            names.insert(0, self.count(taking_part))
            made_of.append((names[0], taking_part, []))
            if taking_part and split.otherwise and (condition or split.truth is not None or split.padded):
                rests.append(self.none_or_enough(_and(taking_part, f"NOT coalesce({inside}, false)")))
            if taking_part and split.otherwise and (condition or split.chosen):
                rests.append(self.none_or_enough(f"NOT coalesce({taking_part}, false)"))
        value = [f"{render(split.value)} <> 0"]
        parts = [n for n in nonzero if n] if len(nonzero) > 1 else []
        cell = self._cell(aggregate, (split,), condition, render, present, value, parts, made_of, rests)
        self.outputs.append(
            Output(aggregate.name, aggregate.type, aggregate.function, tuple(names), tuple(units), (), cell)
        )

    def _cell(
        self,
        aggregate: Aggregate,
        splits: tuple[Argument, ...],
        condition: str | None,
        render: Render,
        present: list[str],
        nonzero: list[str],
        parts: list[list[str]],
        made_of: list[Part],
        rests: Sequence[Rest] = (),
        value: str | None = None,
    ) -> int | None:
        """Return the cell of an aggregate: k units with a non-NULL, non-zero argument; and 0 or k in a condition's rest.

        ``parts``: the same must hold for each monomial of a sum, or SUM(a + b) less SUM(b) would open a rare a. ``rests``
        are further ones that must hold none or k. ``value``: SQL that is NULL in just the rows that do not take part, if
        there is any.
        """
        k = self.min_group_size
        if self.noisy:
            return None
        if k == 1:  # only whether a SUM or a single value is NULL must be known; other functions count their rows
            if aggregate.function not in ("sum", *EXTREMES, *QUANTILES):
                return None
            rows = f"COUNT({value})" if value is not None else self.count_units(_and(condition, *present))
            return self.cell(Cell(self.test(rows, 1)))
        conditions = [condition] if condition else []
        for split in splits:
            conditions += [render(split.condition)] if split.condition is not None else []
            conditions += [f"{render(column)} IS NOT NULL" for column in split.padded]
        if not present and not nonzero and not conditions:
            return None
        enough = self.test(self.count_units(_and(*conditions, *present, *nonzero)), k)
        also = tuple(self.test(self.count_units(_and(*conditions, *present, *part)), k) for part in parts)
        rests = list(rests)
        if conditions:
            rests.append(self.none_or_enough(f"NOT coalesce({_and(*conditions)}, false)"))
        if self.beside is not None:
            rests += self._left(self.beside, conditions, made_of)
        return self.cell(Cell(enough, tuple(rests), also))

    def _left(self, beside: Beside, conditions: list[str], made_of: list[Part]) -> list[Rest]:
        """Return what must hold of the rows that no finer group shows a value of, so that this one does not open it.

        In each partial that it is made of, no unit or k take part. Where the query itself says which rows take part, COUNT(*)
        of a finer group would open the others. So the same must hold of these, and no unit may take part in a finer group that
        is shown without the value.
        """
        rests = []
        for partial, rows, nonzero in made_of:
            left = f"NOT ({beside.finer(partial)})"
            barred = beside.finer() if conditions else beside.across(partial)
            rests += [self.none_or_enough(_and(rows, left)), self.none_or_enough(_and(rows, *nonzero, left))]
            if barred:
                rests.append(self.none(_and(rows, left, barred)))
        if conditions:
            others = f"NOT coalesce({_and(*conditions)}, false)"
            rests.append(self.none_or_enough(_and(others, f"NOT ({beside.finer()})")))
        return list(dict.fromkeys(rests))


def _quantile(aggregate: Aggregate) -> str:
    """Return whether a quantile may lie between two values, "quantile_cont", or is one, "quantile_disc"."""
    if aggregate.function != "median":
        return aggregate.function
    return "quantile_disc" if aggregate.type == "BOOLEAN" else "quantile_cont"


def _and(*parts: str | None) -> str | None:
    """Join SQL conditions, each in parentheses; None when there is none."""
    given = list(dict.fromkeys(p for p in parts if p))
    return " AND ".join(f"({p})" for p in given) or None


def _filter(condition: str | None) -> str:
    return f" FILTER (WHERE {condition})" if condition else ""
