SELECT x, x * 2 AS y FROM (VALUES (1), (2)) t(x) ORDER BY x

== qualify
SELECT
  t.x AS x,
  t.x * 2 AS y
FROM (VALUES
  (1),
  (2)) AS t(x)
ORDER BY
  x

== cut
SELECT
  t.x AS x,
  t.x * 2 AS y
FROM (VALUES
  (1),
  (2)) AS t(x)
ORDER BY
  x

== fragments


== final
SELECT
  t.x AS x,
  t.x * 2 AS y
FROM (VALUES
  (1),
  (2)) AS t(x)
ORDER BY
  x

== rows
x INTEGER | y INTEGER
1 | 2
2 | 4
