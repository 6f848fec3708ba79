"""The logical plan as text: for EXPLAIN, and the SQL of aggregates as DuckDB reads it."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from fedsql.planner.logical import Aggregate, Release
from fedsql.planner.positions import shown
from fedsql.planner.relations import Filter, Join, Relation, Rows, Scan
from fedsql.planner.trees import sql_of


def describe(node: Release | Relation, depth: int = 0) -> str:
    """Render a plan as an indented tree, one node a line."""
    pad = "  " * depth
    if isinstance(node, Scan):
        where = f"{node.party}.{node.name}" if node.party else node.name
        return f"{pad}Scan {where} AS {node.alias} at {', '.join(node.parties)}"
    if isinstance(node, Filter):
        return f"{pad}Filter {shown(node.condition)}\n{describe(node.input, depth + 1)}"
    if isinstance(node, Rows):
        lines = [f"{pad}Rows AS {node.alias} at {', '.join(node.parties)}"]
        lines += [f"{pad}  {c.name} = {shown(c.expression, tables=True)}" for c in node.columns]
        text = shown(node.query, tables=True, pretty=True).replace("SELECT\n  *\n", "").replace("SELECT\nFROM", "FROM")
        lines += [f"{pad}  {line}" for line in text.splitlines()]
        return "\n".join([*lines, *(_described(node.join, pad) if node.join is not None else [])])
    keys = ", ".join(f"{k.name} = {shown(k.expression)}" + (f" ({k.type})" if k.type else "") for k in node.keys)
    lines = [f"{pad}Release {node.relation}" + (f" BY {keys}" if keys else "")]
    lines += [f"{pad}  {a.name} = {_shown_aggregate(a)}" + (f" ({a.type})" if a.type else "") for a in node.aggregates]
    return "\n".join(lines) + "\n" + describe(node.input, depth + 1)


def _described(join: Join, pad: str) -> list[str]:
    lines = [f"{pad}  Anchor {join.anchor.name} at {', '.join(join.anchor.parties)}"]
    for link in join.links:
        keys = " AND ".join(f"{shown(own)} = {shown(other)}" for own, other in link.keys)
        kind = "" if link.inner else " (rows that match nothing are kept)"
        lines.append(f"{pad}  Link {link.rows.name} at {link.provider} ON {keys}{kind}")
    return lines


def render_aggregate(aggregate: Aggregate) -> str:
    """Return the SQL of an aggregate as DuckDB reads it."""
    return _rendered(aggregate, lambda node: sql_of(node))


def _shown_aggregate(aggregate: Aggregate) -> str:
    return _rendered(aggregate, shown)


def _rendered(aggregate: Aggregate, render: Callable[[exp.Expr], str]) -> str:
    arguments = ", ".join(render(a) for a in aggregate.arguments) or "*"
    call = f"{aggregate.function}({'DISTINCT ' if aggregate.distinct else ''}{arguments})"
    return f"{call} FILTER (WHERE {render(aggregate.condition)})" if aggregate.condition is not None else call
