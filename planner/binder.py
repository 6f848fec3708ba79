"""The binder: turns what a cut block reads into a logical relation, and its aggregate calls into `Aggregate` nodes.

One table, perhaps filtered, is a `Scan` under a `Filter`. Everything else that each party can compute alone, such as joins
inside of it, is `Rows`. What would need the rows' order, a sample, or rows of several parties together is refused by name.
"""

from __future__ import annotations

from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.aggregates import REPEATABLE, TRUTHS, aggregate_of, refuse_aggregate
from fedsql.planner.below import Below
from fedsql.planner.blocks import items, nested_queries, own_columns
from fedsql.planner.catalog import Catalog
from fedsql.planner.functions import check_rows, check_scalar
from fedsql.planner.identities import domain_of, holds_unit
from fedsql.planner.inputs import Inputs
from fedsql.planner.logical import Aggregate, Key, Release
from fedsql.planner.positions import position
from fedsql.planner.private import private_join
from fedsql.planner.quantiles import QUANTILES, fraction_of
from fedsql.planner.relations import Filter, Leaf, Relation, RowColumn, Rows, leaf_of
from fedsql.planner.row_columns import ROWS, row_column, rows_of
from fedsql.planner.sources import Env, NotLocal, bind_scan
from fedsql.planner.trees import copied, copied_rows


def bind_release(
    number: int, select: exp.Select, keys: list[exp.Expr], aggregates: list[exp.Expr], catalog: Catalog, inputs: Inputs
) -> Release:
    """Bind a cut block: ``keys`` and ``aggregates`` are its grouping expressions and aggregate calls."""
    work = copied_rows(select)
    work.set("expressions", [copied(part) for part in (*keys, *aggregates)])
    for part, name in (("laterals", "LATERAL"), ("match", "MATCH_RECOGNIZE"), ("connect", "CONNECT BY")):
        if select.args.get(part):
            raise NotSupportedError(f"{name} over federated rows is not answered")
    inputs.extract(work)
    try:
        relation = _relation(work, catalog)
    except NotLocal as refusal:
        raise NotSupportedError(refusal.message, hint=refusal.hint, position=refusal.position) from None
    bound_keys, calls = work.expressions[: len(keys)], work.expressions[len(keys) :]
    for key in bound_keys:
        check_scalar(key)
    return Release(
        number,
        relation,
        tuple(Key(f"k{i}", key) for i, key in enumerate(bound_keys)),
        tuple(_bind_aggregate(f"a{i}", call, leaf_of(relation), catalog) for i, call in enumerate(calls)),
    )


def _relation(work: exp.Select, catalog: Catalog) -> Relation:
    """Bind FROM and WHERE of ``work``, whose projections come to name the relation's columns."""
    below = Below(catalog)
    bare = exp.Select(expressions=[])
    for part in ("from_", "joins", "where"):
        bare.set(part, work.args.get(part))
    if (joined := private_join(work, bare, catalog)) is not None:
        check_rows(bare)
        return joined
    env = below.block(bare)
    check_rows(bare)
    found = items(bare)
    first, where = found[0][0], bare.args.get("where")
    if len(found) == 1 and isinstance(first, exp.Table) and not nested_queries(bare):
        offers = catalog.tables(first.name)
        scan = bind_scan(first, first.alias_or_name, offers, catalog)
        return Filter(scan, where.this) if where is not None else scan
    return _rows(work, bare, below, env)


def _rows(work: exp.Select, bare: exp.Select, below: Below, env: Env) -> Rows:
    used: dict[tuple[str, str], RowColumn] = {}
    taken: set[str] = set()
    replaced = []
    for expression in work.expressions:
        for column in own_columns(expression):
            where = column.table.lower(), column.name.lower()
            if where not in used:
                used[where] = row_column(column, below, env, taken)
            replaced.append((column, used[where].name))
    for column, name in replaced:
        new = exp.column(name, table=ROWS, quoted=True)
        new.this.meta.update(column.this.meta)
        column.replace(new)
    return rows_of(bare, below, env, used.values())


