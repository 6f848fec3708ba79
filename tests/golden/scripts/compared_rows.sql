SELECT COUNT(*) AS n FROM (SELECT id FROM patients WHERE age > 40 EXCEPT SELECT patient FROM visits WHERE day = 3) a
WHERE 'b' IN (SELECT region FROM patients INTERSECT SELECT code FROM regions)

== qualify
SELECT
  COUNT(*) AS n
FROM (
  SELECT
    patients.id AS id
  FROM main.patients AS patients
  WHERE
    patients.age > 40
  EXCEPT
  SELECT
    visits.patient AS patient
  FROM main.visits AS visits
  WHERE
    visits.day = 3
) AS a
WHERE
  'b' IN (
    SELECT
      patients.region AS region
    FROM main.patients AS patients
    INTERSECT
    SELECT
      regions.code AS code
    FROM main.regions AS regions
  )

== cut
SELECT
  _r1.a0 AS n
FROM _release_1 AS _r1
_input_0: SELECT DISTINCT _r0.k0 AS region FROM _release_0 AS _r0 INTERSECT SELECT regions.code AS code FROM main.regions AS regions
Release _release_0 BY k0 = region
  Scan patients AS patients at north, south
Release _release_1
  a0 = count(*)
  Rows AS _rows at north, south
    FROM (
      SELECT
        patients.id AS id
      FROM main.patients AS patients
      WHERE
        patients.age > 40
      EXCEPT
      SELECT
        visits.patient AS patient
      FROM main.visits AS visits
      WHERE
        visits.day = 3
    ) AS a
    WHERE
      'b' IN (
        SELECT
          *
        FROM _input_0
      )

== logical (_release_0)
Release _release_0 BY k0 = region (VARCHAR)
  Scan patients AS patients at north, south

== logical (_release_1)
Release _release_1
  a0 = count(*) (BIGINT)
  Rows AS _rows at north, south
    FROM (
      SELECT
        patients.id AS id
      FROM main.patients AS patients
      WHERE
        patients.age > 40
      EXCEPT
      SELECT
        visits.patient AS patient
      FROM main.visits AS visits
      WHERE
        visits.day = 3
    ) AS a
    WHERE
      'b' IN (
        SELECT
          *
        FROM _input_0
      )

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0 FROM (SELECT t."region" AS "region" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0 FROM (SELECT t."region" AS "region" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- north
SELECT COUNT(DISTINCT "_unit") AS t0, COUNT(*) AS p0 FROM (SELECT "a"."_unit" AS "_unit" FROM (SELECT "patients"."id" AS "id", "patients"."_unit" AS "_unit" FROM (SELECT t."id" AS "id", t."age" AS "age", t."id" AS "_unit" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" > 40 EXCEPT SELECT "visits"."patient" AS "patient", "visits"."_unit" AS "_unit" FROM (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "visits" WHERE "visits"."day" = 3) AS "a" WHERE 'b' IN (SELECT * FROM _input_0)) AS "_rows"
-- south
SELECT COUNT(DISTINCT "_unit") AS t0, COUNT(*) AS p0 FROM (SELECT "a"."_unit" AS "_unit" FROM (SELECT "patients"."id" AS "id", "patients"."_unit" AS "_unit" FROM (SELECT t."id" AS "id", t."age" AS "age", t."id" AS "_unit" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" > 40 EXCEPT SELECT "visits"."patient" AS "patient", "visits"."_unit" AS "_unit" FROM (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "visits" WHERE "visits"."day" = 3) AS "a" WHERE 'b' IN (SELECT * FROM _input_0)) AS "_rows"

== final
SELECT
  _r1.a0 AS n
FROM _release_1 AS _r1

== rows
n BIGINT
6
