SELECT sex, COUNT(*) AS n FROM patients WHERE charges > (SELECT AVG(charges) FROM patients) GROUP BY sex

== qualify
SELECT
  patients.sex AS sex,
  COUNT(*) AS n
FROM main.patients AS patients
WHERE
  patients.charges > (
    SELECT
      AVG(patients.charges) AS _col_0
    FROM main.patients AS patients
  )
GROUP BY
  patients.sex

== cut
SELECT
  _r1.k0 AS sex,
  _r1.a0 AS n
FROM _release_1 AS _r1
_input_0: SELECT (SELECT _r0.a0 AS _col_0 FROM _release_0 AS _r0) AS value
Release _release_0
  a0 = avg(charges)
  Scan patients AS patients at north, south
Release _release_1 BY k0 = sex
  a0 = count(*)
  Rows AS _rows at north, south
    sex = patients.sex
    FROM main.patients AS patients
    CROSS JOIN _input_0 AS _input_0
    WHERE
      patients.charges > _input_0.value

== logical (_release_0)
Release _release_0
  a0 = avg(charges) (DOUBLE)
  Scan patients AS patients at north, south

== logical (_release_1)
Release _release_1 BY k0 = sex (VARCHAR)
  a0 = count(*) (BIGINT)
  Rows AS _rows at north, south
    sex = patients.sex
    FROM main.patients AS patients
    CROSS JOIN _input_0 AS _input_0
    WHERE
      patients.charges > _input_0.value

== fragments
-- north
SELECT COUNT(*) AS t0, COUNT(CASE WHEN (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND ("patients"."charges" <> 0) THEN 1 END) AS t1, SUM((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END)) AS p0, COUNT(CASE WHEN (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN 1 END) AS p1 FROM (SELECT t."charges" AS "charges" FROM main."patients" AS t) AS "patients"
-- south
SELECT COUNT(*) AS t0, COUNT(CASE WHEN (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) AND ("patients"."charges" <> 0) THEN 1 END) AS t1, SUM((CASE WHEN isfinite(CAST("patients"."charges" AS DOUBLE)) THEN TRY_CAST(round(CAST("patients"."charges" AS DOUBLE) * 3.602879701896397e+16::DOUBLE) AS BIGINT) END)) AS p0, COUNT(CASE WHEN (coalesce(isfinite(CAST("patients"."charges" AS DOUBLE)), false)) THEN 1 END) AS p1 FROM (SELECT t."charges" AS "charges" FROM main."patients" AS t) AS "patients"
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."sex" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(*) AS p0 FROM (SELECT "patients"."sex" AS "sex", "patients"."_unit" AS "_unit" FROM (SELECT t."sex" AS "sex", t."charges" AS "charges", t."id" AS "_unit" FROM main."patients" AS t) AS "patients" CROSS JOIN _input_0 AS _input_0 WHERE "patients"."charges" > "_input_0"."value") AS "_rows" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "_rows"."sex" AS k0, COUNT(DISTINCT "_unit") AS t0, COUNT(*) AS p0 FROM (SELECT "patients"."sex" AS "sex", "patients"."_unit" AS "_unit" FROM (SELECT t."sex" AS "sex", t."charges" AS "charges", t."id" AS "_unit" FROM main."patients" AS t) AS "patients" CROSS JOIN _input_0 AS _input_0 WHERE "patients"."charges" > "_input_0"."value") AS "_rows" GROUP BY 1)

== final
SELECT
  _r1.k0 AS sex,
  _r1.a0 AS n
FROM _release_1 AS _r1

== rows
sex VARCHAR | n BIGINT
