"""COUNT(DISTINCT x) over the values of all parties: of every type, beside others, under conditions, in joins and stages."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fedsql.errors import NotSupportedError, PolicyDenied

COUNTS = """
SELECT COUNT(DISTINCT sex), COUNT(DISTINCT region), COUNT(DISTINCT note), COUNT(DISTINCT nothing), COUNT(DISTINCT flag) FROM patients
SELECT COUNT(DISTINCT age), COUNT(DISTINCT i8), COUNT(DISTINCT u64), COUNT(DISTINCT wide), COUNT(DISTINCT huge) FROM patients
SELECT COUNT(DISTINCT d4), COUNT(DISTINCT money), COUNT(DISTINCT d18), COUNT(DISTINCT d38), COUNT(DISTINCT f), COUNT(DISTINCT x) FROM patients
SELECT COUNT(DISTINCT born), COUNT(DISTINCT seen), COUNT(DISTINCT "at"), COUNT(DISTINCT clock) FROM patients
SELECT sex, COUNT(DISTINCT age), COUNT(DISTINCT region), COUNT(DISTINCT id), COUNT(age), SUM(age) FROM patients GROUP BY sex
SELECT sex, region, flag, COUNT(DISTINCT age), COUNT(DISTINCT note) FILTER (WHERE age > 40) FROM patients GROUP BY ALL
SELECT sex, COUNT(DISTINCT age) FILTER (WHERE age > 1000), COUNT(*) FROM patients GROUP BY sex
SELECT COUNT(DISTINCT age % 10), COUNT(DISTINCT upper(region)), COUNT(DISTINCT CASE WHEN flag THEN age END), COUNT(DISTINCT 7) FROM patients
SELECT COUNT(DISTINCT x * 0), COUNT(DISTINCT age > 40), COUNT(DISTINCT year(born)), COUNT(DISTINCT age), COUNT(DISTINCT AGE) FROM patients
SELECT COUNT(DISTINCT age) FROM patients WHERE false
SELECT sex, COUNT(DISTINCT age) FROM patients WHERE age > 1000 GROUP BY sex
SELECT COUNT(DISTINCT age) FROM north.patients
SELECT ward, COUNT(DISTINCT free) FROM beds GROUP BY ward
SELECT sex FROM patients GROUP BY sex HAVING COUNT(DISTINCT age) > 20 ORDER BY COUNT(DISTINCT age)
SELECT COUNT(*) FROM patients WHERE age < (SELECT COUNT(DISTINCT visits) FROM patients)
SELECT COUNT(DISTINCT n) FROM (SELECT age + 1 AS n FROM patients WHERE flag) t
SELECT COUNT(DISTINCT p.region) FROM patients p JOIN patients q ON p.id = q.id WHERE q.age > 30
"""


@pytest.mark.parametrize("sql", [line for line in COUNTS.splitlines() if line])
def test_equals_duckdb(hospitals, sql):
    hospitals.check(sql)


def test_public_groups(pool_of):
    one = {"g": ["a", "a", "b", None], "v": [1, 2, 3, 4], "id": [1, 2, 3, 4]}
    other = {"g": ["a", "b", "b"], "v": [2, 3, None], "id": [1, 2, 3]}
    config = {"t": {"privacy_unit": "id", "columns": {"g": {"values": ["a", "b", "never"]}}}}
    pool = pool_of(
        {"one": {"t": pa.table(one)}, "two": {"t": pa.table(other)}, "three": {"t": pa.table(other)}}, config
    )
    pool.check("SELECT g, COUNT(DISTINCT v), COUNT(DISTINCT v) FILTER (WHERE v > 1), COUNT(v) FROM t GROUP BY g")
    pool.close()


def test_zeros_are_one_value_and_nan_is_none(pool_of):
    one, other = {"v": pa.array([0.0, float("nan"), 1.5])}, {"v": pa.array([-0.0, float("inf"), None])}
    pool = pool_of({"one": {"t": pa.table(one)}, "two": {"t": pa.table(other)}})
    pool.check(
        "SELECT COUNT(DISTINCT v) AS n FROM t", reference="SELECT COUNT(DISTINCT v) AS n FROM t WHERE isfinite(v)"
    )
    pool.close()


def test_values_of_differing_types_are_equal_in_their_common_one(pool_of):
    one, other = {"v": pa.array([1, 2, 300], pa.int16())}, {"v": pa.array([2.0, 1.5, 300.0])}
    pool = pool_of({"one": {"t": pa.table(one)}, "two": {"t": pa.table(other)}})
    pool.check("SELECT COUNT(DISTINCT v), COUNT(DISTINCT v::INT) FROM t")
    pool.close()


def strict(pool_of, use: list[str]):
    rows = pa.table({"id": [1, 2, 3, 4], "g": ["a", "a", "b", "b"], "v": [1, 1, 2, None]})
    columns = {"v": {"use": use}}
    release = {"min_group_size": 2, "min_parties": 1}
    return pool_of({"one": {"t": rows}, "two": {"t": rows}}, {"t": {"privacy_unit": "id", "columns": columns}}, release)


@pytest.mark.parametrize("use", ["join", "group"])
def test_columns_that_may_be_joined_or_grouped_may_be_counted(pool_of, use):
    pool = strict(pool_of, [use])
    pool.check("SELECT g, COUNT(DISTINCT v) FROM t GROUP BY g")
    pool.close()


def test_what_is_not_counted(pool_of):
    pool = strict(pool_of, ["aggregate", "filter"])
    with pytest.raises(PolicyDenied, match=r"one does not allow t\.v in COUNT\(DISTINCT \.\.\.\)") as caught:
        pool.session.execute("SELECT COUNT(DISTINCT v) FROM t")
    assert 'add "join" to tables.t.columns.v.use' in str(caught.value.hint)
    pool.close()
    pool = strict(pool_of, ["join", "filter"])
    for expression in ("v = 2", "v + 1", "CASE WHEN id = 3 THEN v END", "coalesce(v, 0)"):
        with pytest.raises(PolicyDenied, match="above min_group_size = 1, COUNT"):
            pool.session.execute(f"SELECT COUNT(DISTINCT {expression}) FROM t")
    with pytest.raises(PolicyDenied, match="above min_group_size = 1, COUNT"):
        pool.session.execute("SELECT COUNT(DISTINCT w) FROM (SELECT v = 2 AS w FROM t) s")
    pool.close()


def test_values_without_a_text_that_stands_for_them_are_refused(hospitals):
    with pytest.raises(NotSupportedError, match=r"COUNT\(DISTINCT \.\.\.\) over INTERVAL is not answered"):
        hospitals.session.execute("SELECT COUNT(DISTINCT INTERVAL (age) DAY) FROM patients")
