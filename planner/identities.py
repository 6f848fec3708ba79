"""Party-scoped ids: which columns hold the same ids, so that rows with equal ones are at one party.

A privacy unit, a declared reference and the column it refers to name things of one party alone: patient 7 of north is not
patient 7 of south (DESIGN, section 4). Two columns of the same `Domain` may be joined at each party; an equality of any
other two columns may hold between rows of two parties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedsql.errors import NotSupportedError
from fedsql.planner.catalog import Catalog
from fedsql.planner.offer import Offer, TableOffer
from fedsql.types import quoted

_ROW = "(row)"
_MOST_HOPS = 16


@dataclass(frozen=True)
class Domain:
    """The ids that ``table.column`` holds at a party, lower case."""

    table: str
    column: str


def domain_of(catalog: Catalog, offers: Sequence[TableOffer], column: str) -> Domain | None:
    """Return the domain of a table's column if it holds ids, and the same ones at every party of ``offers``."""
    found = {_domain(_offer(catalog, offer), offer, column.lower()) for offer in offers}
    return found.pop() if len(found) == 1 else None


def unit_domain(catalog: Catalog, offers: Sequence[TableOffer]) -> Domain | None:
    """Return the ids of the privacy unit of a table; a table without one has units of its own: its rows.

    None where parties differ.
    """
    found = {_unit(_offer(catalog, offer), offer) for offer in offers}
    return found.pop() if len(found) == 1 else None


def decides_unit(catalog: Catalog, offers: Sequence[TableOffer], column: str) -> bool:
    """Say whether the ids in a table's column tell its rows' privacy units, at every party of ``offers``.

    They do in the unit's own column, in a column that others refer to, and in the reference along which the unit is found.
    """
    return all(column.lower() in _telling(catalog, offer) for offer in offers)


def holds_unit(catalog: Catalog, offers: Sequence[TableOffer], column: str) -> bool:
    """Say whether a table's column is its rows' own privacy unit at every party; another reference to units is not."""
    paths = [unit_path(catalog, offer) for offer in offers]
    return all(not path.hops and path.column.lower() == f'"{column.lower()}"' for path in paths)


def _offer(catalog: Catalog, table: TableOffer) -> Offer:
    found = catalog.offer(table.party)
    assert found is not None
    return found


def _domain(offer: Offer, table: TableOffer, column: str) -> Domain | None:
    for _ in range(_MOST_HOPS):
        target = _target(offer, table, column)
        if target is None:
            break
        table, column = target
    own = Domain(table.name.lower(), column)
    return own if own.column == _own_unit(table) or own in _targets(offer) else None


def _unit(offer: Offer, table: TableOffer) -> Domain:
    if table.privacy_unit is None:
        return Domain(table.name.lower(), _ROW)
    place, _, column = table.privacy_unit.rpartition(".")
    target = offer.table(place) if place else table
    return (target and _domain(offer, target, column.lower())) or Domain(place.lower(), column.lower())


def _telling(catalog: Catalog, table: TableOffer) -> set[str]:
    offer, path = _offer(catalog, table), unit_path(catalog, table)
    found = {target.column for target in _targets(offer) if target.table == table.name.lower()}
    if not path.hops:
        return found | {path.column.strip('"').lower()}
    return found | ({path.hops[0].column.lower()} if _is_only_way(offer, table, _unit(offer, table)) else set())


def _is_only_way(offer: Offer, table: TableOffer, unit: Domain) -> bool:
    """Say whether one reference alone leads from ``table`` to the unit: with two, either might name another unit."""
    ways = [_target(offer, table, column.lower()) for column in table.references]
    return sum(way is not None and _unit(offer, way[0]) == unit for way in ways) == 1


def _target(offer: Offer, table: TableOffer, column: str) -> tuple[TableOffer, str] | None:
    """Return what a referencing column refers to."""
    for name, target in table.references.items():
        if name.lower() == column:
            place, _, key = target.partition(".")
            found = offer.table(place)
            return (found, key.lower()) if found is not None and not found.public else None
    return None


def _targets(offer: Offer) -> set[Domain]:
    """Return all columns that some reference of the party refers to."""
    texts = [target.lower() for table in offer.tables for target in table.references.values()]
    return {Domain(*text.split(".", 1)) for text in texts}


def _own_unit(table: TableOffer) -> str | None:
    unit = (table.privacy_unit or "").lower()
    return unit if unit and "." not in unit else None


@dataclass(frozen=True)
class Hop:
    """One join on the way to a privacy unit: ``column`` refers to ``table``.``key``."""

    column: str
    table: str
    key: str


@dataclass(frozen=True)
class UnitPath:
    """How a row's privacy unit is found: joins along references, and the quoted column (or rowid) at their end."""

    hops: tuple[Hop, ...]
    column: str


def unit_path(catalog: Catalog, table: TableOffer) -> UnitPath:
    """Return how the privacy unit of a row of ``table`` is found at its party."""
    if table.privacy_unit is None:
        return UnitPath((), "rowid")
    place, _, wanted = table.privacy_unit.rpartition(".")
    if not place:
        return UnitPath((), quoted(table.privacy_unit))
    offer = _offer(catalog, table)
    waiting: list[tuple[tuple[Hop, ...], TableOffer]] = [((), table)]
    seen = {table.name.lower()}
    while waiting:
        hops, at = waiting.pop(0)
        for column, target in at.references.items():
            name, _, key = target.partition(".")
            if name.lower() == place.lower() and key.lower() == wanted.lower():
                return UnitPath(hops, quoted(column))  # the reference holds the unit's own id
            found = offer.table(name)
            if found is None or name.lower() in seen:
                continue
            seen.add(name.lower())
            next_hops = (*hops, Hop(column, found.name, key))
            if name.lower() == place.lower():
                return UnitPath(next_hops, quoted(wanted))
            waiting.append((next_hops, found))
    raise NotSupportedError(f"{table.party}.{table.name}: its privacy unit {table.privacy_unit} is not reached")
