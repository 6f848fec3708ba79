SELECT t.kind, COUNT(*) AS n, SUM(p.age) AS ages
FROM patients p LEFT JOIN lab.tests t ON t.person = p.id
GROUP BY t.kind

== qualify
SELECT
  t.kind AS kind,
  COUNT(*) AS n,
  SUM(p.age) AS ages
FROM main.patients AS p
LEFT JOIN lab.tests AS t
  ON t.person = p.id
GROUP BY
  t.kind

== cut
SELECT
  _r0.k0 AS kind,
  _r0.a0 AS n,
  _r0.a1 AS ages
FROM _release_0 AS _r0
Release _release_0 BY k0 = kind
  a0 = count(*)
  a1 = sum(age)
  Rows AS _rows at lab, north, south
    age = p.age
    id = p.id
    kind = t.kind
    person = t.person
    FROM main.patients AS p
    LEFT JOIN lab.tests AS t
      ON t.person = p.id
    Anchor patients at north, south
    Link tests at lab ON id = person (rows that match nothing are kept)

== logical (_release_0)
Release _release_0 BY k0 = kind (VARCHAR)
  a0 = count(*) (BIGINT)
  a1 = sum(age) (HUGEINT)
  Rows AS _rows at lab, north, south
    age = p.age
    id = p.id
    kind = t.kind
    person = t.person
    FROM main.patients AS p
    LEFT JOIN lab.tests AS t
      ON t.person = p.id
    Anchor patients at north, south
    Link tests at lab ON id = person (rows that match nothing are kept)

== fragments
-- north
SELECT true AS kept, CAST("_rows"."id" AS VARCHAR) AS key_0, 1 AS x0, CASE WHEN (coalesce((NOT "_rows"."age" IS NULL) AND ("_rows"."age" <> 0), false)) THEN 1 ELSE 0 END AS x1, (CASE WHEN (coalesce((NOT "_rows"."age" IS NULL) AND ("_rows"."age" <> 0), false)) THEN 1 ELSE 0 END) * (1) AS x2, (coalesce("_rows"."age", 0)) AS x3, ((coalesce("_rows"."age", 0))) * (1) AS x4 FROM (SELECT "p"."age" AS "age", "p"."id" AS "id" FROM (SELECT t."id" AS "id", t."age" AS "age" FROM main."patients" AS t) AS "p") AS "_rows"
-- south
SELECT true AS kept, CAST("_rows"."id" AS VARCHAR) AS key_0, 1 AS x0, CASE WHEN (coalesce((NOT "_rows"."age" IS NULL) AND ("_rows"."age" <> 0), false)) THEN 1 ELSE 0 END AS x1, (CASE WHEN (coalesce((NOT "_rows"."age" IS NULL) AND ("_rows"."age" <> 0), false)) THEN 1 ELSE 0 END) * (1) AS x2, (coalesce("_rows"."age", 0)) AS x3, ((coalesce("_rows"."age", 0))) * (1) AS x4 FROM (SELECT "p"."age" AS "age", "p"."id" AS "id" FROM (SELECT t."id" AS "id", t."age" AS "age" FROM main."patients" AS t) AS "p") AS "_rows"
-- lab
SELECT CAST("_rows"."person" AS VARCHAR) AS key, false AS absent, CAST("_rows"."kind" AS VARCHAR) AS k0, 1 AS y0, CASE WHEN ((CAST("_rows"."person" AS VARCHAR)) IS NOT NULL) THEN 1 ELSE 0 END AS y1 FROM (SELECT "t"."kind" AS "kind", "t"."person" AS "person" FROM (SELECT t."person" AS "person", t."kind" AS "kind" FROM main."tests" AS t) AS "t") AS "_rows" UNION ALL SELECT NULL AS key, true AS absent, CAST("_rows"."kind" AS VARCHAR) AS k0, 1 AS y0, CASE WHEN ((CAST("_rows"."person" AS VARCHAR)) IS NOT NULL) THEN 1 ELSE 0 END AS y1 FROM (SELECT CAST(NULL AS VARCHAR) AS "kind", CAST(NULL AS BIGINT) AS "person") AS "_rows"

== final
SELECT
  _r0.k0 AS kind,
  _r0.a0 AS n,
  _r0.a1 AS ages
FROM _release_0 AS _r0

== rows
kind VARCHAR | n BIGINT | ages HUGEINT
NULL | 5 | 292
