"""Which columns of an answer are noisy aggregates, and how far each may be off: +- in the words of the answer.

`explain.margins` knows the releases' own columns. What an analyst sees are the columns of the block above the cut, which
may rename, order or drop them: each answer column is followed down to the release column that it is. A column that is
calculated from released values (ROUND, a ratio, a sum of sums) has no entry: its error is not one number.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import Scope, build_scope

from fedsql.planner.explain import margins
from fedsql.planner.planning import Plan


def answer_margins(plan: Plan, names: Sequence[str]) -> dict[str, float | None]:
    """Return the half-width of the 95 % interval of each answer column that is a noisy aggregate, by ``names``.

    None stands for an average whose group's size is not known.
    """
    if plan.epsilon is None:
        return {}
    known = {release.release.relation: margins(release) for release in plan.releases}
    scope = build_scope(sqlglot.parse_one(plan.final, dialect="duckdb"))
    found: dict[str, float | None] = {}
    if scope is None or not isinstance(scope.expression, exp.Select):
        return found
    for name, selected in zip(names, scope.expression.selects, strict=False):
        relation, column = _released(selected, scope)
        if column in known.get(relation, {}):
            found[name] = known[relation][column]
    return found


def margin_notices(plan: Plan) -> tuple[str, ...]:
    """Return what must be said with the margins: those of averages hold for groups of even size only."""
    averages = (o for r in plan.releases if r.noise is not None for o in r.outputs)
    if any(output.function == "avg" for output in averages):
        return ("The margin of an average is for groups of even size without NULLs; over fewer rows it is larger.",)
    return ()


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
