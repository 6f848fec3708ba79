"""MEDIAN and quantiles over all parties: DuckDB's definitions and types, ties, NULLs, conditions, in joins and stages."""

from __future__ import annotations

import datetime
import random
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsql.errors import NotSupportedError, PolicyDenied

QUANTILES = """
SELECT MEDIAN(a), MEDIAN(t), MEDIAN(b), MEDIAN(d), MEDIAN(w), MEDIAN(h), MEDIAN(u) FROM t
SELECT QUANTILE_CONT(a, 0.25), QUANTILE_CONT(a, 0), QUANTILE_CONT(a, 1), QUANTILE_CONT(d, 0.1), QUANTILE_CONT(w, 0.333) FROM t
SELECT QUANTILE_DISC(a, 0.25), QUANTILE_DISC(a, 0), QUANTILE_DISC(a, 1), QUANTILE_DISC(d, 0.1), QUANTILE(w, 0.9), QUANTILE_DISC(b, 0.5) FROM t
SELECT g, MEDIAN(a), QUANTILE_DISC(a, 0.9), QUANTILE_CONT(d, 0.9), MEDIAN(t), COUNT(a), SUM(a), MIN(a), MAX(a) FROM t GROUP BY g
SELECT g, b, MEDIAN(a) AS m FROM t GROUP BY ALL ORDER BY ALL
SELECT percentile_cont(0.3) WITHIN GROUP (ORDER BY a), percentile_disc(0.3) WITHIN GROUP (ORDER BY t) FROM t
SELECT percentile_cont(0.3) WITHIN GROUP (ORDER BY a) FILTER (WHERE b) FROM t
SELECT MEDIAN(a) FILTER (WHERE b), MEDIAN(a) FILTER (WHERE a > 100), QUANTILE_DISC(t, 0.5) FILTER (WHERE a % 2 = 0) FROM t
SELECT g, MEDIAN(a) FILTER (WHERE a > 50), MEDIAN(none) FROM t GROUP BY g
SELECT MEDIAN(a // 10), MEDIAN(-a), MEDIAN(CASE WHEN b THEN a END), MEDIAN(a > 40), MEDIAN(7), QUANTILE_CONT(a + t, 0.5) FROM t
SELECT MEDIAN(a) FROM t WHERE false
SELECT g, QUANTILE_CONT(a, [0.1, 0.5]) AS c, QUANTILE_DISC(d, [0.9]) FILTER (WHERE b) FROM t GROUP BY g ORDER BY c[1]
SELECT percentile_cont([0.3, 0.3]) WITHIN GROUP (ORDER BY a), QUANTILE(t, [0, 1]), MEDIAN(a) FROM t
SELECT QUANTILE_CONT(a, [0.1, 0.5]), QUANTILE_DISC(none, [0.5]) FROM t WHERE a < 0
SELECT g, QUANTILE_CONT(a, [0.1, 0.5]) AS c FROM t GROUP BY ROLLUP (g)
SELECT MEDIAN(a), QUANTILE_DISC(d, 0.7) FROM one.t
SELECT g FROM t GROUP BY g HAVING MEDIAN(a) > 40 ORDER BY MEDIAN(a)
SELECT COUNT(*) FROM t WHERE a > (SELECT MEDIAN(a) FROM t)
SELECT MAX(m), MEDIAN(m) FROM (SELECT g, MEDIAN(a) AS m FROM t GROUP BY g) s
SELECT MEDIAN(x.a) FROM t x JOIN t y ON x.id = y.id WHERE y.b
SELECT g, MEDIAN(a) AS m FROM t GROUP BY ROLLUP (g)
"""
BOUNDS = {"a": [0, 120], "d": [-100, 100], "w": [-5000, 5000], "h": [0, 9], "u": [0, 200], "none": [0, 1]}


