"""The logical plan: only releases are bound to nodes; scalar expressions stay sqlglot's.

A cut block becomes ``Release(keys, aggregates)`` over a relation made of ``Scan``, ``Filter`` and ``Project`` nodes. A
column reference below the cut is an ``exp.Column`` whose table is the alias of the node that makes it. Nodes are frozen
and check themselves when built, so an ill-formed tree cannot exist.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from fedsql.planner.catalog import TableOffer
from fedsql.planner.positions import shown


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
class Project:
    """Compute named expressions over ``input``; seen from outside as ``alias``."""

    input: Relation
    columns: tuple[tuple[str, exp.Expr], ...]
    alias: str

    @property
    def schema(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(name for name, _ in self.columns)


@dataclass(frozen=True)
class Filter:
    """Keep the rows for which ``condition`` is true."""

    input: Relation
    condition: exp.Expr

    @property
    def schema(self) -> tuple[str, ...]:
        """Names of the columns: those of the input."""
        return self.input.schema


Relation = Scan | Project | Filter


@dataclass(frozen=True)
class Key:
    """A grouping key: its column name in the released relation, its expression and its type (DuckDB's text)."""

    name: str
    expression: exp.Expr
    type: str = ""


@dataclass(frozen=True)
class Aggregate:
    """An aggregate of a release.

    ``function`` is the canonical name (`planner.functions.AGGREGATES`), ``arguments`` its arguments (none: COUNT(*)),
    ``condition`` the FILTER clause or None, ``type`` the result type by DuckDB.
    """

    name: str
    function: str
    arguments: tuple[exp.Expr, ...]
    condition: exp.Expr | None = None
    distinct: bool = False
    type: str = ""
    argument_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Release:
    """What leaves the parties in aggregate: keys and aggregates over a relation. ``number`` counts from 0."""

    number: int
    input: Relation
    keys: tuple[Key, ...]
    aggregates: tuple[Aggregate, ...]

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


def scan_of(relation: Relation) -> Scan:
    """Return the one table that ``relation`` reads."""
    while not isinstance(relation, Scan):
        relation = relation.input
    return relation


def describe(node: Release | Relation, depth: int = 0) -> str:
    """Render a plan as an indented tree, one node a line."""
    pad = "  " * depth
    if isinstance(node, Scan):
        where = f"{node.party}.{node.name}" if node.party else node.name
        return f"{pad}Scan {where} AS {node.alias} at {', '.join(node.parties)}"
    if isinstance(node, Filter):
        return f"{pad}Filter {shown(node.condition)}\n{describe(node.input, depth + 1)}"
    if isinstance(node, Project):
        columns = ", ".join(f"{shown(expression)} AS {name}" for name, expression in node.columns)
        return f"{pad}Project {columns} AS {node.alias}\n{describe(node.input, depth + 1)}"
    keys = ", ".join(f"{k.name} = {shown(k.expression)}" + (f" ({k.type})" if k.type else "") for k in node.keys)
    lines = [f"{pad}Release {node.relation}" + (f" BY {keys}" if keys else "")]
    lines += [f"{pad}  {a.name} = {_shown_aggregate(a)}" + (f" ({a.type})" if a.type else "") for a in node.aggregates]
    return "\n".join(lines) + "\n" + describe(node.input, depth + 1)


def render_aggregate(aggregate: Aggregate) -> str:
    """Return the SQL of an aggregate as DuckDB reads it."""
    return _rendered(aggregate, lambda node: node.sql("duckdb"))


def _shown_aggregate(aggregate: Aggregate) -> str:
    return _rendered(aggregate, shown)


def _rendered(aggregate: Aggregate, render: Callable[[exp.Expr], str]) -> str:
    arguments = ", ".join(render(a) for a in aggregate.arguments) or "*"
    call = f"{aggregate.function}({'DISTINCT ' if aggregate.distinct else ''}{arguments})"
    return f"{call} FILTER (WHERE {render(aggregate.condition)})" if aggregate.condition is not None else call
