SELECT COUNT(*) AS n FROM patients p JOIN regions r ON p.region = r.code
WHERE r.beds < 25 AND p.age > (SELECT AVG(q.age) FROM patients q WHERE q.region = r.code)

== qualify
SELECT
  COUNT(*) AS n
FROM main.patients AS p
JOIN main.regions AS r
  ON p.region = r.code
WHERE
  r.beds < 25
  AND p.age > (
    SELECT
      AVG(q.age) AS _col_0
    FROM main.patients AS q
    WHERE
      q.region = r.code
  )

== decorrelate
SELECT
  AVG(q.age) AS _col_0
FROM main.patients AS q
WHERE
  q.region = r.code
->
SELECT
  MAX(_d.a0) AS _col_0
FROM (
  SELECT
    q.region AS c0,
    AVG(q.age) AS a0
  FROM main.patients AS q
  GROUP BY
    q.region
) AS _d
WHERE
  _d.c0 = r.code

== restrict_keys
SELECT
  q.region AS c0,
  AVG(q.age) AS a0
FROM main.patients AS q
WHERE
  q.region IN (
    SELECT
      r.code AS c0
    FROM main.regions AS r
    WHERE
      r.beds < 25
  )
GROUP BY
  q.region

== cut
SELECT
  _r1.a0 AS n
FROM _release_1 AS _r1
_input_0: SELECT _r0.k0 AS c0, _r0.a0 AS a0 FROM _release_0 AS _r0
Release _release_0 BY k0 = region
  a0 = avg(age)
  Rows AS _rows at north, south
    region = q.region
    age = q.age
    FROM main.patients AS q
    WHERE
      q.region IN (
        SELECT
          r.code AS c0
        FROM main.regions AS r
        WHERE
          r.beds < 25
      )
Release _release_1
  a0 = count(*)
  Rows AS _rows at north, south
    FROM main.patients AS p
    JOIN main.regions AS r
      ON p.region = r.code
    WHERE
      r.beds < 25
      AND p.age > (
        SELECT
          MAX(_d.a0) AS _col_0
        FROM _input_0 AS _d
        WHERE
          _d.c0 = r.code
      )

== logical (_release_0)
Release _release_0 BY k0 = region (VARCHAR)
  a0 = avg(age) (DOUBLE)
  Rows AS _rows at north, south
    region = q.region
    age = q.age
    FROM main.patients AS q
    WHERE
      q.region IN (
        SELECT
          r.code AS c0
        FROM main.regions AS r
        WHERE
          r.beds < 25
      )

== logical (_release_1)
Release _release_1
  a0 = count(*) (BIGINT)
  Rows AS _rows at north, south
    FROM main.patients AS p
    JOIN main.regions AS r
      ON p.region = r.code
    WHERE
      r.beds < 25
      AND p.age > (
        SELECT
          MAX(_d.a0) AS _col_0
        FROM _input_0 AS _d
        WHERE
          _d.c0 = r.code
      )

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."region" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") FILTER (WHERE ("_rows"."age" IS NOT NULL) AND ("_rows"."age" <> 0)) AS t1, SUM("_rows"."age") AS p0, COUNT(CASE WHEN ("_rows"."age" IS NOT NULL) THEN 1 END) AS p1 FROM (SELECT "q"."region" AS "region", "q"."age" AS "age", "q"."_unit" AS "_unit" FROM (SELECT t."region" AS "region", t."age" AS "age", t."id" AS "_unit" FROM main."patients" AS t) AS "q" WHERE "q"."region" IN (SELECT "r"."code" AS "c0" FROM main."regions" AS "r" WHERE "r"."beds" < 25)) AS "_rows" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."region" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") FILTER (WHERE ("_rows"."age" IS NOT NULL) AND ("_rows"."age" <> 0)) AS t1, SUM("_rows"."age") AS p0, COUNT(CASE WHEN ("_rows"."age" IS NOT NULL) THEN 1 END) AS p1 FROM (SELECT "q"."region" AS "region", "q"."age" AS "age", "q"."_unit" AS "_unit" FROM (SELECT t."region" AS "region", t."age" AS "age", t."id" AS "_unit" FROM main."patients" AS t) AS "q" WHERE "q"."region" IN (SELECT "r"."code" AS "c0" FROM main."regions" AS "r" WHERE "r"."beds" < 25)) AS "_rows" GROUP BY 1)
-- north
SELECT COUNT(DISTINCT "_unit") AS t0, COUNT(*) AS p0 FROM (SELECT "p"."_unit" AS "_unit" FROM (SELECT t."region" AS "region", t."age" AS "age", t."id" AS "_unit" FROM main."patients" AS t) AS "p" JOIN main."regions" AS "r" ON "p"."region" = "r"."code" WHERE "r"."beds" < 25 AND "p"."age" > (SELECT MAX("_d"."a0") AS "_col_0" FROM _input_0 AS "_d" WHERE "_d"."c0" = "r"."code")) AS "_rows"
-- south
SELECT COUNT(DISTINCT "_unit") AS t0, COUNT(*) AS p0 FROM (SELECT "p"."_unit" AS "_unit" FROM (SELECT t."region" AS "region", t."age" AS "age", t."id" AS "_unit" FROM main."patients" AS t) AS "p" JOIN main."regions" AS "r" ON "p"."region" = "r"."code" WHERE "r"."beds" < 25 AND "p"."age" > (SELECT MAX("_d"."a0") AS "_col_0" FROM _input_0 AS "_d" WHERE "_d"."c0" = "r"."code")) AS "_rows"

== final
SELECT
  _r1.a0 AS n
FROM _release_1 AS _r1

== rows
n BIGINT
4
