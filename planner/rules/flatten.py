"""Merge row-wise derived tables into the block that reads them, so that policy and arithmetic see base columns.

SELECT SUM(v) FROM (SELECT price * (1 - discount) AS v FROM items WHERE price > 0) AS t
-> SELECT SUM(price * (1 - discount)) FROM items WHERE price > 0

Only where that means the same: not under an outer join that may pad the derived table's rows, and not where grouping sets
may make a key NULL that would be a constant, and so no key, once it is merged.
"""

from __future__ import annotations

from sqlglot import exp

from fedsql.planner.blocks import (
    aliases,
    conjuncts,
    defines,
    grouping,
    grouping_sets,
    is_grouped,
    is_outer,
    items,
    nested_queries,
    reads_federated,
)
from fedsql.planner.catalog import Catalog
from fedsql.planner.trees import find

_KEEP = ("limit", "offset", "sample", "qualify", "having", "with_", "laterals", "match", "connect", "windows")


def flatten(tree: exp.Query, catalog: Catalog) -> exp.Query:
    """Return ``tree`` with derived tables over federated rows merged where they can be, innermost first."""
    for select in reversed(find(tree, exp.Select)):
        while (item := _mergeable(select, catalog)) is not None:
            _merge(select, item, tree)
    return tree


def _mergeable(select: exp.Select, catalog: Catalog) -> exp.Subquery | None:
    joins = [join for _, join in items(select) if join is not None]
    if any(join.side in ("RIGHT", "FULL") or join.method for join in joins):
        return None
    has_sets = grouping_sets(select) is not None
    for item, join in items(select):
        if not isinstance(item, exp.Subquery) or item.args.get("pivots") or item.args.get("sample"):
            continue
        if join is not None and is_outer(join):
            continue
        inner = item.this
        if not isinstance(inner, exp.Select) or inner.args.get("from_") is None or is_grouped(inner):
            continue
        if any(inner.args.get(part) for part in _KEEP) or not reads_federated(inner, catalog):
            continue
        sides = [each.side for _, each in items(inner) if each is not None]
        if join is not None and any(side in ("RIGHT", "FULL") for side in sides):
            continue
        if any(nested_queries(p) or p.find(exp.Window) for p in inner.expressions):
            continue
        if has_sets and not all(p.find(exp.Column) for p in inner.expressions):
            continue
        return item
    return None


def _merge(select: exp.Select, item: exp.Subquery, tree: exp.Query) -> None:
    inner = item.this
    assert isinstance(inner, exp.Select)
    if (group := select.args.get("group")) is not None and group.args.get("all"):  # what it means is said by names
        keys = [key.copy() for key in grouping(select)]
        select.set("group", exp.Group(expressions=keys) if keys else None)
    near = [other for other in find(tree, exp.Select) if _is_inside(other, select) or _is_inside(select, other)]
    _rename(inner, {name for other in near if not _is_inside(other, item) for name in aliases(other)})
    values = {p.alias_or_name.lower(): p.unalias() for p in inner.expressions}
    alias = item.alias_or_name.lower()
    for column in [c for c in find(select, exp.Column) if c.table.lower() == alias and not _is_inside(c, item)]:
        if not defines(column, select) and column.name.lower() in values:
            column.replace(_standing(values[column.name.lower()], column))
    conditions = list(conjuncts(inner.args.get("where")))
    joins = [join for _, join in items(inner) if join is not None]
    first = inner.args["from_"].this
    holder = item.parent
    if isinstance(holder, exp.Join):
        conditions += conjuncts(holder.args.get("on"))
        listed = []
        for join in select.args["joins"]:
            listed += [exp.Join(this=first, kind="CROSS"), *joins] if join is holder else [join]
        select.set("joins", listed)
    else:
        select.set("from_", exp.From(this=first))
        select.set("joins", [*joins, *(select.args.get("joins") or [])] or None)
    conditions += conjuncts(select.args.get("where"))
    if conditions:
        select.set("where", exp.Where(this=exp.and_(*conditions, copy=False)))


def _standing(value: exp.Expr, column: exp.Column) -> exp.Expr:
    """Return a copy of ``value`` that can stand for ``column``, at its place in the text."""
    copy = value.copy()
    if isinstance(copy, exp.Column):
        copy.this.meta.update(column.this.meta)
    return copy if isinstance(copy, exp.Column | exp.Literal | exp.Paren) else exp.paren(copy, copy=False)


def _rename(inner: exp.Select, taken: set[str]) -> None:
    """Give the sources of ``inner`` other names where theirs are ``taken``: names that no query in it has, either."""
    nested = {name for query in find(inner, exp.Select) for name in aliases(query)}
    for item, _ in items(inner):
        old = item.alias_or_name
        if old.lower() not in taken:
            continue
        number = 2
        while f"{old}_{number}".lower() in taken | nested | aliases(inner):
            number += 1
        name = f"{old}_{number}"
        for column in find(inner, exp.Column):
            if column.table.lower() == old.lower() and not defines(column, inner):
                column.set("table", exp.to_identifier(name, quoted=True))
        item.set("alias", exp.TableAlias(this=exp.to_identifier(name, quoted=True)))


def _is_inside(node: exp.Expr, item: exp.Expr) -> bool:
    while node is not None and node is not item:
        node = node.parent  # type: ignore[assignment]
    return node is item
