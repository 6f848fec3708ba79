SELECT age // (age - 30) AS q, COUNT(*) AS n
FROM patients
WHERE region || '1' = 5 OR CAST(sex AS INTEGER) IS NULL OR age + 9223372036854775807 > 0
GROUP BY q
ORDER BY q

== qualify
SELECT
  patients.age // (
    patients.age - 30
  ) AS q,
  COUNT(*) AS n
FROM main.patients AS patients
WHERE
  patients.region || '1' = 5
  OR CAST(patients.sex AS INT) IS NULL
  OR patients.age + 9223372036854775807 > 0
GROUP BY
  patients.age // (
    patients.age - 30
  )
ORDER BY
  q

== cut
SELECT
  _r0.k0 AS q,
  _r0.a0 AS n
FROM _release_0 AS _r0
ORDER BY
  q
Release _release_0 BY k0 = age // (age - 30)
  a0 = count(*)
  Filter region || '1' = 5 OR CAST(sex AS INT) IS NULL OR age + 9223372036854775807 > 0
    Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = age // (age - 30) (BIGINT)
  a0 = count(*) (BIGINT)
  Filter region || '1' = 5 OR CAST(sex AS INT) IS NULL OR age + 9223372036854775807 > 0
    Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT TRY("patients"."age" // NULLIF((("patients"."age" - 30)), 0)) AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."age" AS "age", t."region" AS "region", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" WHERE TRY("patients"."region" || '1' = 5 OR TRY_CAST("patients"."sex" AS INT) IS NULL OR "patients"."age" + 9223372036854775807 > 0) GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT TRY("patients"."age" // NULLIF((("patients"."age" - 30)), 0)) AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."age" AS "age", t."region" AS "region", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" WHERE TRY("patients"."region" || '1' = 5 OR TRY_CAST("patients"."sex" AS INT) IS NULL OR "patients"."age" + 9223372036854775807 > 0) GROUP BY 1)

== final
SELECT
  _r0.k0 AS q,
  _r0.a0 AS n
FROM _release_0 AS _r0
ORDER BY
  q

== rows
q BIGINT | n BIGINT
3 | 2
