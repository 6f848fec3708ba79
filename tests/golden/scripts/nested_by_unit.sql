SELECT n, COUNT(*) AS people FROM (SELECT patient, COUNT(*) AS n FROM visits GROUP BY patient) t GROUP BY n

== qualify
SELECT
  t.n AS n,
  COUNT(*) AS people
FROM (
  SELECT
    visits.patient AS patient,
    COUNT(*) AS n
  FROM main.visits AS visits
  GROUP BY
    visits.patient
) AS t
GROUP BY
  t.n

== cut
SELECT
  _r0.k0 AS n,
  _r0.a0 AS people
FROM _release_0 AS _r0
Release _release_0 BY k0 = n
  a0 = count(*)
  Rows AS _rows at north, south
    n = t.n
    FROM (
      SELECT
        visits.patient AS patient,
        COUNT(*) AS n
      FROM main.visits AS visits
      GROUP BY
        visits.patient
    ) AS t

== logical (_release_0)
Release _release_0 BY k0 = n (BIGINT)
  a0 = count(*) (BIGINT)
  Rows AS _rows at north, south
    n = t.n
    FROM (
      SELECT
        visits.patient AS patient,
        COUNT(*) AS n
      FROM main.visits AS visits
      GROUP BY
        visits.patient
    ) AS t

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."n" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(*) AS p0 FROM (SELECT "t"."n" AS "n", "t"."_unit" AS "_unit" FROM (SELECT "visits"."patient" AS "patient", COUNT(*) AS "n", ANY_VALUE("visits"."_unit") AS "_unit" FROM (SELECT t."patient" AS "patient", t."patient" AS "_unit" FROM main."visits" AS t) AS "visits" GROUP BY "visits"."patient") AS "t") AS "_rows" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."n" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(*) AS p0 FROM (SELECT "t"."n" AS "n", "t"."_unit" AS "_unit" FROM (SELECT "visits"."patient" AS "patient", COUNT(*) AS "n", ANY_VALUE("visits"."_unit") AS "_unit" FROM (SELECT t."patient" AS "patient", t."patient" AS "_unit" FROM main."visits" AS t) AS "visits" GROUP BY "visits"."patient") AS "t") AS "_rows" GROUP BY 1)

== final
SELECT
  _r0.k0 AS n,
  _r0.a0 AS people
FROM _release_0 AS _r0

== rows
n BIGINT | people BIGINT
1 | 3
2 | 2
