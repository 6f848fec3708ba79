"""ROLLUP, CUBE and GROUPING SETS with a least size of groups: DuckDB's rows, less those that would open a small group."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pool import Pool, rows_of

ALLOWED = ["count", "sum", "avg", "var", "corr", "count_distinct", "min", "max", "quantile"]
STRICT = {"min_group_size": 5, "min_parties": 2, "quota": {"queries": 1_000_000}, "aggregates": ALLOWED}
WHOLE = """
SELECT sex, region, COUNT(*) AS n, SUM(age) AS s, AVG(age) AS m, GROUPING(sex, region) AS g FROM patients GROUP BY ROLLUP (sex, region)
SELECT sex, region, COUNT(*) AS n, VAR_POP(age) AS v, COUNT(DISTINCT age) AS d FROM patients GROUP BY CUBE (sex, region)
SELECT sex, region, SUM(age) FILTER (WHERE age > 40) AS s FROM patients GROUP BY GROUPING SETS ((sex), (region))
SELECT sex, region, COUNT(*) AS n FROM patients GROUP BY GROUPING SETS ((sex), (region, sex), (sex, region), (), ())
SELECT sex, age // 50 AS half, COUNT(*) AS n FROM patients WHERE age < 90 GROUP BY sex, CUBE (age // 50) ORDER BY ALL
SELECT sex, COUNT(*) AS n FROM patients GROUP BY ROLLUP (sex) HAVING COUNT(*) > 50 ORDER BY n, sex
SELECT sex, n / SUM(n) OVER () AS share FROM (SELECT sex, COUNT(*) AS n FROM patients GROUP BY ROLLUP (sex)) t
SELECT sex FROM patients GROUP BY ROLLUP (sex)
SELECT DISTINCT sex FROM (SELECT sex, COUNT(*) FROM patients GROUP BY ROLLUP (sex)) t
SELECT p.sex, v.ward, SUM(v.days) AS s, COUNT(DISTINCT p.id) AS n FROM visits v JOIN patients p ON v.patient = p.id GROUP BY CUBE (p.sex, v.ward)
SELECT v.ward, COUNT(*) AS n FROM visits v GROUP BY ROLLUP (v.ward) UNION ALL SELECT sex, COUNT(*) FROM patients GROUP BY ROLLUP (sex)
SELECT sex, COUNT(*) AS n FROM patients WHERE age > (SELECT AVG(age) FROM patients) GROUP BY ROLLUP (sex)
SELECT region, BOOL_AND(age < 200) AS young, CORR(age, id) AS c FROM patients GROUP BY ROLLUP (region)
SELECT sex, region, MAX(age) AS oldest, MIN(age) AS youngest, MEDIAN(age) AS m FROM patients GROUP BY CUBE (sex, region)
"""
KEYS = {
    "DOUBLE": [0.1, -0.0, 1e300],
    "FLOAT": [0.1, 0.0, 2.5],
    "BOOLEAN": [True, False],
    "DECIMAL(10,2)": [Decimal("0.10"), Decimal("-5.00")],
    "HUGEINT": [10**30, -7],
    "DATE": [datetime.date(2020, 2, 29), datetime.date(1, 1, 1)],
    "TIMESTAMP": [datetime.datetime(2020, 2, 29, 1, 2, 3, 4), datetime.datetime(1900, 1, 1)],
    "TIMESTAMP WITH TIME ZONE": [datetime.datetime(2020, 2, 29, 1, 2, 3, tzinfo=datetime.UTC)],
    "TIME": [datetime.time(1, 2, 3, 4)],
    "VARCHAR": ["", "NULL", "o'Hara", 'say "x"', "日本"],
}


def _clinic(seed: int) -> dict[str, pa.Table]:
    rng = random.Random(seed)
    patients = {
        "id": [1000 * seed + i for i in range(60)],
        "sex": ["FM"[i % 2] for i in range(60)],
        "region": ["ab"[i // 2 % 2] for i in range(60)],
        "age": [rng.randint(1, 99) for _ in range(60)],
    }
    visits = {
        "patient": [1000 * seed + i % 60 for i in range(180)],
        "ward": [rng.choice("xy") for _ in range(180)],
        "days": [rng.randint(1, 30) for _ in range(180)],
    }
    return {"patients": pa.table(patients), "visits": pa.table(visits)}


TABLES: dict[str, dict[str, Any]] = {
    "patients": {"privacy_unit": "id", "columns": {"age": {"bounds": [0, 200]}}},
    "visits": {"references": {"patient": "patients.id"}, "privacy_unit": "patients.id"},
}
PUBLIC = {
    **TABLES,
    "patients": {"privacy_unit": "id", "columns": {"age": {"bounds": [0, 200]}, "sex": {"values": ["F", "M", "X"]}}},
}


@pytest.fixture(scope="module", params=[TABLES, PUBLIC], ids=["aligned", "public"])
def clinics(request: pytest.FixtureRequest) -> Iterator[Pool]:
    pool = Pool({name: _clinic(seed) for seed, name in enumerate(("north", "south", "west"))}, request.param, STRICT)
    yield pool
    pool.close()


@pytest.mark.parametrize("sql", WHOLE.strip().splitlines())
def test_where_no_group_is_small_nothing_is_missing(clinics: Pool, sql: str) -> None:
    clinics.check(sql, scale=1e6)


@pytest.mark.parametrize("type_", KEYS)
def test_groups_are_told_by_keys_of_any_type(pool_of: type[Pool], type_: str) -> None:
    """Else the rows of a group would count as not shown, and the total would be missing."""
    texts = [None if value is None else str(value) for value in (*KEYS[type_], None) for _ in range(3)]
    table = pa.table({"id": list(range(len(texts) + 1)), "key": [*texts, texts[0]]})
    sql = f"SELECT id, CAST(key AS {type_}) AS key FROM source"
    config = {"t": {"privacy_unit": "id", "sql": sql}}
    pool = pool_of({name: {"t": table} for name in ("north", "south")}, config, {**STRICT, "min_group_size": 6})
    answer = pool.check("SELECT key, COUNT(*) AS n FROM t GROUP BY ROLLUP (key)")
    assert answer.table is not None
    assert max(answer.table.column("n").to_pylist()) == 2 * table.num_rows
    pool.close()


def test_small_groups_and_totals_that_would_open_them_are_left_out(pool_of: type[Pool]) -> None:
    parties = {name: _clinic(seed) for seed, name in enumerate(("north", "south"))}
    few = pa.table({"id": [1900, 1901], "sex": ["F", "F"], "region": ["z", "z"], "age": [5, 6]})
    parties["south"]["patients"] = pa.concat_tables([parties["south"]["patients"], few])
    pool = pool_of(parties, TABLES, STRICT)
    sql = "SELECT sex, region, COUNT(*) AS n, SUM(age) AS s FROM patients GROUP BY ROLLUP (sex, region)"
    answer = pool.session.execute(sql)
    expected = [row for row in rows_of(pool.duckdb.sql(sql).to_arrow_table()) if row[1] != "z"]
    hidden = [("F", None), (None, None)]
    assert answer.table is not None
    assert rows_of(answer.table) == sorted(
        [row for row in expected if row[:2] not in hidden] + [(None, None, None, None)], key=rows_key
    )
    assert any(
        each.startswith("Totals from which hidden groups could be calculated, if any, are not shown")
        for each in answer.notices
    )
    pool.close()


def rows_key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((n, v is not None, str(v)) for n, v in enumerate(row))
