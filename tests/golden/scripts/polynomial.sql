SELECT SUM(2 * age - charges) AS s, AVG(age * age) AS q FROM patients

== qualify
SELECT
  SUM(2 * patients.age - patients.charges) AS s,
  AVG(patients.age * patients.age) AS q
FROM main.patients AS patients

== cut
SELECT
  _r0.a0 AS s,
  _r0.a1 AS q
FROM _release_0 AS _r0
Release _release_0
  a0 = sum(2 * age - charges)
  a1 = avg(age * age)
  Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0
  a0 = sum(2 * age - charges) (DOUBLE)
  a1 = avg(age * age) (DOUBLE)
  Scan patients AS patients at north, south

== fragments
-- north
SELECT COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND (2 * "patients"."age" - "patients"."charges" <> 0) THEN 1 END) AS t1, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND ("patients"."age" <> 0) THEN 1 END) AS t2, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND ((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) <> 0) THEN 1 END) AS t3, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND ("patients"."age" * "patients"."age" <> 0) THEN 1 END) AS t4, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN "patients"."age" END) AS p0, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN (CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) END) AS p1, SUM((CAST("patients"."age" AS BIGINT) * CAST("patients"."age" AS BIGINT))) AS p2, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS p3 FROM (SELECT t."age" AS "age", t."charges" AS "charges" FROM main."patients" AS t) AS "patients"
-- south
SELECT COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND (2 * "patients"."age" - "patients"."charges" <> 0) THEN 1 END) AS t1, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND ("patients"."age" <> 0) THEN 1 END) AS t2, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND ((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) <> 0) THEN 1 END) AS t3, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND ("patients"."age" * "patients"."age" <> 0) THEN 1 END) AS t4, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN "patients"."age" END) AS p0, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN (CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) END) AS p1, SUM((CAST("patients"."age" AS BIGINT) * CAST("patients"."age" AS BIGINT))) AS p2, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS p3 FROM (SELECT t."age" AS "age", t."charges" AS "charges" FROM main."patients" AS t) AS "patients"

== final
SELECT
  _r0.a0 AS s,
  _r0.a1 AS q
FROM _release_0 AS _r0

== rows
s DOUBLE | q DOUBLE
646.0 | 2673.5
