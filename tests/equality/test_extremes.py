"""MIN and MAX over all parties: of every type that has an order, to the last digit, under conditions, in joins and stages."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from fedsql.errors import NotSupportedError, PolicyDenied

WHOLE = (
    "age",
    "i8",
    "i16",
    "i32",
    "i64",
    "wide",
    "u8",
    "u16",
    "u32",
    "u64",
    "huge",
    "d4",
    "money",
    "d18",
    "d38",
    "f",
    "x",
)
MOMENTS = ("born", "seen", '"at"', "clock", "flag", "nothing")


@pytest.mark.parametrize("column", [*WHOLE, *MOMENTS])
def test_every_type(hospitals, column):
    hospitals.check(f"SELECT MIN({column}), MAX({column}) FROM patients")
    hospitals.check(f"SELECT sex, region, MIN({column}), MAX({column}), COUNT({column}) FROM patients GROUP BY ALL")


EXTREMES = """
SELECT MIN(age), MAX(age), MIN(AGE), MAX(DISTINCT age), SUM(age), COUNT(DISTINCT age) FROM patients
SELECT sex, MIN(age) FILTER (WHERE age > 40), MAX(x) FILTER (WHERE flag), MAX(age) FILTER (WHERE age > 1000) FROM patients GROUP BY sex
SELECT MAX(age + visits), MIN(-age), MAX(CASE WHEN flag THEN money END), MIN(age / 7), MAX(x * y), MAX(length(region)), MIN(7), MAX(1.5) FROM patients
SELECT MAX(age > 40), MIN(flag AND age > 3), MAX(born + 3), MAX(seen::DATE), MIN(year(born)), MAX(age::DOUBLE), MIN(x::FLOAT) FROM patients
SELECT MAX(age) - MIN(age) AS span, MAX(age) / MIN(nullif(age, 0)) FROM patients HAVING MAX(age) > 3 AND COUNT(*) > 1
SELECT MAX(age) FROM patients WHERE false
SELECT sex, MAX(age) FROM patients WHERE age > 1000 GROUP BY sex
SELECT MAX(age), MIN(born) FROM north.patients
SELECT ward, MAX(free) FROM beds GROUP BY ward ORDER BY MAX(free) DESC NULLS LAST
SELECT sex, MAX(a) FROM (SELECT sex, region, MAX(age) AS a FROM patients GROUP BY ALL) t GROUP BY sex
SELECT COUNT(*) FROM patients WHERE age = (SELECT MAX(age) FROM patients)
SELECT COUNT(*) FROM patients WHERE seen < (SELECT MAX(seen) FROM patients) AND born > (SELECT MIN(born) FROM patients)
SELECT MAX(p.age), MIN(q.money) FROM patients p JOIN patients q ON p.id = q.id WHERE q.age > 30
SELECT sex, region, MAX(age) AS m FROM patients GROUP BY ROLLUP (sex, region)
"""


@pytest.mark.parametrize("sql", [line for line in EXTREMES.splitlines() if line])
def test_equals_duckdb(hospitals, sql):
    hospitals.check(sql)


ENDS = {
    "i": (pa.int64(), [2**63 - 1, -(2**63), None, 0]),
    "u": (pa.uint64(), [2**64 - 1, 0, None, 5]),
    "n": (pa.decimal128(38, 0), [Decimal(10**38 - 1), Decimal(1 - 10**38), None, Decimal(0)]),
    "d": (pa.decimal128(38, 38), [Decimal("0." + "9" * 38), Decimal("-0." + "9" * 38), None, Decimal(0)]),
    "x": (pa.float64(), [1.7976931348623157e308, -1.7976931348623157e308, None, 5e-324]),
    "y": (pa.float64(), [-5e-324, -0.0, 0.0, None]),
    "f": (pa.float32(), [3.4028234663852886e38, -1.401298464324817e-45, None, 0.1]),
    "day": (pa.date32(), [datetime.date(9999, 12, 31), datetime.date(1, 1, 1), None, datetime.date(1970, 1, 1)]),
    "t": (
        pa.timestamp("us"),
        [datetime.datetime(9999, 12, 31, 23, 59, 59, 999999), datetime.datetime(1, 1, 1), None, None],
    ),
    "clock": (pa.time64("us"), [datetime.time(23, 59, 59, 999999), datetime.time(0), None, datetime.time(12, 0, 0, 1)]),
    "flag": (pa.bool_(), [True, False, None, None]),
}


@pytest.mark.parametrize("parties", [2, 5, 9])
def test_the_ends_of_every_type_at_any_number_of_parties(pool_of, parties):
    """Nine parties are more than are compared at once."""
    held = {
        f"p{at}": {"t": pa.table({name: pa.array(v[at % 4 : at % 4 + 1], type_) for name, (type_, v) in ENDS.items()})}
        for at in range(parties)
    }
    pool = pool_of(held)
    for name in ENDS:
        pool.check(f"SELECT MIN({name}), MAX({name}) FROM t")
    pool.check("SELECT i, MIN(x), MAX(day), MIN(n), MAX(clock), MIN(flag) FROM t GROUP BY i")
    pool.close()


OTHERS = ("'infinity'::DATE", "'-infinity'::TIMESTAMP", "'nan'::DOUBLE", "'infinity'::TIMESTAMPTZ")


def test_moments_of_every_precision(pool_of):
    rows = pa.table({"id": [1, 2, 3]})
    sql = (
        "SELECT id, ('2020-01-0' || id || ' 01:02:03.456789') AS text, text::TIMESTAMP AS us, us::TIMESTAMP_MS AS ms,"
        " us::TIMESTAMP_S AS s, text::TIMESTAMP_NS AS ns, '24:00:00'::TIME AS midnight FROM source"
    )
    pool = pool_of({"one": {"t": rows}, "two": {"t": rows}}, {"t": {"sql": sql}})
    pool.check("SELECT MIN(ns), MAX(ns), MIN(ms), MAX(ms), MIN(s), MAX(s), MAX(us) FROM t")
    pool.check("SELECT MAX(midnight)::VARCHAR AS m FROM t")
    pool.close()


def test_nan_and_infinities_are_no_values(pool_of):
    rows = pa.table({"id": [1, 2, 3, 4]})
    sql = f"SELECT id, {', '.join(f'CASE WHEN id > 2 THEN {v} END AS v{i}' for i, v in enumerate(OTHERS))} FROM source"
    pool = pool_of({"one": {"t": rows}, "two": {"t": rows}}, {"t": {"sql": sql}})
    for number in range(len(OTHERS)):
        column = f"v{number}"
        finite = f"FILTER (WHERE isfinite({column}))"
        pool.check(f"SELECT MIN({column}) AS a FROM t", reference=f"SELECT MIN({column}) {finite} AS a FROM t")
    pool.close()


def test_public_groups(pool_of):
    one = {"g": ["a", "a", "b", None], "v": [1, 2, 3, 4], "id": [1, 2, 3, 4]}
    other = {"g": ["a", "b", "b"], "v": [2, 3, None], "id": [1, 2, 3]}
    config = {"t": {"privacy_unit": "id", "columns": {"g": {"values": ["a", "b", "never"]}, "v": {"bounds": [0, 9]}}}}
    pool = pool_of(
        {"one": {"t": pa.table(one)}, "two": {"t": pa.table(other)}, "three": {"t": pa.table(other)}}, config
    )
    pool.check("SELECT g, MIN(v), MAX(v), MAX(v) FILTER (WHERE v < 3), COUNT(v) FROM t GROUP BY g")
    pool.close()


def strict(pool_of, **release):
    rows = pa.table({"id": [1, 2, 3, 4], "g": ["a", "a", "b", "b"], "v": [1, 5, 2, None], "w": ["x", "y", "x", "y"]})
    release = {"min_group_size": 2, "min_parties": 1, "aggregates": ["count", "min", "max"], **release}
    return pool_of({"one": {"t": rows}, "two": {"t": rows}}, {"t": {"privacy_unit": "id"}}, release)


def test_columns_above_min_group_size_1(pool_of):
    pool = strict(pool_of)
    pool.check("SELECT g, MAX(v), MIN(v) FROM t GROUP BY g")
    pool.check("SELECT MAX(CASE WHEN g = 'a' THEN v END) AS m FROM t")
    for expression in (
        "v + 0",
        "v * (id = 2)::INT",
        "CASE WHEN id = 2 THEN v ELSE 0 END",
        "id = 2",
        "coalesce(v, 0)",
        "-v",
    ):
        with pytest.raises(PolicyDenied, match="above min_group_size = 1, MAX of ") as caught:
            pool.session.execute(f"SELECT MAX({expression}) FROM t")
        assert caught.value.position is not None
    with pytest.raises(PolicyDenied, match=r"it is computed in a subquery|above min_group_size = 1"):
        pool.session.execute("SELECT MAX(m) FROM (SELECT id, v * 2 AS m FROM t) s")
    pool.close()


def test_what_is_not_answered(pool_of, hospitals):
    with pytest.raises(NotSupportedError, match="MAX over VARCHAR is not answered: of numbers, dates and times it is"):
        hospitals.session.execute("SELECT MAX(region) FROM patients")
    with pytest.raises(NotSupportedError, match="MIN over INTERVAL is not answered"):
        hospitals.session.execute("SELECT MIN(INTERVAL (age) DAY) FROM patients")
    with pytest.raises(NotSupportedError, match=r"max\(x, n\) is not answered"):
        hospitals.session.execute("SELECT MAX(age, 3) FROM patients")
    pool = strict(pool_of, aggregates=["count", "max"])
    with pytest.raises(PolicyDenied, match="one does not release min") as caught:
        pool.session.execute("SELECT MIN(v) FROM t")
    assert 'would add "min"' in str(caught.value.hint)
    pool.close()
    pool = pool_of({"one": {"t": pa.table({"v": [1]})}, "two": {"t": pa.table({"v": [1]})}},
                   {"t": {"columns": {"v": {"bounds": [0, 9]}}}}, {"noise": "required", "aggregates": ["max", "count"]})  # fmt: skip
    with pytest.raises(NotSupportedError, match="max is not answered under noise") as caught:
        pool.session.execute("SELECT MAX(v) FROM t")
    assert caught.value.hint == "ask for a high quantile: quantile_cont(x, 0.99)"
    pool.close()
