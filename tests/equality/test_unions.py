"""Set operations of federated rows: inside of parties where equal rows are at one, else of released distinct values."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from fedsql.errors import NotSupportedError, PolicyDenied

QUERIES = """
SELECT kind, COUNT(*) AS n, SUM(v) AS s FROM (SELECT 'age' AS kind, age AS v FROM patients UNION ALL SELECT 'days', days FROM visits) t GROUP BY kind
SELECT COUNT(*) AS n, SUM(v) AS s, AVG(v) AS a FROM (SELECT age AS v FROM patients UNION ALL SELECT days FROM visits) t
SELECT k, SUM(v) AS s, COUNT(v) AS n FROM (SELECT region AS k, age AS v FROM patients UNION ALL SELECT ward, days FROM visits) t GROUP BY k
SELECT k, VAR_SAMP(v) AS a, CORR(v, w) AS c FROM (SELECT sex AS k, age AS v, id AS w FROM patients UNION ALL SELECT ward, days, visit FROM visits) t GROUP BY k
SELECT COUNT(DISTINCT k) AS n, COUNT(DISTINCT v) AS m FROM (SELECT region AS k, age AS v FROM patients UNION ALL SELECT ward, days FROM visits) t
SELECT COUNT(DISTINCT who) AS n, COUNT(who) AS m FROM (SELECT id AS who FROM patients WHERE age > 40 UNION ALL SELECT patient FROM visits WHERE days > 10) t
SELECT channel, COUNT(*) AS n, SUM(a) AS a, SUM(b) AS b FROM (SELECT 'stay' AS channel, days AS a, NULL AS b FROM visits UNION ALL SELECT 'bill', 0, cents FROM bills) t GROUP BY ROLLUP (channel) ORDER BY ALL
WITH u AS (SELECT ward AS k, days AS v FROM visits UNION ALL SELECT region, age FROM patients UNION ALL SELECT sex, 7 FROM patients WHERE age > 30) SELECT k, SUM(v) AS s FROM u WHERE v > 3 GROUP BY k
WITH u AS (SELECT ward AS k, days AS v FROM visits UNION ALL SELECT ward, -days FROM visits) SELECT a.k, a.s, b.n FROM (SELECT k, SUM(v) AS s FROM u GROUP BY k) a JOIN (SELECT k, COUNT(*) AS n FROM u WHERE v > 9 GROUP BY k) b USING (k)
SELECT w.title, SUM(t.v) AS s FROM (SELECT ward AS k, days AS v FROM visits UNION ALL SELECT v.ward, b.cents FROM bills b JOIN visits v USING (visit)) t JOIN wards w ON w.code = t.k GROUP BY w.title
SELECT p.sex, SUM(t.v) AS s, COUNT(*) AS n FROM patients p JOIN (SELECT patient AS who, days AS v FROM visits UNION ALL SELECT id, age FROM patients) t ON t.who = p.id GROUP BY p.sex
SELECT n, COUNT(*) AS people FROM (SELECT who, COUNT(*) AS n FROM (SELECT patient AS who FROM visits WHERE patient > 0 UNION ALL SELECT id FROM patients) u GROUP BY who) t GROUP BY n
SELECT n, SUM(who) AS s FROM (SELECT id AS who, 0 AS n FROM patients UNION ALL SELECT patient, COUNT(*) FROM visits WHERE patient > 0 GROUP BY patient) t GROUP BY n
SELECT COUNT(*) AS n, SUM(v) AS s FROM (SELECT id, age AS v FROM patients UNION SELECT id, age FROM patients WHERE age > 30 UNION SELECT patient, days FROM visits WHERE patient > 0) t
SELECT COUNT(*) AS n, SUM(v) AS s FROM ((SELECT id, age AS v FROM patients) EXCEPT (SELECT id, age FROM patients WHERE age > 30)) t
SELECT COUNT(*) FROM (SELECT id FROM patients INTERSECT SELECT patient FROM visits) t
SELECT COUNT(*) FROM (SELECT patient, ward FROM visits WHERE patient > 0 EXCEPT ALL SELECT patient, ward FROM visits WHERE patient > 0 AND days > 5) t
SELECT COUNT(*) AS n, SUM(v) AS s FROM (SELECT region AS k, age AS v FROM patients UNION SELECT ward, days FROM visits) t
SELECT COUNT(*) FROM (SELECT region FROM patients INTERSECT SELECT ward FROM visits) t
SELECT region FROM patients UNION SELECT ward FROM visits ORDER BY 1
SELECT region FROM patients EXCEPT SELECT ward FROM visits WHERE days > 20 ORDER BY 1
SELECT code FROM wards INTERSECT SELECT ward FROM visits WHERE days > 20 ORDER BY 1
SELECT COUNT(*) FROM (SELECT id FROM north.patients UNION ALL SELECT patient FROM south.visits WHERE patient IS NOT NULL) t
SELECT COUNT(*) FROM patients WHERE region IN (SELECT ward FROM visits WHERE days > 20 UNION SELECT 'a')
SELECT SUM(v) AS s, COUNT(*) AS n FROM (SELECT CAST(9 AS DECIMAL(38, 0)) AS v FROM patients UNION ALL SELECT CAST(days AS DECIMAL(38, 30)) FROM visits WHERE days < 8) t
"""


@pytest.mark.parametrize("sql", QUERIES.strip().splitlines())
def test_equals_duckdb(clinics: Any, sql: str) -> None:
    clinics.check(sql, scale=1e6)


def test_values_that_do_not_fit_the_common_type_are_null(clinics: Any) -> None:
    """DuckDB would raise; at a party that would tell of a row."""
    wide = "SELECT id + 1000000000 AS v FROM patients"
    narrow = "SELECT CAST(days AS DECIMAL(38, 30)) FROM visits"
    clinics.check(
        f"SELECT COUNT(*) AS n, COUNT(v) AS m FROM ({wide} UNION ALL {narrow}) t",
        reference="SELECT (SELECT COUNT(*) FROM patients) + COUNT(*) AS n, COUNT(days) AS m FROM visits",
    )


REFUSED = """
UNION ALL of federated rows and others: SELECT k, COUNT(*) FROM (SELECT sex AS k FROM patients UNION ALL SELECT title FROM wards) t GROUP BY k
UNION ALL of federated rows and others: SELECT k, COUNT(*) FROM (SELECT sex AS k FROM patients UNION ALL SELECT 'x') t GROUP BY k
UNION ALL of federated rows and others: SELECT COUNT(*) FROM (SELECT sex AS k FROM patients UNION ALL SELECT sex FROM patients GROUP BY sex) t
UNION ALL BY NAME: SELECT COUNT(*) FROM (SELECT sex, age FROM patients UNION ALL BY NAME SELECT age, sex FROM patients) t
two columns of one name: SELECT COUNT(*) FROM (SELECT sex, sex FROM patients UNION ALL SELECT sex, region FROM patients) t
EXCEPT ALL of federated rows compares rows: SELECT COUNT(*) FROM (SELECT sex FROM patients EXCEPT ALL SELECT sex FROM patients) t
"""
MOVES = """
SELECT sex FROM patients UNION ALL SELECT ward FROM visits
SELECT sex FROM patients EXCEPT ALL SELECT ward FROM visits
SELECT title FROM wards WHERE code IN (SELECT ward FROM visits UNION ALL SELECT region FROM patients)
"""
CHOOSES = """
SELECT COUNT(*) FROM (SELECT age FROM patients UNION ALL SELECT days FROM visits LIMIT 3) t
SELECT COUNT(*) FROM (SELECT age FROM patients UNION ALL (SELECT days FROM visits LIMIT 3)) t
"""


@pytest.mark.parametrize("case", REFUSED.strip().splitlines())
def test_sides_that_no_party_can_compute(clinics: Any, case: str) -> None:
    what, sql = case.split(": ", 1)
    with pytest.raises(NotSupportedError, match=what) as refusal:
        clinics.session.execute(sql)
    assert refusal.value.hint


@pytest.mark.parametrize("sql", MOVES.strip().splitlines())
def test_rows_do_not_move(clinics: Any, sql: str) -> None:
    with pytest.raises(PolicyDenied, match="would move rows"):
        clinics.session.execute(sql)


@pytest.mark.parametrize("sql", CHOOSES.strip().splitlines())
def test_no_choice_of_rows(clinics: Any, sql: str) -> None:
    with pytest.raises(PolicyDenied, match="over single rows is refused"):
        clinics.session.execute(sql)


@pytest.mark.parametrize("side", ["left", "right"])
def test_uses_of_each_side(pool_of: Any, side: str) -> None:
    """What a side's owner does not allow of a column, a set operation does not allow of its rows."""
    rows = pa.table({"id": [1, 2], "a": [3, 4], "b": [5, 6]})
    column = "a" if side == "left" else "b"
    pool = pool_of({"north": {"t": rows}}, {"t": {"privacy_unit": "id", "columns": {column: {"use": ["filter"]}}}})
    with pytest.raises(PolicyDenied, match=f"does not allow t.{column} inside an aggregate"):
        pool.session.execute("SELECT SUM(v) FROM (SELECT a AS v FROM t UNION ALL SELECT b FROM t) u")
    with pytest.raises(PolicyDenied, match=f"does not allow t.{column} in GROUP BY"):
        pool.session.execute("SELECT COUNT(*) FROM (SELECT id, a AS v FROM t UNION SELECT id, b FROM t) u")
    pool.close()


