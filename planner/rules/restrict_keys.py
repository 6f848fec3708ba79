"""Ask a nested release only for the groups that the block around it can look up: a semi-join with a public table.

SELECT part, AVG(quantity) FROM items GROUP BY part      -- looked up for parts.id, of parts WHERE brand = 'x'
-> SELECT part, AVG(quantity) FROM items WHERE part IN (SELECT id FROM parts WHERE brand = 'x') GROUP BY part

Without it every group would be released, looked up or not.
"""

from __future__ import annotations

from sqlglot import exp

from fedsql.planner.blocks import aliases, conjuncts, items, outside_columns, own_columns
from fedsql.planner.catalog import Catalog
from fedsql.planner.trees import find


def restrict_keys(query: exp.Select, inner: exp.Select, catalog: Catalog) -> bool:
    """Restrict ``inner``, which ``query`` looks up by ``_d.c0 = ...``; return whether anything changed."""
    pairs: dict[str, list[tuple[exp.Expr, exp.Column]]] = {}
    owners: dict[str, exp.Select] = {}
    for conjunct in conjuncts(query.args.get("where")):
        assert isinstance(conjunct, exp.EQ)
        other = conjunct.right.unnest()
        if isinstance(other, exp.Column) and (owner := _owner(other, query)) is not None:
            key = inner.args["group"].expressions[int(conjunct.left.name[1:])]
            pairs.setdefault(other.table.lower(), []).append((key, other))
            owners[other.table.lower()] = owner
    changed = False
    for alias, found in pairs.items():
        item = next(item for item, _ in items(owners[alias]) if item.alias_or_name.lower() == alias)
        if not isinstance(item, exp.Table) or not any(offer.public for offer in catalog.tables(item.name)):
            continue
        conditions = [c.copy() for c in _conditions(owners[alias], alias, catalog)]
        if not conditions:
            continue
        wanted = exp.Select(
            expressions=[exp.alias_(column.copy(), f"c{i}", quoted=True) for i, (_, column) in enumerate(found)]
        )
        wanted.set("from_", exp.From(this=item.copy()))
        wanted.set("where", exp.Where(this=exp.and_(*conditions, copy=False)))
        keys = [key.copy() for key, _ in found]
        left = keys[0] if len(keys) == 1 else exp.Tuple(expressions=keys)
        _and(inner, exp.In(this=left, query=exp.Subquery(this=wanted)))
        changed = True
    return changed


def _owner(column: exp.Column, query: exp.Query) -> exp.Select | None:
    """Return the block around ``query`` that defines the table of ``column``."""
    node = query.parent
    while node is not None:
        if isinstance(node, exp.Select) and column.table.lower() in aliases(node):
            return node
        node = node.parent
    return None


def _conditions(select: exp.Select, alias: str, catalog: Catalog) -> list[exp.Expr]:
    """Return the conditions of a block that hold for every row of it and are about the public table ``alias`` alone."""
    listed = list(conjuncts(select.args.get("where")))
    for _, join in items(select):
        if join is not None and not join.side and join.kind not in ("SEMI", "ANTI"):
            listed += conjuncts(join.args.get("on"))
    return [
        condition
        for condition in listed
        if {column.table.lower() for column in own_columns(condition)} == {alias}
        and _is_public(condition, alias, catalog)
    ]


def _is_public(condition: exp.Expr, alias: str, catalog: Catalog) -> bool:
    """Say whether the queries nested in a condition read public tables alone, and of what is around them ``alias``."""
    for query in find(condition, exp.Select):
        if any(
            not (table.db and any(o.public for o in catalog.tables(table.name))) for table in find(query, exp.Table)
        ):
            return False
        names = {alias} | {
            name for other in find(condition, exp.Select) if other is not query for name in aliases(other)
        }
        if any(column.table.lower() not in names for column in outside_columns(query)):
            return False
    return True


def _and(select: exp.Select, condition: exp.Expr) -> None:
    where = select.args.get("where")
    given = [where.this] if where is not None else []
    select.set("where", exp.Where(this=exp.and_(*given, condition, copy=False)))
