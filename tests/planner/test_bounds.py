"""Interval arithmetic against brute force: a value that DuckDB can compute lies inside of the interval."""

from fractions import Fraction
from itertools import product

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from fedsql.planner.bounds import Interval, interval, sql_type, type_interval
from fedsql.planner.parse import parse
from fedsql.types import SqlType

RANGES = {"a": (-3, 2), "b": (0, 4), "c": (5, 7)}
KNOWN = {name: Interval(Fraction(low), Fraction(high)) for name, (low, high) in RANGES.items()}


def expression(text):
    return parse(f"SELECT {text} AS v FROM t").expressions[0].unalias()


LEAVES = st.sampled_from(["a", "b", "c", "2", "-1", "0", "10"])
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "//", "%", "/"]), inner),
        st.builds("({})".format, inner),
        st.builds("(- {})".format, inner),
        st.builds("abs({})".format, inner),
        st.builds("CASE WHEN a > 0 THEN {} ELSE {} END".format, inner, inner),
        st.builds("coalesce({}, {})".format, inner, inner),
        st.builds("greatest({}, {})".format, inner, inner),
        st.builds("least({}, {})".format, inner, inner),
        st.builds("least(greatest(100 * sin({}), -2, {}), 3)".format, inner, inner),
        st.builds("greatest(-3, least(100 * sin({}), {}, 1), {})".format, inner, inner, inner),
        st.builds("nullif({}, {})".format, inner, inner),
        st.builds("TRY_CAST({} AS TINYINT)".format, inner),
        st.builds("TRY_CAST({} AS DECIMAL(4,1))".format, inner),
        st.builds("round({} / 3)".format, inner),
        st.builds("floor({} / 2)".format, inner),
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def grid():
    """Every combination of the columns' values."""
    db = duckdb.connect(config={"disabled_optimizers": "common_subexpressions"})
    db.execute("CREATE TABLE t (a HUGEINT, b HUGEINT, c HUGEINT)")
    values = [range(low, high + 1) for low, high in RANGES.values()]
    db.execute("INSERT INTO t VALUES " + ", ".join(map(str, product(*values))))
    return db


@given(EXPRESSIONS)
def test_no_value_is_outside(grid, text):
    found = interval(expression(text), KNOWN)
    if found is None:
        return
    values = grid.execute(f"SELECT DISTINCT TRY(CAST({text} AS DOUBLE)) FROM t").fetchall()
    for (value,) in values:
        if value is not None and abs(value) != float("inf") and value == value:
            assert found.low - Fraction(1, 10**9) <= Fraction(value) <= found.high + Fraction(1, 10**9), (text, value)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("a + b", -3, 6),
        ("a - b", -7, 2),
        ("a * b", -12, 8),
        ("-c", -7, -5),
        ("abs(a)", 0, 3),
        ("c / 2", Fraction(5, 2), Fraction(7, 2)),
        ("a > 3", 0, 1),
        ("CASE WHEN a > 0 THEN b ELSE c END", 0, 7),
        ("2 * (c - 5)", 0, 4),
        ("least(greatest(unknown, -1), 3)", -1, 3),
        ("greatest(least(unknown, 4, b), 10)", 10, 10),
        ("greatest(least(unknown, 4), a, 0)", 0, 4),
    ],
)
def test_what_is_exact(text, low, high):
    assert interval(expression(text), KNOWN) == Interval(Fraction(low), Fraction(high))


@pytest.mark.parametrize(
    "text",
    ["greatest(unknown, 1)", "least(greatest(unknown, a), 3)", "least(greatest(unknown, 1), nullif(2, 2), unknown)",
     "unknown", "a + unknown", "c / a", "upper(a)", "CASE WHEN a > 0 THEN unknown ELSE 1 END", "'x'"],
)  # fmt: skip
def test_unknown_stays_unknown(text):
    assert interval(expression(text), KNOWN) is None


def test_types_bound_what_they_hold():
    assert type_interval(SqlType.parse("TINYINT")) == Interval(Fraction(-128), Fraction(127))
    assert type_interval(SqlType.parse("DECIMAL(4,1)")) == Interval(Fraction(-9999, 10), Fraction(9999, 10))
    assert type_interval(SqlType.parse("BOOLEAN")) == Interval(Fraction(0), Fraction(1))
    assert type_interval(SqlType.parse("DOUBLE")) is None
    assert interval(expression("CAST(unknown AS UTINYINT)"), {}) == Interval(Fraction(0), Fraction(255))


@pytest.mark.parametrize(
    "name",
    ["INT", "INTEGER", "BIGINT", "HUGEINT", "TINYINT", "UTINYINT", "UBIGINT", "DECIMAL", "DECIMAL(5)", "DECIMAL(10,2)",
     "NUMERIC(7,3)", "FLOAT", "REAL", "DOUBLE", "VARCHAR", "TEXT", "BOOLEAN", "DATE", "TIMESTAMP", "SMALLINT", "INT8"],
)  # fmt: skip
def test_types_of_casts_are_read_as_duckdb_names_them(name):
    cast = expression(f"CAST(a AS {name})")
    assert isinstance(cast, exp.Cast)
    (wanted,) = duckdb.connect().execute(f"DESCRIBE SELECT CAST(NULL AS {name}) AS v").fetchall()
    found, described = sql_type(cast.to), SqlType.parse(wanted[1])
    assert (found.family, found.low, found.high, found.scale) == (
        described.family,
        described.low,
        described.high,
        described.scale,
    )
