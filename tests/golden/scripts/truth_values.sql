SELECT region, BOOL_AND(age > 18) AS adults, BOOL_OR(sex = 'F') AS women FROM patients GROUP BY region

== qualify
SELECT
  patients.region AS region,
  BOOL_AND(CAST(patients.age > 18 AS BOOLEAN)) AS adults,
  BOOL_OR(CAST(patients.sex = 'F' AS BOOLEAN)) AS women
FROM main.patients AS patients
GROUP BY
  patients.region

== cut
SELECT
  _r0.k0 AS region,
  _r0.a0 AS adults,
  _r0.a1 AS women
FROM _release_0 AS _r0
Release _release_0 BY k0 = region
  a0 = bool_and((age > 18) = TRUE)
  a1 = bool_or((sex = 'F') = TRUE)
  Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = region (VARCHAR)
  a0 = bool_and((age > 18) = TRUE) (BOOLEAN)
  a1 = bool_or((sex = 'F') = TRUE) (BOOLEAN)
  Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0, COUNT(CASE WHEN (((("patients"."age" > 18) = TRUE) IS NOT NULL)) AND (NOT coalesce(("patients"."age" > 18) = TRUE, false)) THEN 1 END) AS t1, COUNT(CASE WHEN (((("patients"."age" > 18) = TRUE) IS NOT NULL)) AND (NOT coalesce(("patients"."age" > 18) = TRUE, false)) THEN 1 END) AS t2, COUNT(CASE WHEN (("patients"."age" > 18) = TRUE) AND (1 <> 0) THEN 1 END) AS t3, COUNT(CASE WHEN NOT coalesce((("patients"."age" > 18) = TRUE), false) THEN 1 END) AS t4, COUNT(CASE WHEN NOT coalesce((("patients"."age" > 18) = TRUE), false) THEN 1 END) AS t5, COUNT(CASE WHEN (((("patients"."sex" = 'F') = TRUE) IS NOT NULL)) AND (NOT coalesce(("patients"."sex" = 'F') = TRUE, false)) THEN 1 END) AS t6, COUNT(CASE WHEN (((("patients"."sex" = 'F') = TRUE) IS NOT NULL)) AND (NOT coalesce(("patients"."sex" = 'F') = TRUE, false)) THEN 1 END) AS t7, COUNT(CASE WHEN (("patients"."sex" = 'F') = TRUE) AND (1 <> 0) THEN 1 END) AS t8, COUNT(CASE WHEN NOT coalesce((("patients"."sex" = 'F') = TRUE), false) THEN 1 END) AS t9, COUNT(CASE WHEN NOT coalesce((("patients"."sex" = 'F') = TRUE), false) THEN 1 END) AS t10, COUNT(CASE WHEN (("patients"."age" > 18) = TRUE) THEN 1 END) AS p0, COUNT(CASE WHEN ((("patients"."age" > 18) = TRUE) IS NOT NULL) THEN 1 END) AS p1, COUNT(CASE WHEN (("patients"."sex" = 'F') = TRUE) THEN 1 END) AS p2, COUNT(CASE WHEN ((("patients"."sex" = 'F') = TRUE) IS NOT NULL) THEN 1 END) AS p3 FROM (SELECT t."age" AS "age", t."region" AS "region", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0, COUNT(CASE WHEN (((("patients"."age" > 18) = TRUE) IS NOT NULL)) AND (NOT coalesce(("patients"."age" > 18) = TRUE, false)) THEN 1 END) AS t1, COUNT(CASE WHEN (((("patients"."age" > 18) = TRUE) IS NOT NULL)) AND (NOT coalesce(("patients"."age" > 18) = TRUE, false)) THEN 1 END) AS t2, COUNT(CASE WHEN (("patients"."age" > 18) = TRUE) AND (1 <> 0) THEN 1 END) AS t3, COUNT(CASE WHEN NOT coalesce((("patients"."age" > 18) = TRUE), false) THEN 1 END) AS t4, COUNT(CASE WHEN NOT coalesce((("patients"."age" > 18) = TRUE), false) THEN 1 END) AS t5, COUNT(CASE WHEN (((("patients"."sex" = 'F') = TRUE) IS NOT NULL)) AND (NOT coalesce(("patients"."sex" = 'F') = TRUE, false)) THEN 1 END) AS t6, COUNT(CASE WHEN (((("patients"."sex" = 'F') = TRUE) IS NOT NULL)) AND (NOT coalesce(("patients"."sex" = 'F') = TRUE, false)) THEN 1 END) AS t7, COUNT(CASE WHEN (("patients"."sex" = 'F') = TRUE) AND (1 <> 0) THEN 1 END) AS t8, COUNT(CASE WHEN NOT coalesce((("patients"."sex" = 'F') = TRUE), false) THEN 1 END) AS t9, COUNT(CASE WHEN NOT coalesce((("patients"."sex" = 'F') = TRUE), false) THEN 1 END) AS t10, COUNT(CASE WHEN (("patients"."age" > 18) = TRUE) THEN 1 END) AS p0, COUNT(CASE WHEN ((("patients"."age" > 18) = TRUE) IS NOT NULL) THEN 1 END) AS p1, COUNT(CASE WHEN (("patients"."sex" = 'F') = TRUE) THEN 1 END) AS p2, COUNT(CASE WHEN ((("patients"."sex" = 'F') = TRUE) IS NOT NULL) THEN 1 END) AS p3 FROM (SELECT t."age" AS "age", t."region" AS "region", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)

== final
SELECT
  _r0.k0 AS region,
  _r0.a0 AS adults,
  _r0.a1 AS women
FROM _release_0 AS _r0

== rows
region VARCHAR | adults BOOLEAN | women BOOLEAN
a | NULL | NULL
b | True | True
