"""What a block reads above the cut where that is more than a column of its release.

SUM(DISTINCT x) and AVG(DISTINCT x): the values are released as groups, and aggregated there.

    SELECT sex, SUM(DISTINCT age) FROM patients GROUP BY sex
    -> release 0: keys sex
       release 1: keys sex, age
       SELECT _r0.k0 AS sex, (SELECT SUM(DISTINCT _v1.k1) FROM _release_1 AS _v1 WHERE _v1.k0 IS NOT DISTINCT FROM _r0.k0) ...

MODE(x) releases COUNT(*) of each value, too, and takes the least of the values that have the largest one. So the analyst
sees the values, as GROUP BY would show them. `Release.values_of` says so; `check_listed` sees to it that no value is missing
that would change the answer.

A list of quantiles is a list of calls; GROUPING SETS are a union of releases.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.aggregates import aggregate_of
from fedsql.planner.logical import Release
from fedsql.planner.relations import leaf_of
from fedsql.planner.terms import Terms
from fedsql.planner.trees import find, sql_of

LISTED = ("sum", "avg")  # where they are of distinct values


def lists_values(call: exp.Expr) -> bool:
    """Say whether an aggregate call (with its FILTER) is of distinct values that must be known themselves."""
    bare = _bare(call)
    known = aggregate_of(bare)
    return is_mode(call) or (known is not None and known[0] in LISTED and isinstance(_first(bare), exp.Distinct))


def is_mode(call: exp.Expr) -> bool:
    """Say whether an aggregate call (with its FILTER) is MODE(x)."""
    bare = _bare(call)
    return isinstance(bare, exp.Mode) and not isinstance(bare.this, exp.Distinct | exp.Order | None)


def values_of(select: exp.Select, call: exp.Expr) -> tuple[exp.Select, exp.Expr]:
    """Return the block whose rows such a call reads, and the expression whose values it aggregates."""
    first = _first(_bare(call))
    (value,) = first.expressions if isinstance(first, exp.Distinct) else [first]
    if isinstance(call, exp.Filter):
        select = select.copy().where(call.expression.this.copy())
    return select, value


def over_values(call: exp.Expr, relation: str, alias: str, around: str, keys: int) -> exp.Subquery:
    """Return what such a call is above the cut: over ``relation``, whose last key is the value, in the group of ``around``.

    ``keys``: how many come before it, in both.
    """
    names = [f"k{i}" for i in range(keys)]
    value = exp.column(f"k{keys}", table=alias, quoted=True)
    made = _most_frequent(value, exp.column("a0", table=alias, quoted=True)) if is_mode(call) else _bare(call).copy()
    if not is_mode(call):
        _first(made).set("expressions", [value])
    query = exp.Select(expressions=[made]).from_(exp.alias_(exp.to_table(relation), alias, table=True))
    for name in names:
        here, there = (exp.column(name, table=table, quoted=True) for table in (alias, around))
        query = query.where(exp.NullSafeEQ(this=here, expression=there))
    return exp.Subquery(this=query)


def _most_frequent(value: exp.Column, count: exp.Column) -> exp.Expr:
    """Return the value that has the largest count, the least one of several; NULL is none."""
    order = [exp.Ordered(this=count, desc=True, nulls_first=False), exp.Ordered(this=value.copy(), nulls_first=False)]
    first = exp.First(this=exp.Order(this=value, expressions=order))
    present = exp.Not(this=exp.Is(this=value.copy(), expression=exp.null()))
    return exp.Filter(this=first, expression=exp.Where(this=present))


def check_listed(release: Release, terms: Terms) -> None:
    """Raise NotSupportedError where values under a call might be hidden that the answer depends on.

    With min_group_size alone, and one row for each unit, a value that is hidden is less frequent than those that are shown.
    """
    call = release.values_of
    if not call or not (terms.hides or terms.noisy):
        return
    if not release.most_frequent or terms.noisy:
        raise NotSupportedError(
            f"{call} is not answered where values of few are not shown: they would be missing",
            hint="GROUP BY the argument in a derived table, and aggregate the values shown in the outer query",
        )
    if terms.min_parties > 1 or not all(offer.unit_unique for offer in leaf_of(release.input).offers):
        why = "of values at few parties" if terms.min_parties > 1 else "of units with several rows each"
        raise NotSupportedError(
            f"{call} is not answered where a value that is not shown may be the most frequent one: {why}",
            hint="GROUP BY the argument, with COUNT(*): that shows the values of many",
        )
    if release.is_beside:
        raise NotSupportedError(
            f"{call} is answered alone where min_group_size is over 1 (it is {terms.min_group_size} here): a total less"
            " the counts of its values could open a small one",
            hint="ask for the other aggregates in a query of their own",
        )


def each_alone(call: exp.Expr) -> list[exp.Expr]:
    """Return one call for each fraction of a list of quantiles; none of any other call."""
    bare = _bare(call)
    ordered = isinstance(bare, exp.WithinGroup)  # then the fractions are the only argument
    bare = bare.this if ordered else bare
    if not isinstance(bare, exp.PercentileCont | exp.PercentileDisc | exp.Quantile):
        return []
    place = "this" if ordered else "quantile" if isinstance(bare, exp.Quantile) else "expression"
    fractions = bare.args.get(place)
    if not isinstance(fractions, exp.Array):
        return []
    calls = []
    for fraction in fractions.expressions:
        made = call.copy()
        (same,) = (node for node in find(made, exp.Array) if node == fractions and node.arg_key == place)
        same.replace(fraction.copy())
        calls.append(made)
    return calls


def put_together(parts: Sequence[exp.Expr]) -> exp.Expr:
    """Return the list of what the calls of `each_alone` come to: NULL where there are no values."""
    missing = exp.Is(this=parts[0].copy(), expression=exp.null())
    return exp.Case(ifs=[exp.If(this=missing, true=exp.null())], default=exp.Array(expressions=list(parts)))


def _bare(call: exp.Expr) -> exp.Expr:
    return call.this if isinstance(call, exp.Filter) else call


def _first(call: exp.Expr) -> exp.Expr:
    first: exp.Expr = call.expressions[0] if isinstance(call, exp.Anonymous) else call.this
    return first


def united(
    alias: str,
    keys: list[exp.Expr],
    sets: list[list[exp.Expr]],
    releases: list[Release],
    aggregates: int,
    asked: list[exp.Expr],
) -> exp.Subquery:
    """Return the union of the releases of all grouping sets, with what GROUPING says of each one."""
    branches: list[exp.Query] = []
    for each, release in zip(sets, releases, strict=True):
        there = [sql_of(key) for key in each]
        texts = [sql_of(key) for key in keys]
        columns: list[exp.Expr] = [
            exp.column(f"k{there.index(t)}", quoted=True) if t in there else exp.null() for t in texts
        ]
        names = [f"k{i}" for i in range(len(keys))] + [f"a{i}" for i in range(aggregates)]
        columns += [exp.column(f"a{i}", quoted=True) for i in range(aggregates)]
        for number, node in enumerate(asked):
            bits = "".join("01"[sql_of(part.unnest()) not in there] for part in node.expressions)
            columns.append(exp.cast(exp.Literal.number(int(bits or "0", 2)), "BIGINT", dialect="duckdb"))
            names.append(f"g{number}")
        listed = [exp.alias_(column, name, quoted=True) for column, name in zip(columns, names, strict=True)]
        branches.append(exp.Select(expressions=listed).from_(exp.to_table(release.relation)))
    whole = branches[0]
    for branch in branches[1:]:
        whole = exp.union(whole, branch, distinct=False, copy=False)
    return exp.Subquery(this=whole, alias=exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
