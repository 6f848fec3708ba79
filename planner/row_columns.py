"""`Rows` of an analysed block, and the columns that a release needs of them: one of a name each, with what it is made of."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from fedsql.planner.below import Below
from fedsql.planner.blocks import kept_items
from fedsql.planner.inputs import inputs_in
from fedsql.planner.relations import RowColumn, Rows
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


def rows_of(query: exp.Select, below: Below, env: Env, columns: Iterable[RowColumn]) -> Rows:
    """Return the rows of ``query``, of which ``below`` has analysed all and ``env`` are the sources."""
    return Rows(
        query=query,
        alias=ROWS,
        scans=tuple(below.scans),
        columns=tuple(columns),
        units=tuple(name for item in kept_items(query) if env[name := item.alias_or_name.lower()].federated),
        one_unit=below.one_unit(env),
        mixed=below.mixed,
        spread=below.spread,
        uses=tuple(dict.fromkeys(below.uses)),
        inputs=tuple(dict.fromkeys(inputs_in(query))),
        publics=tuple(below.publics),
        hazards=tuple(below.hazards),
    )
