"""Values as integers: what is summed equals the values, never passes its limit, and fits its slot."""

from decimal import Decimal
from fractions import Fraction

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from fedsql.errors import PolicyDenied
from fedsql.planner.bounds import Interval
from fedsql.planner.coding import ROW_CAP, Coded, code, needs_halves, slot_width

KEY = "tables.t.columns.v"


def coded(type_, known=None, squares=False):
    column = exp.column("v")
    bounds = {} if known is None else {"v": Interval(Fraction(known[0]), Fraction(known[1]))}
    return code(column, column, type_, bounds, KEY, squares=squares)


@pytest.fixture(scope="module")
def db():
    return duckdb.connect()


def integer_of(db, made: Coded, value, type_):
    typed = f"CAST({'NULL' if value is None else repr(str(value))} AS {type_})"
    return db.execute(f"SELECT {made.sql} FROM (SELECT {typed} AS v)").fetchone()[0]


WHOLE = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}


@pytest.mark.parametrize("type_", WHOLE)
def test_integers_are_themselves(db, type_):
    made = coded(type_)
    low, high = -(1 << WHOLE[type_] - 1), (1 << WHOLE[type_] - 1) - 1
    assert (made.low, made.high, made.unit) == (low, high, 1)
    assert [integer_of(db, made, v, type_) for v in (low, high, 0, None)] == [low, high, 0, None]


@given(st.integers(1, 38), st.data())
def test_decimals_are_their_unscaled_integers(db, digits, data):
    scale = data.draw(st.integers(0, digits))
    unscaled = data.draw(st.integers(-(10**digits) + 1, 10**digits - 1))
    type_ = f"DECIMAL({digits},{scale})"
    made = coded(type_)
    text = f"{'-' if unscaled < 0 else ''}{str(abs(unscaled)).rjust(scale + 1, '0')}"
    value = text if scale == 0 else f"{text[:-scale]}.{text[-scale:]}"
    assert integer_of(db, made, value, type_) == unscaled
    assert made.unit == Fraction(1, 10**scale)
    assert abs(unscaled) <= made.limit
    if made.sum_as_is is not None:  # the column itself may be summed that often without passing DECIMAL(38)
        assert made.limit * ROW_CAP < 10**38


@given(st.floats(-1000, 1000), st.sampled_from([1000, 1024, 10**6, 10**9, 10**12]), st.booleans())
def test_doubles_are_fixed_point_numbers(db, value, bound, squares):
    if squares and bound > 1 << 32:
        return
    made = coded("DOUBLE", (-bound, bound), squares)
    integer = integer_of(db, made, repr(value), "DOUBLE")
    assert made.low <= integer <= made.high
    assert abs(integer * made.unit - Fraction(value)) <= made.unit / 2


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", None])
def test_what_is_not_finite_is_left_out(db, value):
    made = coded("DOUBLE", (0, 1))
    assert integer_of(db, made, value, "DOUBLE") is None
    typed = f"CAST({'NULL' if value is None else repr(value)} AS DOUBLE)"
    assert db.execute(f"SELECT {made.present} FROM (SELECT {typed} AS v)").fetchone() == (False,)


def test_bounds_narrow_integers_and_nothing_beyond_their_type():
    assert (coded("INTEGER", (0, 120)).low, coded("INTEGER", (0, 120)).high) == (0, 120)
    assert coded("TINYINT", (-1000, 1000)).high == 127
    assert (coded("DECIMAL(6,2)", (0, 10)).low, coded("DECIMAL(6,2)", (0, 10)).high) == (0, 1000)


@pytest.mark.parametrize(
    ("type_", "squares"), [("DOUBLE", False), ("FLOAT", True), ("HUGEINT", True), ("UBIGINT", True)]
)
def test_what_needs_bounds_says_whose(type_, squares):
    with pytest.raises(PolicyDenied) as caught:
        coded(type_, squares=squares)
    assert KEY in (caught.value.hint or "")


@pytest.mark.parametrize("type_", ["VARCHAR", "DATE", "TIMESTAMP", "INTERVAL", "BLOB"])
def test_only_numbers_are_summed(type_):
    with pytest.raises(PolicyDenied, match="only numbers can be summed"):
        coded(type_)


@given(st.integers(1, 1 << 170), st.integers(1, 64))
def test_slots_hold_every_partys_limit(limit, parties):
    bits = 8 * slot_width(limit, parties)
    assert limit * parties < 1 << bits - 1
    assert bits <= 8 or limit * parties >= 1 << bits - 9, "a byte more than needed"


@given(st.integers(1, 1 << 126))
def test_sums_that_may_pass_128_bits_are_taken_in_halves(limit):
    assert needs_halves(limit) or limit * ROW_CAP < 1 << 127


def test_scaling_and_shifting_keep_the_integers(db):
    made = coded("DECIMAL(6,2)").scaled(Fraction(2), Fraction(-3))
    integer = integer_of(db, made, Decimal("1.25"), "DECIMAL(6,2)")
    assert integer * made.unit + made.offset == 2 * Fraction(5, 4) - 3
    around = coded("INTEGER", (0, 120)).around(60)
    assert integer_of(db, around, 70, "INTEGER") == 10
    assert (around.low, around.high, around.offset) == (-60, 60, 60)
