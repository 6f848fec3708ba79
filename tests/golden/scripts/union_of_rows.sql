SELECT kind, COUNT(DISTINCT who) AS n FROM (SELECT 'patient' AS kind, id AS who FROM patients WHERE age > 40
UNION ALL SELECT 'day', patient FROM visits WHERE day > 2) t GROUP BY kind ORDER BY kind

== qualify
SELECT
  t.kind AS kind,
  COUNT(DISTINCT t.who) AS n
FROM (
  SELECT
    'patient' AS kind,
    patients.id AS who
  FROM main.patients AS patients
  WHERE
    patients.age > 40
  UNION ALL
  SELECT
    'day' AS day,
    visits.patient AS patient
  FROM main.visits AS visits
  WHERE
    visits.day > 2
) AS t
GROUP BY
  t.kind
ORDER BY
  kind

== cut
SELECT
  _r0.k0 AS kind,
  _r0.a0 AS n
FROM _release_0 AS _r0
ORDER BY
  kind
Release _release_0 BY k0 = kind
  a0 = count(DISTINCT who)
  Rows AS _rows at north, south
    kind = t.kind
    who = t.who
    FROM (
      SELECT
        'patient' AS kind,
        patients.id AS who
      FROM main.patients AS patients
      WHERE
        patients.age > 40
      UNION ALL
      SELECT
        'day' AS day,
        visits.patient AS patient
      FROM main.visits AS visits
      WHERE
        visits.day > 2
    ) AS t

== logical (_release_0)
Release _release_0 BY k0 = kind (VARCHAR)
  a0 = count(DISTINCT who) (BIGINT)
  Rows AS _rows at north, south
    kind = t.kind
    who = t.who
    FROM (
      SELECT
        'patient' AS kind,
        patients.id AS who
      FROM main.patients AS patients
      WHERE
        patients.age > 40
      UNION ALL
      SELECT
        'day' AS day,
        visits.patient AS patient
      FROM main.visits AS visits
      WHERE
        visits.day > 2
    ) AS t

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."kind" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") AS p0 FROM (SELECT "t"."kind" AS "kind", "t"."who" AS "who", "t"."_unit" AS "_unit" FROM (SELECT 'patient' AS "kind", "patients"."id" AS "who", "patients"."_unit" AS "_unit" FROM (SELECT t."id" AS "id", t."age" AS "age", t."id" AS "_unit" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" > 40 UNION ALL SELECT 'day' AS "day", "visits"."patient" AS "patient", "visits"."_unit" AS "_unit" FROM (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "visits" WHERE "visits"."day" > 2) AS "t") AS "_rows" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."kind" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") AS p0 FROM (SELECT "t"."kind" AS "kind", "t"."who" AS "who", "t"."_unit" AS "_unit" FROM (SELECT 'patient' AS "kind", "patients"."id" AS "who", "patients"."_unit" AS "_unit" FROM (SELECT t."id" AS "id", t."age" AS "age", t."id" AS "_unit" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" > 40 UNION ALL SELECT 'day' AS "day", "visits"."patient" AS "patient", "visits"."_unit" AS "_unit" FROM (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "visits" WHERE "visits"."day" > 2) AS "t") AS "_rows" GROUP BY 1)

== final
SELECT
  _r0.k0 AS kind,
  _r0.a0 AS n
FROM _release_0 AS _r0
ORDER BY
  kind

== rows
kind VARCHAR | n BIGINT
day | 5
patient | 7
