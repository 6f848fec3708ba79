"""Which columns of an answer are noisy aggregates, and how far each may be off: +- in the words of the answer.

What an analyst sees are the columns of the block above the cut, which may rename, order or drop those of releases: each
answer column is followed down to the release column that it is. A column that is calculated from released values (ROUND, a
ratio, a sum of sums) has no entry: its error is not one number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import Scope, build_scope

from fedsql.planner.plans import Plan


def answer_margins(
    plan: Plan, names: Sequence[str], known: Mapping[tuple[str, str], float | None]
) -> dict[str, float | None]:
    """Return the half-width of the 95 % interval of each answer column that is a noisy aggregate, by ``names``.

    ``known`` has that of each (relation, column) that was released: the largest of all groups, None where there are no
    values.
    """
    if plan.epsilon is None:
        return {}
    selected = zip(names, _selected(plan), strict=False)
    return {name: known[released] for name, (_, released) in selected if released in known}


def answer_names(plan: Plan) -> dict[tuple[str, str], str]:
    """Return the name in the answer of each (relation, column) that it passes on unchanged; of several the last."""
    return {released: name for name, released in _selected(plan)}


def _selected(plan: Plan) -> list[tuple[str, tuple[str, str]]]:
    """Return the name of each answer column, and the (relation, column) that it is."""
    scope = build_scope(sqlglot.parse_one(plan.final, dialect="duckdb"))
    if scope is None or not isinstance(scope.expression, exp.Select):
        return []
    return [(each.alias_or_name, _released(each, scope)) for each in scope.expression.selects]


def _released(selected: exp.Expr, scope: Scope) -> tuple[str, str]:
    """Return (relation, column) that a selected expression passes on unchanged; empty names when it calculates."""
    column = selected.unalias()
    source = scope.sources.get(column.table) if isinstance(column, exp.Column) else None
    if isinstance(source, exp.Table):
        return source.name, column.name
    if isinstance(source, Scope) and isinstance(source.expression, exp.Select):
        for inner in source.expression.selects:
            if inner.alias_or_name == column.name:
                return _released(inner, source)
    return "", ""
