"""Below the cut, at the parties: WHERE with its three-valued logic, keys, expressions, aggregates."""

import pytest

# one query a line, each asked of fedsql and of DuckDB
WHERE = """
SELECT COUNT(*) FROM patients WHERE age > 40
SELECT COUNT(*) FROM patients WHERE age IS NULL OR sex IS NULL
SELECT COUNT(*) FROM patients WHERE NOT (age > 40 AND sex = 'F')
SELECT COUNT(*) FROM patients WHERE (age > 40) IS TRUE
SELECT COUNT(*) FROM patients WHERE (age > 40) IS NOT TRUE
SELECT COUNT(*) FROM patients WHERE (flag OR age > 40) IS NULL
SELECT COUNT(*) FROM patients WHERE flag IS NOT FALSE
SELECT COUNT(*) FROM patients WHERE flag IS UNKNOWN
SELECT COUNT(*) FROM patients WHERE flag
SELECT COUNT(*) FROM patients WHERE NOT flag
SELECT COUNT(*) FROM patients WHERE sex IN ('F', 'X')
SELECT COUNT(*) FROM patients WHERE sex NOT IN ('F', NULL)
SELECT COUNT(*) FROM patients WHERE age NOT IN (1, 2, 3)
SELECT COUNT(*) FROM patients WHERE (sex, flag) IN (('F', true), ('M', false))
SELECT COUNT(*) FROM patients WHERE age BETWEEN 20 AND 40 AND age NOT BETWEEN 30 AND 35
SELECT COUNT(*) FROM patients WHERE sex IS DISTINCT FROM 'F'
SELECT COUNT(*) FROM patients WHERE sex IS NOT DISTINCT FROM NULL
SELECT COUNT(*) FROM patients WHERE x <> y AND x != 0 AND x <= 100
SELECT COUNT(*) FROM patients WHERE age > 30.5 AND money < 1e6
SELECT COUNT(*) FROM patients WHERE age = '33' OR visits = '4'
SELECT COUNT(*) FROM patients WHERE true
SELECT COUNT(*), SUM(age) FROM patients WHERE false
SELECT COUNT(*), SUM(age), AVG(x), STDDEV(y), CORR(x, y), COUNT(x) FROM patients WHERE age > 1000
SELECT COUNT(*) FROM patients WHERE NULL
SELECT sex, SUM(age) FROM patients WHERE age > 1000 GROUP BY sex
SELECT COUNT(*) FROM patients WHERE sqrt(abs(x)) > 5 AND power(abs(y), 0.5) < 6
SELECT COUNT(*) FROM patients WHERE ln(age + 1) > 3 OR log(age + 1) > 1.2 OR log10(age + 1) > 2
SELECT COUNT(*) FROM patients WHERE cbrt(x) > 2 AND exp(y / 100) > 1
SELECT COUNT(*) FROM patients WHERE visits % 2 = 1 AND mod(age, 10) < 5
SELECT date_trunc('month', born) AS m, COUNT(*) FROM patients WHERE born > DATE '2010-01-01' GROUP BY m ORDER BY m
SELECT COUNT(*) FROM patients WHERE born + INTERVAL 30 YEAR < DATE '2000-01-01'
SELECT COUNT(*) FROM patients WHERE born + INTERVAL '3 months' < seen
SELECT COUNT(*) FROM patients WHERE seen - INTERVAL '1 day' > TIMESTAMP '1990-01-01 00:00:00'
SELECT COUNT(*) FROM patients WHERE born + 30 < DATE '2000-01-31' AND born - 1 > DATE '1950-01-01'
SELECT COUNT(*) FROM patients WHERE seen::DATE > '1999-05-05' AND CAST(born AS TIMESTAMP) < seen
SELECT COUNT(*) FROM patients WHERE seen > '1999-05-05 10:00:00'
SELECT COUNT(*) FROM patients WHERE contains(region, 'a') OR starts_with(region, 'Z') OR ends_with(region, 's')
SELECT COUNT(*) FROM patients WHERE prefix(region, 'A') OR suffix(region, 's')
SELECT COUNT(*) FROM patients WHERE region LIKE 'A%' OR region LIKE '_' OR region ILIKE '%Z%'
SELECT COUNT(*) FROM patients WHERE region NOT LIKE '%a%'
SELECT COUNT(*) FROM patients WHERE note LIKE 'a\\_b\\%c' ESCAPE '\\'
SELECT COUNT(*) FROM patients WHERE note LIKE 'a$_b$%c' ESCAPE '$'
SELECT COUNT(*) FROM patients WHERE regexp_matches(note, '^[0-9]+$') OR regexp_full_match(note, 'x.')
SELECT COUNT(*) FROM patients WHERE region = 'o''Hara' OR region = 'say "x"' OR region = '日本' OR region = ''
"""