def _rows(seed: int, count: int) -> pa.Table:
    rng = random.Random(seed)

    def some(value):
        return [None if rng.random() < 0.2 else value() for _ in range(count)]

    columns = {
        "id": (pa.int64(), list(range(count))),
        "g": (pa.string(), some(lambda: rng.choice("abc"))),
        "a": (pa.int32(), some(lambda: rng.randint(0, 99))),
        "t": (pa.int8(), some(lambda: rng.choice([-128, 127, rng.randint(-128, 127)]))),
        "b": (pa.bool_(), some(lambda: rng.random() < 0.5)),
        "d": (pa.decimal128(4, 1), some(lambda: Decimal(rng.randint(-999, 999)).scaleb(-1))),
        "w": (pa.int64(), some(lambda: rng.choice([-5000, 5000, rng.randint(-5000, 5000)]))),
        "h": (pa.decimal128(38, 2), some(lambda: Decimal(rng.randint(0, 900)).scaleb(-2))),
        "u": (pa.uint64(), some(lambda: rng.randint(0, 200))),
        "none": (pa.int32(), [None] * count),
    }
    return pa.table({name: pa.array(values, type_) for name, (type_, values) in columns.items()})


@pytest.fixture(scope="module")
def spread(pool_of):
    """Four parties, one of them without rows; every column but its id has few values, by its type or its bounds."""
    parties = {name: {"t": _rows(seed, count)} for seed, (name, count) in enumerate({"one": 31, "two": 18, "three": 40, "no": 0}.items())}  # fmt: skip
    columns = {name: {"bounds": bounds} for name, bounds in BOUNDS.items()}
    pool = pool_of(parties, {"t": {"privacy_unit": "id", "columns": columns}})
    yield pool
    pool.close()


@pytest.mark.parametrize("sql", [line for line in QUANTILES.splitlines() if line])
def test_equals_duckdb(spread, sql):
    spread.check(sql)


def test_a_parameter(spread):
    spread.check("SELECT QUANTILE_CONT(a, ?) AS q FROM t", [0.25])


@pytest.mark.parametrize("parties", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 10])
def test_few_values_and_ties(pool_of, parties, count):
    rng = random.Random(count)
    values = [rng.randint(0, 3) for _ in range(count)]
    held = {f"p{at}": {"t": pa.table({"v": pa.array(values[at::parties], pa.int8())})} for at in range(parties)}
    pool = pool_of(held)
    both = [f"QUANTILE_CONT(v, {q}), QUANTILE_DISC(v, {q})" for q in ("0", "0.1", "0.25", "0.5", "0.75", "0.9", "1")]
    pool.check(f"SELECT MEDIAN(v), {', '.join(both)} FROM t")
    for each in both[1::2]:
        pool.check(f"SELECT {each} FROM t")
    pool.close()


NUMBERS = {
    "i": (pa.int8(), st.integers(-128, 127)),
    "d": (pa.decimal128(9, 3), st.integers(-2_000, 2_000).map(lambda n: Decimal(n).scaleb(-3))),
    "e": (pa.decimal128(30, 2), st.integers(-3, 3).map(lambda n: Decimal(n).scaleb(-2))),
}
ROWS = st.tuples(st.sampled_from(["a", "b", None]), *(st.none() | values for _, values in NUMBERS.values()))


@settings(max_examples=12, deadline=None)
@given(st.lists(st.lists(ROWS, max_size=8), min_size=1, max_size=3), st.integers(0, 1000))
def test_equals_duckdb_on_any_rows(pool_of, parties, thousandths):
    types = {"g": pa.string(), **{name: type_ for name, (type_, _) in NUMBERS.items()}}
    held = {}
    for at, rows in enumerate(parties):
        columns = zip(*rows, strict=True) if rows else [[]] * len(types)
        arrays = [pa.array(list(values), types[name]) for name, values in zip(types, columns, strict=True)]
        held[f"p{at}"] = {"t": pa.table(arrays, names=list(types))}
    pool = pool_of(held, {"t": {"columns": {"d": {"bounds": [-2, 2]}, "e": {"bounds": [-1, 1]}}}})
    q = thousandths / 1000
    calls = [f"MEDIAN({x}), QUANTILE_CONT({x}, {q}), QUANTILE_DISC({x}, {q}), MIN({x}), MAX({x})" for x in NUMBERS]
    pool.check(f"SELECT g, {', '.join(calls)} FROM t GROUP BY g", scale=1.0)
    pool.close()


