SELECT region, COUNT(DISTINCT age) AS ages, COUNT(DISTINCT charges) FILTER (WHERE sex = 'F') AS charges FROM patients GROUP BY region

== qualify
SELECT
  patients.region AS region,
  COUNT(DISTINCT patients.age) AS ages,
  COUNT(DISTINCT patients.charges) FILTER(WHERE
    patients.sex = 'F') AS charges
FROM main.patients AS patients
GROUP BY
  patients.region

== cut
SELECT
  _r0.k0 AS region,
  _r0.a0 AS ages,
  _r0.a1 AS charges
FROM _release_0 AS _r0
Release _release_0 BY k0 = region
  a0 = count(DISTINCT age)
  a1 = count(DISTINCT charges) FILTER (WHERE sex = 'F')
  Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = region (VARCHAR)
  a0 = count(DISTINCT age) (BIGINT)
  a1 = count(DISTINCT charges) FILTER (WHERE sex = 'F') (BIGINT)
  Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS t1, COUNT(CASE WHEN ("patients"."sex" = 'F') AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN 1 END) AS t2, COUNT(CASE WHEN NOT coalesce(("patients"."sex" = 'F'), false) THEN 1 END) AS t3, COUNT(CASE WHEN NOT coalesce(("patients"."sex" = 'F'), false) THEN 1 END) AS t4, list(DISTINCT CAST("patients"."age" AS VARCHAR)) FILTER (WHERE ("patients"."age" IS NOT NULL)) AS p0, list(DISTINCT CAST(("patients"."charges") + 0.0::DOUBLE AS VARCHAR)) FILTER (WHERE ("patients"."sex" = 'F') AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false))) AS p1 FROM (SELECT t."age" AS "age", t."charges" AS "charges", t."region" AS "region", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS t1, COUNT(CASE WHEN ("patients"."sex" = 'F') AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN 1 END) AS t2, COUNT(CASE WHEN NOT coalesce(("patients"."sex" = 'F'), false) THEN 1 END) AS t3, COUNT(CASE WHEN NOT coalesce(("patients"."sex" = 'F'), false) THEN 1 END) AS t4, list(DISTINCT CAST("patients"."age" AS VARCHAR)) FILTER (WHERE ("patients"."age" IS NOT NULL)) AS p0, list(DISTINCT CAST(("patients"."charges") + 0.0::DOUBLE AS VARCHAR)) FILTER (WHERE ("patients"."sex" = 'F') AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false))) AS p1 FROM (SELECT t."age" AS "age", t."charges" AS "charges", t."region" AS "region", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)

== final
SELECT
  _r0.k0 AS region,
  _r0.a0 AS ages,
  _r0.a1 AS charges
FROM _release_0 AS _r0

== rows
region VARCHAR | ages BIGINT | charges BIGINT
a | 3 | NULL
b | 7 | 3
