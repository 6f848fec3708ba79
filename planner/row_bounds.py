"""How many rows of a release one party has at most, by public sizes: what a sum of them is wide for.

A table has as many rows as its offer says (rounded up). A join of tables has no more than their product, and a table adds
nothing to it where equalities with the others hold all columns of one of its keys: then at most one of its rows matches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from sqlglot import exp

from fedsql.planner.blocks import conjuncts, items
from fedsql.planner.bounds import MOST_ROWS
from fedsql.planner.catalog import Catalog
from fedsql.planner.offer import TableOffer
from fedsql.planner.relations import Rows, Scan
from fedsql.planner.schema import UNION, public_of

Offers = Mapping[str, Sequence[TableOffer]]  # alias, lower case -> what the parties offer of it
Equal = set[frozenset[tuple[str, str]]]  # pairs of (alias, column), lower case


def most_rows(leaf: Scan | Rows, catalog: Catalog) -> int:
    """Return how many rows of ``leaf`` a party has at most; `MOST_ROWS` where public sizes do not tell."""
    if isinstance(leaf, Scan):
        return min(MOST_ROWS, _size(leaf.offers))
    tables = None if leaf.join is not None else _tables(leaf, catalog)
    if tables is None:
        return MOST_ROWS
    equal, counted = _equalities(leaf.query, tables), set(tables)
    for alias in sorted(tables, key=lambda each: (-_size(tables[each]), each)):
        if _decided(counted - {alias}, tables, equal) == tables.keys():
            counted.remove(alias)
    return min(MOST_ROWS, prod(_size(tables[alias]) for alias in counted))


def _size(offers: Sequence[TableOffer]) -> int:
    return max((1, *(offer.rows for offer in offers)))


def _tables(rows: Rows, catalog: Catalog) -> Offers | None:
    """Return the tables that are joined; None where something else is, or an outer join adds rows that match nothing."""
    found: dict[str, Sequence[TableOffer]] = {}
    for item, join in items(rows.query):
        if join is not None and (join.side or join.method):
            return None
        if join is not None and join.kind in ("SEMI", "ANTI"):
            continue
        if not isinstance(item, exp.Table) or not item.db:
            return None
        found[item.alias_or_name.lower()] = _offers(item, rows, catalog)
    return found


def _offers(table: exp.Table, rows: Rows, catalog: Catalog) -> Sequence[TableOffer]:
    public = public_of(table, catalog)
    if public is not None:
        return [offer for offer in catalog.tables(table.name) if offer.content == public.content]
    return next(
        scan.offers
        for scan in rows.scans
        if scan.name == table.name.lower() and (scan.party or UNION).lower() == table.db.lower()
    )


def _equalities(query: exp.Select, tables: Offers) -> Equal:
    """Return which columns of two tables are equal in all rows, and of one type: a cast could make two values one."""
    conditions = [query.args.get("where"), *(join.args.get("on") for _, join in items(query) if join is not None)]
    found: Equal = set()
    for condition in conditions:
        for part in conjuncts(condition):
            sides = [part.left, part.right] if isinstance(part, exp.EQ) else []
            columns = [(c.table.lower(), c.name.lower()) for c in sides if isinstance(c, exp.Column)]
            if len(columns) == 2 and all(alias in tables for alias, _ in columns) and len(_types(columns, tables)) == 1:
                found.add(frozenset(columns))
    return found


def _types(columns: Sequence[tuple[str, str]], tables: Offers) -> set[str]:
    offered = [offer.column(name) for alias, name in columns for offer in tables[alias]]
    return {column.type if column is not None else "" for column in offered}


def _decided(given: set[str], tables: Offers, equal: Equal) -> set[str]:
    """Return the tables of whose rows at most one matches, where rows of the ``given`` tables are chosen; and these."""
    decided = set(given)
    while more := [alias for alias in tables.keys() - decided if _is_decided(alias, decided, tables, equal)]:
        decided.update(more)
    return decided


def _is_decided(alias: str, by: set[str], tables: Offers, equal: Equal) -> bool:
    held = {
        name
        for pair in equal
        for table, name in pair
        if table == alias and any(other in by for other, _ in pair if other != alias)
    }
    return bool(tables[alias]) and all(_has_key(offer, held) for offer in tables[alias])


def _has_key(offer: TableOffer, names: set[str]) -> bool:
    """Say whether no two rows of a table share the values of the columns ``names``."""
    units = {(offer.privacy_unit or "").lower()} if offer.unit_unique else set()
    once = {column.name.lower() for column in offer.columns if column.unique}
    return offer.holds_once(names) or bool(names & (units | once))
