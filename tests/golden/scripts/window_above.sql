SELECT sex, COUNT(*) AS n, 100.0 * COUNT(*) / SUM(COUNT(*)) OVER () AS share FROM patients GROUP BY sex ORDER BY sex

== qualify
SELECT
  patients.sex AS sex,
  COUNT(*) AS n,
  100.0 * COUNT(*) / SUM(COUNT(*)) OVER () AS share
FROM main.patients AS patients
GROUP BY
  patients.sex
ORDER BY
  sex

== cut
SELECT
  _r0.k0 AS sex,
  _r0.a0 AS n,
  100.0 * _r0.a0 / SUM(_r0.a0) OVER () AS share
FROM _release_0 AS _r0
ORDER BY
  sex
Release _release_0 BY k0 = sex
  a0 = count(*)
  Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = sex (VARCHAR)
  a0 = count(*) (BIGINT)
  Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."sex" AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."sex" AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)

== final
SELECT
  _r0.k0 AS sex,
  _r0.a0 AS n,
  100.0 * _r0.a0 / SUM(_r0.a0) OVER () AS share
FROM _release_0 AS _r0
ORDER BY
  sex

== rows
sex VARCHAR | n BIGINT | share DOUBLE
F | 6 | 54.54545454545455
M | 5 | 45.45454545454545
