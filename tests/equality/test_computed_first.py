"""Subqueries inside of aggregates and grouping keys, = ANY and <> ALL, and set operations in conditions."""

from typing import Any

import pytest

QUERIES = """
SELECT p.sex, SUM(CASE WHEN EXISTS (SELECT 1 FROM visits v WHERE v.patient=p.id) THEN 1 ELSE 0 END) FROM patients p GROUP BY p.sex
SELECT AVG((SELECT SUM(days) FROM visits v WHERE v.patient=p.id)) FROM patients p
SELECT sex, COUNT(*) FILTER (WHERE id IN (SELECT patient FROM visits WHERE days > 4)) AS n, COUNT(*) FROM patients GROUP BY sex ORDER BY sex
SELECT (SELECT COUNT(*) FROM visits v WHERE v.patient=p.id) AS n, COUNT(*), AVG(age) FROM patients p GROUP BY n ORDER BY n
SELECT EXISTS (SELECT 1 FROM visits v WHERE v.patient=p.id) AS seen, COUNT(*) FROM patients p WHERE age > 20 GROUP BY ALL ORDER BY seen
SELECT DISTINCT (SELECT COUNT(*) FROM visits v WHERE v.patient=p.id) AS n FROM patients p ORDER BY n
SELECT region, SUM(age) FILTER (WHERE NOT EXISTS (SELECT 1 FROM visits v WHERE v.patient=p.id AND v.days > 3)) AS s FROM patients p GROUP BY region HAVING COUNT(*) > 1 ORDER BY s DESC NULLS LAST, region
SELECT SUM(age * (SELECT COUNT(*) FROM visits v WHERE v.patient = p.id)) FROM patients p
SELECT SUM(CASE WHEN ward IN (SELECT code FROM wards WHERE beds > 5) THEN days ELSE 0 END) * 1.0 / SUM(days) FROM visits
SELECT COUNT(*) FILTER (WHERE age > (SELECT AVG(age) FROM patients)) FROM patients
SELECT sex, COUNT(*) FILTER (WHERE age > (SELECT AVG(age) FROM patients q WHERE q.sex = p.sex)) FROM patients p GROUP BY sex ORDER BY 1
SELECT region, COUNT(*) FILTER (WHERE region IN (SELECT region FROM patients GROUP BY region ORDER BY COUNT(*) DESC, region LIMIT 2)) FROM patients GROUP BY region ORDER BY region
SELECT v.ward, COUNT(*) FILTER (WHERE EXISTS (SELECT 1 FROM bills b WHERE b.visit = v.visit)), SUM(days) FROM visits v JOIN patients p ON p.id = v.patient GROUP BY v.ward ORDER BY v.ward
SELECT CASE WHEN EXISTS (SELECT 1 FROM visits v WHERE v.patient=p.id) THEN 'seen' ELSE 'new' END AS k, COUNT(*) FROM patients p GROUP BY k ORDER BY k
SELECT id IN (SELECT patient FROM visits WHERE patient IS NOT NULL) AS k, COUNT(*) FROM patients p GROUP BY 1 ORDER BY k
SELECT bool_or(EXISTS (SELECT 1 FROM visits v WHERE v.patient=p.id AND days > 100)) FROM patients p
SELECT COUNT(DISTINCT CASE WHEN EXISTS (SELECT 1 FROM visits v WHERE v.patient=p.id) THEN p.id END) FROM patients p
SELECT AVG(n) FROM (SELECT sex, COUNT(*) FILTER (WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient=p.id)) AS n FROM patients p GROUP BY sex)
SELECT COUNT(*) FROM patients p WHERE id IN (SELECT patient FROM visits v GROUP BY patient HAVING SUM(CASE WHEN EXISTS (SELECT 1 FROM bills b WHERE b.visit = v.visit) THEN 1 ELSE 0 END) > 1)
SELECT COUNT(*) FROM visits v WHERE ward = ANY (SELECT code FROM wards)
SELECT COUNT(*) FROM visits v WHERE ward = SOME (SELECT code FROM wards WHERE beds > 3)
SELECT COUNT(*) FROM visits v WHERE ward <> ALL (SELECT code FROM wards WHERE beds > 5)
SELECT COUNT(*) FROM visits v WHERE ward <> ALL (SELECT code FROM wards)
SELECT COUNT(*) FROM visits v WHERE NOT ward = ANY (SELECT code FROM wards WHERE code IS NOT NULL)
SELECT COUNT(*) FROM patients p WHERE region = ANY (SELECT region FROM patients GROUP BY region HAVING COUNT(*) > 5)
SELECT COUNT(*) FROM patients p WHERE id = ANY (SELECT patient FROM visits WHERE days > 3)
SELECT COUNT(*) FROM patients p WHERE id <> ALL (SELECT patient FROM visits WHERE days > 3 AND patient IS NOT NULL)
SELECT COUNT(*) FROM patients WHERE age = ANY ([20, 30, NULL, 40]) OR region = ANY (['a', 'Alps'])
SELECT sex, 3 = ANY (list(n)) FROM (SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex) GROUP BY sex ORDER BY sex
SELECT COUNT(*) FROM north.patients WHERE age > (SELECT MAX(x) FROM (SELECT id AS x FROM north.patients INTERSECT SELECT patient FROM north.visits))
SELECT COUNT(*) FROM north.patients WHERE id IN (SELECT id FROM north.patients WHERE age > 30 INTERSECT SELECT patient FROM north.visits)
SELECT COUNT(*) FROM north.patients WHERE id IN (SELECT id FROM north.patients WHERE age > 60 UNION ALL SELECT patient FROM north.visits WHERE days > 5)
SELECT (SELECT 1), region, COUNT(*) FROM patients GROUP BY region ORDER BY 1, 2
SELECT (SELECT 1), region, COUNT(*) FROM patients GROUP BY 1, 2 ORDER BY ALL
SELECT (SELECT MAX(region) FROM (SELECT region FROM patients GROUP BY region)), region, COUNT(*) FROM patients GROUP BY region ORDER BY 1, 2
SELECT (SELECT COUNT(*) FROM visits v WHERE v.patient = p.id), COUNT(*) FROM patients p GROUP BY 1 ORDER BY 1
SELECT region, (SELECT COUNT(*) FROM patients q WHERE q.region = t.region) FROM (SELECT region FROM patients GROUP BY region) t ORDER BY 2, 1
SELECT 1 WHERE 3 = ANY (SELECT 3) AND 4 <> ALL (SELECT 3)
SELECT region, region = ANY (SELECT 'a' UNION SELECT 'b') FROM (SELECT region, COUNT(*) FROM patients GROUP BY region) ORDER BY 1
SELECT COUNT(*) FROM patients WHERE age > (SELECT MAX(beds) * 3 - MIN(beds) FROM wards WHERE beds * 2 > 1 HAVING COUNT(*) > 1)
SELECT COUNT(*) FROM patients p WHERE age < (SELECT SUM(days) * 2 - COUNT(*) FROM visits v WHERE v.patient = p.id AND days + 1 > 2)
SELECT AVG(x) FROM (SELECT p.id, (SELECT MAX(days) - MIN(days) FROM visits v WHERE v.patient = p.id) AS x FROM patients p)
"""  # fmt: skip


@pytest.mark.parametrize("sql", QUERIES.strip().splitlines())
def test_equal(clinics: Any, sql: str) -> None:
    clinics.check(sql, scale=1e4)
