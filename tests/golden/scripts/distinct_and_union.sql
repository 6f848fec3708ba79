SELECT DISTINCT sex FROM patients UNION ALL SELECT DISTINCT region FROM patients ORDER BY 1

== qualify
SELECT DISTINCT
  patients.sex AS sex
FROM main.patients AS patients
UNION ALL
SELECT DISTINCT
  patients.region AS region
FROM main.patients AS patients
ORDER BY
  sex

== cut
SELECT DISTINCT
  _r0.k0 AS sex
FROM _release_0 AS _r0
UNION ALL
SELECT DISTINCT
  _r1.k0 AS region
FROM _release_1 AS _r1
ORDER BY
  sex
Release _release_0 BY k0 = sex
  Scan patients AS patients at north, south
Release _release_1 BY k0 = region
  Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = sex (VARCHAR)
  Scan patients AS patients at north, south

== logical (_release_1)
Release _release_1 BY k0 = region (VARCHAR)
  Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."sex" AS k0, COUNT(*) AS t0 FROM (SELECT t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."sex" AS k0, COUNT(*) AS t0 FROM (SELECT t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0 FROM (SELECT t."region" AS "region" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0 FROM (SELECT t."region" AS "region" FROM main."patients" AS t) AS "patients" GROUP BY 1)

== final
SELECT DISTINCT
  _r0.k0 AS sex
FROM _release_0 AS _r0
UNION ALL
SELECT DISTINCT
  _r1.k0 AS region
FROM _release_1 AS _r1
ORDER BY
  sex

== rows
sex VARCHAR
F
M
a
b
