SELECT COUNT(*) FROM (SELECT age FROM (SELECT * FROM patients WHERE sex = 'F') f WHERE age > 20) g WHERE age < 80

== qualify
SELECT
  COUNT(*) AS _col_0
FROM (
  SELECT
    f.age AS age
  FROM (
    SELECT
      patients.id AS id,
      patients.sex AS sex,
      patients.region AS region,
      patients.age AS age,
      patients.charges AS charges
    FROM main.patients AS patients
    WHERE
      patients.sex = 'F'
  ) AS f
  WHERE
    f.age > 20
) AS g
WHERE
  g.age < 80

== flatten
SELECT
  COUNT(*) AS _col_0
FROM main.patients AS patients
WHERE
  patients.sex = 'F' AND patients.age > 20 AND patients.age < 80

== cut
SELECT
  _r0.a0 AS _col_0
FROM _release_0 AS _r0
Release _release_0
  a0 = count(*)
  Filter sex = 'F' AND age > 20 AND age < 80
    Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0
  a0 = count(*) (BIGINT)
  Filter sex = 'F' AND age > 20 AND age < 80
    Scan patients AS patients at north, south

== fragments
-- north
SELECT COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."age" AS "age", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" WHERE "patients"."sex" = 'F' AND "patients"."age" > 20 AND "patients"."age" < 80
-- south
SELECT COUNT(*) AS t0, COUNT(*) AS p0 FROM (SELECT t."age" AS "age", t."sex" AS "sex" FROM main."patients" AS t) AS "patients" WHERE "patients"."sex" = 'F' AND "patients"."age" > 20 AND "patients"."age" < 80

== final
SELECT
  _r0.a0 AS _col_0
FROM _release_0 AS _r0

== rows
count_star() BIGINT
4
