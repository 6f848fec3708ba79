"""Compute the subqueries inside of aggregates and grouping keys in a derived table first: aggregates take values of rows.

SELECT sex, SUM(CASE WHEN EXISTS (SELECT 1 FROM visits v WHERE v.patient = p.id) THEN 1 ELSE 0 END) FROM patients p GROUP BY sex
-> SELECT c.sex, SUM(CASE WHEN c._c1 THEN 1 ELSE 0 END) FROM
   (SELECT p.sex, EXISTS (SELECT 1 FROM visits v WHERE v.patient = p.id) AS _c1 FROM patients p) AS c GROUP BY c.sex

Not where a subquery stands elsewhere above WHERE: it may name what the derived table would hide. Nor where rows of different
parties are joined: no party has such a row.
"""

from __future__ import annotations

from sqlglot import exp

from fedsql.planner.blocks import (
    aggregate_calls,
    aliases,
    grouping,
    grouping_sets,
    is_grouped,
    is_query,
    nested_queries,
    outside_columns,
    reads_federated,
    yields_groups,
)
from fedsql.planner.catalog import Catalog
from fedsql.planner.private import joins_parties
from fedsql.planner.trees import copied_rows, find, sql_of

_BELOW = ("from_", "joins", "where")
_APART = ("sample", "laterals", "match", "connect", "with_", "windows")


def compute_first(tree: exp.Query, catalog: Catalog) -> exp.Query:
    """Return ``tree`` with the subqueries of aggregates and grouping keys over federated rows computed row by row."""
    for select in find(tree, exp.Select):
        if not is_grouped(select) or not _has_inside(select, catalog) or joins_parties(select, catalog):
            continue
        if reads_federated(copied_rows(select), catalog):
            _move(select)
    return tree


def _has_inside(select: exp.Select, catalog: Catalog) -> bool:
    """Say whether there are subqueries above WHERE, all of them inside of aggregates or keys, and over this block's rows.

    At least one: values that the analyst computes, of released groups or of no rows, may stay.
    """
    above = [query for part, value in select.args.items() if part not in _BELOW for query in _queries(value)]
    if not above or any(select.args.get(part) for part in _APART) or grouping_sets(select) is not None:
        return False
    if all(_is_input(query, catalog) for query in above):
        return False
    calls, keys = {id(call) for call in aggregate_calls(select)}, {sql_of(key) for key in grouping(select)}
    own = aliases(select)
    for query in above:
        node: exp.Expr | None = query
        while node is not None and node is not select and id(node) not in calls and sql_of(node) not in keys:
            node = node.parent
        if node is None or node is select or any(c.table.lower() not in own for c in outside_columns(query)):
            return False
    return True


def _is_input(query: exp.Query, catalog: Catalog) -> bool:
    """Say whether a nested query becomes one value that the analyst computes."""
    if outside_columns(query) or not isinstance(_holder(query), exp.Subquery):
        return False
    if reads_federated(query, catalog):
        return yields_groups(query)
    tables = find(query, exp.Table)
    return not tables or any(not table.db for table in tables)


def _queries(part: object) -> list[exp.Query]:
    """Return the queries nested in a part of a block."""
    listed = part if isinstance(part, list) else [part]
    return [query for each in listed if isinstance(each, exp.Expr) for query in nested_queries(each)]


def _move(select: exp.Select) -> None:
    """Let a block read a derived table, in place: of the columns that it names and the values of its subqueries."""
    inner, own, alias = copied_rows(select), aliases(select), "_computed"
    while any(alias == identifier.name.lower() for identifier in find(select, exp.Identifier)):
        alias += "_"
    names: dict[str, str] = {}

    def computed(node: exp.Expr) -> exp.Expr:
        text = sql_of(node)
        if text not in names:
            free = isinstance(node, exp.Column) and node.name.lower() not in names.values()
            names[text] = node.name.lower() if free else f"_c{len(names)}"
            name = exp.to_identifier(names[text], quoted=True)
            inner.append("expressions", exp.Alias(this=node.copy(), alias=name))
        column = exp.column(names[text], table=alias, quoted=True)
        for name in find(node, exp.Identifier)[:1]:  # where an error points at
            column.this.meta.update(name.meta)
        return column

    def replaced(node: exp.Expr) -> exp.Expr:
        held = not is_query(node) and any(_holder(query) is node for query in nested_queries(node))
        return computed(node) if held or (isinstance(node, exp.Column) and node.table.lower() in own) else node

    for part, value in list(select.args.items()):
        if part in _BELOW or not value:
            continue
        listed = [
            v.transform(replaced) if isinstance(v, exp.Expr) else v
            for v in (value if isinstance(value, list) else [value])
        ]
        select.set(part, listed if isinstance(value, list) else listed[0])
    relation = exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    select.set("from_", exp.From(this=relation))
    select.set("joins", None)
    select.set("where", None)


def _holder(query: exp.Expr) -> exp.Expr:
    """Return the expression whose value a nested query decides: EXISTS, a comparison, or the query in parentheses."""
    node = query
    while is_query(node) or (isinstance(node.parent, exp.In) and node.arg_key == "query"):
        assert node.parent is not None
        node = node.parent
    return node.parent if isinstance(node, exp.Any | exp.All) and node.parent is not None else node
