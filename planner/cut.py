"""The cut: where a statement leaves the parties.

One rule, bottom-up: a SELECT block that reads federated rows and has aggregates, GROUP BY or DISTINCT is cut. It splits
into a *release* (its keys and aggregates: the only part that parties run) and the same block reading the released
relation. A block that reads federated rows and is not cut is row-wise: it may stand inside a block that is (and is
bound into it), else the statement would move rows and is refused.

    SELECT sex, AVG(age) AS a FROM patients WHERE age > 40 GROUP BY sex HAVING COUNT(*) > 5 ORDER BY a
    -> release 0: keys sex; AVG(age), COUNT(*) over patients WHERE age > 40
       SELECT _r0.k0 AS sex, _r0.a0 AS a FROM _release_0 AS _r0 WHERE _r0.a1 > 5 ORDER BY a
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from fedsql.errors import NotSupportedError, PolicyDenied
from fedsql.planner.binder import bind_release
from fedsql.planner.catalog import Catalog
from fedsql.planner.functions import is_aggregate
from fedsql.planner.logical import Release
from fedsql.planner.positions import position
from fedsql.planner.schema import UNION

_CONSTANTS = (exp.Literal, exp.Boolean, exp.Null)
_UPPER = ("expressions", "having", "qualify", "order", "distinct", "windows", "limit", "offset")


@dataclass
class _Cutter:
    catalog: Catalog
    releases: list[Release] = field(default_factory=list)

    def query(self, query: exp.Query, blocks: Mapping[str, exp.Query]) -> bool:
        """Cut inside ``query``; return whether what is left of it yields federated rows."""
        scope = dict(blocks)
        if (with_ := query.args.get("with_")) is not None:
            for cte in list(with_.expressions):
                scope.pop(cte.alias.lower(), None)
                if self.query(cte.this, scope):
                    scope[cte.alias.lower()] = cte.this
                    cte.pop()  # bound where it is used; it never runs as a relation of its own
            if not with_.expressions:
                query.set("with_", None)
        if isinstance(query, exp.Subquery):
            return self.query(query.this, scope)
        if isinstance(query, exp.SetOperation):
            sides = [self.query(query.left, scope), self.query(query.right, scope)]
            return any(sides)
        if not isinstance(query, exp.Select):
            return False
        rows = [self.source(source, scope) for source in _sources(query)]
        for nested in _nested_queries(query):
            if self.query(nested, scope):
                raise PolicyDenied(
                    "this subquery would move rows: it reads federated rows without aggregating them",
                    hint="aggregate inside the subquery, for example SELECT COUNT(*) or AVG(...)",
                    position=position(nested),
                )
        if not any(rows):
            return False
        calls = list(_aggregate_calls(query))
        if not calls and not query.args.get("group") and not query.args.get("distinct"):
            return True
        self.block(query, calls, scope)
        return False

    def source(self, source: exp.Expr, blocks: Mapping[str, exp.Query]) -> bool:
        """Return whether a FROM item yields federated rows."""
        if isinstance(source, exp.Subquery):
            return self.query(source, blocks)
        if not isinstance(source, exp.Table) or not isinstance(source.this, exp.Identifier):
            return False
        if not source.db:
            return source.name.lower() in blocks
        return source.db.lower() != UNION or bool(self.catalog.tables(source.name))

    def block(self, select: exp.Select, calls: list[exp.Expr], blocks: Mapping[str, exp.Query]) -> None:
        """Split ``select`` in place: bind its release, and let it read the released relation."""
        if sample := select.args.get("sample"):  # DuckDB samples what FROM yields, before it aggregates
            raise PolicyDenied(
                "SAMPLE over federated rows is refused",
                hint="aggregate in a subquery; SAMPLE works on the released groups",
                position=position(sample),
            )
        keys = _keys(select, calls)
        aggregates = list({call.sql("duckdb"): call for call in calls}.values())
        release = bind_release(len(self.releases), select, keys, aggregates, self.catalog, blocks)
        self.releases.append(release)
        alias = f"_r{release.number}"
        names = {key.sql("duckdb"): f"k{i}" for i, key in enumerate(keys) if not isinstance(key, _CONSTANTS)}
        names |= {call.sql("duckdb"): f"a{i}" for i, call in enumerate(aggregates)}
        below = {source.alias_or_name.lower() for source in _sources(select)}

        def lift(node: exp.Expr) -> exp.Expr:
            name = names.get(node.sql("duckdb"))
            if name is None or _is_windowed(node) or any(_defines(c, select) for c in node.find_all(exp.Column)):
                return node
            return exp.column(name, table=alias, quoted=True)

        for part in _UPPER:
            value = select.args.get(part)
            if isinstance(value, list):
                select.set(part, [item.transform(lift) for item in value])
            elif isinstance(value, exp.Expr):
                select.set(part, value.transform(lift))
        having = select.args.get("having")
        select.set("from_", exp.From(this=exp.alias_(exp.to_table(release.relation), alias, table=True)))
        select.set("joins", None)
        select.set("where", exp.Where(this=having.this) if having is not None else None)
        select.set("having", None)
        select.set("group", None)
        for column in select.find_all(exp.Column):
            if column.table.lower() in below and not _defines(column, select):
                raise NotSupportedError(
                    f"{column.sql('duckdb')} is used above the GROUP BY, where only keys and aggregates exist",
                    hint="add it to GROUP BY, or aggregate it",
                    position=position(column),
                )


def cut(tree: exp.Query, catalog: Catalog) -> tuple[exp.Query, tuple[Release, ...]]:
    """Cut a qualified statement. Returns the statement over released relations, and the releases.

    Raises PolicyDenied when rows would move, NotSupportedError for what is not answered.
    """
    cutter = _Cutter(catalog)
    if cutter.query(tree, {}):
        raise PolicyDenied(
            "this query would move rows: it reads federated rows and does not aggregate them",
            hint="group and aggregate, for example SELECT COUNT(*), AVG(x) FROM t, or ... GROUP BY a column",
            position=position(tree),
        )
    return tree, tuple(cutter.releases)


def _sources(select: exp.Select) -> list[exp.Expr]:
    from_ = select.args.get("from_")
    return ([from_.this] if from_ is not None else []) + [join.this for join in select.args.get("joins") or []]


def _own_nodes(select: exp.Select) -> Iterator[exp.Expr]:
    """Walk the expressions of ``select`` without entering FROM items, CTEs or nested queries."""
    for part, value in select.args.items():
        if part in ("from_", "joins", "with_", "laterals"):
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, exp.Expr):
                yield from item.walk(prune=lambda n: isinstance(n, exp.Query))


def _nested_queries(select: exp.Select) -> list[exp.Query]:
    return [node for node in _own_nodes(select) if isinstance(node, exp.Query)]


def _aggregate_calls(select: exp.Select) -> Iterator[exp.Expr]:
    """Yield aggregate calls of ``select``, each with its FILTER; calls that are window functions are not aggregates."""
    for node in _own_nodes(select):
        if is_aggregate(node) and not _is_windowed(node):
            wrapper = node
            while (
                isinstance(wrapper.parent, exp.Filter | exp.IgnoreNulls | exp.WithinGroup)
                and wrapper.parent.this is wrapper
            ):
                wrapper = wrapper.parent
            yield wrapper


def _is_windowed(node: exp.Expr) -> bool:
    """Say whether a call is the function of an OVER clause."""
    while (
        isinstance(node.parent, exp.Filter | exp.IgnoreNulls | exp.RespectNulls | exp.WithinGroup)
        and node.parent.this is node
    ):
        node = node.parent
    return isinstance(node.parent, exp.Window) and node.parent.this is node


def _keys(select: exp.Select, calls: list[exp.Expr]) -> list[exp.Expr]:
    """Return the grouping expressions, each once."""
    group = select.args.get("group")
    found: list[exp.Expr] = []
    if group is not None:
        for kind, name in ((exp.Rollup, "ROLLUP"), (exp.Cube, "CUBE"), (exp.GroupingSets, "GROUPING SETS")):
            if any(group.find_all(kind)):
                raise NotSupportedError(
                    f"{name} is not answered yet",
                    hint="write one GROUP BY query for each level",
                    position=position(group),
                )
        found = list(group.expressions)
        if group.args.get("all"):
            inside = {id(node) for call in calls for node in call.walk()}
            found = [p.unalias() for p in select.expressions if not any(id(n) in inside for n in p.walk())]
    elif select.args.get("distinct") and not calls:
        if select.args["distinct"].args.get("on"):
            raise PolicyDenied(
                "DISTINCT ON over federated rows is refused: it would show single rows",
                hint="GROUP BY the columns instead",
                position=position(select),
            )
        found = [p.unalias() for p in select.expressions]
    found = [key for key in found if not isinstance(key, exp.Tuple) or key.expressions]  # GROUP BY () has no keys
    keys = {key.sql("duckdb"): key for key in found if not isinstance(key, _CONSTANTS)}
    # constants divide nothing; but unlike an ungrouped release, their one group is there only if a row is
    return list(keys.values()) or [exp.Literal.number(1) for _ in found[:1]]


def _defines(column: exp.Column, outermost: exp.Select) -> bool:
    """Say whether a query between ``column`` and ``outermost`` defines the table that ``column`` names."""
    node: exp.Expr | None = column
    while node is not None and node is not outermost:
        if isinstance(node, exp.Select) and column.table.lower() in {s.alias_or_name.lower() for s in _sources(node)}:
            return True
        node = node.parent
    return False