def test_public_groups_and_cells(pool_of):
    rows = pa.table({"id": [1, 2, 3, 4, 5], "g": ["a", "a", "b", "b", None], "v": [1, 5, 2, None, 9]})
    config = {"privacy_unit": "id", "columns": {"g": {"values": ["a", "b", "never"]}, "v": {"bounds": [0, 9]}}}
    release = {"min_group_size": 3, "min_parties": 2, "aggregates": ["count", "quantile"]}
    pool = pool_of({"one": {"t": rows}, "two": {"t": rows}}, {"t": config}, release)
    groups = "(SELECT * FROM t WHERE g IN ('a', 'b'))"
    pool.check(
        "SELECT g, COUNT(*) AS n, MEDIAN(v) AS m, QUANTILE_DISC(v, 0.9) AS q FROM t GROUP BY g",
        reference="SELECT g, COUNT(*) AS n, CASE WHEN g = 'a' THEN MEDIAN(v) END AS m, CASE WHEN g = 'a'"
        f" THEN QUANTILE_DISC(v, 0.9) END AS q FROM {groups} GROUP BY g",
    )
    for expression in ("v + 0", "CASE WHEN id = 1 THEN v ELSE 0 END", "v * 2"):
        with pytest.raises(PolicyDenied, match="above min_group_size = 1, MEDIAN of "):
            pool.session.execute(f"SELECT MEDIAN({expression}) FROM t")
    pool.close()


def test_what_is_not_answered(spread, hospitals, pool_of):
    for call in ("MEDIAN(id)", "QUANTILE_DISC(id, 0.5)"):
        with pytest.raises(PolicyDenied, match="it can have more than 524,288 values") as caught:
            spread.session.execute(f"SELECT {call} FROM t")
        assert "tables.t.columns.id.bounds" in str(caught.value.hint)
    for call in ("MEDIAN(x)", "MEDIAN(born)"):
        with pytest.raises(PolicyDenied, match="it can have more than 524,288 values"):
            hospitals.session.execute(f"SELECT {call} FROM patients")
    with pytest.raises(NotSupportedError, match="MEDIAN over VARCHAR is not answered"):
        hospitals.session.execute("SELECT MEDIAN(region) FROM patients")
    with pytest.raises(NotSupportedError, match=r"the quantiles asked for take 1,200,000 comparisons at least"):
        spread.session.execute(
            "SELECT g, QUANTILE_DISC(w, [0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 1]), QUANTILE_DISC(w, [0.05, 0.15, 0.25, 0.35, 0.45]) FROM t GROUP BY g"
        )
    refusals = {
        "QUANTILE_CONT(a, [])": "QUANTILE_CONT is answered for constant quantiles",
        "QUANTILE_CONT(a, [-0.1, -0.2])": "QUANTILE_CONT is answered for constant quantiles",
        "QUANTILE_CONT(a, -0.5)": "QUANTILE_CONT is answered for constant quantiles",
        "MEDIAN(DISTINCT a)": r"median\(DISTINCT",
        "percentile_cont(0.5) WITHIN GROUP (ORDER BY a DESC)": "quantile_cont is answered WITHIN GROUP",
        "QUANTILE_CONT(a, 0.5 ORDER BY a)": "ORDER BY inside of quantile_cont",
    }
    for call, message in refusals.items():
        with pytest.raises(NotSupportedError, match=message):
            spread.session.execute(f"SELECT {call} FROM t")
    pool = pool_of(
        {"one": {"t": pa.table({"v": [1]})}}, None, {"min_group_size": 1, "min_parties": 1, "aggregates": ["count"]}
    )
    with pytest.raises(PolicyDenied, match="one does not release median") as caught:
        pool.session.execute("SELECT MEDIAN(v) FROM t")
    assert 'would add "quantile"' in str(caught.value.hint)
    pool.close()


DATES = """
SELECT MEDIAN(born), QUANTILE_DISC(born, 0.5), QUANTILE_CONT(born, 0.333), MIN(born), MAX(born) FROM t
SELECT g, MEDIAN(born) AS m, QUANTILE_DISC(born, [0, 0.9, 1]) AS d, QUANTILE_CONT(born, [0.1, 0.9]) AS c FROM t GROUP BY g ORDER BY g
SELECT MEDIAN(born) FILTER (WHERE g = 'a'), MEDIAN(born + 7), MEDIAN(born - 1), QUANTILE_DISC(died - born, 0.5), MEDIAN(died - born) FROM t
SELECT MEDIAN(coalesce(born, died)), MIN(CASE WHEN g = 'b' THEN born END) FROM t
SELECT MEDIAN(born), QUANTILE_DISC(born, 0.1) FROM t WHERE false
SELECT COUNT(*) FROM t WHERE born > (SELECT MEDIAN(born) FROM t)
SELECT SUM(died - born), SUM(DISTINCT died - born) FROM t
"""
FIRST = datetime.date(1980, 3, 5)


