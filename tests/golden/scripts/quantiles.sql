SELECT region, MEDIAN(age) AS middle, QUANTILE_DISC(age, 0.9) AS high FROM patients GROUP BY region

== qualify
SELECT
  patients.region AS region,
  MEDIAN(patients.age) AS middle,
  QUANTILE_DISC(patients.age, 0.9) AS high
FROM main.patients AS patients
GROUP BY
  patients.region

== cut
SELECT
  _r0.k0 AS region,
  _r0.a0 AS middle,
  _r0.a1 AS high
FROM _release_0 AS _r0
Release _release_0 BY k0 = region
  a0 = median(age)
  a1 = quantile_disc(age, 0.9)
  Scan patients AS patients at north, south

== logical (_release_0)
Release _release_0 BY k0 = region (VARCHAR)
  a0 = median(age) (DOUBLE)
  a1 = quantile_disc(age, 0.9) (BIGINT)
  Scan patients AS patients at north, south

== fragments
-- north
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS t1, histogram(TRY_CAST("patients"."age" AS BIGINT)) FILTER (WHERE ("patients"."age" IS NOT NULL)) AS p0, histogram(TRY_CAST("patients"."age" AS BIGINT)) FILTER (WHERE ("patients"."age" IS NOT NULL)) AS p2, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS p4, histogram(TRY_CAST("patients"."age" AS BIGINT)) FILTER (WHERE ("patients"."age" IS NOT NULL)) AS p5 FROM (SELECT t."age" AS "age", t."region" AS "region" FROM main."patients" AS t) AS "patients" GROUP BY 1)
-- south
SELECT CAST(k0 AS VARCHAR) AS k0, * EXCLUDE (k0) FROM (SELECT "patients"."region" AS k0, COUNT(*) AS t0, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS t1, histogram(TRY_CAST("patients"."age" AS BIGINT)) FILTER (WHERE ("patients"."age" IS NOT NULL)) AS p0, histogram(TRY_CAST("patients"."age" AS BIGINT)) FILTER (WHERE ("patients"."age" IS NOT NULL)) AS p2, COUNT(CASE WHEN ("patients"."age" IS NOT NULL) THEN 1 END) AS p4, histogram(TRY_CAST("patients"."age" AS BIGINT)) FILTER (WHERE ("patients"."age" IS NOT NULL)) AS p5 FROM (SELECT t."age" AS "age", t."region" AS "region" FROM main."patients" AS t) AS "patients" GROUP BY 1)

== final
SELECT
  _r0.k0 AS region,
  _r0.a0 AS middle,
  _r0.a1 AS high
FROM _release_0 AS _r0

== rows
region VARCHAR | middle DOUBLE | high BIGINT
a | 45.0 | 67
b | 45.0 | 81
