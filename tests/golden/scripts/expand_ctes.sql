WITH old AS (SELECT * FROM patients WHERE age > 40), counted AS (SELECT sex, COUNT(*) AS n FROM old GROUP BY sex)
SELECT a.sex, a.n, b.n AS again FROM counted a JOIN counted b USING (sex)

== qualify
WITH old AS (
  SELECT
    patients.id AS id,
    patients.sex AS sex,
    patients.region AS region,
    patients.age AS age,
    patients.charges AS charges
  FROM main.patients AS patients
  WHERE
    patients.age > 40
), counted AS (
  SELECT
    old.sex AS sex,
    COUNT(*) AS n
  FROM old AS old
  GROUP BY
    old.sex
)
SELECT
  a.sex AS sex,
  a.n AS n,
  b.n AS again
FROM counted AS a
JOIN counted AS b
  ON a.sex = b.sex

== expand_ctes
SELECT
  a.sex AS sex,
  a.n AS n,
  b.n AS again
FROM (
  SELECT
    old.sex AS sex,
    COUNT(*) AS n
  FROM (
    SELECT
      patients.id AS id,
      patients.sex AS sex,
      patients.region AS region,
      patients.age AS age,
      patients.charges AS charges
    FROM main.patients AS patients
    WHERE
      patients.age > 40
  ) AS old
  GROUP BY
    old.sex
) AS a
JOIN (
  SELECT
    old.sex AS sex,
    COUNT(*) AS n
  FROM (
    SELECT
      patients.id AS id,
      patients.sex AS sex,
      patients.region AS region,
      patients.age AS age,
      patients.charges AS charges
    FROM main.patients AS patients
    WHERE
      patients.age > 40
  ) AS old
  GROUP BY
    old.sex
) AS b
  ON a.sex = b.sex

== flatten
SELECT
  a.sex AS sex,
  a.n AS n,
  b.n AS again
FROM (
  SELECT
    patients.sex AS sex,
    COUNT(*) AS n
  FROM main.patients AS patients
  WHERE
    patients.age > 40
  GROUP BY
    patients.sex
) AS a
JOIN (
  SELECT
    patients.sex AS sex,
    COUNT(*) AS n
  FROM main.patients AS patients
  WHERE
    patients.age > 40
  GROUP BY
    patients.sex
) AS b
  ON a.sex = b.sex

== cut
SELECT
  a.sex AS sex,
  a.n AS n,
  b.n AS again
FROM (
  SELECT
    _r0.k0 AS sex,
    _r0.a0 AS n
  FROM _release_0 AS _r0
) AS a
JOIN (
  SELECT
    _r0.k0 AS sex,
    _r0.a0 AS n
  FROM _release_0 AS _r0
) AS b
  ON a.sex = b.sex
Release _release_0 BY k0 = sex
  a0 = count(*)
  Filter age > 40
    Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = sex (VARCHAR)
  a0 = count(*) (BIGINT)
  Filter age > 40
    Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."sex" AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."age" AS "age", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" > 40 GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."sex" AS k0, COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."age" AS "age", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" WHERE "patients"."age" > 40 GROUP BY 1)

== final
SELECT
  a.sex AS sex,
  a.n AS n,
  b.n AS again
FROM (
  SELECT
    _r0.k0 AS sex,
    _r0.a0 AS n
  FROM _release_0 AS _r0
) AS a
JOIN (
  SELECT
    _r0.k0 AS sex,
    _r0.a0 AS n
  FROM _release_0 AS _r0
) AS b
  ON a.sex = b.sex

== rows
sex VARCHAR | n BIGINT | again BIGINT
F | 4 | 4
M | 3 | 3
