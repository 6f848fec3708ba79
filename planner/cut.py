"""The cut: where a statement leaves the parties.

One rule, bottom-up: a SELECT block that reads federated rows and has aggregates, GROUP BY or DISTINCT is cut, unless each
party can compute it alone (its keys hold a party-scoped id) and it stands inside of a block that is itself cut. A cut block
splits into a *release* (its keys and aggregates: the only part that parties run) and the same block reading the released
relation. A block that reads federated rows and is not cut must stand inside of one that is, else the statement would move
rows and is refused.

    SELECT sex, AVG(age) AS a FROM patients WHERE age > 40 GROUP BY sex HAVING COUNT(*) > 5 ORDER BY a
    -> release 0: keys sex; AVG(age), COUNT(*) over patients WHERE age > 40
       SELECT _r0.k0 AS sex, _r0.a0 AS a FROM _release_0 AS _r0 WHERE _r0.a1 > 5 ORDER BY a

A release that another one reads makes *stages*: what the first one releases is an input of the second.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from sqlglot import exp

from fedsql.errors import NotSupportedError, PolicyDenied, ProgrammingError
from fedsql.planner.above import each_alone, is_mode, lists_values, over_values, put_together, united, values_of
from fedsql.planner.aggregates import GROUPING
from fedsql.planner.below import Below
from fedsql.planner.binder import bind_release
from fedsql.planner.blocks import (
    aggregate_calls,
    aliases,
    blocks_around,
    defines,
    grouping,
    grouping_sets,
    is_federated,
    is_grouped,
    is_shadowed,
    is_windowed,
    items,
    keeps_all,
    nested_queries,
    own_nodes,
    reads_federated,
    sides,
    unordered,
)
from fedsql.planner.catalog import Catalog
from fedsql.planner.inputs import Input, Inputs
from fedsql.planner.logical import MARGIN, Release, Sibling, margin_of
from fedsql.planner.nested import is_linked
from fedsql.planner.positions import Trace, position, shown
from fedsql.planner.private import joins_parties
from fedsql.planner.rules.decorrelate import decorrelate
from fedsql.planner.rules.restrict_keys import restrict_keys
from fedsql.planner.sources import Env, NotLocal
from fedsql.planner.trees import find, sql_of

_CONSTANTS = (exp.Literal, exp.Boolean, exp.Null)
_NO_KEY = (exp.Alias, exp.Identifier, exp.Literal, exp.Ordered)  # never a key or an aggregate themselves
_UPPER = ("expressions", "having", "qualify", "order", "distinct", "windows", "limit", "offset")


@dataclass
class _Cutter:
    catalog: Catalog
    inputs: Inputs
    trace: Trace
    releases: list[Release] = field(default_factory=list)

    def query(self, query: exp.Query, inside: bool = False) -> bool:
        """Cut in ``query``; return whether what is left of it yields federated rows. ``inside``: of a cut block."""
        if (with_ := query.args.get("with_")) is not None:
            for cte in with_.expressions:
                if self.query(cte.this):
                    raise PolicyDenied(
                        f"{cte.alias} would move rows: it is recursive and reads federated rows",
                        hint="aggregate them in a query of their own; recursion over released results works",
                        position=position(cte),
                    )
        if isinstance(query, exp.Subquery | exp.SetOperation):
            rows = self.query(query.this, inside) if isinstance(query, exp.Subquery) else self.united(query, inside)
            if rows:
                unordered(query)
            return rows
        if not isinstance(query, exp.Select):
            return False
        grouped = is_grouped(query)
        joined = joins_parties(query, self.catalog)
        sources = [self.source(item, inside or grouped, joined) for item, _ in items(query)]
        rows = any(sources)
        stays = not grouped or not nested_queries(query) or (inside and self.local(query))
        self.nested(query, rows and (inside or grouped), stays)
        if rows and (not grouped or (inside and self.local(query))):
            unordered(query)
            return True
        if rows:
            self.block(query)
        return False

    def united(self, query: exp.SetOperation, inside: bool) -> bool:
        """Cut in a set operation: inside of a cut block each party computes it alone, where it can.

        Else one that compares rows compares released ones: its sides become DISTINCT, which changes nothing of it.
        """
        rows = keeps_all(query) and not any(is_grouped(block) for block in sides(query))
        inside = inside and (rows or self.local(query))
        for block in _compared(query) if not inside and query.args.get("distinct") else ():
            if not is_grouped(block) and not block.args.get("limit") and reads_federated(block, self.catalog):
                block.set("distinct", exp.Distinct())
        found = [self.query(side, inside) for side in (query.left, query.right)]
        return any(found)

    def source(self, item: exp.Expr, inside: bool, joined: bool = False) -> bool:
        """Cut in a FROM item; return whether it yields federated rows. ``joined``: with rows of other parties."""
        if isinstance(item, exp.Subquery):
            if joined and inside and is_grouped(item.this) and self.local(item.this, joined=True):
                return True
            return self.query(item.this, inside)
        if isinstance(item, exp.Table) and isinstance(item.this, exp.Identifier):
            return is_federated(item, self.catalog)
        return False

    def nested(self, select: exp.Select, below: bool, stays: bool = True) -> None:
        """Cut the queries nested in a block's expressions. Those that each party can run stay, where it runs ``below``.

        Of a block that is cut (it does not ``stay``) only FROM and WHERE run there.
        """
        for query in nested_queries(select):
            if not reads_federated(query, self.catalog):
                continue
            if below and (stays or _part(select, query) not in _UPPER) and self.linked(select, query):
                self.inlined(query)
                continue
            before = shown(query, tables=True, pretty=True) if self.trace.wanted else ""
            inner = decorrelate(query) if self.yields_rows(query) else None
            if inner is not None and isinstance(query, exp.Select):
                self.trace.add("decorrelate", partial(_rewritten, before, query))
                if restrict_keys(query, inner, self.catalog):
                    self.trace.add("restrict_keys", partial(shown, inner, tables=True, pretty=True))
                self.query(inner)  # a release, whatever its keys: the query around it looks up groups of all parties
            if self.query(query):
                raise PolicyDenied(
                    "this subquery would move rows: it reads federated rows without aggregating them",
                    hint="aggregate inside the subquery, for example SELECT COUNT(*) or AVG(...)",
                    position=position(query),
                )

    def yields_rows(self, query: exp.Query) -> bool:
        """Say whether a nested query reads federated rows itself, once what stands in its FROM is cut."""
        if not isinstance(query, exp.Select):
            return False
        sources = [self.source(item, is_grouped(query)) for item, _ in items(query)]
        return any(sources)

    def inlined(self, query: exp.Query) -> None:
        """Cut what stands inside of a nested query that itself stays below the cut."""
        assert isinstance(query, exp.Select)
        unordered(query)
        for item, _ in items(query):
            self.source(item, inside=True)
        self.nested(query, below=True)

    def linked(self, select: exp.Select, query: exp.Query) -> bool:
        """Say whether each party can compute a nested query alone, for its own rows of the block around it."""
        below = Below(self.catalog)
        try:
            envs: list[Env] = []
            for block in reversed([select, *blocks_around(select)]):
                envs.insert(0, below.sources(block, envs))
            return is_linked(below, query, envs)
        except NotLocal:
            return False

    def local(self, query: exp.Query, *, joined: bool = False) -> bool:
        """Say whether each party can compute a grouped block or a set operation alone, to be ``joined`` with other parties'."""
        try:
            Below(self.catalog, joined=joined).derived(query, "t")
        except NotLocal:
            return False
        return True

    def block(self, select: exp.Select) -> None:
        """Split ``select`` in place: bind its release, and let it read the released relation."""
        if sample := select.args.get("sample"):  # DuckDB samples what FROM yields, before it aggregates
            raise PolicyDenied(
                "SAMPLE over federated rows is refused",
                hint="aggregate in a subquery; SAMPLE works on the released groups",
                position=position(sample),
            )
        calls = aggregate_calls(select)
        sets = grouping_sets(select)
        keys = _keys(select, calls) if sets is None else _distinct(key for each in sets for key in each)
        if sets is not None:
            texts = [{sql_of(key) for key in each} for each in sets]
            sets = [[key for key in keys if sql_of(key) in each] for each in texts]
        several = {sql_of(call): parts for call in calls if (parts := each_alone(call))}
        listed = _distinct(call for call in calls if lists_values(call))
        single = [part for call in calls for part in several.get(sql_of(call), [call])]
        aggregates = _distinct(call for call in single if not lists_values(call))
        if listed and sets is not None:
            raise NotSupportedError(
                f"{shown(listed[0])} is not answered with ROLLUP, CUBE and GROUPING SETS",
                hint="write one GROUP BY query for each level",
                position=position(listed[0]),
            )
        if (
            not aggregates and not listed and (not keys or sets is not None)
        ):  # what has no keys needs something to release
            aggregates = [exp.Count(this=exp.Star())]
        names = {sql_of(key): f"k{i}" for i, key in enumerate(keys) if not isinstance(key, _CONSTANTS)}
        names |= {sql_of(call): f"a{i}" for i, call in enumerate(aggregates)}
        alias = f"_r{len(self.releases)}"
        relation: exp.Expr = _one(alias)
        if keys or aggregates:  # of listed values alone no more than these is released
            bound = self.bind(select, keys, aggregates)
            releases = [self.release(bound)] if sets is None else self.grouped(bound, keys, sets)
            alias = f"_r{releases[0].number}"
            relation = exp.alias_(exp.to_table(releases[0].relation), alias, table=True)
        if sets is not None:
            told = _distinct(node for node in own_nodes(select) if isinstance(node, GROUPING))
            names |= {sql_of(node): f"g{i}" for i, node in enumerate(told)}
            relation = united(alias, keys, sets, releases, len(aggregates), told)
        below = aliases(select)
        lifted: dict[str, exp.Expr] = {text: exp.column(name, table=alias, quoted=True) for text, name in names.items()}
        lifted |= {text: put_together([lifted[sql_of(part)] for part in parts]) for text, parts in several.items()}
        beside = len(listed) > 1 or bool(aggregates)
        lifted |= {sql_of(call): self.listed(select, keys, call, alias, beside) for call in listed}

        def lift(node: exp.Expr) -> exp.Expr:
            if (
                sets is None
                and is_margin(node)
                and (name := names.get(sql_of(node.expressions[0]), "")).startswith("a")
            ):
                return exp.column(margin_of(name), table=alias, quoted=True)
            new = None if isinstance(node, _NO_KEY) else lifted.get(sql_of(node))
            return node if new is None or is_windowed(node) or is_shadowed(node) else new.copy()

        for part in _UPPER:
            value = select.args.get(part)
            if isinstance(value, list):
                select.set(part, [item.transform(lift) for item in value])
            elif isinstance(value, exp.Expr):
                select.set(part, value.transform(lift))
        having = select.args.get("having")
        select.set("from_", exp.From(this=relation))
        select.set("joins", None)
        select.set("where", exp.Where(this=having.this) if having is not None else None)
        select.set("having", None)
        select.set("group", None)
        for column in find(select, exp.Column):
            if column.table.lower() in below and not defines(column, select):
                raise NotSupportedError(
                    f"{sql_of(column)} is used above the GROUP BY, where only keys and aggregates exist",
                    hint="add it to GROUP BY, or aggregate it",
                    position=position(column),
                )

    def listed(self, select: exp.Select, keys: list[exp.Expr], call: exp.Expr, around: str, beside: bool) -> exp.Expr:
        """Release the distinct values under a call; return what reads them in place of it.

        ``beside``: the same rows are aggregated in other ways, too.
        """
        rows, value = values_of(select, call)
        counts: list[exp.Expr] = [exp.Count(this=exp.Star())] if is_mode(call) else []
        bound = self.bind(rows, [*keys, value], counts)
        release = self.release(replace(bound, is_beside=beside, values_of=shown(call), most_frequent=is_mode(call)))
        return over_values(call, release.relation, f"_v{release.number}", around, len(keys))

    def bind(self, select: exp.Select, keys: list[exp.Expr], aggregates: list[exp.Expr]) -> Release:
        """Bind one release of a block."""
        return bind_release(len(self.releases), select, keys, aggregates, self.catalog, self.inputs)

    def grouped(self, bound: Release, keys: list[exp.Expr], sets: list[list[exp.Expr]]) -> list[Release]:
        """Keep the release of each grouping set; ``bound`` is that of all ``keys`` together.

        It is the first one of all, also where it is not asked for: the finest groups tell which rows may be told apart.
        """
        places = {sql_of(key): place for place, key in enumerate(keys)}
        asked = [tuple(places[sql_of(key)] for key in each) for each in sets]
        made: dict[frozenset[int], Release] = {}
        for each in sorted([tuple(places.values()), *asked], key=len, reverse=True):
            if frozenset(each) in made:
                continue
            siblings = tuple(
                Sibling(release.number, release.keys, chosen >= frozenset(each)) for chosen, release in made.items()
            )
            listed = tuple(replace(bound.keys[place], name=f"k{i}") for i, place in enumerate(each))
            made[frozenset(each)] = self.release(
                replace(bound, number=len(self.releases), keys=listed, siblings=siblings)
            )
        return [made[frozenset(each)] for each in asked]

    def release(self, release: Release) -> Release:
        """Keep a release, or return the equal one that is there: a statement may read one twice."""
        for known in self.releases:
            if replace(release, number=known.number) == known:
                return known
        self.releases.append(release)
        return release


