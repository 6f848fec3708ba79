"""Queries and windows nested in a block that each party computes: what they see must be where the rows around them are.

A nested query over federated rows is linked with the block around it by an equality of party-scoped ids, in its WHERE or as
`id IN (SELECT id ...)`; a window has such an id in its PARTITION BY.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from fedsql.planner.blocks import (
    aggregate_calls,
    conjuncts,
    equal_columns,
    nested_queries,
    outside_columns,
    reads_federated,
)
from fedsql.planner.positions import position
from fedsql.planner.sources import Env, NotLocal
from fedsql.planner.trees import find

if TYPE_CHECKING:
    from fedsql.planner.below import Below


def check_nested(below: Below, expression: exp.Expr, envs: list[Env]) -> None:
    """Analyse the queries and windows in an expression: federated ones must stay where the rows around them are.

    Raises NotLocal.
    """
    for query in nested_queries(expression):
        for column in outside_columns(query):
            below.use("join" if _is_compared(column) else "filter", column, envs)
        if not reads_federated(query, below.catalog):
            below.derived(query, "", envs)
            continue
        if isinstance(query, exp.Select) and not query.args.get("group") and aggregate_calls(query):
            inner = below.block(query, envs)  # one aggregate for each row around it
            for projection in query.expressions:
                below.use("filter", projection, [inner, *envs])
        else:
            below.derived(query, "", envs)
        if not is_linked(below, query, envs):
            names = ", ".join(sorted({t.name for t in find(query, exp.Table)}))
            raise NotLocal(
                f"this subquery needs rows of other parties: nothing links {names} with the query around it",
                hint="link them by the privacy unit or a declared reference; rows of different parties: by JOIN",
                position=position(query),
            )
        mixed = not any(_links(below, query, envs))
        below.mixed |= mixed
        below.spread |= mixed and isinstance(query.parent, exp.Subquery) and not isinstance(query.parent.parent, exp.In)
    for window in find(expression, exp.Window):
        if (holder := window.find_ancestor(exp.Query)) is None or holder is expression.find_ancestor(exp.Query):
            _check_window(below, window, envs)  # one of a nested query has been checked with it


def is_linked(below: Below, query: exp.Query, envs: list[Env]) -> bool:
    """Say whether a nested query over federated rows needs only rows that are where those around it are."""
    return below.alone or bool(_links(below, query, envs))


def _check_window(below: Below, window: exp.Window, envs: list[Env]) -> None:
    parts = [below.lineage(part, envs) for part in window.args.get("partition_by") or []]
    keys = [part for part in parts if part.key is not None]
    mixed = not any(below.tells_unit(key) for key in keys)
    below.mixed, below.spread = below.mixed or mixed, below.spread or mixed
    if not keys and not below.alone:
        raise NotLocal(
            "a window over federated rows needs PARTITION BY the privacy unit or a declared reference",
            hint="or aggregate with GROUP BY first; windows over the released groups work",
            position=position(window),
        )


def _links(below: Below, query: exp.Query, envs: list[Env]) -> list[bool]:
    """Return, for each pair of ids that links a nested query's rows with those around it, whether both tell the unit."""
    if not isinstance(query, exp.Select):
        return []
    around = query.parent.parent if isinstance(query.parent, exp.Subquery) else query.parent
    other = below.apart()
    own = other.block(query, envs)
    inside, found = [own, *envs], []
    if isinstance(around, exp.In) and not isinstance(around.this, exp.Tuple) and len(query.expressions) == 1:
        pair = below.lineage(around.this, envs), other.lineage(query.expressions[0].unalias(), inside)
        if pair[0].domain is not None and pair[0].domain == pair[1].domain:
            found.append(other.tells_unit(*pair))
    for conjunct in conjuncts(query.args.get("where")):
        link = other.link(conjunct, inside)
        if link and len({column.table.lower() in own for column in link}) == 2:
            found.append(other.tells_unit(*(other.column(column, inside) for column in link)))
    return found


def _is_compared(column: exp.Column) -> bool:
    """Say whether all that a nested query does with a column of a block around it is to compare it with another column."""
    parent = column.parent
    while isinstance(parent, exp.Paren):
        parent = parent.parent
    return parent is not None and equal_columns(parent) is not None
