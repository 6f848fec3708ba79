SELECT p.sex, COUNT(*) AS n, AVG(t.level) AS level, SUM(p.age * t.level) AS weighed
FROM patients p JOIN lab.tests t ON t.person = p.id AND t.level >= 0
WHERE p.age > 10
GROUP BY p.sex ORDER BY p.sex

== qualify
SELECT
  p.sex AS sex,
  COUNT(*) AS n,
  AVG(t.level) AS level,
  SUM(p.age * t.level) AS weighed
FROM main.patients AS p
JOIN lab.tests AS t
  ON t.person = p.id AND t.level >= 0
WHERE
  p.age > 10
GROUP BY
  p.sex
ORDER BY
  sex

== cut
SELECT
  _r0.k0 AS sex,
  _r0.a0 AS n,
  _r0.a1 AS level,
  _r0.a2 AS weighed
FROM _release_0 AS _r0
ORDER BY
  sex
Release _release_0 BY k0 = sex
  a0 = count(*)
  a1 = avg(level)
  a2 = sum(age * level)
  Rows AS _rows at lab, north, south
    sex = p.sex
    age = p.age
    id = p.id
    level = t.level
    person = t.person
    FROM main.patients AS p
    JOIN lab.tests AS t
      ON t.person = p.id AND t.level >= 0
    WHERE
      p.age > 10
    Anchor patients at north, south
    Link tests at lab ON id = person

== logical (_release_0)
Release _release_0 BY k0 = sex (VARCHAR)
  a0 = count(*) (BIGINT)
  a1 = avg(level) (DOUBLE)
  a2 = sum(age * level) (HUGEINT)
  Rows AS _rows at lab, north, south
    sex = p.sex
    age = p.age
    id = p.id
    level = t.level
    person = t.person
    FROM main.patients AS p
    JOIN lab.tests AS t
      ON t.person = p.id AND t.level >= 0
    WHERE
      p.age > 10
    Anchor patients at north, south
    Link tests at lab ON id = person

== fragments
-- north
SELECT CAST("_rows"."sex" AS VARCHAR) AS k0, coalesce("_rows"."age" > 10, false) AS kept, CAST("_rows"."id" AS VARCHAR) AS key_0, CASE WHEN (coalesce("_rows"."age" <> 0, false)) AND (coalesce(NOT "_rows"."age" IS NULL, false)) THEN 1 ELSE 0 END AS x0, (coalesce(CAST("_rows"."age" AS BIGINT), 0)) AS x1 FROM (SELECT "p"."sex" AS "sex", "p"."age" AS "age", "p"."id" AS "id" FROM (SELECT t."id" AS "id", t."sex" AS "sex", t."age" AS "age" FROM main."patients" AS t) AS "p") AS "_rows"
-- south
SELECT CAST("_rows"."sex" AS VARCHAR) AS k0, coalesce("_rows"."age" > 10, false) AS kept, CAST("_rows"."id" AS VARCHAR) AS key_0, CASE WHEN (coalesce("_rows"."age" <> 0, false)) AND (coalesce(NOT "_rows"."age" IS NULL, false)) THEN 1 ELSE 0 END AS x0, (coalesce(CAST("_rows"."age" AS BIGINT), 0)) AS x1 FROM (SELECT "p"."sex" AS "sex", "p"."age" AS "age", "p"."id" AS "id" FROM (SELECT t."id" AS "id", t."sex" AS "sex", t."age" AS "age" FROM main."patients" AS t) AS "p") AS "_rows"
-- lab
SELECT CASE WHEN coalesce("_rows"."level" >= 0, false) THEN CAST("_rows"."person" AS VARCHAR) END AS key, false AS absent, CASE WHEN (coalesce("_rows"."level" >= 0, false)) THEN 1 ELSE 0 END AS y0, CASE WHEN (coalesce((NOT "_rows"."level" IS NULL) AND ("_rows"."level" <> 0), false)) THEN 1 ELSE 0 END AS y1, CASE WHEN (coalesce("_rows"."level" <> 0, false)) AND (coalesce(NOT "_rows"."level" IS NULL, false)) THEN 1 ELSE 0 END AS y2, (coalesce("_rows"."level", 0)) AS y3, CASE WHEN (coalesce(NOT "_rows"."level" IS NULL, false)) THEN 1 ELSE 0 END AS y4, (coalesce(CAST("_rows"."level" AS BIGINT), 0)) AS y5 FROM (SELECT "t"."level" AS "level", "t"."person" AS "person" FROM (SELECT t."person" AS "person", t."level" AS "level" FROM main."tests" AS t) AS "t") AS "_rows"

== final
SELECT
  _r0.k0 AS sex,
  _r0.a0 AS n,
  _r0.a1 AS level,
  _r0.a2 AS weighed
FROM _release_0 AS _r0
ORDER BY
  sex

== rows
sex VARCHAR | n BIGINT | level DOUBLE | weighed HUGEINT
F | 3 | 6.0 | 523
