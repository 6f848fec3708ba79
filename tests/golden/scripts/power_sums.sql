SELECT sex, STDDEV(age) AS sd, CORR(age, charges) AS r FROM patients GROUP BY sex ORDER BY sex

== qualify
SELECT
  patients.sex AS sex,
  STDDEV(patients.age) AS sd,
  CORR(patients.age, patients.charges) AS r
FROM main.patients AS patients
GROUP BY
  patients.sex
ORDER BY
  sex

== cut
SELECT
  _r0.k0 AS sex,
  _r0.a0 AS sd,
  _r0.a1 AS r
FROM _release_0 AS _r0
ORDER BY
  sex
Release _release_0 BY k0 = sex
  a0 = stddev_samp(age)
  a1 = corr(age, charges)
  Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = sex (VARCHAR)
  a0 = stddev_samp(age) (DOUBLE)
  a1 = corr(age, charges) (DOUBLE)
  Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."sex" AS k0, COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND ("patients"."age" <> 0) THEN 1 END) AS t1, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND ("patients"."age" <> 0) AND ((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) <> 0) THEN 1 END) AS t2, COUNT("patients"."age") AS p0, SUM("patients"."age") AS p1, SUM((CAST("patients"."age" AS BIGINT) * CAST("patients"."age" AS BIGINT))) AS p2, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN 1 END) AS p3, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN (CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) END) AS p4, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN "patients"."age" END) AS p5, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN CAST((CAST((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) AS HUGEINT) * CAST((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) AS HUGEINT)) AS HUGEINT) >> 64 END) AS p6_high, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN CAST((CAST((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) AS HUGEINT) * CAST((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) AS HUGEINT)) AS HUGEINT) & 18446744073709551615::HUGEINT END) AS p6_low, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN (CAST("patients"."age" AS BIGINT) * CAST("patients"."age" AS BIGINT)) END) AS p7, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN (CAST((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) AS HUGEINT) * CAST("patients"."age" AS HUGEINT)) END) AS p8 FROM (SELECT t."age" AS "age", t."charges" AS "charges", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."sex" AS k0, COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND ("patients"."age" <> 0) THEN 1 END) AS t1, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND ("patients"."age" <> 0) AND ((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) <> 0) THEN 1 END) AS t2, COUNT("patients"."age") AS p0, SUM("patients"."age") AS p1, SUM((CAST("patients"."age" AS BIGINT) * CAST("patients"."age" AS BIGINT))) AS p2, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN 1 END) AS p3, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN (CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) END) AS p4, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN "patients"."age" END) AS p5, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN CAST((CAST((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) AS HUGEINT) * CAST((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) AS HUGEINT)) AS HUGEINT) >> 64 END) AS p6_high, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN CAST((CAST((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) AS HUGEINT) * CAST((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) AS HUGEINT)) AS HUGEINT) & 18446744073709551615::HUGEINT END) AS p6_low, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN (CAST("patients"."age" AS BIGINT) * CAST("patients"."age" AS BIGINT)) END) AS p7, SUM(CASE WHEN ("patients"."age" IS NOT NULL) AND (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN (CAST((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END) AS HUGEINT) * CAST("patients"."age" AS HUGEINT)) END) AS p8 FROM (SELECT t."age" AS "age", t."charges" AS "charges", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)

== final
SELECT
  _r0.k0 AS sex,
  _r0.a0 AS sd,
  _r0.a1 AS r
FROM _release_0 AS _r0
ORDER BY
  sex

== rows
sex VARCHAR | sd DOUBLE | r DOUBLE
F | 23.103390804526217 | 0.916293288817281
M | 15.470401847829724 | 0.8581850268207141
