"""`plan()`: from a question and a catalog to what every party runs, sends and decides. Pure, deterministic, memoised.

The steps, each of which EXPLAIN (STAGE name) can print: parse -> resolve and qualify names -> cut -> rules -> policy ->
partials -> fragments (-> noise).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from threading import Lock

from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.qualify import qualify

from fedsql.codec import digest
from fedsql.crypto.circuit import Circuit
from fedsql.errors import NotSupportedError, ProgrammingError
from fedsql.planner.catalog import Catalog, PublicTable
from fedsql.planner.cut import Cut, cut
from fedsql.planner.decompose import decompose
from fedsql.planner.fragments import Source, Typing, fragment, known_bounds, mirrored
from fedsql.planner.inputs import Input
from fedsql.planner.logical import Filter as FilterNode
from fedsql.planner.logical import Leaf, Release, Rows, Scan, describe, leaf_of, margin_of, render_aggregate, scans_of
from fedsql.planner.noising import with_noise
from fedsql.planner.parse import bind_now, bind_parameters, parse
from fedsql.planner.partials import Output, Partial, Test
from fedsql.planner.policy import Terms, check_policy, hazards, uses
from fedsql.planner.positions import shown
from fedsql.planner.quantiles import check_comparisons
from fedsql.planner.question import Question
from fedsql.planner.rows_sql import Columns, RowsSql, base_table, empty
from fedsql.planner.rules import rewrite
from fedsql.planner.schema import UNION, Schema, resolve_tables
from fedsql.planner.sensitivity import Contribution, Noise, check_noisy, contribution, curve
from fedsql.planner.typer import Typer

MOST_PUBLIC_SLOTS = 4096  # larger public domains are aligned by tags instead


@dataclass(frozen=True)
class ReleasePlan:
    """One release, ready to run. ``fragments`` maps each contributor to its SQL.

    ``domain``: the labels of all slots when they are public (one empty label when ungrouped), else None: aligned by tags.
    ``missing``: parties that offer the table, or might, and are left out. ``stage`` is when it is asked; ``inputs`` are
    the released relations of earlier stages that its fragments read, ``copies`` the public tables. ``circuit``: test 0 is the number of units, test 1 (where there is one) the number of parties; None under noise.
    """

    release: Release
    contributors: tuple[str, ...]
    terms: Terms
    fragments: dict[str, str]
    tests: tuple[Test, ...]
    circuit: Circuit | None
    partials: tuple[Partial, ...]
    outputs: tuple[Output, ...]
    domain: tuple[tuple[str | None, ...], ...] | None
    unit: Contribution
    noise: tuple[Noise, ...] | None = None
    noise_of_units: Noise | None = None
    missing: tuple[str, ...] = ()
    stage: int = 0
    inputs: tuple[str, ...] = ()
    copies: tuple[PublicTable, ...] = ()

    @property
    def all_noise(self) -> tuple[Noise, ...]:
        """The noise of everything that depends on the data: what is charged."""
        return (*(self.noise or ()), *([self.noise_of_units] if self.noise_of_units is not None else []))

    @property
    def number(self) -> int:
        """The release's number in its statement."""
        return self.release.number

    def tables(self, party: str) -> tuple[str, ...]:
        """The tables of ``party`` that this release reads."""
        return tuple(o.name for scan in scans_of(self.leaf) for o in scan.offers if o.party == party)

    @property
    def leaf(self) -> Leaf:
        """What the release reads, as if it were one table."""
        return leaf_of(self.release.input)


