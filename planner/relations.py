"""What a release reads: one federated table, rows that each party computes alone, or a private join of such rows.

A `Scan` reads one table, perhaps under a `Filter`; `Rows` have joins, nested queries and windows inside of them; in a `Join`
they are of different parties, an anchor and its `Link`s. Each is a node of the logical plan (`planner.logical`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from fedsql.planner.offer import TableOffer
from fedsql.planner.trees import find
from fedsql.types import compares_by_value


@dataclass(frozen=True)
class Scan:
    """Read a federated table: the union over ``offers`` (``party`` is set for ``party.table``)."""

    name: str
    alias: str
    offers: tuple[TableOffer, ...]
    party: str | None = None

    def __post_init__(self) -> None:
        if not self.offers:
            raise ValueError(f"nobody offers {self.name}")

    @property
    def parties(self) -> tuple[str, ...]:
        """The parties whose rows this reads, sorted."""
        return tuple(sorted(offer.party for offer in self.offers))

    @property
    def schema(self) -> tuple[str, ...]:
        """Names of the columns, lower case."""
        return tuple(dict.fromkeys(c.name.lower() for offer in self.offers for c in offer.columns))


@dataclass(frozen=True)
class Filter:
    """Keep the rows for which ``condition`` is true."""

    input: Scan
    condition: exp.Expr

    @property
    def schema(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.input.schema


@dataclass(frozen=True)
class RowColumn:
    """A column of `Rows`: its name, and what it is in the query.

    ``conditional``: the query decides where it is NULL (an outer join, an expression), not the data alone. ``reads``: the (index of scan, column) that it is made of; ``bases`` those, ``public`` the (table, column) of a public
    table, that it just is. ``plain``: it may be summed without noise. ``is_unit``: it holds the privacy unit's id;
    ``is_local``: a party-scoped id. ``type`` is DuckDB's; planning sets it.
    """

    name: str
    expression: exp.Column
    reads: tuple[tuple[int, str], ...]
    bases: tuple[tuple[int, str], ...] = ()
    public: tuple[str, str] | None = None
    plain: bool = False
    conditional: bool = False
    is_unit: bool = False
    is_local: bool = False
    type: str = ""


@dataclass(frozen=True)
class Hazard:
    """Why values of some rows may not be summed without noise above min_group_size 1: they could carry weights.

    With ``keys`` (column, types that it is compared to), the columns of ``input`` in an equality: there is no hazard where
    the types compare value by value, and no two rows of the input have equal keys.
    """

    message: str
    hint: str
    position: tuple[int, int] | None = None
    input: str = ""
    keys: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def is_avoided(self, types: Mapping[str, str]) -> bool:
        """Say whether the keys' own ``types`` (by column) are such that unique keys are enough."""
        return bool(self.keys) and all(
            compares_by_value(types.get(key, ""), other) for key, others in self.keys for other in others
        )


@dataclass(frozen=True)
class Rows:
    """Rows that each party computes alone: joins inside of it, nested queries, windows by its own ids.

    ``query`` is FROM and WHERE of a block over qualified tables; ``columns`` are what the release needs of it. ``units``
    are the sources that tell a row's privacy unit, ``one_unit`` says that they tell the same, ``mixed`` that a row depends on
    rows of other units, ``spread`` that it holds a value made of such rows. ``inputs`` are the released
    relations that it reads, ``publics`` the public tables; ``uses`` what it does with columns inside, as (use, index of
    scan, column). ``offers`` describe the columns as if they were one table's, for every party; planning sets them.
    ``join``: no party computes them, for they are a private join of rows that different ones compute.
    """

    query: exp.Select
    alias: str
    scans: tuple[Scan, ...]
    columns: tuple[RowColumn, ...]
    units: tuple[str, ...]
    one_unit: bool = True
    mixed: bool = False
    spread: bool = False
    uses: tuple[tuple[str, int, exp.Column], ...] = ()
    inputs: tuple[str, ...] = ()
    publics: tuple[str, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    offers: tuple[TableOffer, ...] = ()
    join: Join | None = None

    @property
    def name(self) -> str:
        """The names of the tables."""
        return ", ".join(dict.fromkeys(scan.name for scan in self.scans))

    @property
    def party(self) -> str | None:
        """The one party that was named (party.table) for every table, or None."""
        named = {scan.party for scan in self.scans}
        return named.pop() if len(named) == 1 else None

    @property
    def is_table(self) -> bool:
        """Whether these are rows of one table, each at most once: nothing that is joined with it repeats them."""
        return len(self.scans) == 1 and not self.publics and not self.hazards

    @property
    def parties(self) -> tuple[str, ...]:
        """The parties whose rows this reads, sorted."""
        return tuple(sorted({party for scan in self.scans for party in scan.parties}))

    @property
    def schema(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> RowColumn:
        """Return the column called ``name``."""
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True)
class Link:
    """One provider in a private join. Expressions name columns of the joined `Rows`, which are called alike in the parts.

    ``keys`` are pairs of the anchor's and the provider's expression. ``inner``: rows that match nothing are left out.
    Provider's rows count where ``condition`` holds, the anchor's may match where ``on`` does. ``unique``: it is known that
    no two of the provider's rows have equal keys.
    """

    rows: Rows
    keys: tuple[tuple[exp.Expr, exp.Expr], ...]
    inner: bool = True
    condition: exp.Expr | None = None
    on: exp.Expr | None = None
    unique: bool = False

    @property
    def provider(self) -> str:
        """The party whose rows these are."""
        return self.rows.parties[0]


@dataclass(frozen=True)
class Join:
    """A private join: the ``anchor``'s rows, where ``condition`` holds, each with those of every link that match.

    Of these rows ``where`` keeps some: what of the query's condition is of several parts, or of one that may match nothing.
    """

    anchor: Rows
    links: tuple[Link, ...]
    condition: exp.Expr | None = None
    where: exp.Expr | None = None

    def parts(self, expression: exp.Expr) -> set[str]:
        """Return what an expression is of: providers, "" for the anchor; all of them where it names no column."""
        found = {"", *(link.provider for link in self.links)}
        for column in find(expression, exp.Column):
            here = {link.provider for link in self.links if column.name in link.rows.schema}
            found &= here | ({""} if column.name in self.anchor.schema else set())
        return found


Leaf = Scan | Rows
Relation = Scan | Rows | Filter


def leaf_of(relation: Relation) -> Leaf:
    """Return what ``relation`` reads."""
    return relation.input if isinstance(relation, Filter) else relation


def scans_of(leaf: Leaf) -> tuple[Scan, ...]:
    """Return the federated tables that ``leaf`` reads."""
    return (leaf,) if isinstance(leaf, Scan) else leaf.scans
