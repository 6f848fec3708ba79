SELECT COUNT(*) AS visits, COUNT(DISTINCT patient) AS people, SUM(day) AS days FROM visits

== qualify
SELECT
  COUNT(*) AS visits,
  COUNT(DISTINCT visits.patient) AS people,
  SUM(visits.day) AS days
FROM main.visits AS visits

== cut
SELECT
  _r0.a0 AS visits,
  _r0.a1 AS people,
  _r0.a2 AS days
FROM _release_0 AS _r0
Release _release_0
  a0 = count(*)
  a1 = count(DISTINCT patient)
  a2 = sum(day)
  Scan visits AS visits at north, south

== logical (_release_0)
Release _release_0
  a0 = count(*) (BIGINT)
  a1 = count(DISTINCT patient) (BIGINT)
  a2 = sum(day) (HUGEINT)
  Scan visits AS visits at north, south

== fragments
-- north
SELECT COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") FILTER (WHERE ("visits"."day" IS NOT NULL) AND ("visits"."day" <> 0)) AS t1, COUNT(*) AS p0, COUNT(DISTINCT "_unit") AS p1, SUM("visits"."day") AS p2 FROM (SELECT t."day" AS "day", t."patient" AS "patient", t."patient" AS "_unit" FROM main."visits" AS t) AS "visits"
-- south
SELECT COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") FILTER (WHERE ("visits"."day" IS NOT NULL) AND ("visits"."day" <> 0)) AS t1, COUNT(*) AS p0, COUNT(DISTINCT "_unit") AS p1, SUM("visits"."day") AS p2 FROM (SELECT t."day" AS "day", t."patient" AS "patient", t."patient" AS "_unit" FROM main."visits" AS t) AS "visits"

== final
SELECT
  _r0.a0 AS visits,
  _r0.a1 AS people,
  _r0.a2 AS days
FROM _release_0 AS _r0

== rows
visits BIGINT | people BIGINT | days HUGEINT
10 | 6 | 55
