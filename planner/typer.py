"""How planning asks for types: an injected `Typer`, so that the planner itself imports no engine.

DuckDB decides types (sqlglot's own inference differs in 15 of TPC-H's 22 queries). The implementation describes
statements over empty tables that mirror the catalog: `main.<table>` for the union over parties, `<party>.<table>` for
one party's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Typer(Protocol):
    """Answers what DuckDB would say about a statement, without data."""

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """Return (name, type) of each column of ``sql``. Raises fedsql.errors.ProgrammingError as DuckDB would."""

    def supertype(self, types: Sequence[str]) -> str:
        """Return DuckDB's common supertype of ``types``."""

    def reads(self, sql: str) -> list[tuple[str, str]]:
        """Return (schema, name) of each table that a query names, as often as it does and in order of the names.

        What else rows come from, such as a function, is ("", its kind in capitals). Only parses: no table need be there.
        """
