"""How a node looks to the user who wrote it: where it stands in the text, its SQL without our quotes, each stage's text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from fedsql.planner.trees import copied, walk


@dataclass
class Trace:
    """The (name, text) of each stage of planning, in order, where they are ``wanted``: to write them takes as long as to plan."""

    wanted: bool = False
    stages: list[tuple[str, str]] = field(default_factory=list)

    def add(self, name: str, text: Callable[[], str]) -> None:
        """Note a stage as it is now."""
        if self.wanted:
            self.stages.append((name, text()))


def position(node: exp.Expr) -> tuple[int, int] | None:
    """Return (line, column), 1-based, of the first token known of ``node`` or of what it holds."""
    found = [
        (child.meta["line"], child.meta["col"] - (child.meta["end"] - child.meta["start"]))
        for child in walk(node)
        if child.meta.get("line") is not None and child.meta.get("start") is not None
    ]
    return min(found) if found else None


def shown(node: exp.Expr, *, tables: bool = False, pretty: bool = False) -> str:
    """Return the SQL of a node for people: without the quotes that fedsql added, and without table names by default."""

    def plain(part: exp.Expr) -> exp.Expr:
        if isinstance(part, exp.Column) and not tables and not isinstance(part.this, exp.Star):
            return exp.column(_unquoted(part.this))
        return _unquoted(part) if isinstance(part, exp.Identifier) else part

    return copied(node).transform(plain, copy=False).sql("duckdb", pretty=pretty, copy=False)


def _unquoted(part: exp.Expr) -> exp.Identifier:
    name = part.name
    return exp.to_identifier(name, quoted=not re.fullmatch(r"[a-z_][a-z0-9_]*", name))