def _bind_aggregate(name: str, call: exp.Expr, leaf: Leaf, catalog: Catalog) -> Aggregate:
    """Bind one aggregate call with its FILTER."""
    condition = None
    if isinstance(call, exp.Filter):
        condition, call = call.expression.this, call.this
    ordered: exp.Expr | None = None
    if isinstance(call, exp.WithinGroup):
        ordered, call = call.expression, call.this
    known = aggregate_of(call)
    if known is None:
        while isinstance(call, exp.Filter | exp.IgnoreNulls | exp.WithinGroup):
            call = call.this
        raise refuse_aggregate(call)
    function, _ = known
    if function == "mode":
        raise NotSupportedError(
            "mode is answered as MODE(x), without DISTINCT, ORDER BY and WITHIN GROUP", position=position(call)
        )
    first = call.expressions[0] if isinstance(call, exp.Anonymous) else call.this
    distinct = isinstance(first, exp.Distinct) and function not in REPEATABLE
    arguments = list(first.expressions) if isinstance(first, exp.Distinct) else [first]
    if second := call.args.get("expression") or call.args.get("quantile"):
        arguments.append(second)
    if ordered is not None:
        arguments = [*_within(function, ordered), *arguments]
    if isinstance(call, exp.Count) and call.expressions:
        arguments.extend(call.expressions)
    if function == "count" and (first is None or isinstance(first, exp.Star)):
        arguments = []
    if function in TRUTHS:  # sums of truth values; "= TRUE" makes a plain column the condition that it is
        arguments = [exp.EQ(this=exp.paren(arguments[0].copy()), expression=exp.true())]
    if call.args.get("count") is not None:
        raise NotSupportedError(f"{function}(x, n) is not answered: one value is", position=position(call))
    if function == "count" and len(arguments) > 1:
        raise NotSupportedError("COUNT over several columns is not answered; count one", position=position(call))
    if distinct and function != "count":
        raise NotSupportedError(
            f"{function}(DISTINCT ...) is not answered yet",
            hint="GROUP BY the argument in a derived table, and aggregate its released values in the outer query",
            position=position(call),
        )
    if any(isinstance(argument, exp.Order) for argument in arguments):
        raise NotSupportedError(f"ORDER BY inside of {function} is not answered", position=position(call))
    if function in QUANTILES and len(arguments) > 1:
        fraction_of(function.upper(), arguments[1])
    for part in (*arguments, *([condition] if condition is not None else [])):
        check_scalar(part)
    return Aggregate(
        name,
        function,
        tuple(a.copy() for a in arguments),
        condition.copy() if condition is not None else None,
        distinct,
        _counts(arguments[0], leaf, catalog) if distinct and function == "count" else "",
    )


def _within(function: str, order: exp.Expr) -> list[exp.Expr]:
    """Return what WITHIN GROUP (ORDER BY x) orders: the argument of a percentile."""
    items = order.expressions
    if len(items) != 1 or items[0].args.get("desc"):
        raise NotSupportedError(
            f"{function} is answered WITHIN GROUP (ORDER BY one expression, ascending)",
            hint="for a descending order 1 - q",
            position=position(order),
        )
    return [items[0].this]


def _counts(argument: exp.Expr, leaf: Leaf, catalog: Catalog) -> str:
    """Return what COUNT(DISTINCT argument) counts: "units", other party-scoped "ids", or anything (empty)."""
    argument = argument.unnest()
    if not isinstance(argument, exp.Column):
        return ""
    if isinstance(leaf, Rows):
        column = leaf.column(argument.name)
        return "units" if column.is_unit else "ids" if column.is_local else ""
    if domain_of(catalog, leaf.offers, argument.name) is None:
        return ""
    return "units" if holds_unit(catalog, leaf.offers, argument.name) else "ids"
