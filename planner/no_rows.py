"""Queries that ask for no rows: SELECT ... LIMIT 0, SELECT columns FROM t WHERE 1 = 0. Tools learn types by them.

No row is needed to answer them, so nobody is asked and nothing is spent, whatever policies say of the columns: what their
names and types are stands in the offers.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from fedsql.planner.blocks import conjuncts

_CLAUSES = ("group", "having", "qualify", "distinct", "windows")


def asks_no_rows(tree: exp.Query) -> bool:
    """Say whether a query has no rows whatever is in its tables, and does nothing but name their columns or end early."""
    limit = tree.args.get("limit")
    if isinstance(limit, exp.Limit) and _number(limit.expression) == 0:
        return True
    if not isinstance(tree, exp.Select) or any(tree.args.get(clause) for clause in _CLAUSES):
        return False
    named = (each.unalias() if isinstance(each, exp.Alias) else each for each in tree.expressions)
    return all(isinstance(each, exp.Star | exp.Column) for each in named) and any(
        _never(part) for part in conjuncts(tree.args.get("where"))
    )


def no_rows(columns: Sequence[tuple[str, str]]) -> exp.Select:
    """Return a query without rows, whose columns have these names and DuckDB types."""
    listed = [exp.alias_(exp.cast(exp.null(), type_, dialect="duckdb"), name, quoted=True) for name, type_ in columns]
    return exp.select(*listed).where(exp.false())


def _never(condition: exp.Expr) -> bool:
    if isinstance(condition, exp.Boolean):
        return not condition.this
    if isinstance(condition, exp.EQ):
        left, right = _number(condition.left), _number(condition.right)
        return left is not None and right is not None and left != right
    return False


def _number(node: exp.Expr) -> int | None:
    return int(node.this) if isinstance(node, exp.Literal) and not node.is_string and node.this.isdigit() else None
