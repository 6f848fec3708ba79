"""The logical plan: only releases are bound to nodes; scalar expressions stay sqlglot's.

A cut block becomes ``Release(keys, aggregates)`` over a `Scan` of one table, perhaps under a `Filter`, or over `Rows`. A
column reference below the cut is an ``exp.Column`` whose table is the alias of the node that makes it. Nodes are frozen
and check themselves when built, so an ill-formed tree cannot exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from fedsql.planner.offer import TableOffer
from fedsql.planner.trees import find
from fedsql.types import compares_by_value

MARGIN = "margin"  # margin(aggregate) in SQL: how far its noise may have moved it (95 %)


def margin_of(aggregate: str) -> str:
    """Return the name of the column of a released relation that holds the margins of one of its aggregates."""
    return f"{MARGIN}_{aggregate}"


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


@dataclass(frozen=True)
class Key:
    """A grouping key: its column name in the released relation, its expression and its type (DuckDB's text)."""

    name: str
    expression: exp.Expr
    type: str = ""


@dataclass(frozen=True)
class Aggregate:
    """An aggregate of a release.

    ``function`` is the canonical name (`planner.aggregates.AGGREGATES`), ``arguments`` its arguments (none: COUNT(*)),
    ``condition`` the FILTER clause or None, ``type`` the result type by DuckDB. ``counts``: what a COUNT(DISTINCT x) counts,
    "units" (the privacy unit) or "ids" (other party-scoped ids); empty for all else.
    """

    name: str
    function: str
    arguments: tuple[exp.Expr, ...]
    condition: exp.Expr | None = None
    distinct: bool = False
    counts: str = ""
    type: str = ""
    argument_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sibling:
    """A release of the same rows and aggregates by other keys, decided before another one: its ``number`` and keys.

    ``finer``: each of its groups lies in one group of the other one.
    """

    number: int
    keys: tuple[Key, ...]
    finer: bool


@dataclass(frozen=True)
class Release:
    """What leaves the parties in aggregate: keys and aggregates over a relation. ``number`` counts from 0.

    ``siblings``: the other grouping sets of its block (ROLLUP, CUBE, GROUPING SETS) that are decided before. ``values_of``:
    the call whose distinct values the last key lists, for it is aggregated above; ``most_frequent``: it is MODE, which counts
    them; ``is_beside``: the same rows are aggregated in other ways, too.
    """

    number: int
    input: Relation
    keys: tuple[Key, ...]
    aggregates: tuple[Aggregate, ...]
    siblings: tuple[Sibling, ...] = ()
    values_of: str = ""
    most_frequent: bool = False
    is_beside: bool = False

    def __post_init__(self) -> None:
        if not self.keys and not self.aggregates:
            raise ValueError("a release needs keys or aggregates")

    @property
    def relation(self) -> str:
        """Name of the released relation in the final block."""
        return f"_release_{self.number}"

    @property
    def schema(self) -> tuple[str, ...]:
        """Names of the released columns: keys, then aggregates."""
        return tuple(k.name for k in self.keys) + tuple(a.name for a in self.aggregates)


def leaf_of(relation: Relation) -> Leaf:
    """Return what ``relation`` reads."""
    return relation.input if isinstance(relation, Filter) else relation


def scans_of(leaf: Leaf) -> tuple[Scan, ...]:
    """Return the federated tables that ``leaf`` reads."""
    return (leaf,) if isinstance(leaf, Scan) else leaf.scans
