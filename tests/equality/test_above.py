"""Above the cut, over released values: HAVING, ORDER BY, windows, CTEs, subqueries, set operations, joins."""

import pytest

# one query a line, each asked of fedsql and of DuckDB
BLOCKS = """
SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex HAVING COUNT(*) > 10 ORDER BY n DESC
SELECT sex, AVG(age) FROM patients GROUP BY sex HAVING AVG(age) > 30 AND COUNT(*) < 1000
SELECT sex FROM patients GROUP BY sex HAVING sex = 'F'
SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex HAVING n > 20
SELECT COUNT(*) FROM patients HAVING COUNT(*) > 10000
SELECT COUNT(*) FROM patients HAVING COUNT(*) > 1
SELECT region, COUNT(*) AS n FROM patients GROUP BY region ORDER BY n DESC, region NULLS LAST LIMIT 3
SELECT region, COUNT(*) AS n FROM patients GROUP BY region ORDER BY n DESC, region NULLS LAST LIMIT 3 OFFSET 2
SELECT region, COUNT(*) AS n FROM patients GROUP BY region ORDER BY ALL
SELECT region, COUNT(*) AS n FROM patients GROUP BY region ORDER BY ALL DESC NULLS LAST
SELECT region, COUNT(*) FROM patients GROUP BY region ORDER BY 2 DESC, 1 NULLS FIRST
SELECT region FROM patients GROUP BY region ORDER BY COUNT(*) DESC, region NULLS FIRST
SELECT region FROM patients GROUP BY region ORDER BY length(region) DESC, region NULLS FIRST
SELECT region, COUNT(*) AS n FROM patients GROUP BY region ORDER BY n DESC, region LIMIT 50%
SELECT sex, region, COUNT(*) AS n, RANK() OVER (PARTITION BY sex ORDER BY COUNT(*) DESC) AS r FROM patients GROUP BY sex, region
SELECT sex, COUNT(*) AS n, 100.0 * COUNT(*) / SUM(COUNT(*)) OVER () AS share FROM patients GROUP BY sex
SELECT sex, n, ROW_NUMBER() OVER (ORDER BY n DESC, sex) AS r FROM (SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex)
SELECT region, SUM(COUNT(*)) OVER (ORDER BY region NULLS FIRST ROWS UNBOUNDED PRECEDING) AS running FROM patients GROUP BY region
SELECT region, COUNT(*) - LAG(COUNT(*)) OVER w AS d FROM patients GROUP BY region WINDOW w AS (ORDER BY region NULLS FIRST)
SELECT sex, region, COUNT(*) AS n FROM patients GROUP BY sex, region QUALIFY ROW_NUMBER() OVER (PARTITION BY sex ORDER BY COUNT(*) DESC, region) = 1
WITH t AS (SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex) SELECT * FROM t WHERE n > 5
WITH t AS (SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex) SELECT a.sex, a.n, b.n FROM t a JOIN t b ON a.sex IS NOT DISTINCT FROM b.sex
WITH t AS (SELECT sex, age * 2 AS a2 FROM patients WHERE age > 20) SELECT sex, SUM(a2) FROM t GROUP BY sex
WITH t AS (SELECT sex, age * 2 AS a2 FROM patients WHERE age > 20) SELECT (SELECT SUM(a2) FROM t) AS a, (SELECT COUNT(*) FROM t WHERE sex = 'F') AS b
WITH t AS (SELECT * FROM patients), u AS (SELECT sex, age + 1 AS a FROM t WHERE flag) SELECT COUNT(*), SUM(a) FROM u WHERE a > 30
WITH t(s, n) AS (SELECT sex, COUNT(*) FROM patients GROUP BY sex) SELECT s, n FROM t
WITH t(s, a) AS (SELECT sex, age FROM patients) SELECT s, SUM(a) FROM t GROUP BY s
WITH t AS MATERIALIZED (SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex) SELECT SUM(n) FROM t
SELECT AVG(n), MAX(n), MIN(n) FROM (SELECT region, COUNT(*) AS n FROM patients GROUP BY region)
SELECT MEDIAN(a) FROM (SELECT region, AVG(age) AS a FROM patients GROUP BY region)
SELECT string_agg(sex, ',' ORDER BY sex) FROM (SELECT DISTINCT sex FROM patients)
SELECT COUNT(*) FROM (SELECT DISTINCT sex, region FROM patients)
SELECT SUM(a) FROM (SELECT age AS a, sex FROM patients) t WHERE t.sex = 'F'
SELECT s, SUM(a) FROM (SELECT age + 1 AS a, upper(sex) AS s FROM (SELECT * FROM patients WHERE visits > 2) q) t GROUP BY s
SELECT COUNT(*) AS n, (SELECT COUNT(*) FROM patients WHERE sex = 'F') AS f FROM patients
SELECT sex, COUNT(*) * 1.0 / (SELECT COUNT(*) FROM patients) AS share FROM patients GROUP BY sex
SELECT sex, COUNT(*) FROM patients GROUP BY sex HAVING AVG(age) > (SELECT AVG(age) FROM patients)
SELECT region, n FROM (SELECT region, COUNT(*) AS n FROM patients GROUP BY region) WHERE region IN (SELECT region FROM patients WHERE flag GROUP BY region)
SELECT n FROM (SELECT COUNT(*) AS n FROM patients) WHERE EXISTS (SELECT 1 FROM (SELECT COUNT(*) AS m FROM patients WHERE flag) WHERE m > 0)
SELECT sex, COUNT(*) FROM patients GROUP BY sex UNION ALL SELECT region, COUNT(*) FROM patients GROUP BY region
SELECT sex FROM patients GROUP BY sex UNION SELECT region FROM patients GROUP BY region ORDER BY 1 NULLS LAST
SELECT sex FROM patients GROUP BY sex INTERSECT SELECT sex FROM patients WHERE flag GROUP BY sex
SELECT region FROM patients GROUP BY region EXCEPT SELECT region FROM patients WHERE flag GROUP BY region
(SELECT sex, COUNT(*) FROM patients GROUP BY sex ORDER BY 2 DESC LIMIT 1) UNION ALL (SELECT 'all', COUNT(*) FROM patients)
SELECT a.sex, a.n, b.m FROM (SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex) a LEFT JOIN (SELECT sex, AVG(x) AS m FROM patients WHERE flag GROUP BY sex) b USING (sex)
SELECT a.n, b.m FROM (SELECT COUNT(*) AS n FROM patients) a CROSS JOIN (SELECT COUNT(*) AS m FROM patients WHERE flag) b
SELECT a.n - b.m FROM (SELECT COUNT(*) AS n FROM patients) a, (SELECT COUNT(*) AS m FROM patients WHERE flag) b
SELECT DISTINCT COUNT(*) > 10 FROM patients GROUP BY region
SELECT sex, round(AVG(age), 2), CAST(SUM(x) AS INTEGER), 'n=' || COUNT(*) FROM patients GROUP BY sex
SELECT sex, CASE WHEN COUNT(*) > 50 THEN 'many' ELSE 'few' END FROM patients GROUP BY sex
SELECT sqrt(VAR_POP(x)) - STDDEV_POP(x) < 1e-9 FROM patients
SELECT upper(sex) || '!', COUNT(*) FROM patients GROUP BY sex
SELECT age // 10, age // 10 + 1, COUNT(*) FROM patients GROUP BY age // 10
SELECT count(*) + 1 AS n, n * 2 FROM patients
SELECT sex, SUM(age) OVER () FROM (SELECT sex, SUM(age) AS age FROM patients GROUP BY sex)
SELECT [sex, region] AS pair, COUNT(*) FROM patients GROUP BY sex, region
SELECT {'s': sex, 'n': COUNT(*)} AS r FROM patients GROUP BY sex
SELECT * FROM (SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex) PIVOT (SUM(n) FOR sex IN ('F', 'M'))
SELECT unnest([1, 2]) AS u, COUNT(*) FROM patients
SELECT n, u FROM (SELECT COUNT(*) AS n FROM patients), (VALUES (1), (2)) v(u)
SELECT COUNT(*) FROM north.patients
SELECT a.n, b.n FROM (SELECT COUNT(*) AS n FROM north.patients) a, (SELECT COUNT(*) AS n FROM south.patients WHERE age > 30) b
SELECT sex, SUM(age), SUM(i8) FROM south.patients GROUP BY sex
SELECT SUM(age), AVG(age), COUNT(*) FROM east.patients
SELECT sex, COUNT(*) FROM west.patients GROUP BY sex
SELECT COUNT(*), SUM(age), AVG(money), SUM(x) FROM west.patients
SELECT COUNT(*), SUM(free) FROM beds
SELECT ward, SUM(free) FROM south.beds GROUP BY ward
SELECT b.ward, p.n FROM (SELECT ward, COUNT(*) AS c FROM beds GROUP BY ward) b JOIN (SELECT region, COUNT(*) AS n FROM patients GROUP BY region) p ON b.c < p.n
SELECT 1 + 1 AS two
SELECT range FROM range(3)
SELECT x FROM (VALUES (1), (2)) t(x) WHERE x IN (SELECT 1)
WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 3) SELECT i, n FROM r, (SELECT COUNT(*) AS n FROM patients)
SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex ORDER BY sex NULLS LAST
SELECT sex, COUNT(*) FROM patients GROUP BY sex ORDER BY COUNT(*) FILTER (WHERE flag), sex NULLS LAST
SELECT COALESCE(sex, '?') AS sex, COUNT(*) FROM patients GROUP BY ALL ORDER BY ALL
SELECT * EXCLUDE (n) FROM (SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex)
SELECT COLUMNS('s.*') FROM (SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex)
SELECT sex, COUNT(*) AS "COUNT", COUNT(*) AS "weird ""name\""" FROM patients GROUP BY sex
SELECT sex AS a, COUNT(*) AS a FROM patients GROUP BY sex
SELECT COUNT(*), COUNT(*) FROM patients
SELECT p.* FROM (SELECT sex, COUNT(*) FROM patients GROUP BY sex) p
SELECT max(c) FROM (SELECT COUNT(*) AS c FROM patients GROUP BY region HAVING COUNT(*) > 2)
SELECT sex, (SELECT MAX(n) FROM (SELECT region, COUNT(*) AS n FROM patients GROUP BY region)) AS top FROM patients GROUP BY sex
SELECT grouped.sex FROM (SELECT sex FROM patients GROUP BY sex) AS grouped ORDER BY grouped.sex NULLS FIRST
SELECT o.sex, (SELECT COUNT(*) FROM (SELECT sex, region FROM patients GROUP BY ALL) i WHERE i.sex = o.sex) FROM (SELECT DISTINCT sex FROM patients) o
SELECT s, COUNT(*) FROM (SELECT sex AS s, region FROM patients GROUP BY sex, region) GROUP BY s
SELECT COUNT(*) AS n FROM patients WHERE sex = 'F' UNION ALL BY NAME SELECT COUNT(*) AS n FROM patients
FROM patients SELECT COUNT(*)
SELECT ANY_VALUE(n) FROM (SELECT COUNT(*) AS n FROM patients)
SELECT sum(age) s, sum(age) FILTER (WHERE sex='F') / sum(age) share FROM patients
SELECT CAST(COUNT(*) AS DOUBLE) / 3, COUNT(*)::VARCHAR, -COUNT(*), NOT (COUNT(*) > 3) FROM patients
SELECT COUNT(*) BETWEEN 1 AND 1000, COUNT(*) IN (1, 2), COUNT(*) IS NULL FROM patients
SELECT list(sex ORDER BY sex) FROM (SELECT sex, COUNT(*) FROM patients GROUP BY sex)
SELECT DISTINCT sex, COUNT(*) FROM patients GROUP BY sex
SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex ORDER BY n / 0 NULLS LAST, sex
SELECT sex, AVG(AVG(age)) OVER (ORDER BY sex NULLS FIRST) FROM patients GROUP BY sex
"""


@pytest.mark.parametrize("sql", [line for line in (BLOCKS).splitlines() if line])
def test_equals_duckdb(hospitals, sql):
    hospitals.check(sql)
