WITH adults AS (SELECT sex, age - 18 AS years, upper(region) AS r FROM patients WHERE age >= 18)
SELECT r, SUM(years), COUNT(*) FROM adults GROUP BY r ORDER BY r

== qualify
WITH adults AS (
  SELECT
    patients.sex AS sex,
    patients.age - 18 AS years,
    UPPER(patients.region) AS r
  FROM main.patients AS patients
  WHERE
    patients.age >= 18
)
SELECT
  adults.r AS r,
  SUM(adults.years) AS _col_1,
  COUNT(*) AS _col_2
FROM adults AS adults
GROUP BY
  adults.r
ORDER BY
  r

== expand_ctes
SELECT
  adults.r AS r,
  SUM(adults.years) AS _col_1,
  COUNT(*) AS _col_2
FROM (
  SELECT
    patients.sex AS sex,
    patients.age - 18 AS years,
    UPPER(patients.region) AS r
  FROM main.patients AS patients
  WHERE
    patients.age >= 18
) AS adults
GROUP BY
  adults.r
ORDER BY
  r

== flatten
SELECT
  (
    UPPER(patients.region)
  ) AS r,
  SUM((
    patients.age - 18
  )) AS _col_1,
  COUNT(*) AS _col_2
FROM main.patients AS patients
WHERE
  patients.age >= 18
GROUP BY
  (
    UPPER(patients.region)
  )
ORDER BY
  r

== cut
SELECT
  _r0.k0 AS r,
  _r0.a0 AS _col_1,
  _r0.a1 AS _col_2
FROM _release_0 AS _r0
ORDER BY
  r
Release _release_0 BY k0 = (UPPER(region))
  a0 = sum((age - 18))
  a1 = count(*)
  Filter age >= 18
    Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = (UPPER(region)) (VARCHAR)
  a0 = sum((age - 18)) (HUGEINT)
  a1 = count(*) (BIGINT)
  Filter age >= 18
    Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT (UPPER("patients"."region")) AS k0, COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND (("patients"."age" - 18) <> 0) THEN 1 END) AS t1, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND ("patients"."age" <> 0) THEN 1 END) AS t2, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS p0, SUM("patients"."age") AS p1, COUNT(*) AS p2 FROM (SELECT t."age" AS "age", t."region" AS "region" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" >= 18 GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT (UPPER("patients"."region")) AS k0, COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND (("patients"."age" - 18) <> 0) THEN 1 END) AS t1, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND ("patients"."age" <> 0) THEN 1 END) AS t2, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS p0, SUM("patients"."age") AS p1, COUNT(*) AS p2 FROM (SELECT t."age" AS "age", t."region" AS "region" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" >= 18 GROUP BY 1)

== final
SELECT
  _r0.k0 AS r,
  _r0.a0 AS _col_1,
  _r0.a1 AS _col_2
FROM _release_0 AS _r0
ORDER BY
  r

== rows
r VARCHAR | sum("years") HUGEINT | count_star() BIGINT
A | 88 | 3
B | 215 | 7
