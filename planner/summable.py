"""What may be summed when groups have a least size and there is no noise (DESIGN, section 3).

A sum of an arbitrary expression can open one person: ``SUM(charges * (1 + 1e12 * greatest(age - 96, 0)))`` carries a
single row in its high digits, and ``(age + 1e18) - 1e18`` is a step function by rounding alone. So without noise, above
min_group_size 1, an argument is a column, an affine form of columns, or a product of two such, possibly under one
condition (CASE, FILTER, a boolean). And it is never computed row by row: it is read here as a polynomial, the parties sum
its monomials exactly, and the analyst puts these together. Everything else is refused, with the advice to have the owner
declare it as a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from sqlglot import exp

from fedsql.errors import PolicyDenied
from fedsql.planner.bounds import Known, sql_type, type_interval
from fedsql.planner.positions import position, shown
from fedsql.planner.trees import find, sql_of, walk
from fedsql.types import SqlType

Monomial = tuple[str, ...]  # the columns that are multiplied, sorted; () is the constant


@dataclass(frozen=True)
class Argument:
    """An aggregate's argument, split: ``value`` where ``condition`` holds (None: everywhere), else 0 or NULL.

    ``otherwise``: rows outside of the condition count as 0 (they take part in an average). ``truth``: the argument itself,
    where it is a condition: rows for which it is NULL take no part. ``padded``: columns of the value that the query may have
    made NULL, so that their presence is a condition like any other. ``chosen``: the query decides which rows take no part.
    """

    value: exp.Expr
    condition: exp.Expr | None = None
    otherwise: bool = False
    truth: exp.Expr | None = None
    padded: tuple[exp.Expr, ...] = ()
    chosen: bool = False


@dataclass(frozen=True)
class Polynomial:
    """Coefficients by monomial. A row takes part when none of the ``required`` columns is NULL."""

    terms: Mapping[Monomial, Fraction]
    required: frozenset[str]

    @property
    def degree(self) -> int:
        """The number of columns in the largest monomial."""
        return max((len(m) for m, c in self.terms.items() if c), default=0)

    @property
    def columns(self) -> frozenset[str]:
        """All columns in it."""
        return frozenset(name for monomial in self.terms for name in monomial) | self.required

    def plus(self, other: Polynomial, sign: int = 1) -> Polynomial:
        """Return this polynomial plus ``sign`` times ``other``."""
        terms = dict(self.terms)
        for monomial, coefficient in other.terms.items():
            terms[monomial] = terms.get(monomial, Fraction(0)) + sign * coefficient
        return Polynomial(terms, self.required | other.required)

    def times(self, other: Polynomial) -> Polynomial:
        """Return the product."""
        terms: dict[Monomial, Fraction] = {}
        for a, x in self.terms.items():
            for b, y in other.terms.items():
                monomial = tuple(sorted((*a, *b)))
                terms[monomial] = terms.get(monomial, Fraction(0)) + x * y
        return Polynomial(terms, self.required | other.required)


def split(argument: exp.Expr, is_boolean: bool) -> Argument:
    """Split off a condition: CASE WHEN c THEN v [ELSE 0] END, IF(c, v, 0), or a boolean (summed as 0 and 1)."""
    node = _bare(argument)
    while isinstance(node, exp.Cast | exp.TryCast) and isinstance(
        _bare(node.this), exp.Case | exp.If | exp.Predicate | exp.Connector | exp.Not
    ):
        node = _bare(node.this)
    if isinstance(node, exp.Predicate | exp.Connector | exp.Not) or (is_boolean and not isinstance(node, exp.Column)):
        return Argument(exp.Literal.number(1), node, otherwise=True, truth=node)
    if isinstance(node, exp.If) and _nothing(node.args.get("false")):
        return Argument(node.args["true"], node.this, _zero(node.args.get("false")))
    if isinstance(node, exp.Case) and len(node.args["ifs"]) == 1 and _nothing(node.args.get("default")):
        branch = node.args["ifs"][0]
        test = branch.this
        if node.this is not None:
            test = exp.EQ(this=exp.paren(node.this.copy()), expression=branch.this.copy())
        return Argument(branch.args["true"], test, _zero(node.args.get("default")))
    return Argument(argument)


def null_as_data(truth: exp.Expr) -> bool:
    """Say whether a condition is NULL just where its one column is: then the data decides that, as for a column itself."""
    compared = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Not, exp.Paren, exp.Literal, exp.Boolean)
    named = {sql_of(column) for column in find(truth, exp.Column)}
    return len(named) == 1 and all(
        isinstance(node, (*compared, exp.Column, exp.Identifier, exp.Neg)) for node in walk(truth)
    )


def polynomial(
    argument: Argument, whole: exp.Expr, types: Mapping[str, SqlType], known: Known, table: str
) -> Polynomial:
    """Read an argument's value as a polynomial of degree two at most. Raises PolicyDenied when it is none."""
    found = _read(argument.value, types, known)
    if found is None or found.degree > 2:
        raise PolicyDenied(
            f"without noise, {shown(whole)} may not be summed: only columns, affine forms of columns (2 * a - b) and"
            " a product of two, under at most one condition",
            hint=f'ask the owner to declare it as a column: tables.{table}.sql = "SELECT ..., expression AS name FROM source"',
            position=position(whole),
        )
    return found


