SELECT name, beds FROM regions WHERE beds > (SELECT COUNT(*) * 2 FROM patients WHERE region = code AND age > 30) ORDER BY 1

== qualify
SELECT
  regions.name AS name,
  regions.beds AS beds
FROM main.regions AS regions
WHERE
  regions.beds > (
    SELECT
      COUNT(*) * 2 AS _col_0
    FROM main.patients AS patients
    WHERE
      patients.region = regions.code AND patients.age > 30
  )
ORDER BY
  name

== decorrelate
SELECT
  COUNT(*) * 2 AS _col_0
FROM main.patients AS patients
WHERE
  patients.region = regions.code AND patients.age > 30
->
SELECT
  CAST(COALESCE(SUM(_d.a0), 0) AS BIGINT) * 2 AS _col_0
FROM (
  SELECT
    patients.region AS c0,
    COUNT(*) AS a0
  FROM main.patients AS patients
  WHERE
    patients.age > 30
  GROUP BY
    patients.region
) AS _d
WHERE
  _d.c0 = regions.code

== cut
SELECT
  regions.name AS name,
  regions.beds AS beds
FROM main.regions AS regions
WHERE
  regions.beds > (
    SELECT
      CAST(COALESCE(SUM(_d.a0), 0) AS BIGINT) * 2 AS _col_0
    FROM (
      SELECT
        _r0.k0 AS c0,
        _r0.a0 AS a0
      FROM _release_0 AS _r0
    ) AS _d
    WHERE
      _d.c0 = regions.code
  )
ORDER BY
  name
Release _release_0 BY k0 = region
  a0 = count(*)
  Filter age > 30
    Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = region (VARCHAR)
  a0 = count(*) (BIGINT)
  Filter age > 30
    Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."age" AS "age", t."region" AS "region" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" > 30 GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."age" AS "age", t."region" AS "region" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" > 30 GROUP BY 1)

== final
SELECT
  regions.name AS name,
  regions.beds AS beds
FROM main.regions AS regions
WHERE
  regions.beds > (
    SELECT
      CAST(COALESCE(SUM(_d.a0), 0) AS BIGINT) * 2 AS _col_0
    FROM (
      SELECT
        _r0.k0 AS c0,
        _r0.a0 AS a0
      FROM _release_0 AS _r0
    ) AS _d
    WHERE
      _d.c0 = regions.code
  )
ORDER BY
  name

== rows
name VARCHAR | beds BIGINT
Alps | 10
Bay | 20
Coast | 30