def _births(seed: int, count: int) -> pa.Table:
    rng = random.Random(seed)
    born = [None if rng.random() < 0.2 else FIRST + datetime.timedelta(rng.randint(0, 9_000)) for _ in range(count)]
    died = [None if each is None else each + datetime.timedelta(rng.randint(0, 900)) for each in born]
    ids, groups = pa.array(range(count), pa.int64()), pa.array([rng.choice("ab") for _ in range(count)], pa.string())
    return pa.table({"id": ids, "g": groups, "born": pa.array(born, pa.date32()), "died": pa.array(died, pa.date32())})


@pytest.fixture(scope="module")
def births(pool_of):
    """Three parties; `born` and `died` are dates of known years."""
    parties = {name: {"t": _births(seed, count)} for seed, (name, count) in enumerate({"one": 31, "two": 18, "no": 0}.items())}  # fmt: skip
    columns = {name: {"bounds": ["1980-01-01", datetime.date(2009, 12, 31)]} for name in ("born", "died")}
    pool = pool_of(parties, {"t": {"privacy_unit": "id", "columns": columns}})
    yield pool
    pool.close()


@pytest.mark.parametrize("sql", [line for line in DATES.splitlines() if line])
def test_dates_equal_duckdb(births, sql):
    births.check(sql)


@pytest.mark.parametrize("seed", range(40))
def test_a_quantile_between_dates_is_rounded_as_duckdb_does(births, seed):
    rng = random.Random(seed)
    low = FIRST + datetime.timedelta(rng.randint(0, 8_000))
    fraction = rng.choice([0.333, 0.9, 0.1, rng.randint(0, 10**6) / 10**6])
    births.check(f"SELECT QUANTILE_CONT(born, {fraction}) AS q FROM t WHERE born >= DATE '{low}'")


def test_bounds_of_dates_are_shown_as_dates(births):
    rows = births.session.execute("DESCRIBE t").table.to_pylist()
    assert [row["bounds"] for row in rows if row["column"] == "born"] == ["[1980-01-01, 2009-12-31]"]


def test_under_noise_dates_are_counted_as_they_are(pool_of):
    columns = {name: {"bounds": ["1980-01-01", "2009-12-31"]} for name in ("born", "died")}
    noisy = {"min_parties": 1, "noise": "required", "noise_colluders": 0}
    pool = pool_of({"one": {"t": _births(1, 500)}}, {"t": {"privacy_unit": "id", "columns": columns}}, noisy)
    sql = "SELECT COUNT(*) AS n FROM t WHERE born < DATE '1990-01-01'"
    (wanted,) = pool.duckdb.sql(sql).fetchall()[0]
    assert abs(pool.session.execute(sql).table.to_pylist()[0]["n"] - wanted) < 100
    pool.close()


DOUBLES = """
SELECT MEDIAN(x), QUANTILE_CONT(x, 0.333), QUANTILE_DISC(x, 0.9), QUANTILE_DISC(x, [0, 1]) FROM t
SELECT g, MEDIAN(x) AS m, MEDIAN(f) FILTER (WHERE x > 0) AS c FROM t GROUP BY g
SELECT MEDIAN(f), QUANTILE_DISC(f, 0.1), MEDIAN(x) FROM t WHERE g = 'none'
SELECT MEDIAN(round(y, 1)), QUANTILE_DISC(floor(y), 0.3), QUANTILE_CONT(ceil(y), 0.8), MEDIAN(round(y)) FROM t
SELECT MEDIAN(CAST(y AS DECIMAL(6, 1))), QUANTILE_DISC(CAST(y AS INTEGER), 0.4) FROM t
"""


