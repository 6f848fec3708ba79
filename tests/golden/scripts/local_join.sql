SELECT p.sex, COUNT(*) AS visits, COUNT(DISTINCT p.id) AS people, SUM(v.day) AS days
FROM patients p JOIN visits v ON p.id = v.patient AND v.day > 1 GROUP BY p.sex

== qualify
SELECT
  p.sex AS sex,
  COUNT(*) AS visits,
  COUNT(DISTINCT p.id) AS people,
  SUM(v.day) AS days
FROM main.patients AS p
JOIN main.visits AS v
  ON p.id = v.patient AND v.day > 1
GROUP BY
  p.sex

== cut
SELECT
  _r0.k0 AS sex,
  _r0.a0 AS visits,
  _r0.a1 AS people,
  _r0.a2 AS days
FROM _release_0 AS _r0
Release _release_0 BY k0 = sex
  a0 = count(*)
  a1 = count(DISTINCT id)
  a2 = sum(day)
  Rows AS _rows at north, south
    sex = p.sex
    id = p.id
    day = v.day
    FROM main.patients AS p
    JOIN main.visits AS v
      ON p.id = v.patient AND v.day > 1

== logical (_release_0)
Release _release_0 BY k0 = sex (VARCHAR)
  a0 = count(*) (BIGINT)
  a1 = count(DISTINCT id) (BIGINT)
  a2 = sum(day) (HUGEINT)
  Rows AS _rows at north, south
    sex = p.sex
    id = p.id
    day = v.day
    FROM main.patients AS p
    JOIN main.visits AS v
      ON p.id = v.patient AND v.day > 1

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."sex" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") FILTER (WHERE ("_rows"."day" IS NOT NULL) AND ("_rows"."day" <> 0)) AS t1, COUNT(*) AS p0, COUNT(DISTINCT "_unit") AS p1, SUM("_rows"."day") AS p2 FROM (SELECT "p"."sex" AS "sex", "p"."id" AS "id", "v"."day" AS "day", coalesce("p"."_unit", "v"."_unit") AS "_unit" FROM (SELECT t."id" AS "id", t."sex" AS "sex", t."id" AS "_unit" FROM main."patients" AS t) AS "p" JOIN (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "v" ON "p"."id" = "v"."patient" AND "v"."day" > 1) AS "_rows" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."sex" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") FILTER (WHERE ("_rows"."day" IS NOT NULL) AND ("_rows"."day" <> 0)) AS t1, COUNT(*) AS p0, COUNT(DISTINCT "_unit") AS p1, SUM("_rows"."day") AS p2 FROM (SELECT "p"."sex" AS "sex", "p"."id" AS "id", "v"."day" AS "day", coalesce("p"."_unit", "v"."_unit") AS "_unit" FROM (SELECT t."id" AS "id", t."sex" AS "sex", t."id" AS "_unit" FROM main."patients" AS t) AS "p" JOIN (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "v" ON "p"."id" = "v"."patient" AND "v"."day" > 1) AS "_rows" GROUP BY 1)

== final
SELECT
  _r0.k0 AS sex,
  _r0.a0 AS visits,
  _r0.a1 AS people,
  _r0.a2 AS days
FROM _release_0 AS _r0

== rows
sex VARCHAR | visits BIGINT | people BIGINT | days HUGEINT
F | 4 | 4 | 22
M | 5 | 2 | 32
