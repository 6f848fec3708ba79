"""Every type as key and as argument, arithmetic between them, and names that hide one another."""

import pytest

# one query a line, each asked of fedsql and of DuckDB
KEYS = """
SELECT age * 2 AS a2, COUNT(*) FROM patients WHERE a2 > 30 GROUP BY a2
SELECT age + 1 AS age, COUNT(*) FROM patients GROUP BY age
SELECT age + 1 AS age, COUNT(*) FROM patients GROUP BY 1
SELECT age + 1 AS age, COUNT(*) FROM patients GROUP BY ALL
SELECT age % 3 AS visits, COUNT(*), SUM(visits) FROM patients GROUP BY age % 3
SELECT sex AS region, COUNT(*) AS n FROM patients GROUP BY sex ORDER BY region NULLS LAST
SELECT sex, SUM(age) AS age FROM patients GROUP BY sex ORDER BY age
SELECT o.sex, COUNT(*) FROM (SELECT sex FROM patients) o GROUP BY o.sex
SELECT s FROM (SELECT sex s, COUNT(*) c FROM patients GROUP BY s) WHERE c = (SELECT MAX(c) FROM (SELECT COUNT(*) c FROM patients GROUP BY sex))
SELECT sex, SUM(CASE WHEN region IS NULL THEN 1 END), SUM(CASE WHEN age > 200 THEN 1 ELSE 0 END), SUM(CASE WHEN age > 200 THEN 1 END) FROM patients GROUP BY sex
SELECT i8, COUNT(*) FROM patients GROUP BY i8
SELECT i64, COUNT(*) FROM patients GROUP BY i64
SELECT wide, COUNT(*) FROM patients GROUP BY wide
SELECT u8, COUNT(*) FROM patients GROUP BY u8
SELECT u64, COUNT(*) FROM patients GROUP BY u64
SELECT u64, u32, u16, i32, i16, COUNT(*) FROM patients GROUP BY ALL
SELECT huge, COUNT(*) FROM patients GROUP BY huge
SELECT d4, d18, COUNT(*) FROM patients GROUP BY ALL
SELECT money, COUNT(*) FROM patients GROUP BY money
SELECT d38, COUNT(*) FROM patients GROUP BY d38
SELECT f, COUNT(*) FROM patients GROUP BY f
SELECT x, COUNT(*) FROM patients GROUP BY x
SELECT x * 3, COUNT(*) FROM patients GROUP BY 1
SELECT flag, COUNT(*) FROM patients GROUP BY flag
SELECT born, COUNT(*) FROM patients GROUP BY born
SELECT seen, COUNT(*) FROM patients GROUP BY seen
SELECT clock, COUNT(*) FROM patients GROUP BY clock
SELECT note, COUNT(*) FROM patients GROUP BY note
SELECT nothing, COUNT(*) FROM patients GROUP BY nothing
SELECT NULL AS n, COUNT(*) FROM patients GROUP BY n
SELECT NULL::INT AS n, COUNT(*) FROM patients GROUP BY ALL
SELECT seen::DATE, COUNT(*) FROM patients GROUP BY 1
SELECT born::TIMESTAMP, COUNT(*) FROM patients GROUP BY 1
SELECT seen::TIME, COUNT(*) FROM patients GROUP BY 1
SELECT "at"::TIMESTAMP, COUNT(*) FROM patients GROUP BY 1
SELECT "at"::DATE, COUNT(*) FROM patients GROUP BY 1
SELECT seen::VARCHAR, COUNT(*) FROM patients GROUP BY 1
SELECT x::VARCHAR, COUNT(*) FROM patients GROUP BY 1
SELECT money::VARCHAR, flag::VARCHAR, COUNT(*) FROM patients GROUP BY ALL
SELECT seen::TIMESTAMP_S AS s, COUNT(*) FROM patients GROUP BY 1
SELECT seen::TIMESTAMP_MS AS s, COUNT(*) FROM patients GROUP BY 1
SELECT x::FLOAT, COUNT(*) FROM patients GROUP BY 1
SELECT age::UTINYINT, COUNT(*) FROM patients GROUP BY 1
SELECT x::INT, COUNT(*) FROM patients GROUP BY 1
SELECT x::DECIMAL(10,2), COUNT(*) FROM patients GROUP BY 1
SELECT date_trunc('week', born), COUNT(*) FROM patients GROUP BY 1
SELECT date_trunc('quarter', seen), date_trunc('day', seen), COUNT(*) FROM patients GROUP BY ALL
SELECT date_trunc('century', born), COUNT(*) FROM patients GROUP BY ALL
SELECT extract(year FROM "at"), extract(century FROM born), extract(week FROM born), COUNT(*) FROM patients GROUP BY ALL
SELECT extract(second FROM seen) // 10, extract(millisecond FROM seen) // 20000, COUNT(*) FROM patients GROUP BY ALL
SELECT extract(microsecond FROM seen) % 7, COUNT(*) FROM patients GROUP BY ALL
SELECT extract(isoyear FROM born), extract(yearweek FROM born), COUNT(*) FROM patients GROUP BY ALL
SELECT born + INTERVAL 1 MONTH, COUNT(*) FROM patients GROUP BY 1
SELECT born - INTERVAL '2' YEAR, COUNT(*) FROM patients GROUP BY 1
SELECT born + INTERVAL (age) DAY, COUNT(*) FROM patients GROUP BY 1
SELECT born + INTERVAL '1 year 2 months 3 days', COUNT(*) FROM patients GROUP BY 1
SELECT seen + INTERVAL 90 MINUTES, COUNT(*) FROM patients GROUP BY 1
SELECT seen + INTERVAL '1:30:00', COUNT(*) FROM patients GROUP BY 1
SELECT born + visits, COUNT(*) FROM patients GROUP BY 1
SELECT born - visits, COUNT(*) FROM patients GROUP BY 1
SELECT visits + born, COUNT(*) FROM patients GROUP BY 1
SELECT born - DATE '2000-01-01', COUNT(*) FROM patients GROUP BY 1
SELECT date_diff('week', born, seen::DATE), COUNT(*) FROM patients GROUP BY 1
SELECT date_diff('MONTH', born, seen), COUNT(*) FROM patients GROUP BY 1
SELECT datediff('year', born, '2020-01-01'), COUNT(*) FROM patients GROUP BY 1
SELECT round(-2.5), round(x / 0.5), COUNT(*) FROM patients GROUP BY 2
SELECT x // 3, COUNT(*) FROM patients GROUP BY 1
SELECT x % 3, COUNT(*) FROM patients GROUP BY 1
SELECT money // 3, COUNT(*) FROM patients GROUP BY 1
SELECT money % 3, COUNT(*) FROM patients GROUP BY 1
SELECT visits // -2, visits % -2, -visits // 2, (-visits) // 2, COUNT(*) FROM patients GROUP BY ALL
SELECT 2 ** visits, visits ^ 2, power(visits, 2), pow(2, visits), COUNT(*) FROM patients GROUP BY ALL
SELECT -visits ** 2, COUNT(*) FROM patients GROUP BY ALL
SELECT log(abs(visits) + 1), log(2, abs(visits) + 1), log10(abs(visits) + 1), ln(abs(visits) + 1), COUNT(*) FROM patients GROUP BY ALL
SELECT round(x, 1), round(x, -1), round(money, 1), COUNT(*) FROM patients GROUP BY ALL
SELECT trunc(x), trunc(money), ceiling(x), floor(money), COUNT(*) FROM patients GROUP BY ALL
SELECT sign(x), sign(money), abs(x), @visits, COUNT(*) FROM patients GROUP BY ALL
SELECT greatest(visits, 3, NULL), least(x, money), COUNT(*) FROM patients GROUP BY ALL
SELECT visits / 2, visits / 2.0, age / visits, COUNT(*) FROM patients GROUP BY ALL
SELECT money / 7, d4 / visits, COUNT(*) FROM patients GROUP BY ALL
"""

