"""The logical plan: only releases are bound to nodes; scalar expressions stay sqlglot's.

A cut block becomes ``Release(keys, aggregates)`` over a relation (`planner.relations`). A column reference below the cut is
an ``exp.Column`` whose table is the alias of the node that makes it. Nodes are frozen and check themselves when built, so an
ill-formed tree cannot exist.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from fedsql.planner.relations import Relation

MARGIN = "margin"  # margin(aggregate) in SQL: how far its noise may have moved it (95 %)


def margin_of(aggregate: str) -> str:
    """Return the name of the column of a released relation that holds the margins of one of its aggregates."""
    return f"{MARGIN}_{aggregate}"


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
