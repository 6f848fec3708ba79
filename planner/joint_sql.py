"""SQL of the columns of joined rows, over one part's relation: under conditions, or once for each unit or key.

A unit that has several rows in a group is counted in the first of them, which DuckDB chooses: nothing but the count depends on
it. A provider's column must also be told as it is where nothing matches, for rows that a LEFT JOIN keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp, parse_one

from fedsql.planner.joint_columns import ONES
from fedsql.planner.relations import Join, Link
from fedsql.planner.row_columns import ROWS
from fedsql.planner.trees import sql_of
from fedsql.types import quoted


@dataclass(frozen=True)
class JointSql:
    """Writes the columns of one release.

    ``types`` are those of columns; ``labels`` the SQL of the grouping keys by part, ``keys`` those of each link's join key
    (anchor's, provider's).
    """

    join: Join
    types: dict[str, str]
    labels: dict[str, list[str]]
    keys: dict[str, tuple[str, str]]

    def link(self, provider: str) -> Link:
        """Return the link of a provider."""
        return next(link for link in self.join.links if link.provider == provider)

    def may(self, provider: str) -> list[str]:
        """Return the conditions under which a row of the anchor may match: those of an outer link's ON."""
        on = self.link(provider).on
        return [] if on is None else [holds(on)]

    def kept(self, provider: str) -> list[str]:
        """Return the conditions under which a provider's row takes part."""
        condition = self.link(provider).condition
        return [] if condition is None else [holds(condition)]

    def once(self, by: str | None, conditions: Sequence[str]) -> str:
        """Return SQL that is 1 in the first of the rows that meet ``conditions``, have one label and are one ``by``."""
        if by is None:
            return case(conditions, [])
        kept = [] if self.join.condition is None else [holds(self.join.condition)]
        return _first(by, self.labels[""], [*kept, *conditions])

    def once_at(self, provider: str, conditions: Sequence[str]) -> str:
        """Return SQL that is 1 in the first of the provider's rows that take part, meet ``conditions``, and have one key."""
        key = self.keys[provider][1]
        kept = [f"({c}) OR ({key}) IS NULL" for c in self.kept(provider) if c not in conditions]  # or nothing matches
        return _first(key, self.labels.get(provider, []), [*kept, *conditions])

    def absent(self, sql: str) -> str:
        """Return a provider's column as it is where nothing matches: of NULLs."""
        tree = parse_one(sql, dialect="duckdb")

        def null(node: exp.Expr) -> exp.Expr:
            if isinstance(node, exp.Column) and node.name in self.types:
                return parse_one(f"CAST(NULL AS {self.types[node.name]})", dialect="duckdb")
            return exp.Literal.number(1) if isinstance(node, exp.Window) else node

        return sql_of(tree.transform(null))


def case(conditions: Sequence[str], values: Sequence[str]) -> str:
    """Return SQL of the product of ``values`` where all ``conditions`` hold, else 0."""
    value = " * ".join(f"({v})" for v in values) or ONES
    return f"CASE WHEN {' AND '.join(f'({c})' for c in conditions)} THEN {value} ELSE 0 END" if conditions else value


def holds(condition: exp.Expr | None) -> str:
    """Return SQL that says whether a condition holds, and is never NULL."""
    return "true" if condition is None else f"coalesce({sql_of(condition)}, false)"


def relation(sql: str) -> str:
    """Return a part's relation under the name that expressions have for it."""
    return f"({sql}) AS {quoted(ROWS)}"


def _first(by: str, labels: Sequence[str], conditions: Sequence[str]) -> str:
    here = " AND ".join(f"({c})" for c in conditions) or "true"
    window = f"row_number() OVER (PARTITION BY {', '.join([*labels, by, f'({here})'])})"
    return f"CASE WHEN ({here}) AND (({by}) IS NULL OR {window} = 1) THEN 1 ELSE 0 END"
