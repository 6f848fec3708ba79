WITH all_ AS (SELECT COUNT(*) AS n FROM patients)
SELECT p.sex, p.n * 1.0 / all_.n AS share
FROM (SELECT sex, COUNT(*) AS n FROM patients GROUP BY sex) p, all_
ORDER BY p.sex

== qualify
WITH all_ AS (
  SELECT
    COUNT(*) AS n
  FROM main.patients AS patients
)
SELECT
  p.sex AS sex,
  p.n * 1.0 / all_.n AS share
FROM (
  SELECT
    patients.sex AS sex,
    COUNT(*) AS n
  FROM main.patients AS patients
  GROUP BY
    patients.sex
) AS p, all_ AS all_
ORDER BY
  p.sex

== expand_ctes
SELECT
  p.sex AS sex,
  p.n * 1.0 / all_.n AS share
FROM (
  SELECT
    patients.sex AS sex,
    COUNT(*) AS n
  FROM main.patients AS patients
  GROUP BY
    patients.sex
) AS p, (
  SELECT
    COUNT(*) AS n
  FROM main.patients AS patients
) AS all_
ORDER BY
  p.sex

== cut
SELECT
  p.sex AS sex,
  p.n * 1.0 / all_.n AS share
FROM (
  SELECT
    _r0.k0 AS sex,
    _r0.a0 AS n
  FROM _release_0 AS _r0
) AS p, (
  SELECT
    _r1.a0 AS n
  FROM _release_1 AS _r1
) AS all_
ORDER BY
  p.sex
Release _release_0 BY k0 = sex
  a0 = count(*)
  Scan patients AS patients at north, south
Release _release_1
  a0 = count(*)
  Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = sex (VARCHAR)
  a0 = count(*) (BIGINT)
  Scan patients AS patients at north, south

== logical (_release_1)
Release _release_1
  a0 = count(*) (BIGINT)
  Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."sex" AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."sex" AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."sex" AS "sex" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- north
SELECT COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT 1 AS nothing FROM main."patients" AS t) AS "patients"
-- south
SELECT COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT 1 AS nothing FROM main."patients" AS t) AS "patients"

== final
SELECT
  p.sex AS sex,
  p.n * 1.0 / all_.n AS share
FROM (
  SELECT
    _r0.k0 AS sex,
    _r0.a0 AS n
  FROM _release_0 AS _r0
) AS p, (
  SELECT
    _r1.a0 AS n
  FROM _release_1 AS _r1
) AS all_
ORDER BY
  p.sex

== rows
sex VARCHAR | share DOUBLE
F | 0.5454545454545454
M | 0.45454545454545453
