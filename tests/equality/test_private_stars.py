"""Private joins of many owners: stars up to 11 parties, and an anchor whose rows several parties have."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pyarrow as pa
import pytest
from owners import column, owners
from pool import Pool

STARS = """
SELECT kind, COUNT(*) AS n, SUM(kwh) AS k, SUM(paid) AS p, SUM(amount) AS a FROM bank.loans l JOIN grid.meters m ON l.cid = m.cid JOIN tax.returns r ON r.cid = l.cid GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(kwh) AS k, SUM(paid) AS p FROM bank.loans l LEFT JOIN grid.meters m ON l.cid = m.cid LEFT JOIN tax.returns r ON r.cid = l.cid GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(kwh) AS k, SUM(paid) AS p, COUNT(class) AS c FROM bank.loans l JOIN grid.meters m ON l.cid = m.cid LEFT JOIN tax.returns r ON r.cid = l.cid GROUP BY kind
SELECT area, COUNT(*) AS n, SUM(kwh) AS s, SUM(amount) AS a FROM bank.loans l JOIN grid.meters m ON l.cid = m.cid JOIN tax.returns r ON r.cid = m.cid GROUP BY area
SELECT class, kind, COUNT(*) AS n, SUM(n) AS s FROM bank.loans l, grid.meters m, tax.returns r WHERE l.cid = r.cid AND m.cid = r.cid AND m.kwh > 20 AND r.paid > 100000 GROUP BY class, kind
SELECT kind, COUNT(*) FILTER (WHERE kwh > 50 AND ok) AS a, COUNT(*) FILTER (WHERE paid > 500000) AS b, SUM(n * paid) AS c FROM bank.loans l JOIN grid.meters m ON l.cid = m.cid JOIN tax.returns r ON r.cid = l.cid GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(age) AS s, SUM(n) AS m FROM bank.loans l JOIN (SELECT cid, SUM(age) AS age FROM telco.users GROUP BY cid) u ON u.cid = l.cid JOIN grid.meters g ON g.cid = l.cid JOIN tax.returns r ON r.cid = l.cid GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(m) AS s, SUM(paid) AS p FROM bank.loans l JOIN (SELECT cid, SUM(mins) AS m FROM phone.calls GROUP BY cid) c ON c.cid = l.cid LEFT JOIN tax.returns r ON r.cid = l.cid GROUP BY kind
SELECT kind, COUNT(*) AS n, SUM(price) AS s FROM bank.loans l JOIN (SELECT code, kind AS k, SUM(price) AS price FROM shop.orders GROUP BY code, k) o ON o.code = l.cid AND o.k = l.kind JOIN grid.meters g ON g.cid = l.cid GROUP BY kind
SELECT branch, COUNT(*) AS n, SUM(income) AS i, SUM(kwh) AS k, SUM(paid) AS p FROM bank.clients c JOIN grid.meters m ON c.cid = m.cid JOIN tax.returns r ON r.cid = c.cid GROUP BY branch
SELECT COUNT(*) AS n, COUNT(DISTINCT l.cid) AS c FROM bank.loans l JOIN grid.meters m USING (cid) JOIN tax.returns r USING (cid) WHERE cid > 6
SELECT kind, COUNT(*) AS n FROM bank.loans l LEFT JOIN grid.meters m ON l.cid = m.cid LEFT JOIN tax.returns r ON r.cid = l.cid WHERE m.cid IS NULL GROUP BY kind
"""
WIDE = """
SELECT g, COUNT(*) AS n, {sums} FROM p0.t a {inner} GROUP BY g
SELECT g, COUNT(*) AS n, {sums} FROM p0.t a {outer} GROUP BY g
SELECT g, COUNT(*) AS n, {sums} FROM p0.t a {mixed} GROUP BY g
SELECT COUNT(*) AS n FROM p0.t a {inner}
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Six owners."""
    made = owners()
    yield made
    made.close()


@pytest.mark.parametrize("sql", STARS.strip().splitlines())
def test_equals_duckdb(pool: Pool, sql: str) -> None:
    pool.check(sql, scale=1e6)


@pytest.fixture(scope="module", params=[3, 11])
def wide(request: pytest.FixtureRequest) -> Iterator[tuple[Pool, int]]:
    """An anchor p0 with so many parties in all; each provider misses some keys, the last but one has them all."""
    parties, rng = int(request.param), random.Random(1)
    anchor = {
        "id": column(rng, 40, lambda: rng.randrange(20), "int64"),
        "g": column(rng, 40, lambda: rng.choice("ab")),
        "v": column(rng, 40, lambda: rng.randrange(100), "int32"),
    }
    held = {"p0": {"t": pa.table(anchor)}}
    for number in range(1, parties):
        ids = rng.sample(range(20), 20 if number == parties - 2 else 19)
        values = {"id": pa.array(ids, pa.int64()), "y": column(rng, len(ids), lambda: rng.randrange(1000), "int32")}
        held[f"p{number}"] = {f"t{number}": pa.table(values)}
    made = Pool(held, {f"t{number}": {"privacy_unit": "id"} for number in range(1, parties)})
    yield made, parties
    made.close()


@pytest.mark.parametrize("template", WIDE.strip().splitlines())
def test_stars_of_many_parties(wide: tuple[Pool, int], template: str) -> None:
    pool, parties = wide

    def joins(kind: str, others: str) -> str:
        return " ".join(
            f"{kind if n % 2 else others} JOIN p{n}.t{n} b{n} ON b{n}.id = a.id"
            for n in sorted(range(1, parties), key=lambda n: -(n % 2))
        )

    sums = ", ".join(f"SUM(b{n}.y) AS s{n}, SUM(a.v * b{n}.y) AS p{n}" for n in range(1, parties))
    pool.check(
        template.format(sums=sums, inner=joins("", ""), outer=joins("LEFT", "LEFT"), mixed=joins("", "LEFT")), scale=1e6
    )


SEVERAL = """
SELECT COUNT(*) AS n, SUM(days) AS d, SUM(income) AS i FROM visits v JOIN registry.people p ON p.pid = v.pid
SELECT ward, COUNT(*) AS n, SUM(days) AS d, SUM(income) AS i, AVG(days * income) AS m FROM visits v JOIN registry.people p ON p.pid = v.pid GROUP BY ward
SELECT class, COUNT(*) AS n, SUM(days) AS d, SUM(income) AS i FROM visits v JOIN registry.people p ON p.pid = v.pid GROUP BY class
SELECT ward, class, COUNT(*) AS n, CORR(days, income) AS c FROM visits v JOIN registry.people p ON p.pid = v.pid GROUP BY ward, class
SELECT ward, COUNT(*) AS n, COUNT(income) AS i, SUM(coalesce(income, 1)) AS s FROM visits v LEFT JOIN registry.people p ON p.pid = v.pid GROUP BY ward
SELECT class, COUNT(*) AS n, SUM(days) AS d FROM visits v LEFT JOIN registry.people p ON p.pid = v.pid AND income > 20 WHERE days > 3 GROUP BY class
SELECT ward, COUNT(*) AS n, SUM(income) AS i FROM registry.people p JOIN visits v ON p.pid = v.pid AND v.days > 4 WHERE p.class <> 'u' GROUP BY ward
SELECT ward, COUNT(*) AS n, SUM(paid) AS p FROM visits v JOIN registry.people p ON p.pid = v.pid JOIN tax.returns r ON r.pid = v.pid GROUP BY ward
SELECT ward, COUNT(*) AS n, SUM(days) AS d FROM visits v JOIN registry.people p ON p.pid = v.pid WHERE days > (SELECT AVG(days) FROM visits) GROUP BY ward
SELECT site, COUNT(*) AS n, SUM(income) AS i FROM visits v JOIN registry.people p ON p.pid = v.pid GROUP BY site
SELECT ward, COUNT(*) AS n, SUM(income) AS i FROM north.visits v JOIN registry.people p ON p.pid = v.pid GROUP BY ward
SELECT COUNT(DISTINCT v.pid) FILTER (WHERE days > 3) AS n FROM north.visits v JOIN registry.people p ON p.pid = v.pid
"""


@pytest.fixture(scope="module", params=[False, True], ids=["texts", "public"])
def hospitals(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """Three hospitals' visits, one without rows, beside a registry and a tax office. Wards are public values, or are not."""
    rng = random.Random(2)

    def visits(site: str, rows: int) -> pa.Table:
        return pa.table(
            {
                "site": pa.array([site] * rows, pa.string()),
                "pid": column(rng, rows, lambda: rng.randrange(20), "int64"),
                "ward": column(rng, rows, lambda: rng.choice("abc"), pa.string()),
                "days": column(rng, rows, lambda: rng.randrange(9), "int32"),
            }
        )

    people = {
        "pid": pa.array(rng.sample(range(26), 16), pa.int64()),
        "class": column(rng, 16, lambda: rng.choice("uv")),
        "income": column(rng, 16, lambda: rng.randrange(50), "int32"),
    }
    returns = {"pid": pa.array(range(0, 20, 3), pa.int64()), "paid": pa.array(range(7), pa.int64())}
    parties = {name: {"visits": visits(name, rows)} for name, rows in (("north", 22), ("south", 15), ("west", 0))}
    parties |= {"registry": {"people": pa.table(people)}, "tax": {"returns": pa.table(returns)}}
    listed = {"ward": {"values": ["a", "b", "c"]}} if request.param else {}
    made = Pool(
        parties, {"visits": {"columns": listed}, "people": {"privacy_unit": "pid"}, "returns": {"privacy_unit": "pid"}}
    )
    yield made
    made.close()


@pytest.mark.parametrize("sql", SEVERAL.strip().splitlines())
def test_rows_of_several_parties_are_the_anchor(hospitals: Pool, sql: str) -> None:
    hospitals.check(sql, scale=1e5)
