"""SUM(DISTINCT x) and AVG(DISTINCT x) over all parties: equal values of several parties count once, or nothing is answered."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fedsql.errors import NotSupportedError, PolicyDenied

DISTINCT = """
SELECT SUM(DISTINCT age), AVG(DISTINCT age), MEAN(DISTINCT visits) FROM patients
SELECT SUM(DISTINCT i8), SUM(DISTINCT u64), SUM(DISTINCT huge), SUM(DISTINCT money), AVG(DISTINCT d38), SUM(DISTINCT x) FROM patients
SELECT sex, region, SUM(DISTINCT age) AS s, COUNT(DISTINCT age), SUM(age), COUNT(*) FROM patients GROUP BY ALL
SELECT age, SUM(DISTINCT age) FROM patients GROUP BY age
SELECT sex FROM patients GROUP BY sex HAVING SUM(DISTINCT age) > 100 ORDER BY AVG(DISTINCT age)
SELECT sex, SUM(DISTINCT age) FILTER (WHERE flag), AVG(DISTINCT age) FILTER (age > 50) FROM patients WHERE age < 90 GROUP BY sex
SELECT SUM(DISTINCT age % 7) * 2 + COUNT(*) FROM patients
SELECT SUM(DISTINCT age), SUM(DISTINCT nothing) FROM patients WHERE false
SELECT sex, SUM(DISTINCT nothing) FROM patients GROUP BY sex
SELECT 1 AS one, SUM(DISTINCT age) FROM patients GROUP BY one
SELECT sex, SUM(SUM(DISTINCT age)) OVER () FROM patients GROUP BY sex
SELECT COUNT(*) FROM patients WHERE age > (SELECT AVG(DISTINCT age) FROM patients)
SELECT MAX(s) FROM (SELECT sex, SUM(DISTINCT age) AS s FROM patients GROUP BY sex) t
SELECT SUM(DISTINCT a.age) FROM patients a JOIN patients b ON a.id = b.id WHERE b.flag
SELECT SUM(DISTINCT age), AVG(DISTINCT age) FROM north.patients
"""


@pytest.mark.parametrize("sql", [line for line in DISTINCT.splitlines() if line])
def test_equals_duckdb(hospitals, sql):
    hospitals.check(sql, scale=1e6)


def test_explain_says_that_the_values_are_shown(hospitals):
    table = hospitals.session.execute("EXPLAIN SELECT sex, SUM(DISTINCT age) FROM patients GROUP BY sex").table
    text = " ".join(" ".join(line for column in table.columns for line in column.to_pylist()).split())
    assert "so you see every distinct value under SUM(DISTINCT age), which you compute of them" in text


def test_grouping_sets_are_refused(hospitals):
    with pytest.raises(NotSupportedError, match=r"SUM\(DISTINCT age\) is not answered with ROLLUP"):
        hospitals.session.execute("SELECT sex, SUM(DISTINCT age) FROM patients GROUP BY ROLLUP (sex)")


ROWS = pa.table({"id": [1, 2, 3], "v": [5, 5, 7]})
MORE_UNITS = {"min_group_size": 2, "min_parties": 1}
MORE_PARTIES = {"min_group_size": 1, "min_parties": 2}


@pytest.mark.parametrize("release", [MORE_UNITS, MORE_PARTIES])
def test_where_a_value_could_be_hidden_nothing_is_answered(pool_of, release):
    pool = pool_of({"one": {"t": ROWS}, "two": {"t": ROWS}}, {"t": {"privacy_unit": "id"}}, release)
    with pytest.raises(NotSupportedError, match=r"SUM\(DISTINCT v\) is not answered where values of few are not shown"):
        pool.session.execute("SELECT SUM(DISTINCT v) FROM t")
    pool.check(
        "SELECT SUM(v) AS s FROM (SELECT v FROM t GROUP BY v) g",
        reference="SELECT SUM(DISTINCT v) AS s FROM t",
    )
    pool.close()


def test_its_values_need_to_be_grouped_by(pool_of):
    columns = {"v": {"use": ["aggregate"]}}
    pool = pool_of({"one": {"t": ROWS}}, {"t": {"privacy_unit": "id", "columns": columns}})
    with pytest.raises(PolicyDenied, match=r"does not allow t\.v in GROUP BY or DISTINCT"):
        pool.session.execute("SELECT SUM(DISTINCT v) FROM t")
    pool.close()
