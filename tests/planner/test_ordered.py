"""Codes keep the order of values and give them back; for MIN the order is turned round, and 0 is no value."""

from __future__ import annotations

import struct
from fractions import Fraction

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from fedsql.errors import NotSupportedError
from fedsql.planner.bounds import Interval
from fedsql.planner.ordered import Order, order_of, value_sql, whole_sql

X = exp.column("x")


def _infinite(sign, type_):
    return f"CAST('{sign}infinity' AS {type_})"


def order(type_, known=None, upwards=True):
    return order_of("MAX", X, type_, known or {}, upwards=upwards)


@pytest.mark.parametrize(
    ("type_", "low", "high", "bits"),
    [
        ("BOOLEAN", 0, 1, 2),
        ("TINYINT", -128, 127, 9),
        ("UBIGINT", 0, 2**64 - 1, 65),
        ("HUGEINT", -(2**127), 2**127 - 1, 129),
        ("DECIMAL(4,1)", -9999, 9999, 15),
        ("DATE", -(2**31) + 1, 2**31 - 1, 32),
        ("TIME", 0, 86_400_000_000, 37),
        ("TIMESTAMP", -(2**63) + 1, 2**63 - 1, 64),
        ("DOUBLE", -0x7FF0000000000000, 0x7FEFFFFFFFFFFFFF, 64),
        ("FLOAT", -0x7FF0000000000000, 0x7FEFFFFFFFFFFFFF, 64),
    ],
)
def test_codes_are_as_narrow_as_the_type_allows(type_, low, high, bits):
    found = order(type_)
    assert (found.low, found.high, found.bits) == (low, high, bits)


def test_verified_bounds_make_codes_narrower():
    found = order("DECIMAL(10,2)", {"x": Interval(Fraction(0), Fraction(120))})
    assert (found.low, found.high, found.bits) == (0, 12000, 14)
    assert found.value(1) == 0
    assert found.value(12001) == 120


@pytest.mark.parametrize("upwards", [True, False])
def test_wholes_come_back_and_larger_codes_are_what_is_asked_for(upwards):
    found = Order("TINYINT", -128, 127, upwards)
    wholes = [found.whole(code) for code in range(1, 257)]
    assert wholes == sorted(range(-128, 128), reverse=not upwards)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2))
def test_bits_of_doubles_grow_with_them(values):
    found = order("DOUBLE")
    wholes = []
    for value in values:
        (bits,) = struct.unpack("<q", struct.pack("<d", value + 0.0))
        wholes.append(bits if bits >= 0 else bits ^ 0x7FFFFFFFFFFFFFFF)
        assert found.low <= wholes[-1] <= found.high
        assert found.value(wholes[-1] - found.low + 1) == value
    assert (values[0] < values[1]) == (wholes[0] < wholes[1])


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("DATE", "0044-03-15 (BC)"),
        ("DATE", "5881580-07-10"),
        ("TIMESTAMP", "1969-12-31 23:59:59.999999"),
        ("TIMESTAMP", "290309-12-22 (BC) 00:00:00"),
        ("TIMESTAMP_S", "2020-01-02 03:04:05"),
        ("TIMESTAMP_MS", "2020-01-02 03:04:05.678"),
        ("TIMESTAMP_NS", "2020-01-02 03:04:05.123456789"),
        ("TIMESTAMP WITH TIME ZONE", "2020-01-02 03:04:05.5+00"),
    ],
)
def test_moments_go_there_and_back(type_, value):
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    there = whole_sql(f"CAST('{value}' AS {type_})", type_)
    ((whole,),) = db.execute(f"SELECT {there}").fetchall()
    found = order(type_)
    assert found.low <= whole <= found.high
    back = f"SELECT {value_sql(repr(str(whole)), type_)} IS NOT DISTINCT FROM CAST('{value}' AS {type_})"
    assert db.execute(back).fetchall() == [(True,)]


@pytest.mark.parametrize("type_", ["DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP WITH TIME ZONE", "DOUBLE", "FLOAT"])
def test_infinities_are_no_values(type_):
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    for sign in ("", "-"):
        assert db.execute(f"SELECT {whole_sql(_infinite(sign, type_), type_)}").fetchall() == [(None,)]


@pytest.mark.parametrize("type_", ["VARCHAR", "INTERVAL", "UUID", "BLOB", "INTEGER[]", "STRUCT(a INTEGER)"])
def test_what_has_no_order_here_is_refused(type_):
    with pytest.raises(NotSupportedError, match=r"MAX over .* is not answered: of numbers, dates and times it is"):
        order(type_)
