SELECT sex, COUNT(*) AS n, AVG(age) AS mean FROM patients GROUP BY sex ORDER BY sex

== qualify
SELECT
  patients.sex AS sex,
  COUNT(*) AS n,
  AVG(patients.age) AS mean
FROM main.patients AS patients
GROUP BY
  patients.sex
ORDER BY
  sex

== cut
SELECT
  _r0.k0 AS sex,
  _r0.a0 AS n,
  _r0.a1 AS mean
FROM _release_0 AS _r0
ORDER BY
  sex
Release _release_0 BY k0 = sex
  a0 = count(*)
  a1 = avg(age)
  Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = sex (VARCHAR)
  a0 = count(*) (BIGINT)
  a1 = avg(age) (DOUBLE)
  Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."sex" AS k0, COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND ("patients"."age" <> 0) THEN 1 END) AS t1, COUNT(*) AS p0, SUM("patients"."age") AS p1, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS p2 FROM (SELECT t."age" AS "age", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."sex" AS k0, COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND ("patients"."age" <> 0) THEN 1 END) AS t1, COUNT(*) AS p0, SUM("patients"."age") AS p1, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS p2 FROM (SELECT t."age" AS "age", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)

== final
SELECT
  _r0.k0 AS sex,
  _r0.a0 AS n,
  _r0.a1 AS mean
FROM _release_0 AS _r0
ORDER BY
  sex

== rows
sex VARCHAR | n BIGINT | mean DOUBLE
F | 6 | 47.166666666666664
M | 5 | 50.0
