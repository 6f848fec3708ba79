"""`Rows` of an analysed block, and the columns that a release needs of them: one of a name each, with what it is made of.

That tells what is known of a column's values. So rows are described by offers, as if they were tables of the parties, and
policy, sensitivity and widths need not know which of both a release reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlglot import exp

from fedsql.planner.below import Below
from fedsql.planner.blocks import kept_items
from fedsql.planner.catalog import Catalog
from fedsql.planner.inputs import inputs_in
from fedsql.planner.offer import ColumnOffer, TableOffer
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


def offer_at(rows: Rows, party: str, catalog: Catalog) -> TableOffer:
    """Describe the rows at ``party`` as if they were a table of its own."""
    held = [offer for scan in rows.scans for offer in scan.offers if offer.party == party]
    return TableOffer(
        party=party,
        name=rows.name,
        columns=tuple(_column(rows, c.name, party, catalog) for c in rows.columns),
        privacy_unit=held[0].privacy_unit if rows.one_unit else None,
        unit_scope="global" if all(offer.unit_scope == "global" for offer in held) else "party",
        unit_unique=False,
        max_rows_per_unit=max(offer.max_rows_per_unit for offer in held),
        rows=max(offer.rows for offer in held),
        data_version="/".join(sorted({offer.data_version for offer in held})),
    )


def _column(rows: Rows, name: str, party: str, catalog: Catalog) -> ColumnOffer:
    column = rows.column(name)
    found: list[ColumnOffer] = []
    for index, base in column.bases:
        held = [o for o in rows.scans[index].offers if o.party == party] or list(rows.scans[index].offers)
        found += [c for o in held[:1] if (c := o.column(base)) is not None]
    if column.public is not None:
        offers = catalog.tables(column.public[0])
        found = [c for o in offers if (c := o.column(column.public[1])) is not None][:1]
    known = _joint(found) if found else ColumnOffer(name, column.type)
    required = known.required and not column.conditional and known.type == column.type
    return replace(known, name=name, type=column.type, required=required)


def _joint(columns: Sequence[ColumnOffer]) -> ColumnOffer:
    """Return what holds for values of any of some columns."""
    bounds = [column.bounds for column in columns if column.bounds is not None]
    values = [column.values for column in columns if column.values is not None]
    every, types = len(columns), {column.type for column in columns}
    return replace(
        columns[0],
        bounds=(min(low for low, _ in bounds), max(high for _, high in bounds)) if len(bounds) == every else None,
        scale=columns[0].scale if len({column.scale for column in columns}) == 1 else None,
        values=tuple(dict.fromkeys(v for each in values for v in each))
        if len(values) == every and len(types) == 1
        else None,
        required=all(column.required for column in columns) and len(types) == 1,
    )
