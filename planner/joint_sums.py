"""From the tests and partials of a release over joined rows to the columns of each party and the terms of each number.

A partial such as ``SUM(CASE WHEN region = 'n' THEN amount END)`` becomes one column of the anchor, one of a provider, and the
sum of their products over the rows that match. What is kept of rows that match nothing (LEFT JOIN) the anchor adds alone; of the
rows that do match as much is taken off again, in the provider's column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations

from sqlglot import exp, parse_one

from fedsql.errors import NotSupportedError
from fedsql.planner.factors import ONE, Factors, Product
from fedsql.planner.joint import LinkPlan, Term
from fedsql.planner.positions import position
from fedsql.planner.relations import Join, Link
from fedsql.planner.row_columns import ROWS
from fedsql.planner.trees import find, sql_of
from fedsql.types import quoted

_MOST_TESTED = 4  # conditions of a provider in one: there is a column for each way in which they may hold
HERE = "coalesce({}, false)"
UNITS, LEFT_OUT, MATCHED, UNMATCHED = "units", "left_out", "matched", "unmatched"
PROVIDED, UNPROVIDED = "provided", "unprovided"


@dataclass
class Sums:
    """Collects the columns of one release. ``keyed``: the provider whose columns are grouping keys, or "".

    ``labels`` are the SQL of the grouping keys by part, ``keys`` those of each link's join key (anchor's, provider's);
    ``unit``: what the anchor's rows of one unit have in common, None where each row is counted; ``rows_are_units``: no unit
    has two. ``types`` are those of columns.
    """

    join: Join
    factors: Factors
    types: dict[str, str]
    keyed: str
    labels: dict[str, list[str]]
    keys: dict[str, tuple[str, str]]
    unit: str | None
    rows_are_units: bool
    own: dict[tuple[str, int], int] = field(default_factory=dict)
    provided: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    shared: dict[str, dict[int, None]] = field(default_factory=dict)  # own columns of a link
    products: dict[str, dict[tuple[int, int], None]] = field(default_factory=dict)

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
            return (Term(1, own=self._rep(self.unit, []), everywhere=True), *_less(self._units([ONE])))
        if name in (MATCHED, UNMATCHED):
            matched = self._at(provider, self.unit)
            every = self._all_rows(self._rep(self.unit, self._may(provider)))  # what ON leaves out hides nobody
            return matched if name == MATCHED else (*every, *_less(matched))
        via = self.keyed if self.keyed and self._link(provider).inner else provider  # all inner links match together
        found = self._at(via, self._by_key(provider))
        if name == PROVIDED:
            return found
        kept = self._kept(provider)
        mine = _case(kept, []) if self._link(provider).unique else self._provider_rep(provider, kept)
        column = self._column(provider, mine, 1)
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
            values = [_rounded(product, grid) for product in self.factors.value(call.this)]
            return self._terms(self.factors.multiplied(products, values), limbs)
        assert isinstance(call, exp.Count)
        if isinstance(call.this, exp.Distinct):
            (value,) = call.this.expressions
            if not (isinstance(value, exp.Column) and value.table):
                return self._units(products)
            return self._distinct(value, products)
        if not isinstance(call.this, exp.Star):
            present = exp.Not(this=exp.Is(this=call.this.copy(), expression=exp.null()))
            products = self.factors.multiplied(products, self.factors.truth(present))
        return self._terms(products, limbs)

    def link(self, link: Link, inner: bool) -> LinkPlan:
        """Return what is planned of a link so far, but for its grouping keys."""
        own = tuple(self.shared.get(link.provider, {}))
        places = {x: at for at, x in enumerate(own)}
        return LinkPlan(
            link.provider,
            inner,
            own,
            tuple(limbs for _, limbs in self.provided.get(link.provider, {})),
            tuple((places[x], y) for x, y in self.products.get(link.provider, {})),
        )

    def alone(self, link: Link, sums: Iterable[tuple[Term, ...]]) -> frozenset[int]:
        """Return the columns of a link's provider that it adds up alone, in all of ``sums``."""
        joined = {t.provided for terms in sums for t in terms if t.provider == link.provider and not t.beside}
        return frozenset(range(len(self.provided.get(link.provider, {})))) - joined

    def _terms(self, products: Sequence[Product], limbs: int) -> tuple[Term, ...]:
        return tuple(term for product in products for term in self._product(product, limbs))

    def _product(self, product: Product, limbs: int) -> list[Term]:
        """Return the terms of one product: of it at its provider, and of what is kept of rows that match nothing there."""
        conditions, values = product.of("")
        provider = self._provider(product)
        mine = _case(conditions, values)
        if provider == "":
            own = self._x(mine, limbs) if mine != "1" else -1
            return self._all_rows(own, product.factor)
        theirs = _case(*product.of(provider))
        return self._at_provider(provider, mine, len(values) > 0, theirs, limbs, product.factor)

    def _at_provider(
        self, provider: str, mine: str, is_value: bool, theirs: str, limbs: int, factor: int = 1
    ) -> list[Term]:
        link = self._link(provider)
        need = theirs != "1" or not link.unique or provider == self.keyed or not link.inner
        y = self._column(provider, theirs, limbs) if need else -1
        own = -1
        if mine != "1":
            own = self._x(mine, 2 if need and is_value else 1 if need else limbs)
            self.shared.setdefault(provider, {})[own] = None
            if need:
                self.products.setdefault(provider, {})[own, y] = None
        found = [Term(factor, provider, own, y)]
        if not link.inner:
            absent = self._absent(theirs)
            own = self._x(f"({mine}) * ({absent})" if mine != "1" else absent, limbs)
            found += self._all_rows(own, factor)
        return found

    def _all_rows(self, own: int, factor: int = 1) -> list[Term]:
        """Return the terms of an own column over all rows that inner links leave."""
        if not self.inner:
            return [Term(factor, own=own)]
        provider = self.inner[0].provider
        if own >= 0:
            self.shared.setdefault(provider, {})[own] = None
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
                position=self._place(product) or position(self._link(max(needed)).keys[0][1]),
            )
        return needed.pop() if needed else ""

    def _units(self, products: Sequence[Product]) -> tuple[Term, ...]:
        """Return the terms of the number of the anchor's units that have rows in a group where the products are 1."""
        return self._counted(products, self.unit)

    def _at(self, provider: str, by: str | None) -> tuple[Term, ...]:
        """Return the terms of how many of the anchor's values of ``by`` match at a provider, in its group value."""
        link = self._link(provider)
        there = [] if link.inner else [f"({self.keys[provider][1]}) IS NOT NULL"]  # nothing where nothing matches
        theirs = _case(there, []) if link.unique else self._provider_rep(provider, there)
        mine = self._rep_sql(by, self._may(provider))
        need = provider == self.keyed or not link.unique
        y = self._column(provider, theirs, 1) if need else -1
        own = self._x(mine, 1) if mine != "1" else -1
        if own >= 0:
            self.shared.setdefault(provider, {})[own] = None
            if need:
                self.products.setdefault(provider, {})[own, y] = None
        return (Term(1, provider, own, y),)

    def _by_key(self, provider: str) -> str | None:
        """Return what tells the anchor's rows with one key: None where there is one each."""
        (key, _), *others = self._link(provider).keys
        single = not others and isinstance(key, exp.Column) and self.rows_are_units
        return None if single and self.join.anchor.column(key.name).is_unit else self.keys[provider][0]

    def _counted(self, products: Sequence[Product], by: str | None) -> tuple[Term, ...]:
        """Return the terms of a number of distinct values ``by`` of the anchor; None counts rows."""
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
            mine = self._rep_sql(by, conditions)
            if provider == "":
                found += self._all_rows(self._x(mine, 1) if mine != "1" else -1)
                continue
            y = _case(theirs, []) if self._link(provider).unique else self._provider_rep(provider, theirs)
            found += self._at_provider(provider, mine, False, y, 1)
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
            sums = [f"{p.factor} * ({_case(p.of('')[0], [])})" for p in here]
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
        keys = self._link(provider).keys
        return keys[0][0] if len(keys) == 1 and any(key.sql() == value.sql() for key in keys[0]) else None

    def _may(self, provider: str) -> list[str]:
        """Return the conditions under which a row of the anchor may match: those of an outer link's ON."""
        on = self._link(provider).on
        return [] if on is None else [HERE.format(sql_of(on))]

    def _kept(self, provider: str) -> list[str]:
        """Return the conditions under which a provider's row takes part."""
        condition = self._link(provider).condition
        return [] if condition is None else [HERE.format(sql_of(condition))]

    def _rep(self, by: str | None, conditions: Sequence[str]) -> int:
        sql = self._rep_sql(by, conditions)
        return self._x(sql, 1) if sql != "1" else -1

    def _rep_sql(self, by: str | None, conditions: Sequence[str]) -> str:
        """Return SQL that is 1 in the first of the rows that meet ``conditions``, have one label and are one ``by``."""
        if by is None:
            return _case(conditions, [])
        kept = [] if self.join.condition is None else [HERE.format(sql_of(self.join.condition))]
        return _first(by, self.labels[""], [*kept, *conditions])

    def _provider_rep(self, provider: str, conditions: Sequence[str]) -> str:
        """Return SQL that is 1 in the first of the provider's rows that take part, meet ``conditions``, and have one key."""
        key = self.keys[provider][1]
        kept = [f"({c}) OR ({key}) IS NULL" for c in self._kept(provider) if c not in conditions]  # or nothing matches
        return _first(key, self.labels.get(provider, []), [*kept, *conditions])

    def _place(self, *products: Product) -> tuple[int, int] | None:
        """Return where the first of the columns of products stands in the query, but for those of the anchor."""
        texts = [sql for p in products for part in p.parts - {""} for listed in p.of(part) for sql in listed]
        trees = [parse_one(text, dialect="duckdb") for text in texts]
        return self.factors.place(*(column.name for tree in trees for column in find(tree, exp.Column)))

    def _link(self, provider: str) -> Link:
        return next(link for link in self.join.links if link.provider == provider)

    def _x(self, sql: str, limbs: int) -> int:
        return self.own.setdefault((sql, limbs), len(self.own))

    def _column(self, provider: str, sql: str, limbs: int) -> int:
        columns = self.provided.setdefault(provider, {})
        return columns.setdefault((sql, limbs), len(columns))

    def _absent(self, sql: str) -> str:
        """Return a provider's column as it is where nothing matches: of NULLs."""
        tree = parse_one(sql, dialect="duckdb")

        def null(node: exp.Expr) -> exp.Expr:
            if isinstance(node, exp.Column) and node.name in self.types:
                return parse_one(f"CAST(NULL AS {self.types[node.name]})", dialect="duckdb")
            return exp.Literal.number(1) if isinstance(node, exp.Window) else node

        return sql_of(tree.transform(null))


def _case(conditions: Sequence[str], values: Sequence[str]) -> str:
    value = " * ".join(f"({v})" for v in values) or "1"
    return f"CASE WHEN {' AND '.join(f'({c})' for c in conditions)} THEN {value} ELSE 0 END" if conditions else value


def _rounded(product: Product, grid: int) -> Product:
    """Return a value in multiples of ``grid``."""
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


def _first(by: str, labels: Sequence[str], conditions: Sequence[str]) -> str:
    here = " AND ".join(f"({c})" for c in conditions) or "true"
    window = f"row_number() OVER (PARTITION BY {', '.join([*labels, by, f'({here})'])})"
    return f"CASE WHEN ({here}) AND (({by}) IS NULL OR {window} = 1) THEN 1 ELSE 0 END"


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


def relation(sql: str) -> str:
    """Return a part's relation under the name that expressions have for it."""
    return f"({sql}) AS {quoted(ROWS)}"
