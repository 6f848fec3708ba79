"""How a SELECT block looks: its sources, its own expressions, aggregates and keys, and the queries nested in it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from sqlglot import exp

from fedsql.planner.aggregates import is_aggregate
from fedsql.planner.catalog import Catalog
from fedsql.planner.trees import find, sql_of, walk

_WRAPPERS = (exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup)
_SETS = (exp.Rollup, exp.Cube, exp.GroupingSets)
_APART = ("from_", "joins", "with_", "laterals")


def items(select: exp.Select) -> list[tuple[exp.Expr, exp.Join | None]]:
    """Return the items of FROM, each with the join that adds it (None for the first)."""
    from_ = select.args.get("from_")
    first: list[tuple[exp.Expr, exp.Join | None]] = [(from_.this, None)] if from_ is not None else []
    return first + [(join.this, join) for join in select.args.get("joins") or []]


def kept_items(select: exp.Select) -> list[exp.Expr]:
    """Return the items of FROM whose rows a block yields: SEMI and ANTI joins only look theirs up."""
    return [item for item, join in items(select) if join is None or join.kind not in ("SEMI", "ANTI")]


def sides(query: exp.Expr) -> list[exp.Select]:
    """Return the blocks that a set operation is made of; a block itself is the only one of its own."""
    query = query.unnest()
    if isinstance(query, exp.SetOperation):
        return [*sides(query.left), *sides(query.right)]
    return [query] if isinstance(query, exp.Select) else []


def keeps_all(query: exp.SetOperation) -> bool:
    """Say whether a set operation puts rows side by side, and compares none."""
    return isinstance(query, exp.Union) and not query.args.get("distinct")


def yields_groups(query: exp.Expr) -> bool:
    """Say whether the rows of a query are groups, or taken from groups."""
    return all(
        is_grouped(side)
        or (
            bool(items(side)) and all(isinstance(item, exp.Subquery) and yields_groups(item) for item, _ in items(side))
        )
        for side in sides(query)
    )


def unordered(query: exp.Query) -> None:
    """Take ORDER BY off a query that stays below the cut: nothing there depends on it but which rows LIMIT leaves."""
    if not query.args.get("limit") and not query.args.get("offset"):
        query.set("order", None)


def own_nodes(select: exp.Select) -> Iterator[exp.Expr]:
    """Walk the expressions of ``select`` without entering FROM items, CTEs or nested queries."""
    for part, value in select.args.items():
        if part in _APART:
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, exp.Expr):
                yield from outer_nodes(item)


def outer_nodes(expression: exp.Expr) -> Iterator[exp.Expr]:
    """Walk an expression; nested queries are yielded, but not entered."""
    yield from walk(expression, prune=is_query)


def is_query(node: exp.Expr) -> bool:
    """Say whether a node is a query itself, not one in parentheses."""
    return isinstance(node, exp.Query) and not isinstance(node, exp.Subquery)


def blocks_around(query: exp.Expr) -> Iterator[exp.Select]:
    """Yield the blocks whose sources the columns of ``query`` may name, innermost first: not the one whose FROM it is in."""
    node, parent = query, query.parent
    while parent is not None:
        inside_from = isinstance(node, exp.Subquery) and isinstance(parent, exp.From | exp.Join)
        if inside_from and node.arg_key == "this" and (holder := parent.parent) is not None:
            node, parent = holder, holder.parent
            continue
        if isinstance(parent, exp.Select):
            yield parent
        node, parent = parent, parent.parent


def nested_queries(expression: exp.Expr) -> list[exp.Query]:
    """Return the queries directly inside of an expression, or of a block's own expressions and join conditions."""
    if not isinstance(expression, exp.Select):
        return [node for node in outer_nodes(expression) if isinstance(node, exp.Query) and is_query(node)]
    found = [node for node in own_nodes(expression) if isinstance(node, exp.Query) and is_query(node)]
    for _, join in items(expression):
        if join is not None and (on := join.args.get("on")) is not None:
            found += nested_queries(on)
    return found


def own_columns(expression: exp.Expr) -> list[exp.Column]:
    """Return the columns of an expression, those inside of nested queries left out."""
    return [node for node in outer_nodes(expression) if isinstance(node, exp.Column)]


def aggregate_calls(select: exp.Select) -> list[exp.Expr]:
    """Return the aggregate calls of a block, each with its FILTER; calls that are window functions are not aggregates."""
    found = []
    for node in own_nodes(select):
        if is_aggregate(node) and not is_windowed(node):
            while isinstance(node.parent, _WRAPPERS) and node.parent.this is node:
                node = node.parent
            found.append(node)
    return found


def is_windowed(node: exp.Expr) -> bool:
    """Say whether a call is the function of an OVER clause."""
    while isinstance(node.parent, _WRAPPERS) and node.parent.this is node:
        node = node.parent
    return isinstance(node.parent, exp.Window) and node.parent.this is node


def is_grouped(select: exp.Select) -> bool:
    """Say whether a block yields groups, not rows."""
    return bool(select.args.get("group") or select.args.get("distinct") or aggregate_calls(select))


