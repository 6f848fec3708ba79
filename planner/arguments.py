"""The arguments of aggregates, as one party computes them: SQL that cannot raise, and the integers that values are coded as.

`planner.coding` says how a value of a type and of bounds becomes an integer. Here stands what else decides it: what owners
declare of the column that an argument is, and where an answer would need more, the key of the party file that says it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from sqlglot import exp

from fedsql.planner.bounds import Known
from fedsql.planner.coding import Coded, code
from fedsql.planner.fragments import Typing, label_sql
from fedsql.planner.ordered import Order, whole_sql
from fedsql.planner.relations import Join, Rows, scans_of
from fedsql.planner.safe import safe, safe_condition
from fedsql.planner.summable import Argument, Polynomial, line, polynomial
from fedsql.planner.trees import find, sql_of
from fedsql.types import SqlType


@dataclass(frozen=True)
class Arguments:
    """Codes the arguments of one release's aggregates; ``known`` are the bounds of its columns."""

    typing: Typing
    known: Known

    @property
    def join(self) -> Join | None:
        """The private join that the release is over, if it is."""
        return self.typing.leaf.join if isinstance(self.typing.leaf, Rows) else None

    def are_of_several(self, arguments: tuple[exp.Expr, ...]) -> bool:
        """Say whether one has columns of several parts of a private join: then it is summed column by column."""
        join = self.join
        return join is not None and not all(join.parts(argument) for argument in arguments)

    def is_conditional(self, column: exp.Column) -> bool:
        """Say whether the query decides where a column is NULL."""
        return isinstance(self.typing.leaf, Rows) and self.typing.leaf.column(column.name).conditional

    def render(self, expression: exp.Expr) -> str:
        """Return SQL of a row-wise expression that cannot raise."""
        return sql_of(safe(expression, self.known, self.typing.type_of))

    def condition(self, expression: exp.Expr | None) -> str | None:
        """Return SQL of a condition that cannot raise, None where there is none."""
        return None if expression is None else sql_of(safe_condition(expression, self.known, self.typing.type_of))

    def coded(self, argument: exp.Expr, type_: str, *, squares: bool = False) -> Coded:
        """Code what is summed; ``squares``: its square is, too."""
        rewritten = safe(argument, self.known, self.typing.type_of)
        key, digits = self.owner_key(argument), self.typing.digits
        coded = code(argument, rewritten, type_, self.known, key, squares=squares, digits=digits)
        return replace(coded, present=None, value=None) if self._is_required(argument, type_) else coded

    def column(self, name: str, squares: bool) -> Coded:
        """Code a column by its name."""
        column = exp.column(name, table=self.typing.leaf.alias, quoted=True)
        return self.coded(column, self.typing.type_of(column), squares=squares)

    def counted(self, argument: exp.Expr, type_: str) -> Coded:
        """Code what is counted, never summed: any type will do; NaN and infinities count as NULL."""
        sql = (
            self.render(argument) if isinstance(argument, exp.Column) else f"({self.render(argument)})"
        )  # as when summed
        if self._is_required(argument, type_):
            return Coded(sql, None, Fraction(1), 0, 1)
        if SqlType.parse(type_).family == "float":
            return Coded(sql, f"coalesce(isfinite(CAST({sql} AS DOUBLE)), false)", Fraction(1), 0, 1)
        return Coded(sql, f"{sql} IS NOT NULL", Fraction(1), 0, 1, value=sql)

    def label(self, argument: exp.Expr, type_: str) -> str:
        """Return SQL of what COUNT(DISTINCT ...) counts: equal where the values are."""
        return label_sql("COUNT(DISTINCT ...)", argument, type_, self.known, self.typing)

    def days(self, argument: exp.Expr, order: Order) -> Coded:
        """Code a date by its days."""
        sql = whole_sql(self.render(argument), order.type)
        return Coded(sql, f"({sql}) IS NOT NULL", Fraction(1), order.low, order.high)

    def digits(self, argument: exp.Expr) -> int | None:
        """Return how many digits after the point a double has: as declared, or as it is rounded; None where neither says."""
        node = argument.unnest()
        if isinstance(node, exp.Column):
            found = [c.scale for offer in self.typing.leaf.offers if (c := offer.column(node.name)) is not None]
            scales = [scale for scale in found if scale is not None]
            return max(scales) if scales and len(scales) == len(found) else None
        if not isinstance(node, exp.Round | exp.Floor | exp.Ceil):
            return None
        places = node.args.get("decimals")
        if places is None:
            return 0
        return int(places.name) if isinstance(places, exp.Literal) and places.name in "0123456789" else None

    def in_digits(self, argument: exp.Expr, order: Order, digits: int) -> Coded:
        """Code a double in units of the last of its digits that matter."""
        value = f"CAST({self.render(argument)} AS DOUBLE)"
        finite = f"coalesce(isfinite({value}), false)"
        whole = f"TRY_CAST(round({value} * {10**digits}::DOUBLE) AS BIGINT)"
        return Coded(f"(CASE WHEN {finite} THEN {whole} END)", finite, Fraction(1, 10**digits), order.low, order.high)

    def line(self, part: Argument, whole: exp.Expr) -> Coded:
        """Code an argument that will be squared: a column, scaled and shifted."""
        name, slope, offset = line(part, whole, self._types(part.value), self.known, self._table)
        return self.column(name, squares=True).scaled(slope, offset)

    def polynomial(self, part: Argument, whole: exp.Expr) -> Polynomial:
        """Return an argument as a sum of products of columns."""
        return polynomial(part, whole, self._types(part.value), self.known, self._table)

    def owner_key(self, argument: exp.Expr) -> str:
        """Return the key of the party file that would give an argument bounds."""
        leaf = self.typing.leaf
        columns = sorted({c.name.lower() for c in find(argument, exp.Column)})
        floats = [
            c
            for c in columns
            if any(SqlType.parse(f.type).family == "float" for o in leaf.offers if (f := o.column(c)))
        ]
        name = (floats or columns or ["..."])[0]
        if isinstance(leaf, Rows) and columns and (bases := leaf.column(name).bases or leaf.column(name).reads):
            index, base = bases[0]
            return f"tables.{leaf.scans[index].name}.columns.{base}"
        return f"tables.{leaf.name}.columns.{name}"

    def _is_required(self, argument: exp.Expr, type_: str) -> bool:
        """Say whether every row has a value: a column that all contributors say so of, in its own type, so no cast fails."""
        if not isinstance(argument, exp.Column):
            return False
        found = [offer.column(argument.name) for offer in self.typing.leaf.offers]
        return all(column is not None and column.required and column.type == type_ for column in found)

    def _types(self, value: exp.Expr) -> dict[str, SqlType]:
        columns = {column.name.lower(): column for column in find(value, exp.Column)}
        types = self.typing.types_of(list(columns.values()))
        return {name: SqlType.parse(type_) for name, type_ in zip(columns, types, strict=True)}

    @property
    def _table(self) -> str:
        """The name of the table whose owner could declare a column."""
        return scans_of(self.typing.leaf)[0].name