@dataclass(frozen=True)
class PlannedInput:
    """A stage input: ``sql`` for the analyst's own DuckDB, its ``columns`` (name, type), and what it reads.

    It can be computed once every stage before ``stage`` has been answered. ``single``: it has exactly one row;
    ``unique``: columns of which no two rows have equal values, all together: parties hold the analyst to both.
    """

    name: str
    sql: str
    columns: tuple[tuple[str, str], ...]
    stage: int
    single: bool = False
    unique: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Plan:
    """A planned statement. ``final`` is the SQL over released relations that the analyst's own DuckDB runs.

    ``meaning`` is a digest of the normalised statement (equal questions share it); ``digest`` one of all that parties
    do; ``stages`` the text of each stage for EXPLAIN; ``rdp`` the Renyi curve that is charged (None: an exact query).
    ``copies`` are the public tables that ``final`` and ``inputs`` read; the latter are what the analyst computes before the
    stages that read them.
    """

    releases: tuple[ReleasePlan, ...]
    final: str
    meaning: bytes
    digest: bytes
    stages: tuple[tuple[str, str], ...]
    epsilon: float | None = None
    delta: float | None = None
    rdp: tuple[float, ...] | None = None
    accuracy: float | None = None
    delta_of_groups: float = 0.0
    copies: tuple[PublicTable, ...] = ()
    inputs: tuple[PlannedInput, ...] = ()

    @property
    def last_stage(self) -> int:
        """The number of the last stage; the first one is 0."""
        return max((release.stage for release in self.releases), default=0)

    def at(self, stage: int) -> Plan:
        """Return the part of the plan that is asked in one stage, and what that costs."""
        releases = tuple(r for r in self.releases if r.stage == stage)
        noise = [n for r in releases for n in r.all_noise]
        unknown = sum(r.noise_of_units is not None for r in releases)
        delta = self.delta_of_groups * unknown / max(1, sum(r.noise_of_units is not None for r in self.releases))
        return replace(self, releases=releases, rdp=curve(noise) if noise else None, delta_of_groups=delta)

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the inputs that its releases read."""
        return tuple(dict.fromkeys(name for release in self.releases for name in release.inputs))

    @property
    def contributors(self) -> tuple[tuple[str, ...], ...]:
        """The contributors of each release."""
        return tuple(release.contributors for release in self.releases)

    @property
    def parties(self) -> tuple[str, ...]:
        """Everyone who contributes to any release, sorted."""
        return tuple(sorted({party for release in self.releases for party in release.contributors}))

    @property
    def lent(self) -> tuple[PublicTable, ...]:
        """The public tables that fragments read as copies, each once. Among parties its place here is a table's number."""
        return tuple(dict.fromkeys(table for release in self.releases for table in release.copies))

    @property
    def owners(self) -> tuple[str, ...]:
        """Who sends these tables to the contributors that lack them, sorted."""
        return tuple(sorted({table.owner for table in self.lent}))

    @property
    def participants(self) -> tuple[str, ...]:
        """All who take part: contributors, and owners of public tables, who need not contribute. Sorted."""
        return tuple(sorted({*self.parties, *self.owners}))


_memo: OrderedDict[bytes, Plan] = OrderedDict()
_memo_lock = Lock()
_MEMO_SIZE = 1024  # up to two entries for each plan


def plan(question: Question, catalog: Catalog, typer: Typer, schema: Schema) -> Plan:
    """Plan ``question`` against ``catalog``; ``schema`` is the mirror that ``typer`` describes over.

    Raises ProgrammingError, NotSupportedError or PolicyDenied; never anything that depends on data.
    """
    whose = [
        question.analyst,
        question.settings.epsilon,
        question.settings.accuracy,
        [[n, list(map(list, c))] for n, c in question.local],
        list(question.missing),
        catalog.digest,
    ]
    asked = digest(["asked", question.sql, list(map(list, question.parameters)), *whose])
    if (known := _remembered(asked)) is not None:
        return known
    tree = bind_parameters(parse(question.sql), question.parameters)
    before = tree.sql("duckdb")
    tree = bind_now(tree, question.now)
    text = tree.sql("duckdb")
    meant = digest(["meant", text, *whose])
    made = _remembered(meant) or _plan(tree, text, question, catalog.without(question.missing), typer, schema)
    with _memo_lock:
        _memo[meant] = made
        if text == before:  # it does not depend on the clock: the next one need not be parsed to be known
            _memo[asked] = made
        while len(_memo) > _MEMO_SIZE:
            _memo.popitem(last=False)
    return made


def _remembered(key: bytes) -> Plan | None:
    with _memo_lock:
        if key in _memo:
            _memo.move_to_end(key)
        return _memo.get(key)


