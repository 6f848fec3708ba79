"""The columns of a release: those of a table that it reads, and its own with their types and public labels.

All types are DuckDB's: those of what is read are the union's, and the keys and aggregates are described over these.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod

from sqlglot import exp

from fedsql.planner.describing import render_aggregate
from fedsql.planner.fragments import Typing
from fedsql.planner.logical import Release
from fedsql.planner.policy import uses
from fedsql.planner.relations import Filter, Leaf, Scan
from fedsql.planner.safe import to_type
from fedsql.planner.trees import find, sql_of, walk

MOST_PUBLIC_SLOTS = 4096  # larger public domains are aligned by tags instead


def used_columns(release: Release, scan: Scan, typing: Typing) -> dict[str, str]:
    """Return the columns of one table that a release reads, by name in lower case, with their types in the union."""
    names = [column.name.lower() for _, column in uses(release, scan)]
    names += [c.name.lower() for s in release.siblings for k in s.keys for c in find(k.expression, exp.Column)]
    names += [a.arguments[0].name.lower() for a in release.aggregates if a.counts == "units" and a.arguments]
    names = sorted(set(names))
    types = typing.types_of([exp.column(name, table=scan.alias, quoted=True) for name in names])
    return dict(zip(names, types, strict=True))


def typed(release: Release, typing: Typing) -> Release:
    """Put DuckDB's types on keys and aggregates."""
    where = f" WHERE {sql_of(release.input.condition)}" if isinstance(release.input, Filter) else ""
    items = [sql_of(k.expression) for k in release.keys] + [render_aggregate(a) for a in release.aggregates]
    grouped = f" GROUP BY {', '.join(str(i + 1) for i in range(len(release.keys)))}" if release.keys else ""
    listed = ", ".join(f"{item} AS c{i}" for i, item in enumerate(items))
    types = [t for _, t in typing.typer.describe(f"SELECT {listed} FROM {typing.table}{where}{grouped}")]
    arguments = [argument for a in release.aggregates for argument in a.arguments]
    parts = [
        *arguments,
        *(k.expression for k in release.keys),
        *(a.condition for a in release.aggregates if a.condition),
    ]
    parts += [release.input.condition] if isinstance(release.input, Filter) else []
    soon = to_type((node for part in parts for node in walk(part)), {typing.leaf.alias.lower()})
    found = iter(typing.types_of([*arguments, *soon]))
    count = len(release.keys)
    return replace(
        release,
        keys=tuple(replace(k, type=t) for k, t in zip(release.keys, types[:count], strict=True)),
        aggregates=tuple(
            replace(a, type=t, argument_types=tuple(next(found) for _ in a.arguments))
            for a, t in zip(release.aggregates, types[count:], strict=True)
        ),
    )


def public_domain(release: Release, leaf: Leaf) -> tuple[tuple[str | None, ...], ...] | None:
    """Return the labels of all groups where owners made them public; NULL always has a slot."""
    values: list[tuple[str | None, ...]] = []
    for key in release.keys:
        columns = (
            [offer.column(key.expression.name) for offer in leaf.offers]
            if isinstance(key.expression, exp.Column)
            else [None]
        )
        if any(column is None or column.values is None for column in columns):
            return None
        values.append((*dict.fromkeys(v for c in columns if c is not None for v in c.values or ()), None))
    if prod(len(v) for v in values) > MOST_PUBLIC_SLOTS:
        return None
    return tuple(product(*values))