def _measures(seed: int, count: int) -> pa.Table:
    rng = random.Random(seed)

    def some(value):
        return [None if rng.random() < 0.2 else value() for _ in range(count)]

    columns = {
        "id": (pa.int64(), list(range(count))),
        "g": (pa.string(), [rng.choice("ab") for _ in range(count)]),
        "x": (pa.float64(), some(lambda: rng.choice([-0.0, 50.0, -50.0, round(rng.uniform(-50, 50), 2)]))),
        "f": (pa.float32(), some(lambda: round(rng.uniform(30, 43), 1))),
        "y": (pa.float64(), some(lambda: rng.uniform(0, 500))),
        "z": (pa.float64(), some(lambda: rng.choice([float("nan"), float("inf"), 1.26, 1.34, 2.5]))),
    }
    return pa.table({name: pa.array(values, type_) for name, (type_, values) in columns.items()})


@pytest.fixture(scope="module")
def measures(pool_of):
    """Three parties; `x`, `f` and `z` say how many digits they have, `y` has more than anybody would count."""
    parties = {name: {"t": _measures(seed, count)} for seed, (name, count) in enumerate({"one": 31, "two": 48, "no": 0}.items())}  # fmt: skip
    columns = {"x": {"bounds": [-50, 50], "scale": 2}, "f": {"bounds": [30, 43], "scale": 1}, "y": {"bounds": [0, 500]}}
    columns["z"] = {"bounds": [0, 10], "scale": 1}
    pool = pool_of(parties, {"t": {"privacy_unit": "id", "columns": columns}})
    yield pool
    pool.close()


@pytest.mark.parametrize("sql", [line for line in DOUBLES.splitlines() if line])
def test_doubles_of_few_digits_equal_duckdb(measures, sql):
    measures.check(sql)


def test_digits_that_do_not_matter_are_rounded_off_and_what_is_not_finite_is_null(measures):
    measures.check(
        "SELECT QUANTILE_DISC(z, 0.5) AS d, MEDIAN(z) AS m, COUNT(z) AS n FROM t",
        reference="SELECT QUANTILE_DISC(round(z, 1), 0.5) AS d, MEDIAN(round(z, 1)) AS m, COUNT(z) AS n FROM t"
        " WHERE isfinite(z)",
    )


def test_doubles_of_many_digits_are_refused_with_what_would_do(measures):
    with pytest.raises(PolicyDenied, match="it can have more than 524,288 values") as caught:
        measures.session.execute("SELECT MEDIAN(y) FROM t")
    assert "round(x, 1)" in str(caught.value.hint)
    assert "tables.t.columns.y.bounds = [low, high] and .scale" in str(caught.value.hint)
    with pytest.raises(PolicyDenied, match="it can have more than 524,288 values"):
        measures.session.execute("SELECT MEDIAN(round(y, 5)) FROM t")


def test_timestamps_have_quantiles_by_day(pool_of):
    rng = random.Random(7)
    start = datetime.datetime(1990, 5, 1)
    at = [None if rng.random() < 0.2 else start + datetime.timedelta(seconds=rng.randrange(10**8)) for _ in range(60)]
    last = [*at[:59], datetime.datetime(1999, 12, 31, 23, 59, 59, 999999)]
    held = {
        name: {"t": pa.table({"v": pa.array(each, pa.timestamp("us"))})}
        for name, each in {"one": at, "two": last}.items()
    }
    pool = pool_of(held, {"t": {"columns": {"v": {"bounds": ["1990-01-01", "1999-12-31"]}}}})
    pool.check(
        "SELECT QUANTILE_DISC(CAST(v AS DATE), [0, 0.5, 1]) AS d, MEDIAN(v::DATE) AS m, MIN(v) AS a, MAX(v) AS z FROM t"
    )
    assert [row["bounds"] for row in pool.session.execute("DESCRIBE t").table.to_pylist()] == [
        "[1990-01-01, 1999-12-31]"
    ]
    with pytest.raises(PolicyDenied, match="it can have more than 524,288 values") as caught:
        pool.session.execute("SELECT MEDIAN(v) FROM t")
    assert "CAST(v AS DATE)" in str(caught.value.hint)
    pool.close()


def test_a_hundred_thousand_values(pool_of):
    rows = [{"x": 1 + 37 * i % 100_001} for i in range(500)]
    pool = pool_of(
        {"one": {"t": pa.Table.from_pylist(rows[:300])}, "two": {"t": pa.Table.from_pylist(rows[300:])}},
        {"t": {"columns": {"x": {"bounds": [0, 100_001]}}}},
    )
    pool.check("SELECT MEDIAN(x) AS m FROM t")
