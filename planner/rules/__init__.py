"""The rewrite rules of a release, one file and one function each, in the order of `RULES`."""

from __future__ import annotations

from collections.abc import Callable

from fedsql.planner.logical import Release
from fedsql.planner.rules.merge_filters import merge_filters
from fedsql.planner.rules.merge_projections import merge_projections

RULES: tuple[Callable[[Release], Release], ...] = (merge_projections, merge_filters)


def rewrite(release: Release) -> tuple[Release, list[tuple[str, Release]]]:
    """Apply all rules. Also return each rule's name with its result where it changed something."""
    trace = []
    for rule in RULES:
        after = rule(release)
        if after.schema != release.schema:
            raise AssertionError(f"the rule {rule.__name__} changed the schema of a release")
        if after != release:
            trace.append((rule.__name__, after))
        release = after
    return release, trace
