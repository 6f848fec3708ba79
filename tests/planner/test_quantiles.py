"""Ranks against DuckDB's quantiles: sums over parts of the values find the same one as sorting all of them."""

from __future__ import annotations

from fractions import Fraction

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp, parse_one

from fedsql.errors import NotSupportedError, PolicyDenied
from fedsql.planner.ordered import Order
from fedsql.planner.quantiles import MOST_VALUES, Rank, above, between, check_values, fraction_of, ranks_of

ORDER = Order("INTEGER", -3, 12)


def found(rank: Rank, parts: list[list[int]]) -> int:
    """Return the value at a rank, from what each part contributes alone."""
    for value in range(ORDER.low, ORDER.high):
        total = sum(rank.times * sum(x <= value for x in part) - rank.less * len(part) for part in parts)
        if total >= rank.threshold:
            return value
    return ORDER.high


@pytest.fixture(scope="module")
def db():
    return duckdb.connect()


PARTS = st.lists(st.lists(st.integers(ORDER.low, ORDER.high), max_size=9), min_size=1, max_size=3).filter(any)


@settings(max_examples=150)
@given(PARTS, st.integers(0, 100) | st.sampled_from([0, 100, 50, 25]))
def test_ranks_find_the_values_of_duckdb(db, parts, hundredths):
    q = f"{hundredths // 100}.{hundredths % 100:02}"
    listed = ", ".join(f"({x})" for part in parts for x in part)
    wanted = db.execute(
        f"SELECT quantile_disc(x, {q}), quantile_cont(x, {q}), median(x), count(x) FROM (VALUES {listed}) t(x)"
    ).fetchone()
    fraction = Fraction(q)
    (disc,) = ranks_of("quantile_disc", fraction, ORDER)
    assert found(disc, parts) == wanted[0]
    for of, value in ((fraction, wanted[1]), (Fraction(1, 2), wanted[2])):
        low, high = (found(rank, parts) for rank in ranks_of("quantile_cont", of, ORDER))
        assert low + above(of, wanted[3], low, high) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "q"),
    [("0.5", "1/2"), ("0", "0"), ("1", "1"), ("1e-1", "1/10"), ("CAST('0.25' AS DOUBLE)", "1/4"), ("(0.999999)", "999999/1000000")],
)  # fmt: skip
def test_quantiles_are_constants(text, q):
    assert fraction_of("MEDIAN", parse_one(text, dialect="duckdb")) == Fraction(q)


def test_the_median_is_one_half():
    assert fraction_of("MEDIAN", None) == Fraction(1, 2)


@pytest.mark.parametrize("text", ["-0.5", "1.5", "[0.1, 0.9]", "x", "0.1234567", "0.5 + 0.1", "'a'", "NULL"])
def test_other_quantiles_are_refused(text):
    with pytest.raises(NotSupportedError, match="QUANTILE_CONT is answered for constant quantiles"):
        fraction_of("QUANTILE_CONT", parse_one(text, dialect="duckdb"))


def test_columns_with_too_many_values_are_refused():
    argument = exp.column("x")
    check_values("MEDIAN", argument, Order("INTEGER", 1, MOST_VALUES), "tables.t.columns.x")
    with pytest.raises(
        PolicyDenied, match="MEDIAN of x is not answered: it can have more than 524,288 values"
    ) as caught:
        check_values("MEDIAN", argument, Order("INTEGER", 0, MOST_VALUES), "tables.t.columns.x")
    assert "tables.t.columns.x.bounds" in str(caught.value.hint)
    assert "declare" not in str(caught.value.hint)
    check_values("MEDIAN", argument, Order("DATE", 1, MOST_VALUES), "tables.t.columns.x")
    with pytest.raises(PolicyDenied) as caught:
        check_values("MEDIAN", argument, Order("DATE", 0, MOST_VALUES), "tables.t.columns.x")
    assert "declare" not in str(caught.value.hint)
    with pytest.raises(PolicyDenied) as caught:
        check_values("MEDIAN", argument, Order("DOUBLE", 0, 1 << 62), "tables.t.columns.x")
    assert "and .scale, its digits after the point; or round(x, 1)" in str(caught.value.hint)
    check_values("MEDIAN", argument, Order("DOUBLE", 1, MOST_VALUES, digits=2), "tables.t.columns.x")
    with pytest.raises(PolicyDenied) as caught:
        check_values("MEDIAN", argument, Order("TIME", 0, 1 << 62), "tables.t.columns.x")
    assert "declare it as a whole number, a DECIMAL or a DATE" in str(caught.value.hint)


@given(st.integers(-3000, 3000), st.integers(0, 3000), st.integers(0, 999))
def test_between_two_values_as_duckdb_rounds(low, more, thousandths):
    least, most, q = low / 1000, (low + more) / 1000, thousandths / 1000
    sql = f"SELECT quantile_cont(x, {q}) FROM (VALUES ({least!r}::DOUBLE), ({most!r}::DOUBLE)) AS t(x)"
    ((found,),) = duckdb.sql(sql).fetchall()
    assert between(Fraction(thousandths, 1000), 2, least, most) == found
