"""How far noisy aggregates may be off: the outputs of a release beforehand, and the columns of an answer that they become.

What an analyst sees are the columns of the block above the cut, which may rename, order or drop those of releases: each
answer column is followed down to the release column that it is. A column that is calculated from released values (ROUND, a
ratio, a sum of sums) has no entry: its error is not one number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import Scope, build_scope

from fedsql.planner.partials import Output
from fedsql.planner.plans import Plan, ReleasePlan
from fedsql.planner.relations import Filter, Rows
from fedsql.planner.sensitivity import Noise, off_by


def margins(release: ReleasePlan) -> dict[str, float | None]:
    """Return the half-width of the 95 % interval of each output of a noisy release, from public sizes alone.

    AVG and quantiles depend on the group's size: None when a condition leaves that open; else for a group without NULLs
    that has an even share of the rows, or, where keys are unknown, just as many units as it needs to be shown; quantiles
    where values are spread evenly between their bounds.
    """
    if release.noise is None:
        return {}
    by_name = dict(zip((p.name for p in release.partials), release.noise, strict=True))
    return {output.name: _margin(release, output, by_name) for output in release.outputs}


def _margin(release: ReleasePlan, output: Output, by_name: Mapping[str, Noise]) -> float | None:
    half = by_name[output.partials[-1]].error95
    if output.function == "count":
        return half
    half *= float(output.units[0])
    if output.function == "sum":
        return half
    if output.function != "avg" and output.ranges is None:
        return None
    # An average moves with its sum and with its count. Public sizes are powers of two above the true ones: half of each
    # is there for certain, unless a condition leaves rows out.
    rows = sum(offer.rows for offer in release.leaf.offers) / 2 / max(1, len(release.domain or ((),)))
    if release.noise_of_units is not None and release.circuit is not None:
        rows = release.circuit.tests[0]
    aggregate = next(a for a in release.release.aggregates if a.name == output.name)
    if isinstance(release.release.input, Filter | Rows) or aggregate.condition is not None or rows < 1:
        return None
    if output.ranges is not None:
        rank = off_by(output, by_name[output.partials[0]])
        return output.ranges.even_error(rank, rows) * abs(float(output.units[0]))
    widest = next(max(abs(p.low), abs(p.high)) for p in release.partials if p.name == output.partials[-1])
    counted = by_name[output.partials[0]].error95 * widest * float(output.units[0])
    return (half + counted) / rows


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