def _plan(tree: exp.Query, text: str, question: Question, catalog: Catalog, typer: Typer, schema: Schema) -> Plan:
    stages = [("parse", text)]
    resolve_tables(tree, schema)
    try:
        qualified = qualify(tree, dialect="duckdb", schema=_nested(schema), quote_identifiers=True)
    except OptimizeError as error:
        raise ProgrammingError(str(error).split(" Line:")[0].rstrip(".")) from None
    assert isinstance(qualified, exp.Query)
    stages.append(("qualify", shown(qualified, tables=True, pretty=True)))
    prepared, trace = rewrite(qualified, catalog)
    stages += trace
    done = cut(prepared, catalog)
    stages += done.trace
    listed = [f"{i.name}: {shown(i.query, tables=True)}" for i in done.inputs]
    after = "\n".join([shown(done.final, tables=True, pretty=True), *listed, *(describe(r) for r in done.releases)])
    stages.append(("cut", after))
    planner = Planner(catalog, question.analyst, typer, schema)
    planned = planner.releases(done)
    copies = planner.copies(done)
    made = Plan(
        planned,
        planner.local_sql(done.final),
        digest([text, question.settings.epsilon, question.settings.accuracy, list(question.missing)]),
        b"",
        (),
        copies=copies,
        inputs=tuple(planner.inputs.values()),
    )
    made = with_noise(made, question.settings)
    stages += [(f"logical ({r.release.relation})", describe(r.release)) for r in made.releases]
    stages += [
        ("fragments", "\n".join(f"-- {party}\n{sql}" for r in made.releases for party, sql in r.fragments.items()))
    ]
    stages.append(("final", shown(done.final, tables=True, pretty=True)))
    return replace(made, digest=_digest(made), stages=tuple(stages))


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

    def releases(self, done: Cut) -> tuple[ReleasePlan, ...]:
        """Plan all releases, and what they read."""
        planned = []
        for release in done.releases:
            leaf = leaf_of(release.input)
            read = leaf.inputs if isinstance(leaf, Rows) else ()
            for each in done.inputs:
                if each.name in read and each.name not in self.inputs:
                    self.inputs[each.name] = self._input(each)
            stage = max((self.inputs[name].stage for name in read), default=0)
            made = self._release(release, stage)
            planned.append(made)
            self._stage[release.relation] = stage
            self._columns[release.relation] = [
                *((key.name, key.type) for key in made.release.keys),
                *((a.name, a.type) for a in made.release.aggregates),
                *((margin_of(a.name), "DOUBLE") for a in made.release.aggregates),
            ]
        return tuple(planned)

    def copies(self, done: Cut) -> tuple[PublicTable, ...]:
        """Return the public tables that the analyst reads itself."""
        found = [p for tree in (done.final, *(i.query for i in done.inputs)) for p in self._publics(tree).values()]
        return tuple(dict.fromkeys(found))

    def local_sql(self, tree: exp.Query) -> str:
        """Return the SQL of what the analyst computes itself: public tables under the names of their copies."""
        tree, found = tree.copy(), self._publics(tree)
        for table in list(tree.find_all(exp.Table)):
            if (public := found.get((table.db.lower(), table.name.lower()))) is not None:
                alias = exp.TableAlias(this=exp.to_identifier(table.alias_or_name, quoted=True))
                where = exp.to_identifier("copies"), exp.to_identifier(public.relation, quoted=True)
                table.replace(exp.Table(this=where[1], db=where[0], alias=alias))
        return tree.sql("duckdb")

    def _publics(self, tree: exp.Query) -> dict[tuple[str, str], PublicTable]:
        found = {}
        for table in tree.find_all(exp.Table):
            if table.db and isinstance(table.this, exp.Identifier):
                party = None if table.db.lower() == UNION else table.db
                if (public := self.catalog.public(table.name, party)) is not None:
                    found[table.db.lower(), table.name.lower()] = public
        return found

    def _input(self, input_: Input) -> PlannedInput:
        """Type an input and say when it can be computed."""
        mirrored = input_.query.copy()
        reads = [t for t in mirrored.find_all(exp.Table) if not t.db and t.name in self._columns]
        stage = 0
        for table in reads:
            stage = max(stage, self._stage[table.name] + 1)
            table.replace(empty(table, self._columns[table.name]))
        columns = tuple(self.typer.describe(mirrored.sql("duckdb")))
        return PlannedInput(input_.name, self.local_sql(input_.query), columns, stage, input_.single)

    def _release(self, release: Release, stage: int) -> ReleasePlan:
        leaf = leaf_of(release.input)
        types = {given.name: {name.lower(): type_ for name, type_ in given.columns} for given in self.inputs.values()}
        terms = check_policy(release, self.catalog, self.analyst, types)
        for hazard in hazards(release, terms):
            unique, given = tuple(name for name, _ in hazard.keys), self.inputs[hazard.input]
            if unique not in given.unique:
                self.inputs[hazard.input] = replace(given, unique=(*given.unique, unique))
        if release.has_siblings and terms.min_group_size > 1 and not terms.noisy:
            raise NotSupportedError(
                f"ROLLUP, CUBE and GROUPING SETS are not answered yet where min_group_size is over 1"
                f" (it is {terms.min_group_size} here): a total less the groups shown could open a small one",
                hint="write one GROUP BY query for each level",
            )
        if release.values_of and (terms.min_group_size > 1 or terms.min_parties > 1 or terms.noisy):
            raise NotSupportedError(
                f"{release.values_of} is not answered where values of few are not shown: they would be missing",
                hint="GROUP BY the argument in a derived table, and aggregate the values shown in the outer query",
            )
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
        release = _typed(release, typing)
        known = known_bounds(leaf)
        domain = _domain(release, leaf)
        if terms.noisy:
            check_noisy([a.function for a in release.aggregates])
        unknown = terms.noisy and domain is None
        unit = contribution(leaf.offers, grouped=bool(release.keys), unknown=unknown)
        ways = {
            unique: decompose(release, terms, typing, known, unique, unknown=unknown)
            for unique in {o.unit_unique for o in leaf.offers}
        }
        parts = {offer.party: ways[offer.unit_unique] for offer in leaf.offers}
        shape = parts[leaf.parties[0]]
        check_comparisons(
            [p.rank for p in shape.partials if p.rank is not None], None if domain is None else len(domain)
        )
        survive = (0, 1) if terms.min_parties > 1 else (0,)
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
            circuit=None if terms.noisy else shape.circuit(survive),
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
        )

    def _scanned(self, release: Release, scan: Scan, typing: Typing) -> Source:
        """Return how a party reads its part of one table: the columns used, in the union's types."""
        names = sorted({column.name.lower() for _, column in uses(release, scan)})
        names += [a.arguments[0].name.lower() for a in release.aggregates if a.counts == "units" and a.arguments]
        names = sorted(set(names))
        types = typing.types_of([exp.column(name, table=scan.alias, quoted=True) for name in names])
        columns = dict(zip(names, types, strict=True))

        def source(party: str, clamp: bool, unit: bool, numbered: bool) -> str:
            offer = next(o for o in scan.offers if o.party == party)
            return base_table(offer, columns, clamp, self.catalog, unit=unit, numbered=numbered)

        return source


