"""Columns that are declared required: answers are those of columns that are not, from fewer partials."""

from __future__ import annotations

from contextlib import closing

import pyarrow as pa
import pytest

from fedsql.session import Session

QUERIES = """
SELECT g, COUNT(*) AS n, COUNT(v) AS c, AVG(v) AS a, SUM(v) AS s FROM t GROUP BY g ORDER BY g
SELECT COUNT(x) AS n, AVG(x) AS a, STDDEV(x) AS d FROM t
SELECT g, CORR(v, x) AS r, REGR_COUNT(v, x) AS n, REGR_SLOPE(v, x) AS b FROM t GROUP BY g ORDER BY g
SELECT COUNT(v) FILTER (WHERE x > 0.5) AS n, COUNT(*) FILTER (WHERE x > 0.5) AS m, AVG(CASE WHEN x > 0.5 THEN v END) AS a FROM t
SELECT AVG(2 * v - w) AS a, SUM(v * w) AS s, AVG(CASE WHEN v > 3 THEN v ELSE 0 END) AS z FROM t
SELECT AVG((v > 3)::INT) AS a, COUNT(v + w) AS n, MEDIAN(v) AS m FROM t
SELECT COUNT(l.u) AS n, COUNT(*) AS m, AVG(l.u) AS a FROM t LEFT JOIN later l ON l.of = t.id
""".strip().splitlines()
FEWER = (0, 3)  # where COUNT(*) stands beside COUNT or AVG of a required column


def rows(first: int) -> pa.Table:
    numbers = range(first, first + 40)
    return pa.table(
        {
            "id": numbers,
            "g": ["ab"[n % 2] for n in numbers],
            "v": [n % 7 for n in numbers],
            "w": [None if n % 5 == 0 else n % 3 for n in numbers],
            "x": [n % 11 / 10 for n in numbers],
        }
    )


def opened(required: bool, least: int) -> Session:
    value = {"use": ["aggregate", "filter"], "bounds": [0, 10]}
    columns = {"id": {"use": ["join"]}, "g": {"use": ["group"]}, "w": value}
    columns |= {name: {**value, "required": required} for name in ("v", "x")}
    parties = {}
    for i, name in enumerate(("north", "south", "west")):
        held = {"source": rows(100 * i), "privacy_unit": "id", "columns": columns}
        later = pa.table({"of": range(100 * i, 100 * i + 20), "u": [5] * 20})
        joined = {"source": later, "references": {"of": "t.id"}, "privacy_unit": "t.id"}
        joined["columns"] = {"of": {"use": ["join"]}, "u": {**value, "required": required}}
        allowed = ["count", "sum", "avg", "stddev", "corr", "regr", "quantile"]
        release = {"min_group_size": least, "aggregates": allowed}
        parties[name] = {"tables": {"t": held, "later": joined}, "release": release}
    return Session.open({"name": "required", "parties": parties})


@pytest.fixture(scope="module", params=[1, 3])
def both(request):
    sessions = opened(True, request.param), opened(False, request.param)
    yield sessions
    for session in sessions:
        session.close()


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_answers_are_the_same(both, number):
    told, untold = (session.execute(QUERIES[number]).table.to_pylist() for session in both)
    assert told == untold
    assert any(value is not None for row in told for value in row.values())


def test_partials_are_fewer(both):
    for number, sql in enumerate(QUERIES):
        told, untold = (len(session._plan(sql, ())[0].releases[0].partials) for session in both)
        assert told < untold if number in FEWER else told <= untold


def test_what_an_outer_join_leaves_empty_is_not_counted():
    with closing(opened(True, 1)) as session:
        (row,) = session.execute(QUERIES[-1]).table.to_pylist()
    assert (row["n"], row["m"]) == (60, 120)
