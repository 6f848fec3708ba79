SELECT p.region, COUNT(*) AS n, COUNT(v.day) AS days FROM patients p LEFT JOIN visits v ON v.patient = p.id
WHERE NOT EXISTS (SELECT 1 FROM visits w WHERE w.patient = p.id AND w.day > 9) GROUP BY p.region

== qualify
SELECT
  p.region AS region,
  COUNT(*) AS n,
  COUNT(v.day) AS days
FROM main.patients AS p
LEFT JOIN main.visits AS v
  ON v.patient = p.id
WHERE
  NOT EXISTS(
    SELECT
      1 AS "1"
    FROM main.visits AS w
    WHERE
      w.patient = p.id AND w.day > 9
  )
GROUP BY
  p.region

== cut
SELECT
  _r0.k0 AS region,
  _r0.a0 AS n,
  _r0.a1 AS days
FROM _release_0 AS _r0
Release _release_0 BY k0 = region
  a0 = count(*)
  a1 = count(day)
  Rows AS _rows at north, south
    region = p.region
    day = v.day
    FROM main.patients AS p
    LEFT JOIN main.visits AS v
      ON v.patient = p.id
    WHERE
      NOT EXISTS(
        SELECT
          1 AS "1"
        FROM main.visits AS w
        WHERE
          w.patient = p.id AND w.day > 9
      )

== logical (_release_0)
Release _release_0 BY k0 = region (VARCHAR)
  a0 = count(*) (BIGINT)
  a1 = count(day) (BIGINT)
  Rows AS _rows at north, south
    region = p.region
    day = v.day
    FROM main.patients AS p
    LEFT JOIN main.visits AS v
      ON v.patient = p.id
    WHERE
      NOT EXISTS(
        SELECT
          1 AS "1"
        FROM main.visits AS w
        WHERE
          w.patient = p.id AND w.day > 9
      )

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."region" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") FILTER (WHERE (NOT ("_rows"."day") IS NULL) AND ("_rows"."day" IS NOT NULL)) AS t1, COUNT(DISTINCT "_unit") FILTER (WHERE NOT coalesce((NOT ("_rows"."day") IS NULL), false)) AS t2, COUNT(DISTINCT "_unit") FILTER (WHERE NOT coalesce((NOT ("_rows"."day") IS NULL), false)) AS t3, COUNT(*) AS p0, COUNT("_rows"."day") AS p1 FROM (SELECT "p"."region" AS "region", "v"."day" AS "day", coalesce("p"."_unit", "v"."_unit") AS "_unit" FROM (SELECT t."id" AS "id", t."region" AS "region", t."id" AS "_unit" FROM main."patients" AS t) AS "p" LEFT JOIN (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "v" ON "v"."patient" = "p"."id" WHERE NOT EXISTS(SELECT 1 AS "1" FROM (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "w" WHERE "w"."patient" = "p"."id" AND "w"."day" > 9)) AS "_rows" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."region" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") FILTER (WHERE (NOT ("_rows"."day") IS NULL) AND ("_rows"."day" IS NOT NULL)) AS t1, COUNT(DISTINCT "_unit") FILTER (WHERE NOT coalesce((NOT ("_rows"."day") IS NULL), false)) AS t2, COUNT(DISTINCT "_unit") FILTER (WHERE NOT coalesce((NOT ("_rows"."day") IS NULL), false)) AS t3, COUNT(*) AS p0, COUNT("_rows"."day") AS p1 FROM (SELECT "p"."region" AS "region", "v"."day" AS "day", coalesce("p"."_unit", "v"."_unit") AS "_unit" FROM (SELECT t."id" AS "id", t."region" AS "region", t."id" AS "_unit" FROM main."patients" AS t) AS "p" LEFT JOIN (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "v" ON "v"."patient" = "p"."id" WHERE NOT EXISTS(SELECT 1 AS "1" FROM (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "w" WHERE "w"."patient" = "p"."id" AND "w"."day" > 9)) AS "_rows" GROUP BY 1)

== final
SELECT
  _r0.k0 AS region,
  _r0.a0 AS n,
  _r0.a1 AS days
FROM _release_0 AS _r0

== rows
region VARCHAR | n BIGINT | days BIGINT
a | 6 | NULL
b | 8 | 4
