SELECT SUM(day) AS first_days FROM (SELECT patient, MIN(day) OVER (PARTITION BY patient) AS first, day FROM visits) t
WHERE day = first

== qualify
SELECT
  SUM(t.day) AS first_days
FROM (
  SELECT
    visits.patient AS patient,
    MIN(visits.day) OVER (PARTITION BY visits.patient) AS first,
    visits.day AS day
  FROM main.visits AS visits
) AS t
WHERE
  t.day = t.first

== cut
SELECT
  _r0.a0 AS first_days
FROM _release_0 AS _r0
Release _release_0
  a0 = sum(day)
  Rows AS _rows at north, south
    day = t.day
    FROM (
      SELECT
        visits.patient AS patient,
        MIN(visits.day) OVER (PARTITION BY visits.patient) AS first,
        visits.day AS day
      FROM main.visits AS visits
    ) AS t
    WHERE
      t.day = t.first

== logical (_release_0)
Release _release_0
  a0 = sum(day) (HUGEINT)
  Rows AS _rows at north, south
    day = t.day
    FROM (
      SELECT
        visits.patient AS patient,
        MIN(visits.day) OVER (PARTITION BY visits.patient) AS first,
        visits.day AS day
      FROM main.visits AS visits
    ) AS t
    WHERE
      t.day = t.first

== fragments
-- north
SELECT COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") FILTER (WHERE ("_rows"."day" IS NOT NULL) AND ("_rows"."day" <> 0)) AS t1, SUM("_rows"."day") AS p0 FROM (SELECT "t"."day" AS "day", "t"."_unit" AS "_unit" FROM (SELECT "visits"."patient" AS "patient", MIN("visits"."day") OVER (PARTITION BY "visits"."patient") AS "first", "visits"."day" AS "day", "visits"."_unit" AS "_unit" FROM (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "visits") AS "t" WHERE "t"."day" = "t"."first") AS "_rows"
-- south
SELECT COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") FILTER (WHERE ("_rows"."day" IS NOT NULL) AND ("_rows"."day" <> 0)) AS t1, SUM("_rows"."day") AS p0 FROM (SELECT "t"."day" AS "day", "t"."_unit" AS "_unit" FROM (SELECT "visits"."patient" AS "patient", MIN("visits"."day") OVER (PARTITION BY "visits"."patient") AS "first", "visits"."day" AS "day", "visits"."_unit" AS "_unit" FROM (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "visits") AS "t" WHERE "t"."day" = "t"."first") AS "_rows"

== final
SELECT
  _r0.a0 AS first_days
FROM _release_0 AS _r0

== rows
first_days HUGEINT
33
