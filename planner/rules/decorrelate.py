"""Turn a nested query that needs rows of several parties into a look-up in a released relation.

... WHERE quantity < (SELECT 0.2 * AVG(quantity) FROM items WHERE items.part = parts.id)
-> ... WHERE quantity < (SELECT 0.2 * MAX(_d.a0) FROM (SELECT items.part AS c0, AVG(quantity) AS a0 FROM items
                         GROUP BY items.part) AS _d WHERE _d.c0 = parts.id)

The derived table is cut like any other aggregate; what is left of the query is about one of its rows, or none. EXISTS and
IN over rows become look-ups of distinct values.
"""

from __future__ import annotations

from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.blocks import aggregate_calls, conjuncts, is_grouped, outside_columns, unordered
from fedsql.planner.positions import position, shown
from fedsql.planner.trees import find, sql_of, walk
from fedsql.planner.unions import check_parts

_ALIAS = "_d"


def bare_lookup(query: exp.Query) -> None:
    """Take off a nested query, in place, what changes nothing about whether it has a row, or which values it has.

    That is ORDER BY without LIMIT, DISTINCT under EXISTS and IN, and a LIMIT that leaves a row, where one is all that counts.
    """
    around, limit = _around(query), query.args.get("limit")
    single = isinstance(query, exp.Select) and not query.args.get("group") and bool(aggregate_calls(query))
    if (single or isinstance(around, exp.Exists)) and limit is not None and not query.args.get("offset"):
        count = limit.expression
        if isinstance(count, exp.Literal) and count.name.isdecimal() and int(count.name) > 0:
            query.set("limit", None)
    unordered(query)
    chosen = query.args.get("limit") or query.args.get("offset")
    if isinstance(query, exp.Select) and isinstance(around, exp.Exists | exp.In) and not chosen:
        distinct = query.args.get("distinct")
        if distinct is not None and not distinct.args.get("on"):
            query.set("distinct", None)


def decorrelate(query: exp.Query) -> exp.Select | None:
    """Rewrite ``query`` in place; return the derived table that it now reads, None when nothing had to change.

    Raises NotSupportedError where it is linked with the block around it by anything but equalities, PolicyDenied where it
    would choose rows.
    """
    if not isinstance(query, exp.Select):
        return None
    rows = not is_grouped(query)
    around = _around(query)
    outside = outside_columns(query)
    if rows and (outside or isinstance(around, exp.Exists | exp.In)):
        check_parts(query)
        if query.args.get("qualify"):
            raise NotSupportedError(
                "QUALIFY over rows of several parties is not answered",
                hint="aggregate with GROUP BY first; windows over the released groups work",
                position=position(query.args["qualify"]) or position(query),
            )
    if rows and isinstance(around, exp.Exists) and not outside:
        _count(query, around)
        return None
    if not outside and not (rows and isinstance(around, exp.In)):
        return None
    if not rows and (query.args.get("group") or not aggregate_calls(query)):
        raise NotSupportedError(
            f"this subquery needs rows of several parties, and groups of its own for each {shown(outside[0])} around it",
            hint="join the aggregated table in FROM, or link both by the privacy unit",
            position=position(outside[0]),
        )
    keys, others, rest = _split(query, outside)
    calls = aggregate_calls(query)
    selected = [p.unalias() for p in query.expressions] if rows and isinstance(around, exp.In) else []
    values = [*keys, *selected]
    columns = [exp.alias_(value.copy(), f"c{i}", quoted=True) for i, value in enumerate(values)]
    distinct = list({sql_of(call): call for call in calls}.values())
    columns += [exp.alias_(call.copy(), f"a{i}", quoted=True) for i, call in enumerate(distinct)]
    inner = exp.Select(expressions=columns)
    for part in ("from_", "joins"):
        inner.set(part, query.args.get(part))
    if rest:
        inner.set("where", exp.Where(this=exp.and_(*(c.copy() for c in rest), copy=False)))
    inner.set("group", exp.Group(expressions=[value.copy() for value in values]))
    _read(query, distinct, len(keys), bool(selected), rows)
    query.set("from_", exp.From(this=exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier(_ALIAS)))))
    query.set("joins", None)
    found = [exp.EQ(this=_column(f"c{i}"), expression=other.copy()) for i, other in enumerate(others)]
    query.set("where", exp.Where(this=exp.and_(*found, copy=False)) if found else None)
    return inner


def _around(query: exp.Query) -> exp.Expr | None:
    """Return the expression that a nested query stands in, its parentheses aside."""
    return query.parent.parent if isinstance(query.parent, exp.Subquery) else query.parent


def _read(query: exp.Select, calls: list[exp.Expr], keys: int, selects: bool, rows: bool) -> None:
    """Let the query's own expressions read the derived table instead of rows."""
    if rows:
        query.set("expressions", [exp.alias_(_column(f"c{keys}") if selects else exp.Literal.number(1), "found")])
        return
    names = {sql_of(call): f"a{i}" for i, call in enumerate(calls)}

    def read(node: exp.Expr) -> exp.Expr:
        name = names.get(sql_of(node))
        if name is None:
            return node
        inner = node.this if isinstance(node, exp.Filter) else node
        if isinstance(inner, exp.Count | exp.CountIf):
            zero = exp.Coalesce(this=exp.Sum(this=_column(name)), expressions=[exp.Literal.number(0)])
            return exp.cast(zero, "BIGINT", dialect="duckdb")
        return exp.Max(this=_column(name))

    query.set("expressions", [p.transform(read) for p in query.expressions])
    if query.args.get("having"):
        query.set("having", query.args["having"].transform(read))


def _split(query: exp.Select, outside: list[exp.Column]) -> tuple[list[exp.Expr], list[exp.Expr], list[exp.Expr]]:
    """Return the query's own sides of the equalities with blocks around it, the other sides, and its other conditions."""
    of_outside = {id(column) for column in outside}
    keys: list[exp.Expr] = []
    others: list[exp.Expr] = []
    rest: list[exp.Expr] = []
    used: set[int] = set()
    for conjunct in conjuncts(query.args.get("where")):
        here = {id(node) for node in walk(conjunct)} & of_outside
        if not here:
            rest.append(conjunct)
            continue
        if isinstance(conjunct, exp.EQ):
            for own, other in ((conjunct.left, conjunct.right), (conjunct.right, conjunct.left)):
                columns = find(other, exp.Column)
                if (
                    columns
                    and all(id(c) in of_outside for c in columns)
                    and not any(id(c) in of_outside for c in find(own, exp.Column))
                ):
                    keys.append(own)
                    others.append(other)
                    used |= here
                    break
    left = [column for column in outside if id(column) not in used]
    if left:
        raise _refusal(left[0])
    return keys, others, rest


def _count(query: exp.Select, exists: exp.Exists) -> None:
    """EXISTS (SELECT ... FROM t) -> (SELECT COUNT(*) FROM t) > 0."""
    query.set("expressions", [exp.alias_(exp.Count(this=exp.Star()), "found")])
    exists.replace(exp.GT(this=exp.Subquery(this=query), expression=exp.Literal.number(0)))


def _column(name: str) -> exp.Column:
    return exp.column(name, table=_ALIAS, quoted=True)


def _refusal(column: exp.Column) -> NotSupportedError:
    return NotSupportedError(
        f"this subquery needs rows of several parties, and {shown(column)} of the query around it is more than compared"
        " with = there",
        hint="join the aggregated table in FROM, or link both by the privacy unit",
        position=position(column),
    )
