"""Put the expressions of a projection in place of the columns that refer to it, so that policy sees base columns.

Release BY t.a  <-  Project p.age + 1 AS a  <-  Scan patients AS p
-> Release BY p.age + 1  <-  Scan patients AS p
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from fedsql.planner.logical import Filter, Project, Relation, Release


def merge_projections(release: Release) -> Release:
    """Return ``release`` without `Project` nodes."""
    while (found := _first(release.input)) is not None:
        release = replace(
            release,
            input=_without(release.input, found),
            keys=tuple(replace(k, expression=_substitute(k.expression, found)) for k in release.keys),
            aggregates=tuple(
                replace(
                    a,
                    arguments=tuple(_substitute(x, found) for x in a.arguments),
                    condition=_substitute(a.condition, found) if a.condition is not None else None,
                )
                for a in release.aggregates
            ),
        )
    return release


def _first(relation: Relation) -> Project | None:
    while isinstance(relation, Filter):
        relation = relation.input
    return relation if isinstance(relation, Project) else None


def _without(relation: Relation, project: Project) -> Relation:
    if relation is project:
        return project.input
    assert isinstance(relation, Filter)
    return Filter(_without(relation.input, project), _substitute(relation.condition, project))


def _substitute(expression: exp.Expr, project: Project) -> exp.Expr:
    """Replace each column of ``project`` in ``expression`` by what it stands for, in parentheses where needed."""
    columns = dict(project.columns)

    def swap(node: exp.Expr) -> exp.Expr:
        if (
            isinstance(node, exp.Column)
            and node.table.lower() == project.alias.lower()
            and node.name.lower() in columns
        ):
            value = columns[node.name.lower()].copy()
            return value if isinstance(value, exp.Column | exp.Literal | exp.Paren) else exp.paren(value, copy=False)
        return node

    return expression.transform(swap)
