"""The columns that a release needs of `Rows`: one of a name each, with what it is made of."""

from __future__ import annotations

from sqlglot import exp

from fedsql.planner.below import Below
from fedsql.planner.logical import RowColumn
from fedsql.planner.sources import Env

ROWS = "_rows"


def row_column(column: exp.Column, below: Below, env: Env, taken: set[str]) -> RowColumn:
    """Return what is known of a column of a block, under a name that is not ``taken``, and then is."""
    known = below.column(column, [env])
    name = column.name.lower()
    if name in taken:
        name = f"{column.table.lower()}_{name}"
    while name in taken:
        name += "_"
    taken.add(name)
    return RowColumn(
        name,
        column.copy(),
        tuple(sorted(known.reads)),
        known.bases,
        known.public,
        known.plain,
        conditional=known.padded or not (known.bases or known.public),
        is_unit=below.is_unit(known) and below.one_unit(env),
        is_local=known.domain is not None,
    )