KEYS_AND_AGGREGATES = """
SELECT SUM(age + visits), SUM(age - visits), SUM(age * visits), SUM(-visits) FROM patients
SELECT SUM(age // 7), SUM(visits // 2), SUM(visits % 3), SUM(mod(visits, 3)) FROM patients
SELECT SUM(abs(visits)), SUM(sign(visits)), SUM(visits * visits) FROM patients
SELECT SUM(money * 2), SUM(money + 0.5), SUM(money - visits), SUM(money * d4) FROM patients
SELECT AVG(x / 7), SUM(x + y), SUM(x * y), AVG(x * 2 - y) FROM patients
SELECT SUM(round(x)), SUM(round(x, 2)), SUM(floor(x)), SUM(ceil(x)), SUM(trunc(x)) FROM patients
SELECT SUM(round(money, 1)), SUM(round(money)), SUM(floor(money)), SUM(ceil(money)) FROM patients
SELECT SUM(round(age, -1)), SUM(round(money, -2)) FROM patients
SELECT SUM(greatest(age, visits)), SUM(least(age, visits, 5)) FROM patients
SELECT SUM(coalesce(age, 0)), SUM(ifnull(visits, -1)), SUM(nullif(visits, 0)) FROM patients
SELECT SUM(CASE WHEN age > 40 THEN 1 ELSE 0 END), SUM(CASE sex WHEN 'F' THEN visits WHEN 'M' THEN -visits END) FROM patients
SELECT SUM(flag::INT), SUM(CAST(flag AS TINYINT)), SUM(flag) FROM patients
SELECT SUM(age::BIGINT), SUM(age::DOUBLE), SUM(age::DECIMAL(10,2)), SUM(visits::HUGEINT), SUM(x::INTEGER), SUM(money::INTEGER) FROM patients
SELECT SUM(TRY_CAST(note AS INTEGER)), COUNT(TRY_CAST(note AS DATE)), COUNT(TRY_CAST(note AS BOOLEAN)) FROM patients
SELECT COUNT(sqrt(abs(x))), COUNT(ln(age + 1)), COUNT(exp(visits)), COUNT(power(visits, 2)), COUNT(visits ** 2), COUNT(visits ^ 2) FROM patients
SELECT date_trunc('YEAR', seen) AS m, COUNT(*) FROM patients GROUP BY m ORDER BY m NULLS FIRST
SELECT extract(year FROM born) // 10 AS d, COUNT(*) FROM patients GROUP BY ALL
SELECT month(born), COUNT(*) FROM patients GROUP BY month(born)
SELECT quarter(born), day(seen) % 7, COUNT(*) FROM patients GROUP BY 1, 2
SELECT dayofweek(born), COUNT(*) FROM patients GROUP BY 1
SELECT extract(dow FROM born), COUNT(*) FROM patients GROUP BY 1
SELECT extract(isodow FROM born), extract(doy FROM born) // 50, COUNT(*) FROM patients GROUP BY 1, 2
SELECT week(born), COUNT(*) FROM patients GROUP BY 1
SELECT hour(seen), minute(clock) // 30, COUNT(*) FROM patients GROUP BY ALL
SELECT extract(epoch FROM seen) > 1e9, COUNT(*) FROM patients GROUP BY 1
SELECT SUM(DATE '2020-01-01' - born), AVG(DATE '2020-01-01' - born) FROM patients
SELECT SUM(date_diff('day', born, DATE '2020-01-01')), SUM(datediff('year', born, DATE '2020-01-01')) FROM patients
SELECT upper(region), COUNT(*) FROM patients GROUP BY 1
SELECT lower(region) AS r, COUNT(*) FROM patients GROUP BY r
SELECT trim(region), COUNT(*) FROM patients GROUP BY 1
SELECT ltrim(region), rtrim(region), COUNT(*) FROM patients GROUP BY 1, 2
SELECT trim(region, ' A'), COUNT(*) FROM patients GROUP BY 1
SELECT trim(both 'A ' from region), COUNT(*) FROM patients GROUP BY 1
SELECT trim(leading 'A' from region), trim(trailing 's' from region), COUNT(*) FROM patients GROUP BY 1, 2
SELECT length(region), COUNT(*) FROM patients GROUP BY 1
SELECT substr(region, 1, 2), COUNT(*) FROM patients GROUP BY 1
SELECT substring(region, 2), COUNT(*) FROM patients GROUP BY 1
SELECT substring(region FROM 2 FOR 3), COUNT(*) FROM patients GROUP BY 1
SELECT substring(region, -2), substring(region, -3, 2), substr(region, 0, 2), COUNT(*) FROM patients GROUP BY ALL
SELECT left(region, 2), right(region, 2), left(region, -1), right(region, -1), COUNT(*) FROM patients GROUP BY ALL
SELECT concat(sex, '-', region), COUNT(*) FROM patients GROUP BY 1
SELECT sex || '-' || region, COUNT(*) FROM patients GROUP BY 1
SELECT concat(sex, NULL), COUNT(*) FROM patients GROUP BY 1
SELECT replace(region, 'a', 'AA'), reverse(region), COUNT(*) FROM patients GROUP BY 1, 2
SELECT strpos(note, '2'), position('2' IN note), instr(note, '2'), COUNT(*) FROM patients GROUP BY ALL
SELECT region || 5, COUNT(*) FROM patients GROUP BY 1
SELECT region < 'b', COUNT(*) FROM patients GROUP BY 1
SELECT age // 10 * 10 AS decade, COUNT(*) FROM patients GROUP BY decade ORDER BY decade
SELECT sex, flag, COUNT(*) FROM patients GROUP BY 1, 2 ORDER BY ALL
SELECT sex AS s, flag, COUNT(*) FROM patients GROUP BY ALL
SELECT region, sex FROM patients GROUP BY sex, region
SELECT DISTINCT sex, region FROM patients
SELECT DISTINCT age > 50 FROM patients
SELECT CASE WHEN age < 18 THEN 'child' WHEN age < 65 THEN 'adult' ELSE 'old' END AS g, COUNT(*), AVG(age) FROM patients GROUP BY g ORDER BY g
SELECT COUNT(*) FROM patients GROUP BY sex
SELECT COUNT(*) FROM patients GROUP BY ()
SELECT 1 AS one, COUNT(*) FROM patients GROUP BY one
SELECT sex, COUNT(*) FROM patients GROUP BY sex, 'constant'
SELECT COUNT(*) AS sex FROM patients GROUP BY sex
SELECT upper(sex) AS sex, COUNT(*) FROM patients GROUP BY sex
SELECT upper(sex) AS sex, COUNT(*) FROM patients GROUP BY upper(sex)
SELECT Sex AS "Sex of it", COUNT(*) AS "n (all)" FROM Patients p GROUP BY p.SEX
SELECT patients.sex, COUNT(*) FROM patients GROUP BY patients.sex
SELECT main.patients.sex, COUNT(*) FROM main.patients GROUP BY ALL
FROM patients SELECT sex, COUNT(*) GROUP BY sex
SELECT sex, COUNT(*) AS n, n * 2 AS m FROM patients GROUP BY sex
SELECT COUNT(*), COUNT(age), COUNT(nothing), COUNT(sex), COUNT(1), COUNT() FROM patients
SELECT SUM(nothing), AVG(nothing), VAR_SAMP(nothing), COUNT(nothing) FROM patients
SELECT sex, SUM(nothing), AVG(nothing) FROM patients GROUP BY sex
SELECT COUNT(DISTINCT id) FROM patients
SELECT sex, COUNT(DISTINCT id), COUNT(DISTINCT id) FILTER (WHERE age > 40) FROM patients GROUP BY sex
SELECT AVG(age), MEAN(age), AVG(money), AVG(d4), AVG(d18), AVG(i8), AVG(u64), AVG(x), AVG(flag::INT) FROM patients
SELECT VAR_SAMP(age), VAR_POP(age), VARIANCE(age), STDDEV(age), STDDEV_SAMP(age), STDDEV_POP(age) FROM patients
SELECT sex, VAR_SAMP(x), VAR_POP(y), STDDEV(x), STDDEV_POP(y) FROM patients GROUP BY sex
SELECT COVAR_SAMP(x, y), COVAR_POP(x, y), CORR(x, y), CORR(age, visits) FROM patients
SELECT REGR_AVGX(y, x), REGR_AVGY(y, x), REGR_COUNT(y, x), REGR_SXX(y, x), REGR_SYY(y, x), REGR_SXY(y, x) FROM patients
SELECT REGR_SLOPE(y, x), REGR_INTERCEPT(y, x), REGR_R2(y, x) FROM patients
SELECT sex, flag, REGR_SLOPE(y, x), REGR_INTERCEPT(age, visits), REGR_R2(money, x), CORR(d4, i8) FROM patients GROUP BY ALL
SELECT COUNT(*) FILTER (WHERE age > 40), SUM(x) FILTER (WHERE flag), AVG(age) FILTER (sex = 'F') FROM patients
SELECT sex, COUNT(*) FILTER (WHERE age > 40), VAR_SAMP(x) FILTER (WHERE flag), SUM(age) FILTER (WHERE age > 98) FROM patients GROUP BY sex
SELECT COUNT_IF(age > 40), COUNTIF(flag) FROM patients
SELECT BOOL_AND(flag), BOOL_OR(flag), BOOL_AND(age >= 0), BOOL_OR(age > 1000), BOOL_AND(nothing = 1), BOOL_OR(NULL) FROM patients
SELECT sex, age % 7, BOOL_AND(flag), BOOL_OR(flag), BOOL_OR(flag) FILTER (WHERE age > 50) FROM patients GROUP BY ALL
SELECT sex FROM patients GROUP BY sex HAVING BOOL_OR(DISTINCT age > 98) OR NOT BOOL_AND(visits > 100)
SELECT SUM(age) / COUNT(*), 100.0 * COUNT(age) / COUNT(*), SUM(age) - SUM(visits), SUM(age) // 7 FROM patients
SELECT SUM(i8), SUM(i16), SUM(i32), SUM(i64), SUM(wide), SUM(u8), SUM(u16), SUM(u32), SUM(u64) FROM patients
SELECT AVG(i8), AVG(i16), AVG(i32), AVG(wide), AVG(u32), AVG(u64), AVG(huge) FROM patients
SELECT SUM(huge), COUNT(huge), SUM(d38), SUM(d18), SUM(money), SUM(d4) FROM patients
SELECT AVG(d38), AVG(huge) FROM patients
SELECT VAR_POP(i32), STDDEV(u32), VAR_SAMP(money), VAR_SAMP(d4), STDDEV_POP(i8) FROM patients
SELECT SUM(f), AVG(f), VAR_SAMP(f), SUM(f * 2) FROM patients
SELECT SUM(ALL age), COUNT(ALL age) FROM patients
SELECT SUM(age) AS a, SUM(age) AS b, SUM(Age) FROM patients
SELECT SUM(2), SUM(1.5), COUNT('x'), AVG(3) FROM patients
SELECT sex, SUM(1) FROM patients GROUP BY sex
"""

CONSTANT_KEYS = """
SELECT 1 AS one, COUNT(*) FROM patients WHERE false GROUP BY one
SELECT 'a', COUNT(*) + 1 FROM patients GROUP BY ALL LIMIT 1
SELECT DISTINCT 1 FROM patients
SELECT DISTINCT NULL FROM patients WHERE false
SELECT COUNT(*) FROM patients WHERE false GROUP BY ()
SELECT NULL AS n, COUNT(*) FROM patients GROUP BY n
SELECT NULL::INT AS n, COUNT(*) FROM patients GROUP BY n
SELECT sex, 5, 'x', true, NULL, COUNT(*) FROM patients GROUP BY ALL
SELECT DATE '2020-01-01' AS d, COUNT(*) FROM patients GROUP BY d
SELECT age, (SELECT MAX(patients.age) FROM (VALUES (1)) patients(age)) FROM patients GROUP BY age
"""


@pytest.mark.parametrize("sql", [line for line in (WHERE + KEYS_AND_AGGREGATES + CONSTANT_KEYS).splitlines() if line])
def test_equals_duckdb(hospitals, sql):
    hospitals.check(sql)
