SELECT region, COUNT(*) AS n FROM patients GROUP BY region ORDER BY region

== qualify
SELECT
  patients.region AS region,
  COUNT(*) AS n
FROM main.patients AS patients
GROUP BY
  patients.region
ORDER BY
  region

== cut
SELECT
  _r0.k0 AS region,
  _r0.a0 AS n
FROM _release_0 AS _r0
ORDER BY
  region
Release _release_0 BY k0 = region
  a0 = count(*)
  Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = region (VARCHAR)
  a0 = count(*) (BIGINT)
  Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."region" AS "region" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."region" AS "region" FROM main."patients" AS t) AS "patients" GROUP BY 1)

== final
SELECT
  _r0.k0 AS region,
  _r0.a0 AS n
FROM _release_0 AS _r0
ORDER BY
  region

== rows
region VARCHAR | n BIGINT
a | 4
b | 7
