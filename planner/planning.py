"""`plan()`: from a question and a catalog to what every party runs, sends and decides. Pure, deterministic, memoised.

The steps, each of which EXPLAIN (STAGE name) can print: parse -> resolve and qualify names -> cut -> rules -> policy ->
partials -> fragments (-> noise).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from threading import Lock

from sqlglot import exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.qualify import qualify

from fedsql.codec import digest
from fedsql.crypto.circuit import Circuit
from fedsql.errors import ProgrammingError
from fedsql.planner.catalog import Catalog, PublicTable
from fedsql.planner.cut import cut
from fedsql.planner.decompose import decompose
from fedsql.planner.fragments import Typing, fragment, known_bounds
from fedsql.planner.logical import Filter as FilterNode
from fedsql.planner.logical import Release, Scan, describe, render_aggregate, scan_of
from fedsql.planner.parse import bind_now, bind_parameters, parse
from fedsql.planner.partials import Output, Partial, Test
from fedsql.planner.policy import Terms, check_policy, uses
from fedsql.planner.positions import shown
from fedsql.planner.question import Question
from fedsql.planner.rules import rewrite
from fedsql.planner.schema import Schema, resolve_tables
from fedsql.planner.sensitivity import Contribution, Noise, calibrated, check_noisy, contribution, curve
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
    missing: tuple[str, ...] = ()
    stage: int = 0
    inputs: tuple[str, ...] = ()
    copies: tuple[PublicTable, ...] = ()

    @property
    def number(self) -> int:
        """The release's number in its statement."""
        return self.release.number

    def tables(self, party: str) -> tuple[str, ...]:
        """The tables of ``party`` that this release reads."""
        return tuple(o.name for o in scan_of(self.release.input).offers if o.party == party)


@dataclass(frozen=True)
class Plan:
    """A planned statement. ``final`` is the SQL over released relations that the analyst's own DuckDB runs.

    ``meaning`` is a digest of the normalised statement (equal questions share it); ``digest`` one of all that parties
    do; ``stages`` the text of each stage for EXPLAIN; ``rdp`` the Renyi curve that is charged (None: an exact query).
    ``copies`` are the public tables that ``final`` reads.
    """

    releases: tuple[ReleasePlan, ...]
    final: str
    meaning: bytes
    digest: bytes
    stages: tuple[tuple[str, str], ...]
    epsilon: float | None = None
    delta: float | None = None
    rdp: tuple[float, ...] | None = None
    copies: tuple[PublicTable, ...] = ()

    @property
    def contributors(self) -> tuple[tuple[str, ...], ...]:
        """The contributors of each release."""
        return tuple(release.contributors for release in self.releases)

    @property
    def parties(self) -> tuple[str, ...]:
        """Everyone who contributes to any release, sorted."""
        return tuple(sorted({party for release in self.releases for party in release.contributors}))


_memo: OrderedDict[bytes, Plan] = OrderedDict()
_memo_lock = Lock()
_MEMO_SIZE = 512


def plan(question: Question, catalog: Catalog, typer: Typer, schema: Schema) -> Plan:
    """Plan ``question`` against ``catalog``; ``schema`` is the mirror that ``typer`` describes over.

    Raises ProgrammingError, NotSupportedError or PolicyDenied; never anything that depends on data.
    """
    tree = bind_now(bind_parameters(parse(question.sql), question.parameters), question.now)
    text = tree.sql("duckdb")
    key = digest(
        [
            text,
            question.analyst,
            question.settings.epsilon,
            [[n, list(map(list, c))] for n, c in question.local],
            list(question.missing),
            catalog.digest,
        ]
    )
    with _memo_lock:
        if key in _memo:
            _memo.move_to_end(key)
            return _memo[key]
    made = _plan(tree, text, question, catalog.without(question.missing), typer, schema)
    with _memo_lock:
        _memo[key] = made
        while len(_memo) > _MEMO_SIZE:
            _memo.popitem(last=False)
    return made


def _plan(tree: exp.Query, text: str, question: Question, catalog: Catalog, typer: Typer, schema: Schema) -> Plan:
    stages = [("parse", text)]
    resolve_tables(tree, schema)
    try:
        qualified = qualify(tree, dialect="duckdb", schema=_nested(schema), quote_identifiers=True)
    except OptimizeError as error:
        raise ProgrammingError(str(error).split(" Line:")[0].rstrip(".")) from None
    assert isinstance(qualified, exp.Query)
    stages.append(("qualify", shown(qualified, tables=True, pretty=True)))
    final, releases = cut(qualified, catalog)
    stages.append(("cut", "\n".join([shown(final, tables=True, pretty=True), *(describe(r) for r in releases)])))
    planned = []
    for release in releases:
        release, trace = rewrite(release)
        stages += [(f"{name} ({release.relation})", describe(after)) for name, after in trace]
        planned.append(_plan_release(release, catalog, question.analyst, typer))
    made = Plan(
        tuple(planned), final.sql("duckdb"), digest([text, question.settings.epsilon, list(question.missing)]), b"", ()
    )
    made = _with_noise(made, question.settings.epsilon)
    stages += [(f"logical ({r.release.relation})", describe(r.release)) for r in made.releases]
    stages += [
        ("fragments", "\n".join(f"-- {party}\n{sql}" for r in made.releases for party, sql in r.fragments.items()))
    ]
    stages.append(("final", shown(final, tables=True, pretty=True)))
    return replace(made, digest=_digest(made), stages=tuple(stages))


