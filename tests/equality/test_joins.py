"""Joins, nested queries and windows inside of parties, and stages: equal to DuckDB on the pooled rows."""

from __future__ import annotations

from typing import Any

import pytest

QUERIES = """
SELECT p.sex, COUNT(*) AS n, SUM(v.days) AS s FROM patients p JOIN visits v ON p.id = v.patient GROUP BY 1
SELECT COUNT(*) FROM patients p, visits v WHERE v.patient = p.id AND v.days > 3
SELECT sex, COUNT(v.visit) AS n FROM patients p LEFT JOIN visits v ON p.id = v.patient AND v.days > 10 GROUP BY sex
SELECT ward, COUNT(p.id) AS n, COUNT(*) AS m FROM patients p RIGHT JOIN visits v ON p.id = v.patient GROUP BY ward
SELECT COUNT(*) AS n, COUNT(p.id) AS a, COUNT(v.visit) AS b FROM patients p FULL JOIN visits v ON p.id = v.patient AND v.days > 5
SELECT COUNT(*) FROM patients p SEMI JOIN visits v ON p.id = v.patient
SELECT region, COUNT(*) AS n FROM patients p ANTI JOIN visits v ON p.id = v.patient GROUP BY region
SELECT COUNT(*) FROM visits a JOIN visits b USING (patient)
SELECT patient, COUNT(*) AS n FROM visits a JOIN visits b USING (patient) GROUP BY patient ORDER BY 1
SELECT COUNT(*) FROM visits a JOIN visits b ON a.patient = b.patient AND a.visit < b.visit
SELECT p.sex, v.ward, SUM(b.cents) AS s FROM patients p JOIN visits v ON v.patient = p.id JOIN bills b ON b.visit = v.visit GROUP BY 1, 2
SELECT p.sex, SUM(b.cents) AS s FROM bills b JOIN visits v USING (visit) LEFT JOIN patients p ON p.id = v.patient GROUP BY 1
SELECT COUNT(DISTINCT p.id) AS n, COUNT(DISTINCT v.visit) AS m FROM patients p JOIN visits v ON v.patient = p.id
SELECT w.title, COUNT(*) AS n, SUM(v.days) AS s, SUM(w.beds) AS t FROM visits v JOIN wards w ON v.ward = w.code GROUP BY w.title
SELECT w.title, COUNT(*) AS n FROM visits v LEFT JOIN wards w ON v.ward = w.code GROUP BY w.title
SELECT COUNT(*) FROM visits v JOIN wards w ON v.ward = w.code AND v.days < w.beds
SELECT COUNT(*) FROM visits v CROSS JOIN wards w
SELECT COUNT(*) FROM visits WHERE ward IN (SELECT code FROM wards WHERE beds > 7)
SELECT COUNT(*) FROM visits WHERE ward NOT IN (SELECT code FROM wards WHERE beds > 7)
SELECT COUNT(*) FROM visits v WHERE NOT EXISTS (SELECT 1 FROM wards w WHERE w.code = v.ward)
SELECT COUNT(*) FROM patients p WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient = p.id AND v.days > 20)
SELECT sex, COUNT(*) AS n FROM patients p WHERE NOT EXISTS (SELECT 1 FROM visits v WHERE v.patient = p.id) GROUP BY 1
SELECT COUNT(*) FROM patients WHERE id IN (SELECT patient FROM visits WHERE days > 20)
SELECT COUNT(*) FROM visits v WHERE v.days > (SELECT AVG(w.days) FROM visits w WHERE w.patient = v.patient)
SELECT COUNT(*) FROM patients p WHERE (SELECT COUNT(*) FROM visits v WHERE v.patient = p.id) = 2
SELECT COUNT(*) FROM patients WHERE id IN (SELECT patient FROM visits GROUP BY patient HAVING SUM(days) > 30)
SELECT n, COUNT(*) AS people FROM (SELECT patient, COUNT(*) AS n FROM visits WHERE patient > 0 GROUP BY patient) t GROUP BY n
SELECT n, COUNT(*) AS people FROM (SELECT p.id, COUNT(v.visit) AS n FROM patients p LEFT JOIN visits v ON v.patient = p.id GROUP BY p.id) t GROUP BY n
SELECT old, COUNT(*) AS people FROM (SELECT p.id, CASE WHEN p.age <> p.id THEN p.age > 50 END AS old, COUNT(*) AS n FROM patients p GROUP BY p.id, CASE WHEN p.age <> p.id THEN p.age > 50 END) t GROUP BY old
SELECT AVG(s) AS a, SUM(s) AS b FROM (SELECT v.patient, SUM(b.cents) AS s FROM visits v JOIN bills b USING (visit) WHERE v.patient IS NOT NULL GROUP BY v.patient) t
SELECT p.sex, AVG(t.n) AS a FROM patients p JOIN (SELECT patient, COUNT(*) AS n FROM visits GROUP BY patient) t ON t.patient = p.id GROUP BY p.sex
SELECT COUNT(*) FROM (SELECT DISTINCT patient, ward FROM visits WHERE patient IS NOT NULL) t
SELECT COUNT(*) FROM (SELECT patient, days, row_number() OVER (PARTITION BY patient ORDER BY days, visit) AS r FROM visits WHERE patient IS NOT NULL) t WHERE r = 1
SELECT SUM(days) FROM (SELECT days, days - lag(days) OVER (PARTITION BY patient ORDER BY visit) AS step FROM visits WHERE patient IS NOT NULL) t WHERE step > 0
SELECT COUNT(*) FROM (SELECT patient FROM visits WHERE patient IS NOT NULL QUALIFY rank() OVER (PARTITION BY patient ORDER BY days DESC, visit) = 2) t
SELECT COUNT(*) FROM patients WHERE age > (SELECT AVG(age) FROM patients)
SELECT sex, COUNT(*) AS n FROM patients WHERE age > (SELECT AVG(age) FROM patients WHERE sex = 'F') GROUP BY sex
SELECT COUNT(*) FROM visits v WHERE days > (SELECT AVG(days) FROM visits w WHERE w.ward = v.ward)
SELECT ward, COUNT(*) AS n FROM visits WHERE ward IN (SELECT ward FROM visits GROUP BY ward HAVING COUNT(*) > 20) GROUP BY ward
SELECT title FROM wards WHERE beds > (SELECT COUNT(*) FROM visits WHERE ward = code AND days > 20)
SELECT title, (SELECT COUNT(*) FROM visits WHERE ward = code) AS n FROM wards
SELECT title FROM wards WHERE code IN (SELECT ward FROM visits WHERE days > 28)
SELECT title FROM wards w WHERE EXISTS (SELECT 1 FROM visits v WHERE v.ward = w.code AND v.days = 30)
SELECT title FROM wards w WHERE NOT EXISTS (SELECT 1 FROM visits v WHERE v.ward = w.code)
SELECT w.title, t.n FROM wards w LEFT JOIN (SELECT ward, COUNT(*) AS n FROM visits GROUP BY ward) t ON t.ward = w.code
SELECT code, COUNT(*) AS n FROM wards GROUP BY code
SELECT COUNT(*) FROM visits v JOIN wards w ON v.ward = w.code WHERE v.days > (SELECT AVG(x.days) FROM visits x WHERE x.ward = w.code) AND w.beds < 20
WITH long AS (SELECT * FROM visits WHERE days > 10) SELECT p.sex, COUNT(*) AS n FROM patients p JOIN long l ON l.patient = p.id GROUP BY 1
WITH t AS (SELECT ward, SUM(days) AS s FROM visits GROUP BY ward) SELECT ward FROM t WHERE s = (SELECT MAX(s) FROM t)
SELECT s, COUNT(*) AS n FROM (SELECT sex || '!' AS s, age FROM patients WHERE age > 20) t JOIN (SELECT 'F!' AS x) u ON t.s = u.x GROUP BY s
SELECT COUNT(*) FROM patients p JOIN (VALUES ('a', 1), ('b', 2), ('b', 3)) v(r, i) ON p.region = v.r
SELECT p.region, SUM(v.i) AS s FROM patients p JOIN (VALUES ('a', 1), ('b', 2)) v(r, i) ON p.region = v.r GROUP BY 1
SELECT SUM(age * (SELECT 3)) AS s, COUNT(*) FILTER (WHERE age > (SELECT AVG(age) FROM patients)) AS n FROM patients
SELECT p.sex, AVG(v.days) AS a, STDDEV(v.days) AS d, CORR(p.age, v.days) AS c FROM patients p JOIN visits v ON v.patient = p.id GROUP BY 1
SELECT CASE WHEN v.visit IS NULL THEN 'none' ELSE 'some' END AS k, COUNT(*) AS n FROM patients p LEFT JOIN visits v ON v.patient = p.id GROUP BY 1
SELECT * FROM (SELECT p.sex, COUNT(*) AS n FROM patients p NATURAL JOIN (SELECT id, 1 AS one FROM patients) q GROUP BY p.sex) t
SELECT sex, region, COUNT(*) AS n, SUM(age) AS s FROM patients GROUP BY ROLLUP (sex, region)
SELECT sex, region, GROUPING(sex) AS g, GROUPING(region, sex) AS h, COUNT(*) AS n FROM patients GROUP BY CUBE (sex, region) HAVING COUNT(*) > 2
SELECT sex, region, age % 2 AS odd, COUNT(*) AS n FROM patients GROUP BY sex, ROLLUP (region, age % 2)
SELECT sex, region, COUNT(*) AS n FROM patients GROUP BY GROUPING SETS ((sex, region), sex, (), ()) ORDER BY ALL
SELECT region, COUNT(*) AS n, row_number() OVER (ORDER BY COUNT(*), region) AS r FROM patients GROUP BY ROLLUP (region) ORDER BY 3
SELECT COUNT(*) AS n FROM patients WHERE age > 1000 GROUP BY ROLLUP (sex)
SELECT sex, COUNT(*) AS n FROM patients GROUP BY ROLLUP (1)
SELECT sex, region, COUNT(*) AS n FROM patients GROUP BY CUBE (1, 2)
SELECT sex, region, COUNT(*) AS n FROM patients GROUP BY GROUPING SETS ((1), 2, ((1, 2)))
SELECT region, sex, COUNT(*) AS n FROM patients GROUP BY 1, ROLLUP (2)
SELECT sex AS s, age // 50 AS old, GROUPING(old, s) AS g, COUNT(*) AS n FROM patients GROUP BY ROLLUP ((s, old))
SELECT sex, region, GROUPING(sex, region) + 1 AS g FROM patients GROUP BY CUBE (sex, region) HAVING GROUPING(sex, region) < 2 ORDER BY GROUPING(region, sex), 1, 2
SELECT sex AS k0, region AS k1, GROUPING(k0, k1) IN (0, 3) AND k0 = 'F' AS g FROM patients GROUP BY ROLLUP (k0, k1) ORDER BY GROUPING(k0, k1) * 2 - GROUPING(k1), k0, k1
SELECT sex, region, rank() OVER (PARTITION BY GROUPING(sex, region) ORDER BY COUNT(*)) AS r FROM patients GROUP BY ROLLUP (sex, region)
SELECT GROUPING(p.sex, v.ward) AS g, COUNT(*) AS n FROM patients p JOIN visits v ON v.patient = p.id GROUP BY CUBE (p.sex, v.ward)
SELECT e, f, 5 AS five, GROUPING(e, f) AS g, COUNT(*) AS n FROM (SELECT FALSE AS e, 5 AS f, age FROM patients) t WHERE age > 30 GROUP BY CUBE (e, f)
SELECT w.title, p.sex, SUM(v.days) AS s FROM patients p JOIN visits v ON v.patient = p.id JOIN wards w ON w.code = v.ward GROUP BY CUBE (w.title, p.sex)
SELECT COUNT(*) FROM north.patients a JOIN north.patients b ON a.sex = b.sex
SELECT COUNT(*) FROM patients t JOIN (SELECT t.patient FROM visits t WHERE EXISTS (SELECT 1 FROM bills t_2 WHERE t_2.visit = t.visit)) s ON s.patient = t.id
WITH r AS (SELECT sex, COUNT(*) AS n FROM north.patients GROUP BY sex HAVING COUNT(*) * 4 > (SELECT COUNT(*) FROM north.patients WHERE age > 3)) SELECT a.sex, b.n FROM r a JOIN r b ON a.sex = b.sex
WITH r AS (SELECT region, COUNT(*) FILTER (WHERE age < (SELECT COUNT(*) FROM visits)) AS n FROM patients GROUP BY 1) SELECT a.region, b.n FROM r a JOIN r b ON a.region = b.region
SELECT r.e, COUNT(*) AS n FROM visits v JOIN (SELECT FALSE AS e, visit FROM bills) r USING (visit) WHERE v.ward IN (SELECT code FROM wards) AND v.days > (SELECT AVG(days) FROM visits) GROUP BY ROLLUP (r.e)
SELECT sex, COUNT(*) AS n FROM north.patients GROUP BY sex HAVING COUNT(*) * 3 > (SELECT COUNT(*) FROM north.patients)
SELECT id, (SELECT COUNT(*) FROM visits v WHERE v.patient = p.id) AS n FROM patients p GROUP BY id
SELECT region, COUNT(DISTINCT id) AS n FROM patients p SEMI JOIN visits v ON p.id = v.patient GROUP BY region
SELECT 'a' AS k, COUNT(*) AS n FROM visits WHERE days > 1000 GROUP BY ALL
SELECT k, COUNT(*) AS n FROM (SELECT 'a' AS k FROM visits WHERE days > 1000) t GROUP BY ALL
SELECT k, COUNT(*) AS n FROM (SELECT 5 AS k, days FROM visits) t WHERE days > 3 GROUP BY k
SELECT COUNT(DISTINCT v.patient) AS n, COUNT(DISTINCT p.id) AS m FROM patients p LEFT JOIN visits v ON v.patient = p.id AND v.days > 10
SELECT COUNT(DISTINCT id) AS n, COUNT(DISTINCT boss) AS m FROM staff WHERE boss > 0
SELECT COUNT(*) AS n, COUNT(DISTINCT b.boss) AS m FROM staff a JOIN staff b ON b.id = a.boss
SELECT x.sex, y.n FROM (SELECT sex, COUNT(*) AS n FROM patients p WHERE age > (SELECT COUNT(*) FROM visits v WHERE v.patient = p.id) GROUP BY sex) x LEFT JOIN (SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex) y ON x.sex = y.sex
SELECT COUNT(*) FROM patients p WHERE age > (SELECT COUNT(*) FROM visits v WHERE v.patient + 0 = p.id)
SELECT COUNT(*), MIN(w.title) FROM (SELECT ward, COUNT(*) AS n FROM north.visits GROUP BY ward) t JOIN wards w ON w.code = t.ward
SELECT COUNT(*), COUNT(v.visit) FROM patients p LEFT JOIN visits v ON v.patient = p.id AND v.days > (SELECT AVG(days) FROM visits)
SELECT sex, SUM(cents) FROM patients p LEFT JOIN visits v ON v.patient = p.id JOIN bills b ON b.visit = v.visit AND v.days > (SELECT AVG(days) FROM visits) WHERE p.age > (SELECT AVG(days) FROM visits) GROUP BY sex
SELECT sex, COUNT(b.cents) FROM patients p, visits v LEFT JOIN bills b ON b.visit = v.visit AND b.cents > (SELECT AVG(cents) FROM bills) WHERE v.patient = p.id GROUP BY sex
"""


@pytest.mark.parametrize("sql", QUERIES.strip().splitlines())
def test_equals_duckdb(clinics: Any, sql: str) -> None:
    clinics.check(sql, scale=1e4)


@pytest.mark.parametrize(
    "rows",
    [
        "SELECT {} AS days, row_number() OVER (PARTITION BY patient ORDER BY visit) AS r FROM visits",
        "SELECT {} AS days FROM visits UNION ALL SELECT CAST(0 AS BIGINT) FROM patients",
        "SELECT v.*, p.id FROM (SELECT {} AS days, patient, count(*) OVER (PARTITION BY patient) FROM visits) v LEFT JOIN patients p ON p.id = v.patient",
    ],
)
def test_a_derived_column_has_bounds_of_its_own(clinics: Any, rows: str) -> None:
    """Its name may be that of a column of small values. What is too large is NULL: to raise would tell of a row."""
    clinics.check(
        f"SELECT COUNT(*) AS n FROM ({rows.format('CAST(days AS BIGINT) * 100000000000000000')}) t WHERE days * 10 > 5",
        reference="SELECT COUNT(*) AS n FROM visits WHERE days BETWEEN 1 AND 9",
    )
