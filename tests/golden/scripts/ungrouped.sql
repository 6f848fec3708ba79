SELECT COUNT(*), AVG(age), SUM(charges) FROM patients WHERE age >= 18

== qualify
SELECT
  COUNT(*) AS _col_0,
  AVG(patients.age) AS _col_1,
  SUM(patients.charges) AS _col_2
FROM main.patients AS patients
WHERE
  patients.age >= 18

== cut
SELECT
  _r0.a0 AS _col_0,
  _r0.a1 AS _col_1,
  _r0.a2 AS _col_2
FROM _release_0 AS _r0
Release _release_0
  a0 = count(*)
  a1 = avg(age)
  a2 = sum(charges)
  Filter age >= 18
    Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0
  a0 = count(*) (BIGINT)
  a1 = avg(age) (DOUBLE)
  a2 = sum(charges) (DOUBLE)
  Filter age >= 18
    Scan patients AS patients at north, south

== fragments
-- north
SELECT COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND ("patients"."age" <> 0) THEN 1 END) AS t1, COUNT(CASE WHEN (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND ("patients"."charges" <> 0) THEN 1 END) AS t2, COUNT(*) AS p0, SUM("patients"."age") AS p1, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS p2, SUM((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END)) AS p3 FROM (SELECT t."age" AS "age", t."charges" AS "charges" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" >= 18
-- south
SELECT COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND ("patients"."age" <> 0) THEN 1 END) AS t1, COUNT(CASE WHEN (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND ("patients"."charges" <> 0) THEN 1 END) AS t2, COUNT(*) AS p0, SUM("patients"."age") AS p1, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS p2, SUM((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END)) AS p3 FROM (SELECT t."age" AS "age", t."charges" AS "charges" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" >= 18

== final
SELECT
  _r0.a0 AS _col_0,
  _r0.a1 AS _col_1,
  _r0.a2 AS _col_2
FROM _release_0 AS _r0

== rows
count_star() BIGINT | avg(age) DOUBLE | sum(charges) DOUBLE
10 | 48.3 | 186.0
