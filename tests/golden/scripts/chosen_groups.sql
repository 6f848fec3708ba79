SELECT sex, COUNT(*) AS n FROM patients WHERE age IN (SELECT age FROM patients GROUP BY age ORDER BY COUNT(*) DESC, age LIMIT 2) GROUP BY sex ORDER BY sex

== qualify
SELECT
  patients.sex AS sex,
  COUNT(*) AS n
FROM main.patients AS patients
WHERE
  patients.age IN (
    SELECT
      patients.age AS age
    FROM main.patients AS patients
    GROUP BY
      patients.age
    ORDER BY
      COUNT(*) DESC,
      age
    LIMIT 2
  )
GROUP BY
  patients.sex
ORDER BY
  sex

== cut
SELECT
  _r1.k0 AS sex,
  _r1.a0 AS n
FROM _release_1 AS _r1
ORDER BY
  sex
_input_0: SELECT _r0.k0 AS age FROM _release_0 AS _r0 ORDER BY _r0.a0 DESC, age LIMIT 2
Release _release_0 BY k0 = age
  a0 = count(*)
  Scan patients AS patients at north, south
Release _release_1 BY k0 = sex
  a0 = count(*)
  Rows AS _rows at north, south
    sex = patients.sex
    FROM main.patients AS patients
    WHERE
      patients.age IN (
        SELECT
          *
        FROM _input_0
      )

== logical (_release_0)
Release _release_0 BY k0 = age (BIGINT)
  a0 = count(*) (BIGINT)
  Scan patients AS patients at north, south

== logical (_release_1)
Release _release_1 BY k0 = sex (VARCHAR)
  a0 = count(*) (BIGINT)
  Rows AS _rows at north, south
    sex = patients.sex
    FROM main.patients AS patients
    WHERE
      patients.age IN (
        SELECT
          *
        FROM _input_0
      )

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."age" AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."age" AS "age" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."age" AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."age" AS "age" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."sex" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(*) AS p0 FROM (SELECT "patients"."sex" AS "sex", "patients"."_unit" AS "_unit" FROM (SELECT t."sex" AS "sex", t."age" AS "age", t."id" AS "_unit" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" IN (SELECT * FROM _input_0)) AS "_rows" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."sex" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(*) AS p0 FROM (SELECT "patients"."sex" AS "sex", "patients"."_unit" AS "_unit" FROM (SELECT t."sex" AS "sex", t."age" AS "age", t."id" AS "_unit" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" IN (SELECT * FROM _input_0)) AS "_rows" GROUP BY 1)

== final
SELECT
  _r1.k0 AS sex,
  _r1.a0 AS n
FROM _release_1 AS _r1
ORDER BY
  sex

== rows
sex VARCHAR | n BIGINT
