"""How a node looks to the user who wrote it: where it stands in the text, and its SQL without our quotes."""

from __future__ import annotations

from sqlglot import exp


def position(node: exp.Expr) -> tuple[int, int] | None:
    """Return (line, column), 1-based, of the first token known of ``node`` or of what it holds."""
    found = [
        (child.meta["line"], child.meta["col"] - (child.meta["end"] - child.meta["start"]))
        for child in node.walk()
        if child.meta.get("line") is not None and child.meta.get("start") is not None
    ]
    return min(found) if found else None


def shown(node: exp.Expr) -> str:
    """Return the SQL of an expression for a message: plain column names, no quotes that fedsql added."""

    def plain(part: exp.Expr) -> exp.Expr:
        return exp.column(exp.to_identifier(part.name, quoted=False)) if isinstance(part, exp.Column) else part

    return node.copy().transform(plain).sql("duckdb")