def _typed(release: Release, typing: Typing) -> Release:
    """Put DuckDB's types on keys and aggregates."""
    where = f" WHERE {release.input.condition.sql('duckdb')}" if isinstance(release.input, FilterNode) else ""
    items = [k.expression.sql("duckdb") for k in release.keys] + [render_aggregate(a) for a in release.aggregates]
    grouped = f" GROUP BY {', '.join(str(i + 1) for i in range(len(release.keys)))}" if release.keys else ""
    listed = ", ".join(f"{item} AS c{i}" for i, item in enumerate(items))
    types = [t for _, t in typing.typer.describe(f"SELECT {listed} FROM {typing.table}{where}{grouped}")]
    arguments = [argument for a in release.aggregates for argument in a.arguments]
    found = iter(typing.types_of(arguments) if arguments else [])
    count = len(release.keys)
    return replace(
        release,
        keys=tuple(replace(k, type=t) for k, t in zip(release.keys, types[:count], strict=True)),
        aggregates=tuple(
            replace(a, type=t, argument_types=tuple(next(found) for _ in a.arguments))
            for a, t in zip(release.aggregates, types[count:], strict=True)
        ),
    )


def _domain(release: Release, leaf: Leaf) -> tuple[tuple[str | None, ...], ...] | None:
    """Return the labels of all groups where owners made them public; NULL always has a slot."""
    values: list[tuple[str | None, ...]] = []
    for key in release.keys:
        columns = (
            [offer.column(key.expression.name) for offer in leaf.offers]
            if isinstance(key.expression, exp.Column)
            else [None]
        )
        if any(column is None or column.values is None for column in columns):
            return None
        values.append((*dict.fromkeys(v for c in columns if c is not None for v in c.values or ()), None))
    if prod(len(v) for v in values) > MOST_PUBLIC_SLOTS:
        return None
    return tuple(product(*values))


def _digest(made: Plan) -> bytes:
    """Return a digest of everything that parties do for ``made``; equal plans everywhere have equal digests."""
    return digest(
        [
            [
                r.number,
                list(r.contributors),
                [[party, sql] for party, sql in sorted(r.fragments.items())],
                [[t.name, t.threshold] for t in r.tests],
                repr(r.circuit),
                [[p.name, p.width, str(p.limit), p.tagged, repr(p.order), repr(p.rank)] for p in r.partials],
                None if r.domain is None else [list(label) for label in r.domain],
                repr(r.noise),
                repr(r.noise_of_units),
                r.stage,
                list(r.inputs),
                [[c.owner, c.relation] for c in r.copies],
            ]
            for r in made.releases
        ]
        + [
            [i.name, i.sql, [list(c) for c in i.columns], i.stage, i.single, [list(c) for c in i.unique]]
            for i in made.inputs
        ]
    )


def _nested(schema: Schema) -> dict[str, object]:
    """Return ``schema`` as sqlglot takes it; it only needs names, so types are left out of its reach."""
    return {
        db: {table: dict.fromkeys(columns, "unknown") for table, columns in tables.items()}
        for db, tables in schema.items()
    }
