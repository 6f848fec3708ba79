"""The breadth of DuckDB's SQL above the cut: what passes through sqlglot there must keep its meaning."""

import pytest

RELEASED = "(SELECT sex, region, COUNT(*) AS n, AVG(age) AS a, SUM(money) AS m FROM patients GROUP BY ALL)"

# one query a line; @ stands for RELEASED
SYNTAX = """
SELECT sex, SUM(n) FROM @ GROUP BY ROLLUP (sex)
SELECT sex, region, SUM(n), GROUPING(sex) FROM @ GROUP BY GROUPING SETS ((sex), (region), ())
SELECT sex, region, SUM(n) FROM @ GROUP BY CUBE (sex, region)
SELECT DISTINCT ON (sex) sex, region, n FROM @ ORDER BY sex, n DESC, region
SELECT * FROM @ ORDER BY ALL LIMIT 3
SELECT * EXCLUDE (m, a) REPLACE (n + 1 AS n) FROM @
SELECT r.* EXCLUDE (m) FROM @ r
SELECT * RENAME (n AS cnt) FROM @
SELECT COLUMNS(* EXCLUDE (sex, region)) + 1 FROM @
SELECT MIN(COLUMNS(*)) FROM @
SELECT sex, list(n ORDER BY n DESC, region) FROM @ GROUP BY sex
SELECT sex, string_agg(region, ',' ORDER BY region) FROM @ GROUP BY sex
SELECT sex, first(region ORDER BY region NULLS LAST), last(n ORDER BY n), arg_max(region, n), max_by(n, a) FROM @ GROUP BY sex
SELECT quantile_cont(n, 0.5), median(n), mode(sex), quantile_disc(n, [0.25, 0.75]), approx_count_distinct(sex) FROM @
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY n) FROM @
SELECT COUNT(DISTINCT sex), COUNT(DISTINCT (sex, region)), SUM(DISTINCT n), AVG(DISTINCT n) FROM @
SELECT sex, n, SUM(n) OVER (PARTITION BY sex ORDER BY n, region ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM @
SELECT n, SUM(n) OVER (ORDER BY n GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM @
SELECT n, AVG(n) OVER (ORDER BY n RANGE BETWEEN 2 PRECEDING AND 2 FOLLOWING) FROM @
SELECT region, first_value(n IGNORE NULLS) OVER (PARTITION BY sex ORDER BY region), nth_value(n, 2) OVER (PARTITION BY sex ORDER BY region) FROM @ WHERE region IS NOT NULL AND sex IS NOT NULL
SELECT sex, n, lead(n, 1, 0) OVER (ORDER BY sex, region, n), ntile(3) OVER (ORDER BY sex, region), percent_rank() OVER (ORDER BY n), cume_dist() OVER (ORDER BY n), dense_rank() OVER (ORDER BY n) FROM @
SELECT COUNT(*) FILTER (WHERE n > 3) OVER (PARTITION BY sex) FROM @
SELECT row_number() OVER (ORDER BY n DESC, sex, region) AS i, n FROM @ QUALIFY i <= 3
SELECT * FROM (SELECT sex, n::DOUBLE AS n, a FROM @) UNPIVOT (v FOR k IN (n, a))
SELECT [x * 2 FOR x IN [1, 2, 3] IF x > 1], list_transform([1, 2], lambda x: x + 1), n FROM @
SELECT [n, 1][1], [1,2,3][2:], [1,2,3][-1], 'hello'[2:3], {'a': n}.a, {'a': n}['a'], struct_pack(k := n).k, row(n, sex) FROM @
SELECT MAP {'a': n}['a'], map_keys(MAP {'a': n}) FROM @
SELECT ('{"a": [1, ' || n || ']}')::JSON -> 'a' ->> 1, json_extract_string('{"a":1}', '$.a') FROM @
SELECT unnest([1, 2, 3]) AS u, n FROM @ WHERE n > 3
SELECT u, n FROM @, unnest([1, 2]) AS t(u)
SELECT u.x, n FROM @ r, LATERAL (SELECT r.n + 1 AS x) u
SELECT a.sex, b.n FROM (SELECT sex, SUM(n) AS n FROM @ GROUP BY sex) a ASOF JOIN (SELECT sex, SUM(n) AS n FROM @ GROUP BY sex) b ON a.sex = b.sex AND a.n >= b.n
SELECT * FROM (SELECT n FROM @ ORDER BY ALL) a POSITIONAL JOIN (VALUES (1), (2)) b(v)
SELECT * FROM (SELECT sex, n FROM @) a SEMI JOIN (VALUES ('F')) b(sex) USING (sex)
SELECT * FROM (SELECT sex, n FROM @) a ANTI JOIN (VALUES ('F')) b(sex) ON a.sex = b.sex
SELECT a.sex FROM (SELECT DISTINCT sex FROM @) a NATURAL JOIN (VALUES ('F'), ('Q')) b(sex)
SELECT a.sex, b.sex FROM (SELECT DISTINCT sex FROM @) a FULL OUTER JOIN (VALUES ('F'), ('Q')) b(sex) ON a.sex = b.sex
SELECT sex FROM (SELECT DISTINCT sex FROM @) a FULL JOIN (VALUES ('F'), ('Q')) b(sex) USING (sex)
SELECT a.sex FROM (SELECT DISTINCT sex FROM @) a RIGHT JOIN (VALUES ('F'), ('Q')) b(sex) USING (sex)
SELECT (SELECT MAX(n) FROM @) - n FROM @
SELECT n FROM @ WHERE n > ALL (SELECT n FROM @ WHERE sex = 'F' AND region = 'Alps')
SELECT n FROM @ WHERE n = ANY (SELECT n FROM @ WHERE sex = 'F')
SELECT n FROM @ r WHERE EXISTS (SELECT 1 FROM @ s WHERE s.sex = r.sex AND s.n > r.n)
SELECT n FROM @ r WHERE NOT EXISTS (SELECT 1 FROM @ s WHERE s.sex = r.sex AND s.n > r.n)
SELECT sex, (SELECT COUNT(*) FROM @ s WHERE s.sex = r.sex) FROM @ r
SELECT n FROM @ WHERE (sex, n) IN (SELECT sex, MAX(n) FROM @ GROUP BY sex)
SELECT n FROM @ WHERE sex NOT IN (SELECT region FROM @ WHERE region IS NOT NULL)
SELECT n FROM @ WHERE sex NOT IN (SELECT region FROM @)
SELECT strftime(DATE '2020-02-03', '%d.%m.%Y'), strptime('03.02.2020', '%d.%m.%Y'), n FROM @
SELECT DATE '2020-01-31' + INTERVAL '1 month 3 days 02:00:00', n FROM @
SELECT '3 days 04:00:00'::INTERVAL, n FROM @
SELECT jaro_winkler_similarity('abc', 'ABD'), levenshtein('a', sex), n FROM @
SELECT md5(sex), sha256(sex), hash(n) IS NULL, n FROM @
SELECT format('{} is {}', sex, n), printf('%d', n), n FROM @
SELECT regexp_replace(region, '[a-z]', 'x', 'g'), regexp_extract(region, '([A-Z])', 1), regexp_split_to_array(region, 'a') FROM @
SELECT greatest(n, 3), least(n, NULL), n::VARCHAR || 'x', n BETWEEN 1 AND 3, n IN (1, 2) FROM @
SELECT CAST(n AS UTINYINT), TRY_CAST(sex AS INT), n::FLOAT, n::DECIMAL(10,3), n::HUGEINT FROM @
SELECT factorial(5), gcd(n, 6), even(n), isfinite(a), pi() FROM @
SELECT CASE WHEN n > 5 THEN 'x' END, CASE sex WHEN 'F' THEN 1 ELSE 2 END, COALESCE(sex, 'z'), IFNULL(sex, 'q') FROM @
SELECT date_trunc('month', DATE '2020-02-29'), date_part('dow', DATE '2020-02-29'), datesub('month', DATE '2020-01-31', DATE '2020-03-01'), last_day(DATE '2020-02-03'), dayname(DATE '2020-02-03'), n FROM @
SELECT make_date(2020, 2, 3), make_timestamp(2020, 2, 3, 4, 5, 6.5), age(DATE '2020-02-03', DATE '2019-01-01'), to_days(3), epoch(DATE '2020-02-03'), n FROM @
SELECT extract(year FROM DATE '2020-02-03'), extract('dow' FROM DATE '2020-02-03'), n FROM @
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) v(i, s) JOIN @ r ON r.n = v.i
SELECT * FROM range(3) t(i), (SELECT COUNT(*) AS n FROM patients)
SELECT generate_series, n FROM generate_series(1, 3), (SELECT COUNT(*) AS n FROM patients)
WITH RECURSIVE t(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM t WHERE i < 4) SELECT i, n FROM t JOIN @ r ON r.n = t.i
WITH a AS @, b AS (SELECT sex, SUM(n) AS s FROM a GROUP BY sex) SELECT a.sex, a.n * 1.0 / b.s FROM a JOIN b ON a.sex = b.sex
WITH patients AS (SELECT 1 AS x) SELECT x FROM patients
WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS x FROM a) SELECT b.x, n FROM b, (SELECT COUNT(*) AS n FROM patients)
SELECT sex, n FROM @ UNION BY NAME SELECT n, 'all' AS sex FROM (SELECT COUNT(*) AS n FROM patients)
SELECT sex FROM @ EXCEPT ALL SELECT 'F' FROM range(3)
SELECT sex FROM @ INTERSECT ALL SELECT 'F' FROM range(3)
(SELECT n FROM @ ORDER BY n DESC, sex LIMIT 2) UNION ALL (SELECT n FROM @ ORDER BY n, sex LIMIT 1) ORDER BY n
SELECT n FROM @ ORDER BY n DESC FETCH FIRST 3 ROWS ONLY
SELECT n FROM @ ORDER BY n DESC, region LIMIT 20 PERCENT
SELECT n FROM @ ORDER BY n DESC LIMIT (SELECT 2)
SELECT sum(n) FROM @ USING SAMPLE 100 PERCENT
SELECT sex AS "Sex", n AS "n of" FROM @ ORDER BY "Sex" NULLS LAST, "n of"
SELECT n AS x, x + 1 AS y, y * 2 AS z FROM @
SELECT n AS x FROM @ WHERE x > 3
SELECT SUM(n) AS s FROM @ HAVING s > 3
SELECT sex, SUM(n) AS s FROM @ GROUP BY ALL HAVING s > 3 ORDER BY ALL
SELECT sex s, sum(n) FROM @ GROUP BY s
SELECT sex, region, n FROM @ ORDER BY 3 DESC, 2, 1
SELECT n FROM @ t(s, r, n, a, m) WHERE s = 'F'
SELECT t FROM @ t
SELECT t.n FROM @ AS t WHERE t.sex IS NULL
SELECT max(n) FILTER (WHERE sex = 'F') - min(n) FROM @
SELECT bool_and(n > 1), bool_or(n > 100), bit_and(n), product(n::DOUBLE) > 0, any_value(7), histogram(sex), entropy(sex), kurtosis(n), skewness(n), mad(n), sem(n), geomean(n), favg(n), fsum(n), count_if(n > 2), array_agg(n ORDER BY n) FROM @
SELECT corr(n, a), regr_slope(n, a), covar_pop(n, a) FROM @
SELECT count(*), count(n), count(DISTINCT n) FROM @
SELECT DISTINCT sex, n > 3 FROM @
SELECT 'a' || NULL, concat('a', NULL), NULL IS NULL, 1 = NULL, n FROM @
SELECT 1e3, .5, 5., 1_000, 123456789012345678901234567890, 0.10, -0.0, 'it''s', n FROM @
SELECT 'a\\b', E'a\\tb', $$q$$, 'ü日', n FROM @
SELECT current_database() IS NULL, version() IS NULL, n FROM @
SELECT x.value, n FROM @, json_each('[1,2]') x
SELECT n FROM @ TABLESAMPLE 100%
SELECT try(n // 0), n FROM @
SELECT n, n IS DISTINCT FROM NULL, n NOTNULL, n ISNULL FROM @
SELECT array_slice([1,2,3], 1, 2), list_aggregate([1,2], 'sum'), list_sort([2,1]), flatten([[1],[2]]), list_distinct([1,1]), len([1]), [1,2] || [3], 1 IN [1,2], list_contains([1], 1), n FROM @
SELECT date_diff('day', DATE '2020-01-01', DATE '2020-02-01'), datediff('month', DATE '2020-01-01', DATE '2020-02-01'), DATE '2020-02-01' - DATE '2020-01-01', DATE '2020-01-01' + 3, n FROM @
SELECT time_bucket(INTERVAL '2 days', DATE '2020-01-04'), n FROM @
SELECT sex.lower() AS l, n FROM @
SELECT count(*) FROM @ AS OF_ WHERE n > 1
SELECT bar(n, 0, 10, 10), n FROM @
SELECT sex COLLATE NOCASE = 'f', n FROM @
SELECT n FROM @ ORDER BY sex COLLATE NOCASE, n
SELECT region, n FROM @ ORDER BY region DESC NULLS FIRST, n DESC NULLS LAST
SELECT any_value(sex) FROM (SELECT 'x' AS sex FROM @)
SELECT grouped FROM (SELECT SUM(n) AS grouped FROM @)
SELECT "select", "from" FROM (SELECT n AS "select", sex AS "from" FROM @)
SELECT n as 'quoted alias' FROM @
SELECT n FROM @ WHERE sex = 'F' -- trailing
FROM @
FROM @ WHERE n > 3 ORDER BY ALL
"""


@pytest.mark.parametrize("sql", [line for line in SYNTAX.splitlines() if line])
def test_equals_duckdb(hospitals, sql):
    hospitals.check(sql.replace("@", RELEASED))
