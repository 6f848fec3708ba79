"""SUM(DISTINCT x) and AVG(DISTINCT x) over parties: the values are released as groups, and aggregated above the cut.

    SELECT sex, SUM(DISTINCT age) FROM patients GROUP BY sex
    -> release 0: keys sex
       release 1: keys sex, age
       SELECT _r0.k0 AS sex, (SELECT SUM(DISTINCT _v1.k1) FROM _release_1 AS _v1 WHERE _v1.k0 IS NOT DISTINCT FROM _r0.k0) ...

So the analyst sees the values, as GROUP BY would show them. `Release.values_of` says so, and that none may be missing.
"""

from __future__ import annotations

from sqlglot import exp

from fedsql.planner.functions import aggregate_of

LISTED = ("sum", "avg")


def lists_values(call: exp.Expr) -> bool:
    """Say whether an aggregate call (with its FILTER) is of distinct values that must be known themselves."""
    bare = _bare(call)
    known = aggregate_of(bare)
    return known is not None and known[0] in LISTED and isinstance(_first(bare), exp.Distinct)


def values_of(select: exp.Select, call: exp.Expr) -> tuple[exp.Select, exp.Expr]:
    """Return the block whose rows such a call reads, and the expression whose values it aggregates."""
    (value,) = _first(_bare(call)).expressions
    if isinstance(call, exp.Filter):
        select = select.copy().where(call.expression.this.copy())
    return select, value


def over_values(call: exp.Expr, relation: str, alias: str, around: str, keys: int) -> exp.Subquery:
    """Return what such a call is above the cut: over ``relation``, whose last key is the value, in the group of ``around``.

    ``keys``: how many come before it, in both.
    """
    names = [f"k{i}" for i in range(keys)]
    made = _bare(call).copy()
    _first(made).set("expressions", [exp.column(f"k{keys}", table=alias, quoted=True)])
    query = exp.Select(expressions=[made]).from_(exp.alias_(exp.to_table(relation), alias, table=True))
    for name in names:
        here, there = (exp.column(name, table=table, quoted=True) for table in (alias, around))
        query = query.where(exp.NullSafeEQ(this=here, expression=there))
    return exp.Subquery(this=query)


def _bare(call: exp.Expr) -> exp.Expr:
    return call.this if isinstance(call, exp.Filter) else call


def _first(call: exp.Expr) -> exp.Expr:
    first: exp.Expr = call.expressions[0] if isinstance(call, exp.Anonymous) else call.this
    return first