ARGUMENTS = """
SELECT -sex_n AS n FROM (SELECT COUNT(*) AS sex_n FROM patients)
SELECT sex AS region, COUNT(*) AS n FROM patients GROUP BY sex HAVING region = 'F'
SELECT COUNT(*) AS age FROM patients HAVING age > 3
SELECT sex, SUM(age) AS age FROM patients GROUP BY sex HAVING SUM(age) > 3 ORDER BY SUM(age)
SELECT AVG(CASE WHEN flag THEN 1 ELSE 0 END), AVG(CASE WHEN flag THEN 1.0 END), AVG(CASE WHEN flag THEN age ELSE 0 END) FROM patients
SELECT VAR_POP(CASE WHEN flag THEN 1 ELSE 0 END), VAR_SAMP(CASE WHEN flag THEN x END) FROM patients
SELECT SUM(CASE WHEN sex='F' THEN money WHEN sex='M' THEN -money ELSE 0.001 END) FROM patients
SELECT SUM(age * 1.5), SUM(age * 0.1), SUM(age / 2), SUM(age / 2.0), SUM(money / 3), SUM(money * 1e0) FROM patients
SELECT SUM(2 * x - y + 3), AVG(3 - x), VAR_SAMP(2 * x), STDDEV(x - 5), SUM(x * x), SUM(x * y) FROM patients
SELECT SUM(f + x), SUM(f * f), AVG(f / 3) FROM patients
SELECT SUM(d38 + 1), SUM(d38 * 2), SUM(d38 - d38) FROM patients
SELECT SUM(u8 - 300::INT), SUM(CAST(u8 AS SMALLINT) * -1) FROM patients
SELECT COUNT(*) FROM patients WHERE i8 * 2 > 100
SELECT SUM(huge - 1), SUM(huge // 3), SUM(-huge), SUM(abs(huge)) FROM patients
SELECT SUM(u64::HUGEINT - 1), SUM(u64 // 2), SUM(u64 % 1000) FROM patients
SELECT SUM(wide // 1000), SUM(wide % 1000), SUM(wide // -7), SUM(wide % -7) FROM patients
SELECT SUM(-wide::HUGEINT), SUM(wide::HUGEINT * 3), AVG(wide::HUGEINT + 1) FROM patients
SELECT SUM(wide::DECIMAL(38,2)), SUM(i64::DECIMAL(20,5)), SUM(money::DECIMAL(12,1)), SUM(money::DECIMAL(30,4)) FROM patients
SELECT SUM(length(region)), AVG(length(region)), SUM(strpos(note, '2')) FROM patients
SELECT SUM(year(born)), AVG(year(born)), SUM(extract(month FROM born)), VAR_SAMP(month(born)) FROM patients
SELECT SUM(nothing + age), COUNT(nothing + age), AVG(nothing * x) FROM patients
SELECT SUM(TRY_CAST(note AS DECIMAL(10,2))), SUM(TRY_CAST(note AS INT)), AVG(TRY_CAST(note AS TINYINT)) FROM patients
SELECT SUM(born - DATE '2000-01-01') FROM patients
SELECT COUNT(*) FROM patients WHERE seen - TIMESTAMP '2000-01-01 00:00:00' > INTERVAL 5 DAY
SELECT COUNT(*) FROM patients WHERE seen - born > INTERVAL 5 DAY
SELECT SUM(date_diff('minute', seen, seen + INTERVAL 61 SECOND)) FROM patients
SELECT COUNT(*) FROM patients WHERE born BETWEEN '1950-01-01' AND '1990-12-31'
SELECT COUNT(*) FROM patients WHERE born = '1950-01-01'::DATE OR born IN ('1960-01-01', DATE '1970-01-01')
SELECT COUNT(*) FROM patients WHERE clock > '12:00:00' OR clock < TIME '06:00'
SELECT COUNT(*) FROM patients WHERE seen < now() AND born < current_date AND seen <= current_timestamp
SELECT COUNT(*) FROM patients WHERE date_diff('year', born, current_date) > 40
SELECT COUNT(*) FROM patients WHERE born < today() - 3650
SELECT current_date AS d, COUNT(*) FROM patients
SELECT COUNT(*) FROM patients WHERE age / visits > 3
SELECT COUNT(*) FROM patients WHERE x / 0 > 3
SELECT COUNT(*) FROM patients WHERE x / 0.0 IS NULL
SELECT COUNT(*) FROM patients WHERE isinf(age / 0)
SELECT COUNT(*) FROM patients WHERE isnan(0 / visits) OR isfinite(x)
SELECT COUNT(*) FROM patients WHERE x % 0 IS NULL
SELECT COUNT(*) FROM patients WHERE NOT NOT flag AND NOT (flag IS NULL)
SELECT COUNT(*) FROM patients WHERE flag = (age > 30)
SELECT COUNT(*) FROM patients WHERE flag AND NULL
SELECT COUNT(*) FROM patients WHERE flag OR NULL
SELECT COUNT(*) FROM patients WHERE 20 < age AND age < 40 OR visits > 3 AND NOT flag
SELECT COUNT(*) FROM patients WHERE age::VARCHAR LIKE '3%'
SELECT COUNT(*) FROM patients WHERE concat(age, sex) = '33F'
SELECT COUNT(*) FROM patients WHERE age || sex = '33F'
SELECT COUNT(*) FROM patients WHERE visits = 1.0 OR visits = '2' OR visits = 3::DECIMAL(5,2)
SELECT COUNT(*) FROM patients WHERE sex = 'F' AND region <> '' AND region NOT IN ('Alps', '日本')
SELECT COUNT(*) FROM patients WHERE sex LIKE NULL
SELECT COUNT(*) FROM patients WHERE region LIKE sex
SELECT COUNT(*) FROM patients WHERE region LIKE '%''%'
SELECT COUNT(*) FROM patients WHERE region NOT ILIKE 'z%' AND region !~~ 'A%' OR region ~~* 'z%'
SELECT COUNT(*) FROM patients WHERE regexp_matches(region, 'A.p', 'i')
SELECT COUNT(*) FROM patients WHERE x IS NULL OR x ISNULL OR x NOTNULL
SELECT COUNT(*) FROM patients WHERE age IN [30, 31, 32]
SELECT COUNT(*) FROM patients WHERE CASE WHEN flag THEN age > 30 ELSE age < 20 END
SELECT COUNT(*) FROM patients WHERE CASE age WHEN 30 THEN true WHEN NULL THEN true ELSE false END
SELECT COUNT(*) FROM patients WHERE COALESCE(flag, age > 30, false)
SELECT 'it''s', E'a\\nb', $$dollar$$, COUNT(*) FROM patients
SELECT VAR_POP(d18), VAR_SAMP(money), CORR(d4, d18), COVAR_POP(d18, x) FROM patients
SELECT SUM(round(x)::INT), SUM(x::BIGINT), SUM(x::DECIMAL(10,3)), SUM(f::DECIMAL(10,3)), SUM(money::BIGINT) FROM patients
SELECT SUM(d4 * d4), SUM(d4 * money), SUM(d4 * age), SUM(money + d18), SUM(money + age) FROM patients
SELECT CORR(x, y), REGR_SLOPE(x, y), REGR_R2(x, y), REGR_INTERCEPT(x, y), VAR_SAMP(x), COVAR_SAMP(x, y) FROM patients WHERE id = 3
SELECT CORR(x, y), REGR_SLOPE(x, y), REGR_R2(x, y), REGR_INTERCEPT(x, y), VAR_SAMP(x), REGR_SXX(x, y) FROM patients WHERE x = 0
SELECT CORR(x, y), REGR_SLOPE(x, y), REGR_R2(x, y), REGR_INTERCEPT(x, y), REGR_AVGX(x, y) FROM patients WHERE y = 0.5
SELECT SUM((sex = 'F')::INT), AVG((sex = 'F')::INT) FROM patients
SELECT SUM(huge * 2), SUM(huge + huge) FROM patients
"""


@pytest.mark.parametrize("sql", [line for line in (KEYS + ARGUMENTS).splitlines() if line])
def test_equals_duckdb(hospitals, sql):
    hospitals.check(sql)