def grouping(select: exp.Select) -> list[exp.Expr]:
    """Return the expressions of GROUP BY (ALL written out), or of DISTINCT: its projections. Constants are kept."""
    group = select.args.get("group")
    if group is None:
        return [p.unalias() for p in select.expressions] if select.args.get("distinct") else []
    if group.args.get("all"):
        calls, names = aggregate_calls(select), aliases(select)
        inside = {id(node) for call in calls for node in walk(call)}
        keys = [p.unalias() for p in select.expressions if not any(id(n) in inside for n in walk(p))]
        constant = not any(column.table.lower() in names for key in keys for column in find(key, exp.Column))
        return [] if calls and constant else keys  # beside aggregates alone DuckDB has ALL mean the whole
    return [key for key in group.expressions if not isinstance(key, exp.Tuple) or key.expressions]  # () has no keys


def grouping_sets(select: exp.Select) -> list[list[exp.Expr]] | None:
    """Return the keys of each grouping set of ROLLUP, CUBE and GROUPING SETS; None where GROUP BY has none of these.

    Several of them in one GROUP BY multiply, as in SQL:2016, 7.13. A whole number is the place of a projection.
    """
    group = select.args.get("group")
    if group is None or not any(isinstance(each, _SETS) for each in group.expressions):
        return None
    found: list[list[exp.Expr]] = [[]]
    for each in group.expressions:
        found = [[*before, *keys] for before in found for keys in _sets_of(each)]
    named = [[_at_place(key, select) for key in keys] for keys in found]
    return [list({sql_of(key): key for key in keys}.values()) for keys in named]


def _sets_of(element: exp.Expr) -> list[list[exp.Expr]]:
    parts = element.expressions if isinstance(element, _SETS) else []
    if isinstance(element, exp.Rollup):
        listed = [_keys_of(part) for part in parts]
        return [[key for part in listed[:count] for key in part] for count in range(len(listed), -1, -1)]
    if isinstance(element, exp.Cube):
        listed = [_keys_of(part) for part in parts]
        chosen = [c for count in range(len(listed), -1, -1) for c in combinations(listed, count)]
        return [[key for part in each for key in part] for each in chosen]
    if isinstance(element, exp.GroupingSets):
        return [keys for part in parts for keys in _sets_of(part)]
    return [_keys_of(element)]


def _keys_of(element: exp.Expr) -> list[exp.Expr]:
    bare = element.unnest()
    return [part.unnest() for part in bare.expressions] if isinstance(bare, exp.Tuple) else [bare]


def _at_place(key: exp.Expr, select: exp.Select) -> exp.Expr:
    """Return the projection that a whole number stands for in GROUP BY; any other key as it is."""
    place = int(key.name) - 1 if isinstance(key, exp.Literal) and key.is_int else -1
    return select.expressions[place].unalias() if 0 <= place < len(select.expressions) else key


def conjuncts(condition: exp.Expr | None) -> Iterator[exp.Expr]:
    """Yield the parts of a condition that must all hold."""
    if condition is None:
        return
    node = condition.this if isinstance(condition, exp.Where | exp.Having | exp.Qualify) else condition
    node = node.unnest()
    if isinstance(node, exp.And):
        yield from conjuncts(node.left)
        yield from conjuncts(node.right)
    else:
        yield node


def is_outer(join: exp.Join) -> bool:
    """Say whether a join's condition decides more than which pairs there are."""
    return join.side in ("LEFT", "RIGHT", "FULL") or join.kind in ("SEMI", "ANTI")


def equal_columns(conjunct: exp.Expr) -> tuple[exp.Column, exp.Column] | None:
    """Return both sides of an equality of two plain columns."""
    if not isinstance(conjunct, exp.EQ):
        return None
    left, right = conjunct.left.unnest(), conjunct.right.unnest()
    return (left, right) if isinstance(left, exp.Column) and isinstance(right, exp.Column) else None


def defines(column: exp.Column, outermost: exp.Select) -> bool:
    """Say whether a query between ``column`` and ``outermost`` defines the table that ``column`` names."""
    node: exp.Expr | None = column
    while node is not None and node is not outermost:
        if isinstance(node, exp.Select) and column.table.lower() in aliases(node):
            return True
        node = node.parent
    return False


def is_shadowed(node: exp.Expr) -> bool:
    """Say whether ``node`` stands in a nested query that defines a table which the node names."""
    tables = {column.table.lower() for column in find(node, exp.Column)}
    parent = node.parent
    while parent is not None:
        if isinstance(parent, exp.Select) and tables & aliases(parent):
            return True
        parent = parent.parent
    return False


def aliases(select: exp.Select) -> set[str]:
    """Return the names of a block's sources, lower case."""
    return {item.alias_or_name.lower() for item, _ in items(select)}


def outside_columns(query: exp.Query) -> list[exp.Column]:
    """Return the columns in ``query`` that name tables of the blocks around it.

    A column without a table is the name of a projection, as in ORDER BY: all others have been qualified.
    """
    found = []
    for column in (each for each in find(query, exp.Column) if each.table):
        node: exp.Expr | None = column
        while node is not None:
            if isinstance(node, exp.Select) and column.table.lower() in aliases(node):
                break
            node = None if node is query else node.parent
        else:
            found.append(column)
    return found


def is_federated(table: exp.Table, catalog: Catalog) -> bool:
    """Say whether a qualified table holds rows that stay at the parties."""
    if not table.db or not isinstance(table.this, exp.Identifier):
        return False
    offers = catalog.tables(table.name)
    return bool(offers) and not any(offer.public for offer in offers)


def reads_federated(query: exp.Expr, catalog: Catalog) -> bool:
    """Say whether any table in ``query`` is federated."""
    return any(is_federated(table, catalog) for table in find(query, exp.Table))
