"""What may be summed when groups have a least size and there is no noise (DESIGN, section 3).

A sum of an arbitrary expression can open one person: ``SUM(charges * (1 + 1e12 * greatest(age - 96, 0)))`` carries a
single row in its high digits. So without noise, above min_group_size 1, an argument is a column, an affine form of
columns, or a product of two such, possibly under one condition (CASE, FILTER, a boolean); the cell rule counts on both
sides of the condition. Everything else is refused, with the advice to have the owner declare it as a column.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from fedsql.errors import PolicyDenied
from fedsql.planner.positions import position
from fedsql.types import SqlType


@dataclass(frozen=True)
class Argument:
    """An aggregate's argument, split: ``value`` where ``condition`` holds (None: everywhere), else 0 or NULL."""

    value: exp.Expr
    condition: exp.Expr | None


def split(argument: exp.Expr, is_boolean: bool) -> Argument:
    """Split off a condition: CASE WHEN c THEN v [ELSE 0] END, IF(c, v, 0), or a boolean (summed as 0 and 1)."""
    node = _bare(argument)
    while isinstance(node, exp.Cast | exp.TryCast) and isinstance(
        _bare(node.this), exp.Case | exp.If | exp.Predicate | exp.Connector | exp.Not
    ):
        node = _bare(node.this)
    if isinstance(node, exp.Predicate | exp.Connector | exp.Not) or (is_boolean and not isinstance(node, exp.Column)):
        return Argument(exp.Literal.number(1), node)
    if isinstance(node, exp.If) and _nothing(node.args.get("false")):
        return Argument(node.args["true"], node.this)
    if isinstance(node, exp.Case) and len(node.args["ifs"]) == 1 and _nothing(node.args.get("default")):
        branch = node.args["ifs"][0]
        test = (
            branch.this
            if node.this is None
            else exp.EQ(this=exp.paren(node.this.copy()), expression=branch.this.copy())
        )
        return Argument(branch.args["true"], test)
    return Argument(argument, None)


def check_summable(argument: Argument, whole: exp.Expr, owner_key: str) -> None:
    """Raise PolicyDenied unless the value is a product of at most two affine forms of columns."""
    if _degree(argument.value) is None:
        raise PolicyDenied(
            f"without noise, {whole.sql('duckdb')} may not be summed: only columns, affine forms of columns (2 * a - b)"
            " and a product of two, under at most one condition",
            hint=f'ask the owner to declare it as a column: {owner_key} (sql = "SELECT ..., expression AS name FROM source")',
            position=position(whole),
        )


def _degree(node: exp.Expr) -> int | None:
    """Return 0 for constants, 1 for affine forms, 2 for products of two affine forms, None for anything else."""
    node = _bare(node)
    if isinstance(node, exp.Literal) and not node.is_string:
        return 0
    if isinstance(node, exp.Column):
        return 1
    if isinstance(node, exp.Neg):
        return _degree(node.this)
    if isinstance(node, exp.Cast | exp.TryCast):
        return _degree(node.this) if _keeps_values(node) else None
    if isinstance(node, exp.Coalesce) and len(node.expressions) == 1 and _nothing(node.expressions[0]):
        return _degree(node.this)
    if not isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div):
        return None
    left, right = _degree(node.left), _degree(node.right)
    if left is None or right is None:
        return None
    if isinstance(node, exp.Mul):
        return left + right if left + right <= 2 else None
    if isinstance(node, exp.Div):
        return left if right == 0 else None
    degree = max(left, right)
    return degree if degree < 2 else None


def _keeps_values(cast: exp.Expr) -> bool:
    """Casts to wide numbers keep a value; narrowing ones could drop some rows and keep others."""
    target = SqlType.parse(cast.args["to"].sql("duckdb"))
    if target.family == "decimal":
        return len(str(target.high)) >= 30
    return target.text.upper() in ("DOUBLE", "HUGEINT", "BIGINT")


def _bare(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _nothing(node: exp.Expr | None) -> bool:
    """Say whether an ELSE adds nothing: absent, NULL or 0."""
    if node is None or isinstance(node, exp.Null):
        return True
    node = _bare(node)
    return isinstance(node, exp.Literal) and not node.is_string and float(node.this) == 0
