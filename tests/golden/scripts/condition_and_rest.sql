SELECT COUNT(*) FILTER (WHERE age > 40) AS older, SUM(CASE WHEN sex = 'F' THEN charges END) AS f, COUNT_IF(age > 69) AS old
FROM patients

== qualify
SELECT
  COUNT(*) FILTER(WHERE
    patients.age > 40) AS older,
  SUM(CASE WHEN patients.sex = 'F' THEN patients.charges END) AS f,
  COUNT_IF(patients.age > 69) AS old
FROM main.patients AS patients

== cut
SELECT
  _r0.a0 AS older,
  _r0.a1 AS f,
  _r0.a2 AS old
FROM _release_0 AS _r0
Release _release_0
  a0 = count(*) FILTER (WHERE age > 40)
  a1 = sum(CASE WHEN sex = 'F' THEN charges END)
  a2 = count_if((age > 69) = TRUE)
  Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0
  a0 = count(*) FILTER (WHERE age > 40) (BIGINT)
  a1 = sum(CASE WHEN sex = 'F' THEN charges END) (DOUBLE)
  a2 = count_if((age > 69) = TRUE) (HUGEINT)
  Scan patients AS patients at north, south

== fragments
-- north
SELECT COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" > 40) THEN 1 END) AS t1, COUNT(CASE WHEN NOT coalesce(("patients"."age" > 40), false) THEN 1 END) AS t2, COUNT(CASE WHEN NOT coalesce(("patients"."age" > 40), false) THEN 1 END) AS t3, COUNT(CASE WHEN ("patients"."sex" = 'F') AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND ("patients"."charges" <> 0) THEN 1 END) AS t4, COUNT(CASE WHEN NOT coalesce(("patients"."sex" = 'F'), false) THEN 1 END) AS t5, COUNT(CASE WHEN NOT coalesce(("patients"."sex" = 'F'), false) THEN 1 END) AS t6, COUNT(CASE WHEN (("patients"."age" > 69) = TRUE) AND (1 <> 0) THEN 1 END) AS t7, COUNT(CASE WHEN NOT coalesce((("patients"."age" > 69) = TRUE), false) THEN 1 END) AS t8, COUNT(CASE WHEN NOT coalesce((("patients"."age" > 69) = TRUE), false) THEN 1 END) AS t9, COUNT(CASE WHEN ("patients"."age" > 40) THEN 1 END) AS p0, SUM(CASE WHEN ("patients"."sex" = 'F') AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN (CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) END) AS p1, COUNT(CASE WHEN (("patients"."age" > 69) = TRUE) THEN 1 END) AS p2 FROM (SELECT t."age" AS "age", t."charges" AS "charges", t."sex" AS "sex" FROM main."patients" AS t) AS "patients"
-- south
SELECT COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" > 40) THEN 1 END) AS t1, COUNT(CASE WHEN NOT coalesce(("patients"."age" > 40), false) THEN 1 END) AS t2, COUNT(CASE WHEN NOT coalesce(("patients"."age" > 40), false) THEN 1 END) AS t3, COUNT(CASE WHEN ("patients"."sex" = 'F') AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND ("patients"."charges" <> 0) THEN 1 END) AS t4, COUNT(CASE WHEN NOT coalesce(("patients"."sex" = 'F'), false) THEN 1 END) AS t5, COUNT(CASE WHEN NOT coalesce(("patients"."sex" = 'F'), false) THEN 1 END) AS t6, COUNT(CASE WHEN (("patients"."age" > 69) = TRUE) AND (1 <> 0) THEN 1 END) AS t7, COUNT(CASE WHEN NOT coalesce((("patients"."age" > 69) = TRUE), false) THEN 1 END) AS t8, COUNT(CASE WHEN NOT coalesce((("patients"."age" > 69) = TRUE), false) THEN 1 END) AS t9, COUNT(CASE WHEN ("patients"."age" > 40) THEN 1 END) AS p0, SUM(CASE WHEN ("patients"."sex" = 'F') AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN (CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) END) AS p1, COUNT(CASE WHEN (("patients"."age" > 69) = TRUE) THEN 1 END) AS p2 FROM (SELECT t."age" AS "age", t."charges" AS "charges", t."sex" AS "sex" FROM main."patients" AS t) AS "patients"

== final
SELECT
  _r0.a0 AS older,
  _r0.a1 AS f,
  _r0.a2 AS old
FROM _release_0 AS _r0

== rows
older BIGINT | f DOUBLE | old HUGEINT
7 | 67.25 | 2
