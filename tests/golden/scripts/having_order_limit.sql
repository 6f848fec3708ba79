SELECT sex, region, COUNT(*) AS n
FROM patients
GROUP BY sex, region
HAVING COUNT(*) > 1
ORDER BY n DESC, sex, region
LIMIT 3

== qualify
SELECT
  patients.sex AS sex,
  patients.region AS region,
  COUNT(*) AS n
FROM main.patients AS patients
GROUP BY
  patients.sex,
  patients.region
HAVING
  COUNT(*) > 1
ORDER BY
  n DESC,
  sex,
  region
LIMIT 3

== cut
SELECT
  _r0.k0 AS sex,
  _r0.k1 AS region,
  _r0.a0 AS n
FROM _release_0 AS _r0
WHERE
  _r0.a0 > 1
ORDER BY
  n DESC,
  sex,
  region
LIMIT 3
Release _release_0 BY k0 = sex, k1 = region
  a0 = count(*)
  Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = sex (VARCHAR), k1 = region (VARCHAR)
  a0 = count(*) (BIGINT)
  Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, CAST(k1 AS VARCHAR) AS k1, * EXCLUDE (k0, k1) FROM (SELECT "patients"."sex" AS k0, "patients"."region" AS k1, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."region" AS "region", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1, 2)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, CAST(k1 AS VARCHAR) AS k1, * EXCLUDE (k0, k1) FROM (SELECT "patients"."sex" AS k0, "patients"."region" AS k1, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."region" AS "region", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1, 2)

== final
SELECT
  _r0.k0 AS sex,
  _r0.k1 AS region,
  _r0.a0 AS n
FROM _release_0 AS _r0
WHERE
  _r0.a0 > 1
ORDER BY
  n DESC,
  sex,
  region
LIMIT 3

== rows
sex VARCHAR | region VARCHAR | n BIGINT
M | b | 4
F | a | 3
F | b | 3
