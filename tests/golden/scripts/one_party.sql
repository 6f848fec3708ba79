SELECT region, SUM(age) FROM north.patients GROUP BY region ORDER BY region

== qualify
SELECT
  patients.region AS region,
  SUM(patients.age) AS _col_1
FROM north.patients AS patients
GROUP BY
  patients.region
ORDER BY
  region

== cut
SELECT
  _r0.k0 AS region,
  _r0.a0 AS _col_1
FROM _release_0 AS _r0
ORDER BY
  region
Release _release_0 BY k0 = region
  a0 = sum(age)
  Scan north.patients AS patients at north

== logical (_release_0)
Release _release_0 BY k0 = region (VARCHAR)
  a0 = sum(age) (HUGEINT)
  Scan north.patients AS patients at north

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) AND ("patients"."age" <> 0) THEN 1 END) AS t1, SUM("patients"."age") AS p0 FROM (SELECT t."age" AS "age", t."region" AS "region" FROM main."patients" AS t) AS "patients" GROUP BY 1)

== final
SELECT
  _r0.k0 AS region,
  _r0.a0 AS _col_1
FROM _release_0 AS _r0
ORDER BY
  region

== rows
region VARCHAR | sum(age) HUGEINT
a | 97
b | 163