def test_bounds_and_values_hold_for_both_sides(pool_of: Any) -> None:
    """A DOUBLE is summed with what both sides allow; public values are those of both."""
    doubles = pa.table({"id": [1, 2, 3], "k": ["x", "y", None], "v": [0.5, -3.25, None]})
    others = pa.table({"id": [1, 1, 3], "k": ["z", "y", "x"], "v": [100.5, 7.75, 0.125]})
    columns = {
        "t": {"k": {"values": ["x", "y"]}, "v": {"bounds": [-4, 1]}},
        "u": {"k": {"values": ["x", "y", "z"]}, "v": {"bounds": [0, 101]}},
    }
    tables = {name: {"privacy_unit": "id", "columns": given} for name, given in columns.items()}
    pool = pool_of({"north": {"t": doubles, "u": others}, "south": {"t": doubles}}, tables)
    pool.check("SELECT k, SUM(v) AS s FROM (SELECT k, v FROM t UNION ALL SELECT k, v FROM u) w GROUP BY k", scale=1e3)
    pool.close()


@pytest.fixture(scope="module")
def guarded(pool_of: Any) -> Any:
    """Groups of three people; each has two stays, of 1 to 6 days."""
    parties = {
        party: {
            "people": pa.table({"id": [10 * n + i for i in range(4)], "age": [30, 40, 50, 96]}),
            "stays": pa.table({"person": [10 * n + i // 2 for i in range(6)], "days": [1, 2, 3, 4, 5, 6]}),
            "beds": pa.table({"bed": [1, 2, 3], "cost": [7, 8, 9]}),
        }
        for n, party in enumerate(("north", "south"))
    }
    tables = {
        "people": {"privacy_unit": "id"},
        "stays": {"references": {"person": "people.id"}, "privacy_unit": "people.id"},
        "beds": {"privacy_unit": "bed"},
    }
    pool = pool_of(parties, tables, {"min_group_size": 3, "min_parties": 2})
    yield pool
    pool.close()


def test_a_threshold_counts_units_over_both_sides(guarded: Any) -> None:
    old = "SELECT id AS who FROM people WHERE age > {}"
    union = "SELECT COUNT(DISTINCT who) AS n FROM ({} UNION ALL SELECT person FROM stays WHERE days > {}) t"
    guarded.check(union.format(old.format(60), 4))  # two of stays, two of people
    few = guarded.session.execute(union.format(old.format(60), 6))  # two of people
    assert few.table.to_pylist() == [{"n": None}]
    same = guarded.session.execute(
        union.format(old.format(60), 6).replace("stays WHERE days > 6", "stays WHERE days < 0")
    )
    assert same.table.to_pylist() == [{"n": None}]


def test_weights_are_refused(guarded: Any) -> None:
    """One person's row, many times over, would stand in the high digits of a sum or a count."""
    times = " UNION ALL ".join(["SELECT age AS v FROM people WHERE age > 95"] * 10)
    for call in ("SUM(v)", "COUNT(*)", "AVG(v)", "COUNT(v)"):
        with pytest.raises(PolicyDenied, match="UNION ALL may repeat rows"):
            guarded.session.execute(f"SELECT {call} FROM (SELECT age AS v FROM people UNION ALL {times}) t")


def test_a_side_of_few_is_not_hidden_among_others(guarded: Any) -> None:
    """The age of one person and the days of others, each row once: the sum would be that age, and a little more."""
    one = "SELECT age * 1000 AS v FROM people WHERE age > 95"
    with pytest.raises(PolicyDenied, match="UNION ALL may repeat rows") as refusal:
        guarded.session.execute(f"SELECT SUM(v) FROM ({one} UNION ALL SELECT days FROM stays) t")
    assert "aggregate each side first, and then the union" in str(refusal.value)
    sides = "SELECT SUM(age) AS s FROM people UNION ALL SELECT SUM(days) FROM stays"
    guarded.check(f"SELECT SUM(s) AS s FROM ({sides}) t")


def test_units_of_several_kinds_are_refused(guarded: Any) -> None:
    with pytest.raises(NotSupportedError, match="not of one privacy unit each"):
        guarded.session.execute(
            "SELECT COUNT(DISTINCT who) FROM (SELECT id AS who FROM people UNION ALL SELECT bed FROM beds) t"
        )