def is_margin(node: exp.Expr) -> bool:
    """Say whether a node is margin(...) of one argument."""
    return isinstance(node, exp.Anonymous) and node.name.lower() == MARGIN and len(node.expressions) == 1


def _check_margins(tree: exp.Query) -> None:
    """Refuse margin(...) that no release has answered."""
    for node in find(tree, exp.Anonymous):
        if node.name.lower() == MARGIN:
            raise ProgrammingError(
                f"{shown(node)}: {MARGIN} takes an aggregate of federated rows, in the block that aggregates them",
                hint="SELECT avg(age), margin(avg(age)) FROM ...",
                position=position(node),
            )


@dataclass(frozen=True)
class Cut:
    """A statement after the cut: ``final`` over released relations, the ``releases``, and the ``inputs`` of some of these."""

    final: exp.Query
    releases: tuple[Release, ...]
    inputs: tuple[Input, ...]


def cut(tree: exp.Query, catalog: Catalog, trace: Trace) -> Cut:
    """Cut a statement that `rules.rewrite` has prepared. Into the ``trace`` goes what is rewritten on the way.

    Raises PolicyDenied when rows would move, NotSupportedError for what is not answered.
    """
    cutter = _Cutter(catalog, Inputs(catalog), trace)
    if cutter.query(tree):
        raise PolicyDenied(
            "this query would move rows: it reads federated rows and does not aggregate them",
            hint="group and aggregate, for example SELECT COUNT(*), AVG(x) FROM t, or ... GROUP BY a column",
            position=position(tree),
        )
    for query in (tree, *(each.query for each in cutter.inputs.found)):
        _check_margins(query)
    return Cut(tree, tuple(cutter.releases), tuple(cutter.inputs.found))


