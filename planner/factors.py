"""Conditions and values over joined rows as sums of products, with one factor for each part of a private join.

Nobody has a joined row, so what is summed must be a product of what the anchor and one provider can each compute of their own
rows: 1[a AND b] = 1[a] 1[b], 1[a OR b] = 1[a] + 1[b] - 1[a] 1[b], 1[NOT a] = 1 - 1[a] where a is not NULL. A comparison of
columns of two parts is no such product, and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.positions import position, shown
from fedsql.planner.relations import Join
from fedsql.planner.trees import find, sql_of

_ZERO = exp.Literal.number(0)
_MOST = 64  # products of one sum: a condition that needs more is none that anybody writes


@dataclass(frozen=True)
class Product:
    """``factor`` times the values, where all conditions hold: SQL by part ("" is the anchor, else the provider)."""

    factor: int = 1
    conditions: frozenset[tuple[str, str]] = frozenset()
    values: tuple[tuple[str, str], ...] = ()

    def times(self, other: Product) -> Product:
        """Return the product of both."""
        return Product(
            self.factor * other.factor, self.conditions | other.conditions, tuple(sorted(self.values + other.values))
        )

    def of(self, part: str) -> tuple[list[str], list[str]]:
        """Return the conditions and the values of one part, SQL of each."""
        conditions = sorted(sql for owner, sql in self.conditions if owner == part)
        return conditions, [sql for owner, sql in self.values if owner == part]

    @property
    def parts(self) -> set[str]:
        """The parts that it has factors of."""
        return {owner for owner, _ in (*self.conditions, *self.values)}


ONE = Product()


@dataclass(frozen=True)
class Factors:
    """Factors expressions over the columns of ``join``. ``written``: those of the query, which tell where columns stand."""

    join: Join
    written: Sequence[exp.Expr] = ()

    def truth(self, node: exp.Expr, *, wanted: bool = True) -> list[Product]:
        """Return products that add up to 1 where a condition is true (or false, as is ``wanted``) and to 0 elsewhere.

        Raises NotSupportedError where one part of it compares columns of two parts of the join.
        """
        node = node.unnest()
        if (part := self.part(node)) is not None:
            text = sql_of(node) if wanted else f"NOT ({sql_of(node)})"
            return [Product(1, frozenset({(part, f"coalesce({text}, false)")}))]
        if isinstance(node, exp.Not):
            return self.truth(node.this, wanted=not wanted)
        if isinstance(node, exp.And | exp.Or):
            one, other = self.truth(node.left, wanted=wanted), self.truth(node.right, wanted=wanted)
            both = self.multiplied(one, other)
            if isinstance(node, exp.And) is wanted:
                return both
            return self.added([*one, *other, *(Product(-p.factor, p.conditions) for p in both)])
        if isinstance(node, exp.EQ) and isinstance(node.right, exp.Boolean) and node.right.this:
            return self.truth(node.left, wanted=wanted)
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            known = self._known(node.this.unnest())
            return self._less(known) if wanted else known
        if (factors := _factors(node)) is not None:
            holds = self.multiplied(
                *(self.truth(exp.NEQ(this=e.copy(), expression=_ZERO.copy())) for e in _sides(factors))
            )
            if wanted:
                return holds
            return self.added([*self._known(factors), *(Product(-p.factor, p.conditions, p.values) for p in holds)])
        if isinstance(node, exp.Coalesce) and [e.sql() for e in node.expressions] == ["FALSE"]:
            holds = self.truth(node.this)
            return holds if wanted else self._less(holds)
        if isinstance(node, exp.Try):
            return self.truth(self._tried(node.this), wanted=wanted)
        raise self._refusal(node)

    def value(self, node: exp.Expr) -> list[Product]:
        """Return products that add up to an integer, 0 where it is NULL. Raises as `truth` does."""
        node = node.unnest()
        if (part := self.part(node)) is not None:
            return [Product(1, frozenset(), ((part, f"coalesce({sql_of(node)}, 0)"),))]
        if isinstance(node, exp.Cast):  # to a wider integer
            return self.value(node.this)
        if isinstance(node, exp.Mul):
            return self.multiplied(self.value(node.left), self.value(node.right))
        raise self._refusal(node)

    def part(self, node: exp.Expr) -> str | None:
        """Return the part that can compute an expression alone (the anchor, where every part can), or None."""
        found = self.join.parts(node)
        return "" if "" in found else min(found, default=None)

    def multiplied(self, one: Sequence[Product], other: Sequence[Product]) -> list[Product]:
        """Return the product of two sums."""
        return self.added([a.times(b) for a in one for b in other])

    def added(self, products: Sequence[Product]) -> list[Product]:
        """Add up equal products. Raises NotSupportedError where too many are left."""
        sums: dict[tuple[frozenset[tuple[str, str]], tuple[tuple[str, str], ...]], int] = {}
        for product in products:
            key = product.conditions, product.values
            sums[key] = sums.get(key, 0) + product.factor
        found = [Product(factor, *key) for key, factor in sums.items() if factor]
        if len(found) > _MOST:
            raise NotSupportedError(
                "a condition over columns of several parties has too many parts", hint="split it into several queries"
            )
        return found

    def place(self, *names: str) -> tuple[int, int] | None:
        """Return where the first of the columns of these names stands, in an expression of the query that has all of them."""
        written = [e for e in self.written if _named(e) >= set(names)] or self.written
        columns = [c for e in written[:1] for c in find(e, exp.Column) if c.name in names]
        return min((at for c in columns if (at := position(c)) is not None), default=None)

    def _known(self, node: exp.Expr) -> list[Product]:
        """Return products that add up to 1 where an expression of several parts is not NULL."""
        if self.part(node) is not None:
            return self.truth(exp.Not(this=exp.Is(this=exp.paren(node.copy()), expression=exp.null())))
        if isinstance(node, exp.Add | exp.Sub | exp.Mul):
            return self.multiplied(self._known(node.left.unnest()), self._known(node.right.unnest()))
        return self.added([*self.truth(node), *self.truth(node, wanted=False)])

    def _less(self, products: Sequence[Product]) -> list[Product]:
        """Return 1 less a sum."""
        return self.added([ONE, *(Product(-p.factor, p.conditions, p.values) for p in products)])

    def _tried(self, node: exp.Expr) -> exp.Expr:
        """Put TRY around each part of a condition, in place of the whole."""
        node = node.unnest()
        if self.part(node) is not None:
            return exp.func("TRY", node.copy(), dialect="duckdb")
        if isinstance(node, exp.And | exp.Or):
            return type(node)(this=self._tried(node.left), expression=self._tried(node.right))
        if isinstance(node, exp.Not):
            return exp.Not(this=self._tried(node.this))
        return node

    def _refusal(self, node: exp.Expr) -> NotSupportedError:
        node = node.transform(lambda part: part.this if isinstance(part, exp.Try) else part)  # that is ours
        parts = [self.join.anchor, *(link.rows for link in self.join.links)]
        written = {column.name: column.expression for rows in parts for column in rows.columns}
        named = _named(node)
        owners = [" and ".join(rows.parties) for rows in parts if set(rows.schema) & named]
        text = shown(node.transform(lambda n: written.get(n.name, n) if isinstance(n, exp.Column) else n), tables=True)
        return NotSupportedError(
            f"{text} takes columns of {' and '.join(owners)} together: nobody has both sides of a joined row",
            hint="products of columns, AND, OR and CASE over conditions of one table each are answered",
            position=self.place(*_named(node)),
        )


def rounded(product: Product, grid: int) -> Product:
    """Return a value in multiples of ``grid``, rounded up or down at random."""
    if grid == 1:
        return product
    if len(product.values) > 1:
        raise NotSupportedError(
            "a product of columns of two parties is not answered under noise, which a party here requires",
            hint="sum a column of one party, under conditions of either",
        )
    ((part, sql),) = product.values
    text = f"CAST(floor(CAST({sql} AS DOUBLE) / {grid} + random()) AS BIGINT)"
    return Product(product.factor, product.conditions, ((part, text),))


def _factors(node: exp.Expr) -> exp.Mul | None:
    """Return the product that a node compares with 0: ``TRY(a * b) <> 0``."""
    if not isinstance(node, exp.NEQ) or node.right.unnest() != _ZERO:
        return None
    inner = node.left.unnest()
    inner = inner.this.unnest() if isinstance(inner, exp.Try) else inner
    return inner if isinstance(inner, exp.Mul) else None


def _sides(node: exp.Mul) -> tuple[exp.Expr, exp.Expr]:
    return node.left.unnest(), node.right.unnest()


def _named(node: exp.Expr) -> set[str]:
    return {column.name for column in find(node, exp.Column)}
