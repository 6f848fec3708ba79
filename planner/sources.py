"""What a FROM item offers to its block: columns, what they are made of, and whose rows they are.

Rows of a *federated* source stay at their parties. Everything else is *copied*: public tables, released relations and
constants are the same at every party.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from fedsql.errors import NotSupportedError, OperationalError
from fedsql.planner.catalog import Catalog
from fedsql.planner.identities import Domain
from fedsql.planner.offer import TableOffer
from fedsql.planner.relations import Scan
from fedsql.planner.schema import UNION

Reads = frozenset[tuple[int, str]]  # (index of a scan, column)


class NotLocal(NotSupportedError):
    """A block that no party can compute alone."""


@dataclass(frozen=True)
class Column:
    """A column of a source.

    ``reads``: the base columns that it is made of. ``bases``: those that it just is: one, or of a set operation one for each
    side. ``public``: the (table, column) of a public table that it just is. ``domain``: the party-scoped ids that it holds. ``plain``: it may be summed without noise,
    for no analyst's expression is in it. ``padded``: an outer join may have made it NULL. ``copied``: no federated row is in
    it.
    """

    reads: Reads = frozenset()
    bases: tuple[tuple[int, str], ...] = ()
    public: tuple[str, str] | None = None
    domain: Domain | None = None
    plain: bool = False
    padded: bool = False
    copied: bool = False

    @property
    def key(self) -> Domain | None:
        """The ids that tell at which party a group or partition of this column is: of no party where it was padded."""
        return None if self.padded else self.domain


@dataclass
class Source:
    """A FROM item. ``columns`` is None for a copied relation: any name will do.

    ``scans`` are the federated tables in it. ``one_unit``: each of its rows is of one privacy unit, whose ids are ``unit``.
    ``public`` is the name of the public table that it is, ``input`` that of the stage input; ``single``: of it at most one
    row meets each other row; ``padded``: an outer join may add rows of NULLs. ``listed``: the columns of a derived table in order.
    """

    alias: str
    federated: bool = False
    columns: Mapping[str, Column] | None = None
    scans: tuple[int, ...] = ()
    unit: Domain | None = None
    one_unit: bool = True
    public: str | None = None
    input: str = ""
    single: bool = False
    padded: bool = False
    listed: tuple[Column, ...] = ()

    def column(self, name: str) -> Column:
        """Return what is known of a column."""
        if self.columns is not None:
            found = self.columns.get(name.lower(), Column())
        elif self.public is not None:
            found = Column(public=(self.public, name.lower()), plain=True, copied=True)
        else:
            found = Column(copied=True)
        return replace(found, padded=True) if self.padded else found


Env = dict[str, Source]  # alias, lower case -> source


def bind_scan(table: exp.Table, alias: str, offers: tuple[TableOffer, ...], catalog: Catalog) -> Scan:
    """Return the scan of a federated table. Raises OperationalError where nobody can be asked."""
    if table.db.lower() == UNION:
        return Scan(table.name.lower(), alias, _reachable(table.name, offers, catalog))
    alone = tuple(o for o in offers if o.party.lower() == table.db.lower())
    if any(o.party in catalog.missing for o in alone):
        raise OperationalError(f"{alone[0].party} cannot be reached: its {table.name} cannot be asked")
    return Scan(table.name.lower(), alias, alone, party=alone[0].party)


def _reachable(name: str, offers: tuple[TableOffer, ...], catalog: Catalog) -> tuple[TableOffer, ...]:
    """Return the offers of a union that can be asked. A party that nobody knows anything of might offer the table too."""
    if unseen := [party for party in catalog.unknown if party not in catalog.missing]:
        raise OperationalError(
            f"{', '.join(unseen)} has not been seen yet, so nobody knows whether it offers {name}",
            hint="SHOW PARTIES tells who is there; SET allow_missing = true leaves it out where the policies allow that",
        )
    found = tuple(offer for offer in offers if offer.party not in catalog.missing)
    if not found:
        raise OperationalError(f"no party that offers {name} can be reached ({', '.join(o.party for o in offers)})")
    return found
