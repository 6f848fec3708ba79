"""Join stacked filters into one, inner condition first.

Filter b <- Filter a <- Scan   ->   Filter a AND b <- Scan
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from fedsql.planner.logical import Filter, Relation, Release


def merge_filters(release: Release) -> Release:
    """Return ``release`` with at most one `Filter` above its scan."""
    conditions: list[exp.Expr] = []
    relation: Relation = release.input
    while isinstance(relation, Filter):
        conditions.insert(0, relation.condition)
        relation = relation.input
    if len(conditions) < 2:
        return release
    return replace(release, input=Filter(relation, exp.and_(*(exp.paren(c.copy()) for c in conditions))))