def line(
    argument: Argument, whole: exp.Expr, types: Mapping[str, SqlType], known: Known, table: str
) -> tuple[str, Fraction, Fraction]:
    """Read an argument as slope * column + offset; return (column, slope, offset). Raises PolicyDenied otherwise."""
    found = polynomial(argument, whole, types, known, table)
    slopes = {m: c for m, c in found.terms.items() if m and c}
    plain = found.degree == 1 and len(slopes) == 1 and len(found.columns) == 1 and found.required
    if argument.condition is not None or not plain:
        raise PolicyDenied(
            f"without noise, {shown(whole)} may not be squared: only a column, scaled or shifted",
            hint=f"put a condition into FILTER; ask the owner to declare the expression as a column: tables.{table}.sql",
            position=position(whole),
        )
    ((name,), slope), *_ = slopes.items()
    return name, slope, found.terms.get((), Fraction(0))


def _read(node: exp.Expr, types: Mapping[str, SqlType], known: Known) -> Polynomial | None:
    node = _bare(node)
    if isinstance(node, exp.Literal) and not node.is_string:
        return Polynomial({(): Fraction(node.this)}, frozenset())
    if isinstance(node, exp.Column):
        name = node.name.lower()
        return Polynomial({(name,): Fraction(1)}, frozenset({name})) if types[name].countable else None
    if isinstance(node, exp.Neg):
        inner = _read(node.this, types, known)
        return inner and Polynomial({}, frozenset()).plus(inner, -1)
    if isinstance(node, exp.Cast | exp.TryCast):
        inner = _read(node.this, types, known)
        return inner if inner is not None and _keeps_values(node, inner, types, known) else None
    if isinstance(node, exp.Coalesce) and len(node.expressions) == 1 and _zero(node.expressions[0]):
        inner = _read(node.this, types, known)
        whole = inner is not None and all(inner.required <= set(monomial) for monomial in inner.terms)
        return Polynomial(inner.terms, frozenset()) if inner is not None and whole and () not in inner.terms else None
    if not isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div):
        return None
    left, right = _read(node.left, types, known), _read(node.right, types, known)
    if left is None or right is None:
        return None
    if isinstance(node, exp.Mul):
        return left.times(right) if left.degree + right.degree <= 2 else None
    if isinstance(node, exp.Div):
        divisor = right.terms.get((), Fraction(0))
        return left.times(Polynomial({(): 1 / divisor}, right.required)) if right.degree == 0 and divisor else None
    return left.plus(right, 1 if isinstance(node, exp.Add) else -1)


def _keeps_values(cast: exp.Expr, inner: Polynomial, types: Mapping[str, SqlType], known: Known) -> bool:
    """Say whether a cast changes no value: one that drops or rounds values in some rows would be a condition."""
    target = sql_type(cast.args["to"])
    if target.text.upper() == "DOUBLE":
        return True
    limits = type_interval(target)
    sources = [types[name] for name in inner.columns]
    if limits is None or any(s.family not in ("integer", "decimal", "boolean") for s in sources):
        return False
    if inner.degree > 1 or any((c * 10**target.scale).denominator != 1 for c in inner.terms.values()):
        return False
    if any(s.scale > target.scale for s in sources):
        return False
    low = high = inner.terms.get((), Fraction(0))
    for monomial, slope in inner.terms.items():
        if monomial:
            range_ = known.get(monomial[0])
            if range_ is None:
                return False
            ends = (slope * range_.low, slope * range_.high)
            low, high = low + min(ends), high + max(ends)
    return limits.low <= low and high <= limits.high


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _zero(node: exp.Expr | None) -> bool:
    node = _bare(node) if node is not None else None
    return isinstance(node, exp.Literal) and not node.is_string and float(node.this) == 0


def _nothing(node: exp.Expr | None) -> bool:
    """Say whether an ELSE adds nothing: absent, NULL or 0."""
    return node is None or isinstance(node, exp.Null) or _zero(node)
