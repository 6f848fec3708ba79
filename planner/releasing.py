"""Plans the releases of a statement, in order: policy, types, domain, partials and fragments of each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.above import check_listed
from fedsql.planner.bounds import MOST_ROWS, Known
from fedsql.planner.catalog import Catalog, PublicTable
from fedsql.planner.cut import Cut
from fedsql.planner.decompose import decompose
from fedsql.planner.fragments import Source, Typing, fragment, known_bounds, label_sql, mirrored
from fedsql.planner.inputs import Input
from fedsql.planner.joined import Joined, parts_of
from fedsql.planner.joint_builder import contribution_of, enough_at, places_of
from fedsql.planner.joint_keys import with_types
from fedsql.planner.logical import Release, margin_of
from fedsql.planner.offer import TableOffer
from fedsql.planner.plans import PlannedInput, ReleasePlan
from fedsql.planner.policy import check_policy, hazards
from fedsql.planner.quantiles import check_comparisons
from fedsql.planner.ranges import check_together
from fedsql.planner.relations import Rows, Scan, leaf_of, scans_of
from fedsql.planner.release_columns import public_domain, typed, used_columns
from fedsql.planner.row_bounds import most_rows
from fedsql.planner.rows_sql import RowsSql, base_table, empty
from fedsql.planner.schema import Columns, Schema, public_of
from fedsql.planner.sensitivity import Contribution, check_noisy, contribution
from fedsql.planner.siblings import Beside
from fedsql.planner.terms import Terms
from fedsql.planner.trees import copied, find, sql_of
from fedsql.planner.typer import Typer


@dataclass
class Planner:
    """Plans the releases of one statement, in order: a release's types must be known before what reads it is planned."""

    catalog: Catalog
    analyst: str
    typer: Typer
    schema: Schema
    inputs: dict[str, PlannedInput] = field(default_factory=dict)
    _columns: dict[str, Columns] = field(default_factory=dict)  # of released relations
    _stage: dict[str, int] = field(default_factory=dict)  # of released relations
    _planned: dict[int, ReleasePlan] = field(default_factory=dict)  # by number
    _joins: dict[int, Joined] = field(default_factory=dict)  # by number

    def releases(self, done: Cut) -> tuple[ReleasePlan, ...]:
        """Plan all releases, and what they read."""
        trees = (done.final, *(each.query for each in done.inputs))
        asked = {table.name for tree in trees for table in find(tree, exp.Table) if not table.db}
        for release in done.releases:
            leaf = leaf_of(release.input)
            read = leaf.inputs if isinstance(leaf, Rows) else ()
            for each in done.inputs:
                if each.name in read and each.name not in self.inputs:
                    self.inputs[each.name] = self._input(each)
            if release.relation not in asked and not self._terms(release).hides:
                continue  # it is there for the sibling rule alone
            stage = max((self.inputs[name].stage for name in read), default=0)
            made = self._release(release, stage)
            self._planned[release.number] = made
            self._stage[release.relation] = stage
            self._columns[release.relation] = [
                *((key.name, key.type) for key in made.release.keys),
                *((a.name, a.type) for a in made.release.aggregates),
                *((margin_of(a.name), "DOUBLE") for a in made.release.aggregates),
            ]
        told = {number for made in self._planned.values() for number in made.after}
        return tuple(replace(made, told=made.number in told) for made in self._planned.values())

    def copies(self, done: Cut) -> tuple[PublicTable, ...]:
        """Return the public tables that the analyst reads itself."""
        found = [p for tree in (done.final, *(i.query for i in done.inputs)) for p in self._publics(tree).values()]
        return tuple(dict.fromkeys(found))

    def local_sql(self, tree: exp.Query) -> str:
        """Return the SQL of what the analyst computes itself: public tables under the names of their copies."""
        tree, found = copied(tree), self._publics(tree)
        for table in find(tree, exp.Table):
            if (public := found.get((table.db.lower(), table.name.lower()))) is not None:
                alias = exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True))
                where = exp.to_identifier("copies"), exp.to_identifier(public.relation, quoted=True)
                table.replace(exp.Table(this=where[1], db=where[0], alias=alias))
        return sql_of(tree)

    def _publics(self, tree: exp.Query) -> dict[tuple[str, str], PublicTable]:
        found = {}
        for table in find(tree, exp.Table):
            named = table.db and isinstance(table.this, exp.Identifier)
            if named and (public := public_of(table, self.catalog)) is not None:
                found[table.db.lower(), table.name.lower()] = public
        return found

    def _input(self, input_: Input) -> PlannedInput:
        """Type an input and say when it can be computed."""
        mirrored = copied(input_.query)
        reads = [t for t in find(mirrored, exp.Table) if not t.db and t.name in self._columns]
        stage = 0
        for table in reads:
            stage = max(stage, self._stage[table.name] + 1)
            table.replace(empty(table, self._columns[table.name]))
        columns = tuple(self.typer.describe(sql_of(mirrored)))
        return PlannedInput(input_.name, self.local_sql(input_.query), columns, stage, input_.single)

    def _terms(self, release: Release) -> Terms:
        """Return the joint terms of a release. Raises PolicyDenied."""
        types = {given.name: {name.lower(): type_ for name, type_ in given.columns} for given in self.inputs.values()}
        return check_policy(release, self.catalog, self.analyst, types)

    def _release(self, release: Release, stage: int) -> ReleasePlan:
        leaf = leaf_of(release.input)
        terms = self._terms(release)
        for hazard in hazards(release, terms):
            unique, given = tuple(name for name, _ in hazard.keys), self.inputs[hazard.input]
            if unique not in given.unique:
                self.inputs[hazard.input] = replace(given, unique=(*given.unique, unique))
        check_listed(release, terms)
        copies: tuple[PublicTable, ...] = ()
        inputs: tuple[str, ...] = ()
        if isinstance(leaf, Rows):
            columns = {name: self.inputs[name].columns for name in leaf.inputs}
            sql = RowsSql(leaf, self.catalog, self.typer, self.schema, columns)
            leaf = sql.typed()
            sql = replace(sql, rows=leaf)
            release = replace(release, input=leaf)
            typing = Typing(self.typer, leaf, sql.mirror())
            copies = tuple(dict.fromkeys(self._publics(leaf.query).values()))
            inputs = leaf.inputs
            source: Source = sql.at
        else:
            typing = Typing(self.typer, leaf, mirrored(leaf))
            source = self._scanned(release, leaf, typing)
        release = typed(release, typing)
        if isinstance(leaf, Rows) and leaf.join is not None:
            return self._joined(release, leaf, terms, typing, stage, copies)
        known = known_bounds(leaf)
        domain = public_domain(release, leaf)
        if terms.noisy:
            check_noisy([a.function for a in release.aggregates])
        unknown = terms.noisy and domain is None
        groups = None if domain is None else len(domain)
        unit = contribution(leaf.offers, grouped=bool(release.keys), unknown=unknown)
        beside = self._beside(release) if release.siblings and terms.hides else None
        if beside is not None:
            source = self._flagged(source, beside, typing, known)
        # Noise is wider than few rows; and groups told before are joined with them.
        most = MOST_ROWS if terms.noisy or beside is not None else most_rows(leaf, self.catalog)
        ways = {
            unique: decompose(release, terms, typing, known, unique, beside, groups=groups, most=most)
            for unique in {o.unit_unique for o in leaf.offers}
        }
        parts = {offer.party: ways[offer.unit_unique][0] for offer in leaf.offers}
        shape, circuit = ways[leaf.offers[0].unit_unique]
        check_together(sum(p.ranges.counts for p in shape.partials if p.ranges is not None))
        check_comparisons([p.rank for p in shape.partials if p.rank is not None], groups)
        bound = unit if terms.noisy else None
        names = {scan.name for scan in scans_of(leaf)}
        absent = [o.party for name in names for o in self.catalog.tables(name)] + list(self.catalog.unknown)
        return ReleasePlan(
            release=release,
            contributors=leaf.parties,
            terms=terms,
            fragments={
                party: fragment(release, party, part.tests, part.partials, typing, known, source, bound)
                for party, part in parts.items()
            },
            tests=tuple(shape.tests),
            circuit=circuit,
            partials=tuple(shape.partials),
            outputs=tuple(shape.outputs),
            domain=domain,
            unit=unit,
            missing=()
            if leaf.party is not None
            else tuple(p for p in sorted(set(absent)) if p in self.catalog.missing),
            stage=stage,
            inputs=inputs,
            copies=copies,
            after=tuple(each.number for each in release.siblings) if beside is not None else (),
        )

    def _joined(
        self, release: Release, leaf: Rows, terms: Terms, typing: Typing, stage: int, copies: tuple[PublicTable, ...]
    ) -> ReleasePlan:
        """Plan a release over rows of different parties."""
        if release.siblings and terms.hides:
            raise NotSupportedError(
                "ROLLUP, CUBE and GROUPING SETS over a private join are not answered above min_group_size 1",
                hint="write one GROUP BY query for each level",
            )
        assert leaf.join is not None
        leaf = replace(leaf, join=with_types(leaf.join, typing))
        release = replace(release, input=leaf)
        assert leaf.join is not None
        if not terms.noisy:
            terms = replace(terms, min_group_size=enough_at(places_of(leaf.join), terms.min_group_size))
        columns = {name: self.inputs[name].columns for name in leaf.inputs}
        parts = parts_of(leaf, self.catalog, self.typer, self.schema, columns)
        both = any(offer.release.join_both_sides for offer in self.catalog.offers if offer.party in leaf.parties)
        if terms.noisy:
            check_noisy([a.function for a in release.aggregates])
        self._joins[release.number] = Joined(release, typing, terms, parts, both)
        fragments, tests, circuit, partials, outputs, join = self._joins[release.number].plan()
        return ReleasePlan(
            release=release,
            contributors=leaf.parties,
            terms=terms,
            fragments=fragments,
            tests=tests,
            circuit=circuit,
            partials=partials,
            outputs=outputs,
            domain=join.domain(len(release.keys)),
            unit=contribution_of(leaf.join, grouped=bool(release.keys)) if terms.noisy else Contribution(1, 1),
            missing=tuple(sorted({o.party for s in leaf.scans if s.party is None for o in self._absent(s.name)})),
            stage=stage,
            inputs=leaf.inputs,
            copies=copies,
            join=join,
            both_sides=both,
        )

    def _absent(self, name: str) -> list[TableOffer]:
        """Return the offers of a table whose parties are left out."""
        return [offer for offer in self.catalog.tables(name) if offer.party in self.catalog.missing]

    def on_grids(self, made: ReleasePlan) -> ReleasePlan:
        """Return a release over joined rows that sums values in multiples of its noise's grids: shares cannot be rounded."""
        if made.join is None or made.noise is None:
            return made
        grids = {partial.name: noise.grid for partial, noise in zip(made.partials, made.noise, strict=True)}
        fragments, *_, join = self._joins[made.number].plan(grids)
        return replace(made, fragments=fragments, join=join)

    def _beside(self, release: Release) -> Beside:
        cells = {each.number: self._planned[each.number].shown_by for each in release.siblings}
        return Beside(release.siblings, cells)

    def _flagged(self, source: Source, beside: Beside, typing: Typing, known: Known) -> Source:
        """Return the same rows, each with the flags that say which groups show it."""
        labels = {}
        for sibling in beside.siblings:
            keys = [key.expression for key in sibling.keys]
            types = typing.types_of(keys)
            labels[sibling.number] = [
                label_sql("GROUP BY", key, type_, known, typing) for key, type_ in zip(keys, types, strict=True)
            ]

        def flagged(party: str, clamp: bool, unit: bool, numbered: bool) -> str:
            return beside.flagged(source(party, clamp, unit, numbered), typing.leaf.alias, labels)

        return flagged

    def _scanned(self, release: Release, scan: Scan, typing: Typing) -> Source:
        """Return how a party reads its part of one table: the columns used, in the union's types."""
        columns = used_columns(release, scan, typing)

        def source(party: str, clamp: bool, unit: bool, numbered: bool) -> str:
            offer = next(o for o in scan.offers if o.party == party)
            return base_table(offer, columns, clamp, self.catalog, unit=unit, numbered=numbered)

        return source
