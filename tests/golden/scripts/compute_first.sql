SELECT p.sex, COUNT(*) FILTER (WHERE EXISTS (SELECT 1 FROM visits v WHERE v.patient = p.id AND v.day > 2)) AS seen, AVG(age) AS a FROM patients p WHERE age > 20 GROUP BY p.sex ORDER BY p.sex

== qualify
SELECT
  p.sex AS sex,
  COUNT(*) FILTER(WHERE
    EXISTS(
      SELECT
        1 AS "1"
      FROM main.visits AS v
      WHERE
        v.patient = p.id AND v.day > 2
    )) AS seen,
  AVG(p.age) AS a
FROM main.patients AS p
WHERE
  p.age > 20
GROUP BY
  p.sex
ORDER BY
  sex

== compute_first
SELECT
  _computed.sex AS sex,
  COUNT(*) FILTER(WHERE
    _computed._c1) AS seen,
  AVG(_computed.age) AS a
FROM (
  SELECT
    p.sex AS sex,
    EXISTS(
      SELECT
        1 AS "1"
      FROM main.visits AS v
      WHERE
        v.patient = p.id AND v.day > 2
    ) AS _c1,
    p.age AS age
  FROM main.patients AS p
  WHERE
    p.age > 20
) AS _computed
GROUP BY
  _computed.sex
ORDER BY
  sex

== cut
SELECT
  _r0.k0 AS sex,
  _r0.a0 AS seen,
  _r0.a1 AS a
FROM _release_0 AS _r0
ORDER BY
  sex
Release _release_0 BY k0 = sex
  a0 = count(*) FILTER (WHERE _c1)
  a1 = avg(age)
  Rows AS _rows at north, south
    sex = _computed.sex
    _c1 = _computed._c1
    age = _computed.age
    FROM (
      SELECT
        p.sex AS sex,
        EXISTS(
          SELECT
            1 AS "1"
          FROM main.visits AS v
          WHERE
            v.patient = p.id AND v.day > 2
        ) AS _c1,
        p.age AS age
      FROM main.patients AS p
      WHERE
        p.age > 20
    ) AS _computed

== logical (_release_0)
Release _release_0 BY k0 = sex (VARCHAR)
  a0 = count(*) FILTER (WHERE _c1) (BIGINT)
  a1 = avg(age) (DOUBLE)
  Rows AS _rows at north, south
    sex = _computed.sex
    _c1 = _computed._c1
    age = _computed.age
    FROM (
      SELECT
        p.sex AS sex,
        EXISTS(
          SELECT
            1 AS "1"
          FROM main.visits AS v
          WHERE
            v.patient = p.id AND v.day > 2
        ) AS _c1,
        p.age AS age
      FROM main.patients AS p
      WHERE
        p.age > 20
    ) AS _computed

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."sex" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") FILTER (WHERE ("_rows"."_c1")) AS t1, COUNT(DISTINCT "_unit") FILTER (WHERE NOT coalesce(("_rows"."_c1"), false)) AS t2, COUNT(DISTINCT "_unit") FILTER (WHERE NOT coalesce(("_rows"."_c1"), false)) AS t3, COUNT(DISTINCT "_unit") FILTER (WHERE ("_rows"."age" IS NOT NULL) AND ("_rows"."age" <> 0)) AS t4, COUNT(CASE WHEN ("_rows"."_c1") THEN 1 END) AS p0, SUM("_rows"."age") AS p1, COUNT(CASE WHEN ("_rows"."age" IS NOT NULL) THEN 1 END) AS p2 FROM (SELECT "_computed"."sex" AS "sex", "_computed"."_c1" AS "_c1", "_computed"."age" AS "age", "_computed"."_unit" AS "_unit" FROM (SELECT "p"."sex" AS "sex", EXISTS(SELECT 1 AS "1" FROM (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "v" WHERE "v"."patient" = "p"."id" AND "v"."day" > 2) AS "_c1", "p"."age" AS "age", "p"."_unit" AS "_unit" FROM (SELECT t."id" AS "id", t."sex" AS "sex", t."age" AS "age", t."id" AS "_unit" FROM main."patients" AS t) AS "p" WHERE "p"."age" > 20) AS "_computed") AS "_rows" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."sex" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(DISTINCT "_unit") FILTER (WHERE ("_rows"."_c1")) AS t1, COUNT(DISTINCT "_unit") FILTER (WHERE NOT coalesce(("_rows"."_c1"), false)) AS t2, COUNT(DISTINCT "_unit") FILTER (WHERE NOT coalesce(("_rows"."_c1"), false)) AS t3, COUNT(DISTINCT "_unit") FILTER (WHERE ("_rows"."age" IS NOT NULL) AND ("_rows"."age" <> 0)) AS t4, COUNT(CASE WHEN ("_rows"."_c1") THEN 1 END) AS p0, SUM("_rows"."age") AS p1, COUNT(CASE WHEN ("_rows"."age" IS NOT NULL) THEN 1 END) AS p2 FROM (SELECT "_computed"."sex" AS "sex", "_computed"."_c1" AS "_c1", "_computed"."age" AS "age", "_computed"."_unit" AS "_unit" FROM (SELECT "p"."sex" AS "sex", EXISTS(SELECT 1 AS "1" FROM (SELECT t."patient" AS "patient", t."day" AS "day", t."patient" AS "_unit" FROM main."visits" AS t) AS "v" WHERE "v"."patient" = "p"."id" AND "v"."day" > 2) AS "_c1", "p"."age" AS "age", "p"."_unit" AS "_unit" FROM (SELECT t."id" AS "id", t."sex" AS "sex", t."age" AS "age", t."id" AS "_unit" FROM main."patients" AS t) AS "p" WHERE "p"."age" > 20) AS "_computed") AS "_rows" GROUP BY 1)

== final
SELECT
  _r0.k0 AS sex,
  _r0.a0 AS seen,
  _r0.a1 AS a
FROM _release_0 AS _r0
ORDER BY
  sex

== rows
sex VARCHAR | seen BIGINT | a DOUBLE
F | 2 | 52.8
M | NULL | 50.0
