"""Whether each party can compute a block alone, and what the block reads.

Rows of two federated tables may meet only where both are at one party for certain: where an equality of party-scoped ids
(`planner.identities`) links them, or where one party alone has all of them. An outer join may pad only rows that are at one
party, and an aggregate or a window below the cut needs a party-scoped id among its keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from fedsql.errors import PolicyDenied
from fedsql.planner.blocks import conjuncts, equal_columns, grouping, is_grouped, items, own_columns, reads_federated
from fedsql.planner.catalog import Catalog
from fedsql.planner.identities import decides_unit, domain_of, holds_unit, unit_domain
from fedsql.planner.joins import check_joins
from fedsql.planner.nested import check_nested
from fedsql.planner.positions import position, shown
from fedsql.planner.relations import Hazard, Scan
from fedsql.planner.sources import Column, Env, NotLocal, Reads, Source, bind_scan
from fedsql.planner.trees import find
from fedsql.planner.unions import check_parts, united

_PLAIN = (exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max)


@dataclass
class Below:
    """Collects what blocks read. One for each analysis; ``uses`` are (use, index of scan, column)."""

    catalog: Catalog
    scans: list[Scan] = field(default_factory=list)
    uses: list[tuple[str, int, exp.Column]] = field(default_factory=list)
    hazards: list[Hazard] = field(default_factory=list)
    publics: dict[str, None] = field(default_factory=dict)
    joined: bool = False  # each part is of one party: it is joined with rows of others
    spread: bool = False  # a window or scalar subquery makes a value of rows of other privacy units
    mixed: bool = False  # a subquery or window sees rows of other privacy units than the row that it is for

    def block(self, select: exp.Select, outer: Sequence[Env] = ()) -> Env:
        """Analyse FROM, WHERE and what is nested in a block; return its sources. Raises NotLocal."""
        check_parts(select)
        env = self.sources(select, outer)
        check_joins(self, env, select)
        for number, (_, join) in enumerate(items(select)):
            listed = list(env.values())
            if join is not None and join.side in ("LEFT", "FULL"):
                listed[number].padded = True
            for source in listed[:number] if join is not None and join.side in ("RIGHT", "FULL") else ():
                source.padded = True
        for _, join in items(select):
            if join is not None and (on := join.args.get("on")) is not None:
                self._condition(on, [env, *outer])
        for part in ("where", "having", "qualify"):
            if (clause := select.args.get(part)) is not None:
                self._condition(clause.this, [env, *outer])
        for projection in select.expressions:
            check_nested(self, projection, [env, *outer])
        return env

    def sources(self, select: exp.Select, outer: Sequence[Env] = ()) -> Env:
        """Return what the items of FROM offer to a block."""
        return {item.alias_or_name.lower(): self._source(item, outer) for item, _ in items(select)}

    def derived(self, query: exp.Query, alias: str, outer: Sequence[Env] = ()) -> Source:
        """Analyse a derived table or nested query; return it as a source of the block around it."""
        if not reads_federated(query, self.catalog):
            return self._copied(query, alias)
        if isinstance(query, exp.SetOperation):
            return united(self, query, alias, outer)
        assert isinstance(query, exp.Select)
        env = self.block(query, outer)
        envs = [env, *outer]
        federated = [source for source in env.values() if source.federated]
        one_unit = self.one_unit(env)
        if is_grouped(query):
            one_unit &= self._check_groups(query, envs)
        listed = tuple(self.lineage(p.unalias(), envs) for p in query.expressions)
        columns = {p.alias_or_name.lower(): known for p, known in zip(query.expressions, listed, strict=True)}
        units = {source.unit for source in federated}
        scans = tuple(i for source in federated for i in source.scans)
        unit = units.pop() if len(units) == 1 else None
        return Source(alias, bool(federated), columns, scans, unit, one_unit, listed=listed)

    def apart(self) -> Below:
        """Return an analysis of its own, which knows the scans of this one."""
        return Below(self.catalog, scans=list(self.scans))

    def use(self, use: str, expression: exp.Expr, envs: Sequence[Env]) -> None:
        """Record that every base column in ``expression`` is used as ``use``."""
        for column in own_columns(expression):
            self.use_column(use, self.column(column, envs), column.this.meta)

    def use_column(self, use: str, known: Column, meta: Mapping[str, object]) -> None:
        """Record that what a column is made of is used as ``use``; ``meta`` tells where in the text."""
        for index, name in sorted(known.reads):
            base = exp.column(name, table=self.scans[index].alias, quoted=True)
            base.this.meta.update(meta)
            self.uses.append((use, index, base))

    def column(self, column: exp.Column, envs: Sequence[Env]) -> Column:
        """Resolve a column reference, inner blocks first."""
        found = next((env[column.table.lower()] for env in envs if column.table.lower() in env), None)
        return found.column(column.name) if found is not None else Column()

    def lineage(self, expression: exp.Expr, envs: Sequence[Env]) -> Column:
        """Return what an expression is made of."""
        bare = expression.unnest()
        if isinstance(bare, exp.Column):
            return self.column(bare, envs)
        parts = [self.column(column, envs) for column in own_columns(expression)]
        reads: Reads = frozenset().union(*(part.reads for part in parts))
        domains = {part.domain for part in parts}
        same = domains.pop() if isinstance(bare, exp.Coalesce) and len(domains) == 1 else None  # USING
        plain = isinstance(bare, _PLAIN) and all(part.plain for part in parts) and not bare.find(exp.Distinct)
        plain &= all(isinstance(argument, exp.Column | exp.Star) for argument in bare.iter_expressions())
        copied = bool(parts) and all(part.copied for part in parts)
        padded = same is None and any(part.padded for part in parts)
        return Column(reads, domain=same, plain=plain, padded=padded, copied=copied)

    def one_unit(self, env: Env) -> bool:
        """Say whether each row of a block's linked sources is of one privacy unit, which the links tell."""
        federated = [source for source in env.values() if source.federated]
        scans = [self.scans[i] for source in federated for i in source.scans]
        same = len({unit_domain(self.catalog, scan.offers) for scan in scans}) == 1
        rows_alone = len(scans) > 1 and scans[0].offers[0].privacy_unit is None
        return same and not rows_alone and all(source.one_unit for source in federated)

    def tells_unit(self, *columns: Column) -> bool:
        """Say whether the ids in each of some columns tell the privacy unit of the rows that they came from."""
        return all(
            known.bases
            and all(decides_unit(self.catalog, self.scans[index].offers, name) for index, name in known.bases)
            for known in columns
        )

    def is_unit(self, known: Column) -> bool:
        """Say whether a column holds each row's own privacy unit."""
        if not known.bases or known.padded:
            return False
        return all(holds_unit(self.catalog, self.scans[index].offers, name) for index, name in known.bases)

    @property
    def alone(self) -> bool:
        """Whether one party has all federated rows: then every join is its own."""
        return len({scan.parties for scan in self.scans}) == 1 and len(self.scans[0].parties) == 1

    def names(self, source: Source) -> str:
        """Return the names of the tables in a source, and its own where it has another."""
        tables = ", ".join(dict.fromkeys(self.scans[i].name for i in source.scans))
        return tables if source.alias.lower() == tables else f"{tables} {source.alias}"

    def _source(self, item: exp.Expr, outer: Sequence[Env]) -> Source:
        for part, name in (("pivots", "PIVOT"), ("sample", "SAMPLE"), ("joins", "a nested join")):
            if item.args.get(part):
                raise PolicyDenied(
                    f"{name} over federated rows is refused",
                    hint="aggregate with GROUP BY first",
                    position=position(item),
                )
        alias = item.alias_or_name
        if isinstance(item, exp.Subquery):
            return self.derived(item.this, alias, outer)
        if isinstance(item, exp.Values):
            return Source(alias)
        if not isinstance(item, exp.Table) or not isinstance(item.this, exp.Identifier):
            raise NotLocal(f"{item.key} in FROM next to federated rows is not answered", position=position(item))
        offers = self.catalog.tables(item.name) if item.db else ()
        if any(offer.public for offer in offers):
            self.publics[item.name.lower()] = None
            return Source(alias, public=item.name.lower())
        if not offers:
            return Source(alias, input=item.name, single=alias == item.name)  # a scalar stands under its own name
        scan, index = bind_scan(item, alias, offers, self.catalog), len(self.scans)
        self.scans.append(scan)
        columns = {
            name: Column(
                frozenset({(index, name)}),
                ((index, name),),
                None,
                domain_of(self.catalog, scan.offers, name),
                plain=True,
            )
            for name in scan.schema
        }
        return Source(alias, True, columns, (index,), unit_domain(self.catalog, scan.offers))

    def _copied(self, query: exp.Query, alias: str) -> Source:
        """Note what a query without federated rows reads."""
        self.publics |= {table.name.lower(): None for table in find(query, exp.Table) if table.db}
        return Source(alias)

    def _check_groups(self, query: exp.Select, envs: list[Env]) -> bool:
        """Check that each group of a nested block is at one party; return whether it is of one privacy unit."""
        keys = [(key, self.lineage(key, envs)) for key in grouping(query)]
        ids = [known for _, known in keys if known.key is not None]
        if not ids and not (self.joined and self.alone):
            raise NotLocal(
                "a subquery that aggregates rows of several parties cannot stand inside of another aggregate here",
                hint="group it by the privacy unit or a declared reference, or aggregate in a query of its own",
                position=position(query),
            )
        for key, known in keys:
            self.use("join" if known.domain is not None else "group", key, envs)
        return any(self.tells_unit(known) for known in ids)

    def _condition(self, expression: exp.Expr, envs: list[Env]) -> None:
        """Note the columns of a condition as filters (an equality of ids as a join), and analyse nested queries."""
        for conjunct in conjuncts(expression):
            link = self.link(conjunct, envs)
            if link is not None:
                for column in link:
                    self.use("join", column, envs)
                continue
            sides = {column.table.lower() for column in own_columns(conjunct)}
            sides &= {name for name, source in envs[0].items() if not source.single}
            if len(sides) > 1 and (pair := equal_columns(conjunct)) is not None:
                for column in pair:
                    self.use("lookup", column, envs)
                continue
            if len(sides) > 1:
                self.hazards.append(
                    Hazard(
                        f"without noise, {shown(conjunct)} may not join rows: only equality of plain columns",
                        "compare columns of one table at a time, or join on ids",
                        position(conjunct),
                    )
                )
            self.use("filter", conjunct, envs)
        check_nested(self, expression, envs)

    def link(self, conjunct: exp.Expr, envs: Sequence[Env]) -> tuple[exp.Column, exp.Column] | None:
        """Return both columns of an equality of party-scoped ids, or None."""
        pair = equal_columns(conjunct)
        if pair is None:
            return None
        first, second = (self.column(column, envs).domain for column in pair)
        return pair if first is not None and first == second else None
