"""The aggregates: which calls are one, which of them parties release, and under which names.

What is released is bound by the owner's policy as well (`planner.policy`). The other aggregates of DuckDB are listed to be
refused in words.
"""

from __future__ import annotations

from sqlglot import exp

from fedsql.errors import PolicyDenied
from fedsql.planner.positions import position
from fedsql.planner.trees import sql_of

# sqlglot's class of an aggregate -> (canonical DuckDB name, the policy name under [release] aggregates)
AGGREGATES: dict[type[exp.Expr], tuple[str, str]] = {
    exp.Count: ("count", "count"),
    exp.CountIf: ("count_if", "count"),
    exp.LogicalAnd: ("bool_and", "count"),
    exp.LogicalOr: ("bool_or", "count"),
    exp.Min: ("min", "min"),
    exp.Max: ("max", "max"),
    exp.Median: ("median", "quantile"),
    exp.Mode: ("mode", "mode"),
    exp.Quantile: ("quantile_disc", "quantile"),
    exp.PercentileCont: ("quantile_cont", "quantile"),
    exp.PercentileDisc: ("quantile_disc", "quantile"),
    exp.Sum: ("sum", "sum"),
    exp.Avg: ("avg", "avg"),
    exp.Stddev: ("stddev_samp", "stddev"),
    exp.StddevSamp: ("stddev_samp", "stddev"),
    exp.StddevPop: ("stddev_pop", "stddev"),
    exp.Variance: ("var_samp", "var"),
    exp.VariancePop: ("var_pop", "var"),
    exp.CovarSamp: ("covar_samp", "covar"),
    exp.CovarPop: ("covar_pop", "covar"),
    exp.Corr: ("corr", "corr"),
    exp.RegrAvgx: ("regr_avgx", "regr"),
    exp.RegrAvgy: ("regr_avgy", "regr"),
    exp.RegrCount: ("regr_count", "regr"),
    exp.RegrIntercept: ("regr_intercept", "regr"),
    exp.RegrR2: ("regr_r2", "regr"),
    exp.RegrSlope: ("regr_slope", "regr"),
    exp.RegrSxx: ("regr_sxx", "regr"),
    exp.RegrSxy: ("regr_sxy", "regr"),
    exp.RegrSyy: ("regr_syy", "regr"),
}
AGGREGATE_NAMES = {"mean": exp.Avg}  # aliases that sqlglot leaves anonymous
POLICY_OF = dict(AGGREGATES.values())
TRUTHS = ("count_if", "bool_and", "bool_or")  # over truth values
REPEATABLE = ("bool_and", "bool_or", "min", "max")  # equal values change nothing: DISTINCT may be left out

# DuckDB's other aggregates, to tell "refused" from "no such function"; tests compare this with duckdb_functions().
REFUSED_AGGREGATES = frozenset(
    [
        "any_value",
        "approx_count_distinct",
        "approx_quantile",
        "approx_top_k",
        "arbitrary",
        "arg_max",
        "arg_max_null",
        "arg_max_nulls_last",
        "arg_min",
        "arg_min_null",
        "arg_min_nulls_last",
        "argmax",
        "argmin",
        "array_agg",
        "avg",
        "bit_and",
        "bit_or",
        "bit_xor",
        "bitstring_agg",
        "countif",
        "count_star",
        "entropy",
        "favg",
        "first",
        "fsum",
        "geomean",
        "geometric_mean",
        "group_concat",
        "histogram",
        "histogram_exact",
        "kahan_sum",
        "kurtosis",
        "kurtosis_pop",
        "last",
        "list",
        "listagg",
        "mad",
        "max_by",
        "min_by",
        "nth_value",
        "product",
        "reservoir_quantile",
        "sem",
        "skewness",
        "st_extent_agg",
        "string_agg",
        "sum_no_overflow",
        "sumkahan",
        "wavg",
        "weighted_avg",
        "combine_aggr",
        "decimal_average",
        "lttb",
        "variant_group_object",
    ]
)

GROUPING = (exp.Grouping, exp.GroupingId)  # they tell a row's grouping set: constants of it


def aggregate_of(node: exp.Expr) -> tuple[str, str] | None:
    """Return (canonical name, policy name) of an aggregate call that fedsql answers, else None."""
    if isinstance(node, exp.Anonymous):
        known = AGGREGATE_NAMES.get(node.name.lower())
        return AGGREGATES[known] if known else None
    return AGGREGATES.get(type(node))


def is_aggregate(node: exp.Expr) -> bool:
    """Say whether a call is an aggregate of DuckDB, answered or not."""
    if aggregate_of(node) is not None or isinstance(node, exp.AggFunc):
        return not isinstance(node, GROUPING)
    return isinstance(node, exp.Anonymous) and node.name.lower() in REFUSED_AGGREGATES


def function_name(node: exp.Expr) -> str:
    """Return the name of a call as a user would write it."""
    if isinstance(node, exp.Anonymous):
        return node.name.lower()
    return sql_of(node).split("(", 1)[0].lower() if isinstance(node, exp.Func) else type(node).__name__.lower()


def refuse_aggregate(node: exp.Expr) -> PolicyDenied:
    """Build the refusal of an aggregate that fedsql does not answer."""
    return PolicyDenied(
        f"the aggregate {function_name(node)} is not one that parties release",
        hint="it could show single rows; allowed: count, sum, avg, bool_and, bool_or, stddev, var, covar, corr, regr_*",
        position=position(node),
    )