def _plan_release(release: Release, catalog: Catalog, analyst: str, typer: Typer) -> ReleasePlan:
    scan = scan_of(release.input)
    terms = check_policy(release, catalog, analyst)
    typing = Typing(typer, scan)
    release = _typed(release, typing)
    known = known_bounds(scan)
    domain = _domain(release, scan)
    if terms.noisy:
        check_noisy([a.function for a in release.aggregates], domain is not None)
    unit = contribution(scan.offers)
    columns = sorted({c.name.lower() for _, c in uses(release, scan)})
    references = [exp.column(c, table=scan.alias, quoted=True) for c in columns]
    union_types = dict(zip(columns, typing.types_of(references), strict=True))
    parts = {offer.party: decompose(release, terms, typing, known, offer.unit_unique) for offer in scan.offers}
    shape = parts[scan.parties[0]]
    survive = (0, 1) if terms.min_parties > 1 else (0,)
    rows = unit.rows if terms.noisy else None
    absent = [offer.party for offer in catalog.tables(scan.name)] + list(catalog.unknown)
    return ReleasePlan(
        release=release,
        contributors=scan.parties,
        terms=terms,
        fragments={
            offer.party: fragment(
                release, offer, parts[offer.party].tests, parts[offer.party].partials, typing, known, union_types, rows
            )
            for offer in scan.offers
        },
        tests=tuple(shape.tests),
        circuit=None if terms.noisy else shape.circuit(survive),
        partials=tuple(shape.partials),
        outputs=tuple(shape.outputs),
        domain=domain,
        unit=unit,
        missing=() if scan.party is not None else tuple(party for party in absent if party in catalog.missing),
    )


def _typed(release: Release, typing: Typing) -> Release:
    """Put DuckDB's types on keys and aggregates."""
    where = f" WHERE {release.input.condition.sql('duckdb')}" if isinstance(release.input, FilterNode) else ""
    items = [k.expression.sql("duckdb") for k in release.keys] + [render_aggregate(a) for a in release.aggregates]
    grouped = f" GROUP BY {', '.join(str(i + 1) for i in range(len(release.keys)))}" if release.keys else ""
    listed = ", ".join(f"{item} AS c{i}" for i, item in enumerate(items))
    types = [t for _, t in typing.typer.describe(f"SELECT {listed} FROM {typing.table()}{where}{grouped}")]
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


def _domain(release: Release, scan: Scan) -> tuple[tuple[str | None, ...], ...] | None:
    """Return the labels of all groups where owners made them public; NULL always has a slot."""
    values: list[tuple[str | None, ...]] = []
    for key in release.keys:
        columns = (
            [offer.column(key.expression.name) for offer in scan.offers]
            if isinstance(key.expression, exp.Column)
            else [None]
        )
        if any(column is None or column.values is None for column in columns):
            return None
        values.append((*dict.fromkeys(v for c in columns if c is not None for v in c.values or ()), None))
    if prod(len(v) for v in values) > MOST_PUBLIC_SLOTS:
        return None
    return tuple(product(*values))


def _with_noise(made: Plan, epsilon: float) -> Plan:
    """Calibrate the noisy releases of a statement together, so that they cost ``epsilon`` in all."""
    noisy = [r for r in made.releases if r.terms.noisy]
    if not noisy:
        return made
    delta = min(r.terms.delta for r in noisy)
    found = iter(calibrated([(r.partials, r.unit, r.terms, len(r.contributors)) for r in noisy], epsilon, delta))
    releases = tuple(replace(r, noise=next(found)) if r.terms.noisy else r for r in made.releases)
    rdp = curve([n for r in releases for n in r.noise or ()])
    return replace(made, releases=releases, epsilon=epsilon, delta=delta, rdp=rdp)


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
                [[p.name, p.width, str(p.limit)] for p in r.partials],
                None if r.domain is None else [list(label) for label in r.domain],
                repr(r.noise),
            ]
            for r in made.releases
        ]
    )


def _nested(schema: Schema) -> dict[str, object]:
    """Return ``schema`` as sqlglot takes it; it only needs names, so types are left out of its reach."""
    return {
        db: {table: dict.fromkeys(columns, "unknown") for table, columns in tables.items()}
        for db, tables in schema.items()
    }
