"""Where in the SQL text a node stands, for the caret under an error."""

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
