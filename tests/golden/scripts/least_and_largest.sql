SELECT region, MIN(age) AS youngest, MAX(charges) FILTER (WHERE sex = 'F') AS most FROM patients GROUP BY region

== qualify
SELECT
  patients.region AS region,
  MIN(patients.age) AS youngest,
  MAX(patients.charges) FILTER(WHERE
    patients.sex = 'F') AS most
FROM main.patients AS patients
GROUP BY
  patients.region

== cut
SELECT
  _r0.k0 AS region,
  _r0.a0 AS youngest,
  _r0.a1 AS most
FROM _release_0 AS _r0
Release _release_0 BY k0 = region
  a0 = min(age)
  a1 = max(charges) FILTER (WHERE sex = 'F')
  Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = region (VARCHAR)
  a0 = min(age) (BIGINT)
  a1 = max(charges) FILTER (WHERE sex = 'F') (DOUBLE)
  Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0, COUNT(CASE WHEN (("patients"."age") IS NOT NULL) THEN 1 END) AS t1, COUNT(CASE WHEN ("patients"."sex" = 'F') AND ((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN CAST("patients"."charges" AS DOUBLE) + 0.0::DOUBLE END) IS NOT NULL) THEN 1 END) AS t2, COUNT(CASE WHEN NOT coalesce(("patients"."sex" = 'F'), false) THEN 1 END) AS t3, COUNT(CASE WHEN NOT coalesce(("patients"."sex" = 'F'), false) THEN 1 END) AS t4, MIN("patients"."age") AS p0, MAX(CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN CAST("patients"."charges" AS DOUBLE) + 0.0::DOUBLE END) FILTER (WHERE ("patients"."sex" = 'F')) AS p2 FROM (SELECT t."age" AS "age", t."charges" AS "charges", t."region" AS "region", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0, COUNT(CASE WHEN (("patients"."age") IS NOT NULL) THEN 1 END) AS t1, COUNT(CASE WHEN ("patients"."sex" = 'F') AND ((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN CAST("patients"."charges" AS DOUBLE) + 0.0::DOUBLE END) IS NOT NULL) THEN 1 END) AS t2, COUNT(CASE WHEN NOT coalesce(("patients"."sex" = 'F'), false) THEN 1 END) AS t3, COUNT(CASE WHEN NOT coalesce(("patients"."sex" = 'F'), false) THEN 1 END) AS t4, MIN("patients"."age") AS p0, MAX(CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN CAST("patients"."charges" AS DOUBLE) + 0.0::DOUBLE END) FILTER (WHERE ("patients"."sex" = 'F')) AS p2 FROM (SELECT t."age" AS "age", t."charges" AS "charges", t."region" AS "region", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)

== final
SELECT
  _r0.k0 AS region,
  _r0.a0 AS youngest,
  _r0.a1 AS most
FROM _release_0 AS _r0

== rows
region VARCHAR | youngest BIGINT | most DOUBLE
a | 30 | NULL
b | 19 | 60.0
