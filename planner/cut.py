"""The cut: where a statement leaves the parties.

One rule, bottom-up: a SELECT block that reads federated rows and has aggregates, GROUP BY or DISTINCT is cut, unless each
party can compute it alone (its keys hold a party-scoped id) and it stands inside of a block that is itself cut. A cut block
splits into a *release* (its keys and aggregates: the only part that parties run) and the same block reading the released
relation (`planner.splitting`). A block that reads federated rows and is not cut must stand inside of one that is, else the
statement would move rows and is refused.

    SELECT sex, AVG(age) AS a FROM patients WHERE age > 40 GROUP BY sex HAVING COUNT(*) > 5 ORDER BY a
    -> release 0: keys sex; AVG(age), COUNT(*) over patients WHERE age > 40
       SELECT _r0.k0 AS sex, _r0.a0 AS a FROM _release_0 AS _r0 WHERE _r0.a1 > 5 ORDER BY a

A release that another one reads makes *stages*: what the first one releases is an input of the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from sqlglot import exp

from fedsql.errors import PolicyDenied, ProgrammingError
from fedsql.planner.below import Below
from fedsql.planner.blocks import (
    blocks_around,
    is_federated,
    is_grouped,
    items,
    keeps_all,
    nested_queries,
    reads_federated,
    sides,
    unordered,
)
from fedsql.planner.catalog import Catalog
from fedsql.planner.inputs import Input, Inputs
from fedsql.planner.logical import MARGIN, Release
from fedsql.planner.nested import is_linked
from fedsql.planner.positions import Trace, position, shown
from fedsql.planner.private import joins_parties
from fedsql.planner.rules.decorrelate import bare_lookup, decorrelate
from fedsql.planner.rules.restrict_keys import restrict_keys
from fedsql.planner.sources import Env, NotLocal
from fedsql.planner.splitting import UPPER, Splitter
from fedsql.planner.trees import find


@dataclass
class _Cutter:
    """Finds the blocks of one statement that are cut, the inner ones first, and has the ``splitter`` split them."""

    catalog: Catalog
    splitter: Splitter
    trace: Trace

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
            self.splitter.split(query)
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
            bare_lookup(query)
            if below and (stays or _part(select, query) not in UPPER) and self.linked(select, query):
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
        for side in sides(query):
            for item, _ in items(side):
                self.source(item, inside=True)
            self.nested(side, below=True)

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
    splitter = Splitter(catalog, Inputs(catalog))
    if _Cutter(catalog, splitter, trace).query(tree):
        raise PolicyDenied(
            "this query would move rows: it reads federated rows and does not aggregate them",
            hint="group and aggregate, for example SELECT COUNT(*), AVG(x) FROM t, or ... GROUP BY a column",
            position=position(tree),
        )
    inputs = tuple(splitter.inputs.found)
    for query in (tree, *(each.query for each in inputs)):
        _check_margins(query)
    return Cut(tree, tuple(splitter.releases), inputs)


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
