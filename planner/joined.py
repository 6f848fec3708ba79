"""Plans a release over a private join: which columns each party makes of its own rows, and the sums of their products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from types import MappingProxyType

from sqlglot import exp, parse_one

from fedsql.crypto.circuit import Circuit
from fedsql.errors import PolicyDenied
from fedsql.planner.bounds import MOST_ROWS, Known
from fedsql.planner.catalog import Catalog
from fedsql.planner.decompose import decompose
from fedsql.planner.factors import Factors
from fedsql.planner.fragments import Typing, known_bounds, unit_counter
from fedsql.planner.joint import JoinPlan
from fedsql.planner.joint_builder import JointBuilder, check_functions, unit_of
from fedsql.planner.joint_fragments import KEPT, JointFragments
from fedsql.planner.joint_keys import JointKeys, domain
from fedsql.planner.joint_sql import JointSql
from fedsql.planner.joint_sums import Sums
from fedsql.planner.logical import Release
from fedsql.planner.partials import Output, Partial, Test
from fedsql.planner.relations import Join, Rows, leaf_of
from fedsql.planner.rows_sql import RowsSql
from fedsql.planner.safe import safe_condition
from fedsql.planner.terms import Terms
from fedsql.planner.trees import find
from fedsql.planner.typer import Typer


class Joined:
    """Plans one release over joined rows. ``release`` and ``typing`` are typed; ``parts`` write the SQL of each part."""

    def __init__(
        self,
        release: Release,
        typing: Typing,
        terms: Terms,
        parts: Mapping[str, RowsSql],
        both: bool,
    ) -> None:
        leaf = leaf_of(release.input)
        assert isinstance(leaf, Rows)
        assert leaf.join is not None
        self.release, self.typing, self.terms, self.both = release, typing, terms, both
        self.leaf = leaf
        self.known: Known = {**known_bounds(leaf), **{n: r for part in parts.values() for n, r in part.sums().items()}}
        whole = safe_join(leaf.join, self.known, typing)
        self.fragments = JointFragments(leaf, whole, typing, parts, noisy=terms.noisy)
        self.join = self.fragments.join
        self.typing.digits = (124 - self._most_rows().bit_length()) // 2
        self.factors = Factors(self.join, _written(release, self.join))
        self.keys = JointKeys(release, self.factors, typing, self.known)

    def plan(
        self,
        grids: Mapping[str, int] = MappingProxyType({}),
    ) -> tuple[dict[str, str], tuple[Test, ...], Circuit | None, tuple[Partial, ...], tuple[Output, ...], JoinPlan]:
        """Return fragments, tests, circuit, partials, outputs and the join. ``grids``: of partials under noise, by name."""
        noisy = self.terms.noisy
        check_functions(self.release.aggregates, noisy=noisy)
        of = self.keys.grouping()
        keyed = next((part for part in of if part), "")
        places = {part: tuple(place for place, _ in listed) for part, listed in of.items()}
        domains = {part: domain([key for _, key in listed], self.leaf) for part, listed in of.items()}
        public = not any(listed is None for listed in domains.values())
        hides = self.terms.min_group_size > 1 or noisy
        by, rows_are_units = unit_of(self.join, hides=hides, noisy=noisy)
        builder = JointBuilder(
            len(self.leaf.parties),
            self.terms.min_group_size,
            unit_counter(not hides),
            unit_counter(unique=False),
            noisy,
            join=self.join,
            keyed=keyed,
            both=self.both,
        )
        groups = prod(len(listed or ()) for listed in domains.values()) if public else None
        circuit = decompose(self.release, self.terms, self.typing, self.known, False, groups=groups, builder=builder)[1]
        labels = {part: [self.keys.label(key) for _, key in listed] for part, listed in of.items()}
        keys = {link.provider: self.keys.of_link(link) for link in self.join.links}
        unit = None if by is None else keys[self.join.links[by].provider][0]
        sql = JointSql(self.join, self._types(), labels, keys)
        sums = Sums(sql, self.factors, keyed, unit, rows_are_units)
        tests = tuple(sums.test(test.sql) for test in builder.tests)
        partials, limbs = [], []
        for partial in builder.partials:
            limbs.append(self._limbs(partial))
            partials.append(sums.partial(partial.sql, limbs[-1], grids.get(partial.name, 1)))
        links = tuple(
            replace(
                sums.columns.link(link),
                keys=places.get(link.provider, ()),
                labels=domains.get(link.provider, ((),)),
                alone=sums.columns.alone(link, [*tests, *partials]),
            )
            for link in self.join.links
        )
        join = JoinPlan(
            self.join.anchor.parties,
            links,
            tuple(limbs for _, limbs in sums.columns.own),
            tests,
            tuple(partials),
            places[""],
            domains[""],
        )
        fragments = {p: self.fragments.anchor(p, places[""], sql, sums.columns) for p in join.anchors}
        for link in self.join.links:
            own = places.get(link.provider, ())
            fragments[link.provider] = self.fragments.provider(link, own, sql, sums.columns)
        sent = tuple(
            replace(partial, sql=(), width=8 * each) for partial, each in zip(builder.partials, limbs, strict=True)
        )
        shared = None if circuit is None else replace(circuit, shared=True)
        return fragments, tuple(builder.tests), shared, sent, tuple(builder.outputs), join

    def _types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.leaf.columns} | {KEPT: "BOOLEAN"}

    def _limbs(self, partial: Partial) -> int:
        """Return how many limbs hold any sum of a partial. Raises PolicyDenied when two do not."""
        most = -(-partial.limit // MOST_ROWS) * self._most_rows() * 4
        if most < 1 << 63:
            return 1
        if most >= 1 << 127:
            raise PolicyDenied(
                "a sum over a private join can be too large for 128 bits",
                hint="the owner would set bounds of the column that is summed",
                position=self.factors.place(
                    *(c.name for sql in partial.sql for c in find(parse_one(sql, dialect="duckdb"), exp.Column))
                ),
            )
        return 2

    def _most_rows(self) -> int:
        """Return how many joined rows there are at most, by public sizes."""
        every = [self.join.anchor, *(link.rows for link in self.join.links if not link.unique)]
        if not all(part.is_table for part in every):
            return MOST_ROWS
        return min(MOST_ROWS, prod(sum(max(1, o.rows) for o in part.scans[0].offers) for part in every))


def parts_of(
    rows: Rows,
    catalog: Catalog,
    typer: Typer,
    schema: Mapping[str, Mapping[str, Mapping[str, str]]],
    inputs: Mapping[str, Sequence[tuple[str, str]]],
) -> dict[str, RowsSql]:
    """Return what writes the SQL of each part of joined ``rows``, by provider; "" is the anchor."""
    assert rows.join is not None
    found = {"": rows.join.anchor} | {link.provider: link.rows for link in rows.join.links}
    return {part: RowsSql(each, catalog, typer, schema, inputs) for part, each in found.items()}


def safe_join(join: Join, known: Known, typing: Typing) -> Join:
    """Return the join with its conditions made safe: they cannot raise."""

    def made(condition: exp.Expr | None) -> exp.Expr | None:
        return None if condition is None else safe_condition(condition, known, typing.type_of)

    links = tuple(replace(link, condition=made(link.condition), on=made(link.on)) for link in join.links)
    return replace(join, condition=made(join.condition), where=made(join.where), links=links)


def _written(release: Release, join: Join) -> list[exp.Expr]:
    """Return the expressions of a query that are factored."""
    found = [e for a in release.aggregates for e in (*a.arguments, a.condition) if e is not None]
    return [*([join.where] if join.where is not None else []), *found]
