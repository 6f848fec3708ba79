"""From the tests and partials of a release over joined rows to the columns of each party and the terms of each number.

A partial such as ``SUM(CASE WHEN region = 'n' THEN amount END)`` becomes one column of the anchor, one of a provider, and the
sum of their products over the rows that match. What is kept of rows that match nothing (LEFT JOIN) the anchor adds alone; of the
rows that do match as much is taken off again, in the provider's column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations

from sqlglot import exp, parse_one

from fedsql.errors import NotSupportedError
from fedsql.planner.factors import ONE, Factors, Product, rounded
from fedsql.planner.joint import Term
from fedsql.planner.joint_columns import ONES, Columns
from fedsql.planner.joint_sql import JointSql, case
from fedsql.planner.positions import position
from fedsql.planner.relations import Join, Link
from fedsql.planner.trees import find, sql_of

_MOST_TESTED = 4  # conditions of a provider in one: there is a column for each way in which they may hold
UNITS, LEFT_OUT, MATCHED, UNMATCHED = "units", "left_out", "matched", "unmatched"
PROVIDED, UNPROVIDED = "provided", "unprovided"


@dataclass
class Sums:
    """Makes the terms of one release, and collects its columns. ``keyed``: the provider whose columns are grouping keys, or "".

    ``unit``: what the anchor's rows of one unit have in common, None where each row is counted; ``rows_are_units``: no unit
    has two.
    """

    sql: JointSql
    factors: Factors
    keyed: str
    unit: str | None
    rows_are_units: bool
    columns: Columns = field(default_factory=Columns)

    @property
    def join(self) -> Join:
        """The join."""
        return self.sql.join

    @property
    def inner(self) -> list[Link]:
        """The links without which no row counts."""
        return [link for link in self.join.links if link.inner]

    def test(self, sql: str) -> tuple[Term, ...]:
        """Return the terms of a test: a count of units or rows, or one of `planner.joint_builder`'s own."""
        call = parse_one(sql, dialect="duckdb")
        if not isinstance(call, exp.Anonymous):
            return self.partial((sql,), 1)
        name, provider = call.name, call.expressions[0].name if call.expressions else ""
        if name == LEFT_OUT:
            return (Term(1, own=self._once(self.unit, []), everywhere=True), *_less(self._counted([ONE], self.unit)))
        if name in (MATCHED, UNMATCHED):
            matched = self._at(provider, self.unit)
            every = self._all_rows(self._once(self.unit, self.sql.may(provider)))  # what ON leaves out hides nobody
            return matched if name == MATCHED else (*every, *_less(matched))
        via = self.keyed if self.keyed and self.sql.link(provider).inner else provider  # all inner links match together
        found = self._at(via, self._by_key(provider))
        if name == PROVIDED:
            return found
        column = self.columns.y(provider, self._once_at(provider, self.sql.kept(provider)), 1)
        return (Term(1, provider, provided=column, beside=True), *_less(found))

    def partial(self, sql: tuple[str, ...], limbs: int, grid: int = 1) -> tuple[Term, ...]:
        """Return the terms of a partial, or of a count: SUM or COUNT, perhaps of a CASE, or COUNT(DISTINCT) with its FILTER.

        Values are summed in multiples of ``grid``, each rounded up or down at random: so no sum is off on one side.
        """
        call, where = _whole(sql), [self.join.where] if self.join.where is not None else []
        if isinstance(call, exp.Filter):
            call, where = call.this, [call.expression.this, *where]
        elif isinstance(call.this, exp.Case):
            (branch,) = call.this.args["ifs"]
            summed = exp.Star() if isinstance(call, exp.Count) else branch.args["true"]
            call, where = type(call)(this=summed), [branch.this, *where]
        products = [ONE]
        for condition in where:
            products = self.factors.multiplied(products, self.factors.truth(condition))
        if isinstance(call, exp.Sum):
            values = [rounded(product, grid) for product in self.factors.value(call.this)]
            return self._terms(self.factors.multiplied(products, values), limbs)
        assert isinstance(call, exp.Count)
        if isinstance(call.this, exp.Distinct):
            (value,) = call.this.expressions
            if not (isinstance(value, exp.Column) and value.table):
                return self._counted(products, self.unit)
            return self._distinct(value, products)
        if not isinstance(call.this, exp.Star):
            present = exp.Not(this=exp.Is(this=call.this.copy(), expression=exp.null()))
            products = self.factors.multiplied(products, self.factors.truth(present))
        return self._terms(products, limbs)

    def _terms(self, products: Sequence[Product], limbs: int) -> tuple[Term, ...]:
        return tuple(term for product in products for term in self._product(product, limbs))

    def _product(self, product: Product, limbs: int) -> list[Term]:
        """Return the terms of one product: of it at its provider, and of what is kept of rows that match nothing there."""
        conditions, values = product.of("")
        provider = self._provider(product)
        mine = case(conditions, values)
        if provider == "":
            return self._all_rows(self.columns.factor(mine, limbs), product.factor)
        theirs = case(*product.of(provider))
        return self._at_provider(provider, mine, len(values) > 0, theirs, limbs, product.factor)

    def _at_provider(
        self, provider: str, mine: str, is_value: bool, theirs: str, limbs: int, factor: int = 1
    ) -> list[Term]:
        link = self.sql.link(provider)
        need = theirs != ONES or not link.unique or provider == self.keyed or not link.inner
        y = self.columns.y(provider, theirs, limbs) if need else -1
        own = self.columns.factor(mine, 2 if need and is_value else 1 if need else limbs)
        self.columns.share(provider, own, y)
        found = [Term(factor, provider, own, y)]
        if not link.inner:
            absent = self.sql.absent(theirs)
            own = self.columns.x(f"({mine}) * ({absent})" if mine != ONES else absent, limbs)
            found += self._all_rows(own, factor)
        return found

    def _all_rows(self, own: int, factor: int = 1) -> list[Term]:
        """Return the terms of an own column over all rows that inner links leave."""
        if not self.inner:
            return [Term(factor, own=own)]
        provider = self.inner[0].provider
        self.columns.share(provider, own)
        return [Term(factor, provider, own)]

    def _provider(self, product: Product) -> str:
        """Return the one provider that a product is of, or "" where the anchor has it alone."""
        needed = product.parts - {""}
        needed |= {link.provider for link in self.join.links if not link.unique}
        needed |= {self.keyed} - {""}
        if len(needed) > 1:
            named = " and ".join(sorted(needed))
            raise NotSupportedError(
                f"a sum takes columns, group keys or repeated keys of {named} together: of one joined table at a time",
                hint='ask in several queries; where a table has one row a key, its owner would declare that: privacy_unit = "key"',
                position=self._place(product) or position(self.sql.link(max(needed)).keys[0][1]),
            )
        return needed.pop() if needed else ""

    def _at(self, provider: str, by: str | None) -> tuple[Term, ...]:
        """Return the terms of how many of the anchor's values of ``by`` match at a provider, in its group value."""
        link = self.sql.link(provider)
        there = [] if link.inner else [f"({self.sql.keys[provider][1]}) IS NOT NULL"]  # nothing where nothing matches
        need = provider == self.keyed or not link.unique
        y = self.columns.y(provider, self._once_at(provider, there), 1) if need else -1
        own = self._once(by, self.sql.may(provider))
        self.columns.share(provider, own, y)
        return (Term(1, provider, own, y),)

    def _by_key(self, provider: str) -> str | None:
        """Return what tells the anchor's rows with one key: None where there is one each."""
        (key, _), *others = self.sql.link(provider).keys
        single = not others and isinstance(key, exp.Column) and self.rows_are_units
        return None if single and self.join.anchor.column(key.name).is_unit else self.sql.keys[provider][0]

    def _counted(self, products: Sequence[Product], by: str | None) -> tuple[Term, ...]:
        """Return the terms of how many values of ``by`` the anchor has where the products are 1; None counts rows."""
        if not products:  # a condition and its opposite
            return ()
        repeated = [link for link in self.join.links if not link.unique]
        if by is None and not repeated:
            return self._terms(products, 1)
        providers = {self._provider(product) for product in products}
        provider = max(providers)
        if len(products) > 1 and (len(providers - {""}) > 1 or repeated):
            raise NotSupportedError(
                "people or distinct keys are not counted under a condition of several parties' columns (OR, NOT) where a"
                " provider has several rows a key; above min_group_size 1 every value needs such a count",
                hint="ask in several queries, or let the provider's rows be unique by the key",
                position=self._place(*products),
            )
        found: list[Term] = []
        for conditions, theirs in self._apart(products, provider):
            if provider == "":
                found += self._all_rows(self._once(by, conditions))
                continue
            mine, there = self.sql.once(by, conditions), self._once_at(provider, theirs)
            found += self._at_provider(provider, mine, False, there, 1)
        return tuple(found)

    def _apart(self, products: Sequence[Product], provider: str) -> Iterator[tuple[list[str], list[str]]]:
        """Yield conditions of the anchor and of a provider, such that of the latter no two hold together.

        A unit has one row there, so it is counted once, whichever of its own rows meet the former.
        """
        if len(products) == 1:
            yield products[0].of("")[0], products[0].of(provider)[0] if provider else []
            return
        tested = sorted({sql for p in products for sql in (p.of(provider)[0] if provider else [])})
        if len(tested) > _MOST_TESTED:
            raise NotSupportedError(
                "a condition over columns of several parties has too many parts",
                hint="split it into several queries",
                position=self._place(*products),
            )
        for held in chain.from_iterable(combinations(tested, size) for size in range(len(tested) + 1)):
            here = [p for p in products if set(p.of(provider)[0] if provider else []) <= set(held)]
            sums = [f"{p.factor} * ({case(p.of('')[0], [])})" for p in here]
            if sums:
                theirs = [sql if sql in held else f"NOT ({sql})" for sql in tested]
                yield [f"{' + '.join(sums)} > 0"], theirs

    def _distinct(self, value: exp.Column, products: Sequence[Product]) -> tuple[Term, ...]:
        """Return the terms of COUNT(DISTINCT value): of what decides with what a row is joined."""
        part, text = self.factors.part(value), sql_of(value)
        matters = {name for product in products for name in product.parts} - {""}
        matters |= {link.provider for link in self.inner} | ({self.keyed} - {""})
        present = self.factors.truth(exp.Not(this=exp.Is(this=value.copy(), expression=exp.null())))
        products = self.factors.multiplied(products, present)
        if part == "" and all(self._pairs(name, value) is not None for name in matters):
            return self._counted(products, text)
        if part == "" and self.rows_are_units and self.join.anchor.column(value.name).is_unit:
            return self._counted(products, None)
        if part and matters <= {part} and (own := self._pairs(part, value)) is not None:
            return self._counted(products, sql_of(own))
        raise NotSupportedError(
            f"COUNT(DISTINCT {value.name}) over a private join is answered of the key that rows are joined by",
            hint="count the key; or COUNT(*), where each is there once",
            position=self.factors.place(value.name),
        )

    def _pairs(self, provider: str, value: exp.Column) -> exp.Expr | None:
        """Return the anchor's key of a link if ``value`` is it, or is the provider's one, and there is no other."""
        keys = self.sql.link(provider).keys
        return keys[0][0] if len(keys) == 1 and any(key.sql() == value.sql() for key in keys[0]) else None

    def _once(self, by: str | None, conditions: Sequence[str]) -> int:
        """Return the anchor's column that is 1 once for each value of ``by``."""
        return self.columns.factor(self.sql.once(by, conditions), 1)

    def _once_at(self, provider: str, conditions: Sequence[str]) -> str:
        """Return SQL of the provider's column that is 1 once for each key."""
        unique = self.sql.link(provider).unique
        return case(conditions, []) if unique else self.sql.once_at(provider, conditions)

    def _place(self, *products: Product) -> tuple[int, int] | None:
        """Return where the first of the columns of products stands in the query, but for those of the anchor."""
        texts = [sql for p in products for part in p.parts - {""} for listed in p.of(part) for sql in listed]
        trees = [parse_one(text, dialect="duckdb") for text in texts]
        return self.factors.place(*(column.name for tree in trees for column in find(tree, exp.Column)))


def _whole(sql: tuple[str, ...]) -> exp.Expr:
    """Return an aggregate that is taken as it is, or in halves, as one."""
    call = parse_one(sql[0], dialect="duckdb")
    if len(sql) == 2:
        shift = call.find(exp.BitwiseRightShift)
        assert shift is not None
        shift.replace(shift.this)
    return call


def _less(terms: Sequence[Term]) -> tuple[Term, ...]:
    return tuple(Term(-t.factor, t.provider, t.own, t.provided, t.beside, t.everywhere) for t in terms)