def _keys(select: exp.Select, calls: list[exp.Expr]) -> list[exp.Expr]:
    """Return the grouping expressions, each once."""
    group = select.args.get("group")
    if group is None and calls:
        return []
    distinct = select.args.get("distinct")
    if group is None and distinct is not None and distinct.args.get("on"):
        raise PolicyDenied(
            "DISTINCT ON over federated rows is refused: it would show single rows",
            hint="GROUP BY the columns instead",
            position=position(select),
        )
    found = grouping(select)
    keys = {sql_of(key): key for key in found if not isinstance(key, _CONSTANTS)}
    # constants divide nothing; but unlike an ungrouped release, their one group is there only if a row is
    return list(keys.values()) or [exp.Literal.number(1) for _ in found[:1]]


def _part(select: exp.Select, node: exp.Expr) -> str | None:
    """Return the name of the part of a block that ``node`` stands in."""
    while node.parent is not None and node.parent is not select:
        node = node.parent
    return node.arg_key


def _rewritten(before: str, query: exp.Expr) -> str:
    return f"{before}\n->\n{shown(query, tables=True, pretty=True)}"


def _compared(query: exp.Expr) -> list[exp.Select]:
    """Return the blocks whose rows a set operation compares, such that it does not matter how often each is there."""
    if isinstance(query, exp.SetOperation) and (keeps_all(query) or query.args.get("distinct")):
        return [*_compared(query.left), *_compared(query.right)]
    return [query] if isinstance(query, exp.Select) else []


def _one(alias: str) -> exp.Subquery:
    """Return a relation of one row, which says nothing."""
    row = exp.Select(expressions=[exp.alias_(exp.Literal.number(1), "nothing")])
    return exp.Subquery(this=row, alias=exp.TableAlias(this=exp.to_identifier(alias)))


def _distinct(nodes: Iterable[exp.Expr]) -> list[exp.Expr]:
    """Return nodes without those whose text was there before."""
    return list({sql_of(node): node for node in nodes}.values())
