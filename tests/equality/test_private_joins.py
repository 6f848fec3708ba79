"""Joins of different owners' rows: equal to DuckDB on the pooled rows."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from owners import owners
from pool import Pool


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Six owners."""
    made = owners()
    yield made
    made.close()


KINDS_OF_JOINS = """
SELECT COUNT(*) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid
SELECT COUNT(*) AS n, SUM(age) AS a, SUM(amount) AS b FROM bank.loans l INNER JOIN telco.users u ON u.cid = l.cid
SELECT kind, COUNT(*) AS n, SUM(age) AS a, COUNT(seg) AS s FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT seg, COUNT(*) AS n, SUM(age) AS a, SUM(amount) AS b, COUNT(loan) AS c FROM bank.loans l RIGHT JOIN telco.users u ON l.cid = u.cid GROUP BY seg
SELECT kind, COUNT(*) AS n, SUM(age) AS a FROM bank.loans l RIGHT JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(amount) AS a FROM telco.users u LEFT OUTER JOIN bank.loans l ON l.cid = u.cid GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(age) AS a FROM bank.loans JOIN telco.users USING (cid) GROUP BY kind
SELECT cid, COUNT(*) AS n, SUM(age) AS a FROM bank.loans JOIN telco.users USING (cid) GROUP BY cid
SELECT cid, COUNT(*) AS n, COUNT(age) AS a FROM bank.loans LEFT JOIN telco.users USING (cid) GROUP BY cid
SELECT cid, COUNT(*) AS n, COUNT(amount) AS a FROM bank.loans RIGHT JOIN telco.users USING (cid) GROUP BY cid
SELECT kind, COUNT(*) AS n FROM bank.loans l, telco.users u WHERE l.cid = u.cid AND l.amount > 100 AND u.age < 70 GROUP BY kind
SELECT kind, COUNT(*) AS n FROM bank.loans l CROSS JOIN telco.users u WHERE (l.cid) = u.cid GROUP BY kind
SELECT k, SUM(x) AS s, COUNT(*) AS n FROM (SELECT l.kind AS k, u.age AS x FROM bank.loans l JOIN telco.users u ON l.cid = u.cid WHERE u.age > 3) t GROUP BY k
WITH j AS (SELECT l.kind, u.seg, u.age, l.n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid) SELECT seg, SUM(age * n) AS s FROM j GROUP BY seg
SELECT l.kind, u.seg, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY CUBE (l.kind, u.seg)
SELECT l.kind, COUNT(*) AS n, SUM(age) AS s FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY ROLLUP (l.kind)
SELECT kind, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind HAVING COUNT(*) > 4 ORDER BY n DESC, kind LIMIT 2
SELECT DISTINCT kind FROM bank.loans l JOIN telco.users u ON l.cid = u.cid
SELECT a.kind, a.n, b.n FROM (SELECT kind, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind) a JOIN (SELECT kind, COUNT(*) AS n FROM bank.loans GROUP BY kind) b ON a.kind = b.kind
SELECT COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid UNION ALL SELECT COUNT(*) FROM bank.loans l JOIN phone.calls c ON l.cid = c.cid
"""
USING = """
SELECT COUNT(DISTINCT cid) FROM bank.loans JOIN (SELECT cid, age FROM telco.users) u USING (cid)
SELECT cid, COUNT(*) FROM bank.loans JOIN (SELECT cid, age FROM telco.users) u USING (cid) GROUP BY cid
SELECT cid, COUNT(*) FROM telco.users JOIN bank.loans USING (cid) GROUP BY cid
SELECT cid, COUNT(*) FROM (SELECT cid, n FROM bank.loans) l JOIN (SELECT cid, age FROM telco.users) u USING (cid) GROUP BY cid
SELECT cid, COUNT(*) FROM bank.loans LEFT JOIN (SELECT cid, age FROM telco.users WHERE age > 3) u USING (cid) GROUP BY cid
SELECT COUNT(*) FROM bank.loans JOIN telco.users USING (cid) JOIN grid.meters USING (cid) WHERE cid > 10
SELECT COUNT(*), SUM(paid) FROM bank.loans JOIN grid.meters USING (cid) JOIN tax.returns USING (cid) WHERE cid > 10
SELECT kind, cid, COUNT(*), SUM(paid) FROM bank.loans LEFT JOIN grid.meters USING (cid) LEFT JOIN tax.returns USING (cid) GROUP BY kind, cid
SELECT coalesce(u.seg, 'x') AS k, COUNT(*) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid AND u.seg = 'x' GROUP BY k
SELECT coalesce(l.cid, u.cid) AS k, COUNT(*) FROM bank.loans l LEFT JOIN telco.users u ON u.cid = l.cid GROUP BY k
SELECT coalesce(u.cid, l.cid) AS k, COUNT(*) FROM bank.loans l LEFT JOIN telco.users u ON u.cid = l.cid GROUP BY k
SELECT coalesce(l.cid, l.n) AS k, COUNT(*) FROM bank.loans l LEFT JOIN telco.users u ON u.cid = l.cid AND l.n = l.cid GROUP BY k
SELECT coalesce(l.n, l.cid, 3) AS k, COUNT(*) FROM bank.loans l JOIN telco.users u ON u.cid = l.cid AND l.n = l.n GROUP BY k
SELECT coalesce(u.cid, 3) AS k, COUNT(*) FROM bank.loans l JOIN telco.users u ON u.cid = l.cid GROUP BY k
SELECT coalesce(u.cid, l.cid, 3) AS k, COUNT(*) FROM bank.loans l RIGHT JOIN telco.users u ON u.cid = l.cid GROUP BY k
SELECT coalesce(l.cid, u.cid, 3) AS k, COUNT(*) FROM bank.loans l RIGHT JOIN telco.users u ON u.cid = l.cid GROUP BY k
"""
KEYS = """
SELECT COUNT(*) AS n, SUM(price) AS s FROM bank.loans l JOIN shop.orders o ON l.cid = o.code
SELECT COUNT(*) AS n, SUM(price) AS s FROM bank.loans l JOIN shop.orders o ON o.real = l.cid
SELECT COUNT(*) AS n, SUM(price) AS s FROM bank.loans l JOIN shop.orders o ON l.cid = o.big
SELECT COUNT(*) AS n, SUM(price) AS s FROM shop.orders o JOIN telco.users u ON o.code = u.cid
SELECT COUNT(*) AS n, SUM(price) AS s FROM shop.orders o LEFT JOIN telco.users u ON o.real = u.cid
SELECT COUNT(*) AS n, SUM(price) AS s FROM bank.loans l JOIN shop.orders o ON l.cid::VARCHAR = o.txt
SELECT COUNT(*) AS n, SUM(price) AS s FROM bank.loans l JOIN shop.orders o ON l.cid = o.txt::INT
SELECT COUNT(*) AS n, SUM(price) AS s FROM bank.loans l JOIN shop.orders o ON l.cid + 1 = o.big AND l.kind = o.kind
SELECT l.kind, COUNT(*) AS n, SUM(price) AS s FROM bank.loans l LEFT JOIN shop.orders o ON l.cid = o.code AND l.kind = o.kind GROUP BY l.kind
SELECT kind, COUNT(*) AS n, SUM(price) AS s FROM bank.loans JOIN shop.orders USING (kind) GROUP BY kind
SELECT COUNT(*) AS n, SUM(age) AS a FROM bank.loans l JOIN telco.users u ON l.name = u.name
SELECT l.name, COUNT(*) AS n, SUM(age) AS a FROM bank.loans l LEFT JOIN telco.users u ON l.name = u.name GROUP BY l.name
SELECT u.name, COUNT(*) AS n, SUM(n) AS a FROM bank.loans l JOIN telco.users u ON upper(trim(l.name)) = upper(trim(u.name)) GROUP BY u.name
SELECT COUNT(*) AS n, SUM(age) AS a FROM bank.loans l JOIN telco.users u ON l.day = u.day
SELECT l.day, COUNT(*) AS n, SUM(age) AS a FROM bank.loans l JOIN telco.users u ON l.day = u.day AND l.cid = u.cid GROUP BY l.day
SELECT COUNT(*) AS n, SUM(age) AS a FROM bank.loans l JOIN telco.users u ON l.at = u.at
SELECT COUNT(*) AS n, SUM(age) AS a FROM bank.loans l JOIN telco.users u ON l.day = u.at
SELECT COUNT(*) AS n, SUM(age) AS a FROM bank.loans l JOIN telco.users u ON l.ok = u.active
SELECT u.active, COUNT(*) AS n, SUM(n) AS a FROM bank.loans l JOIN telco.users u ON l.ok = u.active AND l.cid = u.cid GROUP BY u.active
SELECT COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.amount = u.fee
SELECT COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid AND l.n = u.age % 9
SELECT COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid AND l.cid = u.cid
SELECT COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON coalesce(l.cid, -1) = coalesce(u.cid, -1)
SELECT COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON NULLIF(l.cid, 4) = u.cid
SELECT COUNT(*) AS n, COUNT(age) AS a FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid WHERE l.cid IS NULL
"""
AGGREGATES = """
SELECT kind, COUNT(*), COUNT(amount), SUM(amount), AVG(amount), VAR_POP(amount), STDDEV(amount) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT kind, COUNT(age), SUM(age), AVG(age), VAR_SAMP(age), STDDEV_POP(age) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT seg, SUM(n), AVG(rate), VARIANCE(n), SUM(used), AVG(used), STDDEV(fee), SUM(fee) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY seg
SELECT kind, COVAR_POP(amount, age), COVAR_SAMP(n, fee), CORR(n, age) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT seg, CORR(rate, used), REGR_SLOPE(used, rate), REGR_INTERCEPT(age, n), REGR_R2(n, age), REGR_COUNT(fee, amount) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY seg
SELECT REGR_SXX(n, age), REGR_SYY(n, age), REGR_SXY(n, age), REGR_AVGX(n, age), REGR_AVGY(n, age) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid
SELECT kind, COVAR_POP(n, amount), CORR(age, fee) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT kind, SUM(n * age), SUM(amount * fee), AVG(n * age), SUM(used * rate) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT kind, SUM(amount - age), SUM(2 * amount + 3 * age - 1), AVG(used * 2), SUM(-fee + n) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT kind, SUM(n * n), SUM(age * age), SUM(amount * n), SUM(n * age * 2) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT kind, SUM(age), AVG(age), VAR_POP(age), CORR(n, age), SUM(amount), VAR_POP(amount) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT kind, SUM(coalesce(age, 5)), SUM(coalesce(age, 0) + n), COUNT(coalesce(seg, 'none')) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT kind, SUM(CASE WHEN u.seg = 'x' THEN l.amount END), AVG(CASE WHEN u.seg = 'x' THEN l.n ELSE 0 END), SUM(CASE WHEN l.ok THEN u.age END), SUM(CASE WHEN l.ok AND u.active THEN n * age END) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT SUM(CASE WHEN u.seg = 'x' OR l.kind = 'a' THEN l.n END), SUM(CASE WHEN u.active AND l.ok THEN 1 ELSE 0 END), SUM(CASE u.seg WHEN 'x' THEN n END) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid
SELECT kind, COUNT(*) FILTER (WHERE u.age > 40 AND l.n > 3), COUNT(*) FILTER (WHERE u.age > 40 OR l.n > 3), COUNT(*) FILTER (WHERE NOT (u.age > 40 OR l.n > 3)), COUNT(*) FILTER (WHERE NOT (u.age > 40 AND l.n > 3)) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT kind, COUNT(*) FILTER (WHERE u.age > 40 OR l.n > 3), SUM(n) FILTER (WHERE u.seg IS NULL), SUM(age) FILTER (WHERE l.ok IS NOT TRUE), COUNT(*) FILTER (WHERE (u.age > 40 OR l.n > 3) IS NULL) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT kind, AVG(l.ok::INT), SUM((u.age > 40)::INT), COUNT_IF(u.age > 40 AND l.ok), AVG(u.active::INT) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT COUNT(DISTINCT l.cid), COUNT(DISTINCT u.cid) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid
SELECT kind, COUNT(DISTINCT l.cid), COUNT(DISTINCT u.cid) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT seg, COUNT(DISTINCT l.cid), COUNT(DISTINCT u.cid) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid WHERE n > 2 GROUP BY seg
SELECT COUNT(DISTINCT cid) FILTER (WHERE ok AND age > 30), COUNT(DISTINCT cid) FILTER (WHERE far) FROM bank.loans JOIN (SELECT cid, age, true AS far FROM telco.users) u USING (cid)
SELECT kind, COUNT(DISTINCT l.cid), COUNT(DISTINCT c.cid) FROM bank.loans l JOIN phone.calls c ON l.cid = c.cid WHERE mins > 20 GROUP BY kind
SELECT SUM(amount), COUNT(*), AVG(fee), COUNT(DISTINCT u.cid) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid WHERE false
SELECT kind, BOOL_AND(ok), BOOL_OR(ok) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind
SELECT kind, BOOL_AND(active), BOOL_OR(age > 50) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind
"""
FILTERS = """
SELECT kind, COUNT(*) AS n, SUM(age) AS a FROM bank.loans l JOIN telco.users u ON l.cid = u.cid AND u.age > 30 WHERE l.n > 2 AND u.seg <> 'x' GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(age) AS a FROM bank.loans l JOIN telco.users u ON l.cid = u.cid AND l.n > 2 AND (u.seg = 'x' OR u.age > 50) GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(age) AS a FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid AND u.age > 30 AND l.n > 3 WHERE l.n > 2 GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(age) AS a FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid WHERE u.seg IS NULL OR l.n > 4 GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(age) AS a FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid WHERE u.cid IS NULL GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(age) AS a FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid WHERE u.age > 20 GROUP BY kind
SELECT seg, COUNT(*) AS n, SUM(age) AS a FROM bank.loans l RIGHT JOIN telco.users u ON l.cid = u.cid AND l.ok AND u.age > 20 WHERE u.active GROUP BY seg
SELECT seg, COUNT(*) AS n FROM bank.loans l RIGHT JOIN telco.users u ON l.cid = u.cid WHERE l.kind = 'a' OR l.kind IS NULL GROUP BY seg
SELECT kind, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid WHERE u.age > 40 OR l.n > 3 GROUP BY kind
SELECT kind, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid WHERE NOT (u.age > 40 AND l.n > 3) GROUP BY kind
SELECT kind, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid WHERE (u.seg IN ('x', 'y') AND l.ok) OR (u.seg = 'z' AND NOT l.ok) GROUP BY kind
SELECT COUNT(*) AS n, SUM(age) AS a FROM bank.loans l JOIN telco.users u ON l.cid = u.cid AND false
SELECT COUNT(*) AS n, SUM(age) AS a FROM bank.loans l JOIN telco.users u ON l.cid = u.cid WHERE NULL
SELECT COUNT(*) AS n, SUM(age) AS a FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid AND false
SELECT kind, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid WHERE year(u.day) = 2020 AND l.name LIKE '%n%' GROUP BY kind
SELECT kind, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid WHERE 100 / (u.age - 5) > 2 AND TRY_CAST(u.name AS INT) IS NULL GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(age) AS s FROM bank.loans l JOIN telco.users u ON l.cid = u.cid WHERE l.amount > (SELECT AVG(amount) FROM bank.loans) GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(age) AS s FROM bank.loans l JOIN telco.users u ON l.cid = u.cid WHERE u.age > (SELECT AVG(age) FROM telco.users) GROUP BY kind
SELECT kind, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid WHERE u.age > (SELECT COUNT(*) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid) GROUP BY kind
"""
STAGES = """
SELECT COUNT(*), COUNT(age) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid AND l.n > (SELECT AVG(n) FROM bank.loans)
SELECT COUNT(*), COUNT(age) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid AND u.age > (SELECT AVG(n) FROM bank.loans)
SELECT COUNT(*), SUM(age) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid AND u.age > (SELECT AVG(n) FROM bank.loans) WHERE l.n <= (SELECT AVG(n) FROM bank.loans)
SELECT kind, COUNT(*), SUM(paid) FROM bank.loans l LEFT JOIN grid.meters m ON m.cid = l.cid LEFT JOIN tax.returns r ON r.cid = l.cid AND r.paid > (SELECT AVG(paid) FROM tax.returns) WHERE l.n <= (SELECT AVG(n) FROM bank.loans) GROUP BY kind
SELECT COUNT(*), COUNT(age) FILTER (WHERE u.age > (SELECT AVG(n) FROM bank.loans)) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid
SELECT u.age > (SELECT AVG(n) FROM bank.loans) AS k, COUNT(*), SUM(n) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid GROUP BY k
SELECT COUNT(*), SUM(age) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid JOIN (SELECT kind, AVG(n) AS a FROM bank.loans GROUP BY kind) t ON t.kind = l.kind AND l.n > t.a
SELECT COUNT(*) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid AND EXISTS (SELECT seg FROM telco.users WHERE age > 3)
SELECT x.seg, x.n, y.n FROM (SELECT seg, COUNT(*) AS n FROM telco.users u JOIN bank.loans l ON l.cid = u.cid GROUP BY seg) x LEFT JOIN (SELECT seg, COUNT(*) AS n FROM telco.users u JOIN phone.calls l ON l.cid = u.cid GROUP BY seg) y USING (seg)
SELECT COUNT(*) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid WHERE age > (SELECT MIN(n) FROM (SELECT seg, COUNT(*) AS n FROM telco.users u JOIN phone.calls l ON l.cid = u.cid GROUP BY seg) t)
"""
DISTINCT = """
SELECT kind, COUNT(DISTINCT l.cid), COUNT(DISTINCT l.cid) FILTER (WHERE l.n > 2) FROM bank.loans l LEFT JOIN phone.calls c ON l.cid = c.cid AND c.mins > 60 GROUP BY kind
SELECT MODE(kind) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid
SELECT MODE(age) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid
SELECT SUM(DISTINCT n), AVG(DISTINCT age) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid
SELECT AVG(s) FROM (SELECT l.cid, SUM(age) AS s FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY l.cid) t
"""
NESTED = """
SELECT COUNT(*), SUM(paid) FROM grid.meters NATURAL JOIN tax.returns
SELECT kind, COUNT(*), SUM(cents), SUM(age) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid LEFT JOIN telco.invoices i ON i.uid = u.uid AND i.cents > 1000 GROUP BY kind
SELECT kind, COUNT(*), SUM(cents), SUM(age) FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid LEFT JOIN telco.invoices i ON i.uid = u.uid AND u.age > 40 WHERE cents IS NULL GROUP BY kind
SELECT kind, COUNT(*), SUM(age) FROM bank.clients k LEFT JOIN bank.loans l ON l.cid = k.cid LEFT JOIN telco.users u ON u.cid = l.cid GROUP BY kind
SELECT COUNT(*), SUM(mins) FROM (SELECT cid FROM bank.loans UNION ALL SELECT cid FROM telco.users) t LEFT JOIN phone.calls c ON c.cid = t.cid
SELECT k, COUNT(*), SUM(mins) FROM (SELECT cid, kind AS k FROM bank.loans UNION ALL SELECT cid, seg FROM telco.users) t JOIN phone.calls c ON c.cid = t.cid GROUP BY k
SELECT COUNT(*), SUM(age) FROM (SELECT cid FROM bank.loans UNION SELECT cid FROM bank.clients) t JOIN telco.users c ON c.cid = t.cid
SELECT COUNT(*), SUM(n) FROM telco.users c JOIN (SELECT l.cid, l.n FROM bank.clients JOIN bank.loans l USING (cid)) t ON c.cid = t.cid
SELECT seg, COUNT(*), SUM(r) FROM telco.users c JOIN (SELECT cid, n, row_number() OVER (PARTITION BY cid ORDER BY loan) AS r FROM bank.loans) t ON c.cid = t.cid WHERE r < 3 GROUP BY seg
SELECT seg, COUNT(*) FROM telco.users c JOIN (SELECT DISTINCT cid, kind FROM bank.loans) t ON c.cid = t.cid GROUP BY seg
SELECT COUNT(*), SUM(a.n) FROM bank.loans a JOIN bank.loans b ON a.cid = b.cid JOIN telco.users u ON u.cid = a.cid
SELECT COUNT(*), SUM(a.age), SUM(b.age) FROM bank.loans l JOIN telco.users a ON a.cid = l.cid JOIN telco.users b ON b.uid = l.n
"""
GROUPS = """
SELECT seg, COUNT(*), SUM(amount), SUM(age), AVG(used), AVG(amount) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY seg
SELECT kind, seg, COUNT(*), SUM(amount), SUM(age), STDDEV(age), VAR_POP(amount) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY kind, seg
SELECT seg, ok, active, kind, COUNT(*) AS n, SUM(amount * age) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY ALL
SELECT kind, seg, COUNT(*) AS n, SUM(age) AS a, SUM(amount) AS b FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid GROUP BY kind, seg
SELECT seg, COUNT(*) AS n, SUM(age) AS a, COUNT(amount) AS c, SUM(coalesce(age, 7)) AS d FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid GROUP BY seg
SELECT seg, COUNT(*) AS n, SUM(age) AS a FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid WHERE seg IS NULL OR n > 3 GROUP BY seg
SELECT coalesce(seg, 'none') AS s, COUNT(*) AS n FROM bank.loans l LEFT JOIN telco.users u ON l.cid = u.cid GROUP BY s
SELECT year(u.day) AS y, n % 3 AS m, COUNT(*) FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY y, m
SELECT u.day, l.ok, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY u.day, l.ok
SELECT u.at, COUNT(*) AS n, SUM(l.n) AS s FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY u.at
SELECT age > 40 AS old, CASE WHEN n > 3 THEN 'high' ELSE 'low' END AS h, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY old, h
SELECT l.cid, u.cid, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY l.cid, u.cid
SELECT u.name, l.name, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON l.cid = u.cid GROUP BY u.name, l.name
"""
SEVERAL = """
SELECT kind, COUNT(*) AS n, SUM(mins) AS m, SUM(amount) AS a, SUM(n * mins) AS p FROM bank.loans l JOIN phone.calls c ON l.cid = c.cid GROUP BY kind
SELECT far, kind, COUNT(*) AS n, SUM(mins) AS m, SUM(amount) AS a, AVG(rate) AS r FROM bank.loans l JOIN phone.calls c ON l.cid = c.cid GROUP BY far, kind
SELECT far, kind, COUNT(*) AS n, SUM(mins) AS m, SUM(amount) AS a, AVG(rate) AS r FROM bank.loans l LEFT JOIN phone.calls c ON l.cid = c.cid GROUP BY far, kind
SELECT far, COUNT(*) AS n, SUM(mins) AS m, SUM(amount) AS a FROM phone.calls c LEFT JOIN bank.loans l ON l.cid = c.cid GROUP BY far
SELECT kind, COUNT(*) AS n, SUM(mins) AS m FROM bank.loans l LEFT JOIN phone.calls c ON l.cid = c.cid AND c.far WHERE c.mins > 20 OR c.mins IS NULL GROUP BY kind
SELECT kind, COUNT(*) FILTER (WHERE far OR ok) AS n, SUM(CASE WHEN far THEN n END) AS m, CORR(n, mins) AS c FROM bank.loans l JOIN phone.calls c ON l.cid = c.cid GROUP BY kind
SELECT seg, COUNT(*) AS n, SUM(mins) AS m, SUM(age) AS a FROM phone.calls c JOIN telco.users u ON u.cid = c.cid GROUP BY seg
SELECT kind, COUNT(*) AS n, SUM(m) AS s, SUM(amount) AS a FROM bank.loans l JOIN (SELECT cid, SUM(mins) AS m FROM phone.calls GROUP BY cid) c ON l.cid = c.cid GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(m) AS s, SUM(k) AS a FROM bank.loans l LEFT JOIN (SELECT cid, SUM(mins) AS m, COUNT(*) AS k FROM phone.calls WHERE far GROUP BY cid) c ON l.cid = c.cid GROUP BY kind
SELECT k > 2 AS many, COUNT(*) AS n, SUM(amount) AS a FROM bank.loans l JOIN (SELECT cid, COUNT(*) AS k FROM phone.calls GROUP BY cid) c ON l.cid = c.cid GROUP BY many
SELECT seg, COUNT(*) AS n, SUM(s) AS s FROM (SELECT cid, SUM(amount) AS s FROM bank.loans GROUP BY cid) l JOIN telco.users u ON l.cid = u.cid GROUP BY seg
WITH c AS (SELECT cid, SUM(mins) AS m FROM phone.calls GROUP BY cid), l AS (SELECT cid, COUNT(*) AS k FROM bank.loans GROUP BY cid) SELECT k, COUNT(*) AS n, SUM(m) AS s FROM l JOIN c USING (cid) GROUP BY k
SELECT area, COUNT(*) AS n, SUM(kwh) AS s, SUM(amount) AS a FROM bank.loans l JOIN grid.meters k ON l.cid = k.cid GROUP BY area
"""
INSIDE = """
SELECT branch, COUNT(*) AS n, SUM(amount) AS a, SUM(income) AS i, SUM(age) AS g FROM bank.clients c JOIN bank.loans l ON l.cid = c.cid JOIN telco.users u ON u.cid = c.cid GROUP BY branch
SELECT branch, kind, seg, COUNT(*) AS n, SUM(n * age) AS a FROM bank.clients c JOIN bank.loans l ON l.cid = c.cid JOIN telco.users u ON u.cid = l.cid GROUP BY ALL
SELECT branch, COUNT(*) AS n, COUNT(amount) AS a, SUM(age) AS g FROM bank.clients c LEFT JOIN bank.loans l ON l.cid = c.cid AND l.n > 3 JOIN telco.users u ON u.cid = c.cid GROUP BY branch
SELECT kind, COUNT(*) AS n, SUM(cents) AS c, SUM(age) AS a FROM bank.loans l JOIN telco.users u ON l.cid = u.cid JOIN telco.invoices i ON i.uid = u.uid GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(cents) AS c FROM bank.loans l, telco.users u, telco.invoices i WHERE l.cid = u.cid AND i.uid = u.uid AND cents > 100 GROUP BY kind
SELECT branch, COUNT(*) AS n, SUM(cents) AS c FROM bank.clients c JOIN bank.loans l ON l.cid = c.cid JOIN telco.users u ON u.cid = c.cid JOIN telco.invoices i ON i.uid = u.uid GROUP BY branch
SELECT title, COUNT(*) AS n, SUM(risk) AS r, SUM(age) AS a FROM bank.loans l JOIN kinds k ON k.kind = l.kind JOIN telco.users u ON u.cid = l.cid GROUP BY title
SELECT title, seg, COUNT(*) AS n FROM bank.loans l LEFT JOIN kinds k ON k.kind = l.kind JOIN telco.users u ON u.cid = l.cid GROUP BY title, seg
SELECT seg, COUNT(*) AS n, SUM(risk * age) AS r FROM bank.loans l JOIN kinds k ON k.kind = l.kind AND k.risk > 2 JOIN telco.users u ON u.cid = l.cid GROUP BY seg
SELECT COUNT(*) AS n, SUM(v.w) AS s FROM bank.loans l JOIN (VALUES ('a', 3), ('b', 5)) v(k, w) ON v.k = l.kind JOIN telco.users u ON u.cid = l.cid
SELECT seg, COUNT(*) AS n FROM bank.loans l JOIN telco.users u ON u.cid = l.cid JOIN (VALUES ('x', 3), ('y', 5)) v(k, w) ON v.k = u.seg GROUP BY seg
"""
ALL = {name: text for name, text in list(globals().items()) if name.isupper() and isinstance(text, str)}


@pytest.mark.parametrize("sql", [line for text in ALL.values() for line in text.strip().splitlines()])
def test_equals_duckdb(pool: Pool, sql: str) -> None:
    pool.check(sql, scale=1e5)


@pytest.mark.parametrize("on", ["CAST(l.cid AS FLOAT) = u.cid", "l.cid = CAST(u.cid AS FLOAT)"])
def test_ids_that_their_common_type_makes_equal_match_each_other(on: str) -> None:
    ids = [900_000_000, 900_000_001, 900_000_064]
    loans = pa.table({"cid": ids, "x": [1, 2, 3]})
    users = pa.table({"cid": [*ids, 900_000_002], "y": [10, 20, 30, 40]})
    units = {"loans": {"privacy_unit": "cid"}, "users": {"privacy_unit": "cid"}}
    made = Pool({"bank": {"loans": loans}, "telco": {"users": users}}, units)
    made.check(f"SELECT COUNT(*) AS n, SUM(x) AS x, SUM(y) AS y FROM bank.loans l JOIN telco.users u ON {on}")
    made.close()
