"""Joins and subqueries as instruments: rows that repeat are weights, and NULLs that a query makes are conditions.

Without noise and with min_group_size over 1 none of these may open a number about fewer than k units.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pyarrow as pa
import pytest

from fedsql.errors import NotSupportedError, OperationalError, PolicyDenied
from fedsql.session import Session
from fedsql.workbench import Workbench

USES = ["group", "filter", "aggregate", "join"]
K = 5


def federation(noise: str = "none") -> dict:
    """Two clinics of 12 patients; patient 1 of north is alone with its age of 97 and has no visit. Wards are federated."""
    parties = {}
    for number, party in enumerate(("north", "south")):
        ids = list(range(1, 13))
        ages = [97 if (party, i) == ("north", 1) else 40 + i for i in ids]
        people = {"id": ids, "age": ages, "region": ["a", "b"] * 6}
        visits = {"patient": [i for i in ids if (party, i) != ("north", 1)], "ward": [1, 2] * 6, "days": [3] * 12}
        visits = {name: values[: 12 - (party == "north")] for name, values in visits.items()}
        bounds = {"age": {"use": USES, "bounds": [0, 120]}, "days": {"use": USES, "bounds": [0, 30]}}
        tables = {
            "patients": {"source": pa.table(people), "privacy_unit": "id"},
            "visits": {
                "source": pa.table(visits),
                "privacy_unit": "patients.id",
                "references": {"patient": "patients.id", "ward": "wards.ward"},
            },
            "wards": {"source": pa.table({"ward": [1, 2], "beds": [5, 6]})},
        }
        for table in tables.values():
            table["columns"] = {name: bounds.get(name, {"use": USES}) for name in table["source"].column_names}
        if number == 0:
            rows = {"code": ["a", "b", "b"], "number": [1, 2, 3]}
            tables["regions"] = {"source": pa.table(rows), "public": True, "columns": {"code": {}, "number": {}}}
            rows = {"code": ["a", "a", "b", "b"], "number": [1, 2, 1, 2]}
            tables["pairs"] = tables["regions"] | {"source": pa.table(rows), "unique": [["code", "Number"]]}
        release = {"min_group_size": K, "min_parties": 1, "noise": noise, "budget": {"epsilon": 100}}
        parties[party] = {"tables": tables, "release": release}
    return {"name": "attacked", "parties": parties}


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    opened = Session.open(federation())
    opened.execute("CREATE TABLE weights AS SELECT range AS i FROM range(1000)")
    opened.execute("CREATE TABLE spelled AS SELECT range::VARCHAR AS i FROM range(1000)")
    yield opened
    opened.close()


WEIGHTS = """
SELECT COUNT(*) FROM patients p JOIN weights w ON w.i < CASE WHEN p.age = 97 THEN 1000 ELSE 1 END
SELECT COUNT(*) FROM patients p JOIN weights w ON w.i % 50 = p.age
SELECT COUNT(p.age) FROM patients p, weights w WHERE w.i < p.age
SELECT SUM(p.age) FROM patients p JOIN spelled w ON w.i = p.age
SELECT COUNT(*) FROM weights w JOIN patients p ON w.i % 50 = p.age
SELECT COUNT(*) FROM patients p JOIN regions r ON r.number <= p.age - 95
SELECT COUNT(*) FROM patients p JOIN regions r ON r.code = p.region
SELECT COUNT(*) FROM regions r JOIN patients p ON r.code = p.region
SELECT COUNT(*) FROM patients p LEFT JOIN regions r ON r.code = p.region AND p.age = 97
SELECT COUNT(*) FROM (SELECT p.id, COUNT(*) AS n FROM patients p JOIN weights w ON w.i < p.age GROUP BY p.id) t
SELECT SUM(t.n) FROM (SELECT id, SUM(CASE WHEN age = 97 THEN 1000000 ELSE 1 END) AS n FROM patients GROUP BY id) t
SELECT SUM(t.s) FROM (SELECT age - lag(age) OVER (PARTITION BY id ORDER BY age) AS s FROM patients) t
SELECT COUNT(*) FROM patients p, regions a JOIN regions b ON a.number = b.number
SELECT COUNT(*) FROM patients p JOIN regions a ON true JOIN regions b ON a.number = b.number WHERE a.number <= p.age - 95
SELECT COUNT(*) FROM patients p JOIN regions a ON a.code = p.region JOIN regions b ON a.number = b.number
SELECT COUNT(*) FROM patients p JOIN pairs q ON q.code = p.region
SELECT COUNT(*) FROM patients p JOIN pairs q ON q.code = p.region AND q.number <= p.age
SELECT COUNT(*) FROM patients p JOIN pairs q ON q.code = p.region JOIN regions r ON q.number = r.number
SELECT SUM(p.age * w.v) FROM patients p JOIN (SELECT 41 AS a, 7 AS v) w ON p.age = w.a
"""


@pytest.mark.parametrize("sql", WEIGHTS.strip().splitlines())
def test_rows_carry_no_weights(session: Session, sql: str) -> None:
    with pytest.raises(PolicyDenied, match="without noise"):
        session.execute(sql)


def test_a_key_that_is_unique_carries_none(session: Session) -> None:
    sql = "SELECT r.code, COUNT(*) AS n FROM patients p JOIN regions r ON r.number = p.age % 3 + 1 AND r.number < p.age GROUP BY 1"
    assert sum(row["n"] for row in session.execute(sql).table.to_pylist()) == 24
    keys = "q.code = p.region AND q.number = p.age % 2 + 1"
    for join in (f"JOIN pairs q ON {keys}", f"JOIN pairs q ON {keys} JOIN regions r ON r.number = q.number"):
        assert session.execute(f"SELECT COUNT(*) AS n FROM patients p {join}").table.to_pylist() == [{"n": 24}]
    assert session.execute("SELECT COUNT(*) FROM patients WHERE age IN (SELECT i FROM weights)").table.to_pylist()


CONDITIONS = """
SELECT COUNT(v.days) AS x FROM patients p LEFT JOIN visits v ON v.patient = p.id
SELECT SUM(v.days) AS x FROM patients p LEFT JOIN visits v ON v.patient = p.id
SELECT AVG(v.days) AS x FROM patients p LEFT JOIN visits v ON v.patient = p.id
SELECT VAR_POP(v.days) AS x FROM patients p LEFT JOIN visits v ON v.patient = p.id
SELECT AVG(coalesce(v.days, 0)) AS x FROM patients p LEFT JOIN visits v ON v.patient = p.id
SELECT SUM(coalesce(v.days, 0) + p.age) AS x FROM patients p LEFT JOIN visits v ON v.patient = p.id
SELECT AVG(CASE WHEN p.age > 45 THEN v.days ELSE 0 END) AS x FROM patients p LEFT JOIN visits v ON v.patient = p.id
SELECT AVG(CASE WHEN p.age <> 97 THEN v.days ELSE 0 END) AS x FROM patients p LEFT JOIN visits v ON v.patient = p.id AND v.ward = 1
SELECT COUNT(t.y) AS x FROM (SELECT CASE WHEN age < 97 THEN 1 END AS y, row_number() OVER (PARTITION BY id) AS r FROM patients) t
SELECT COUNT(t.n) AS x FROM patients p LEFT JOIN (SELECT patient, COUNT(*) AS n FROM visits GROUP BY patient) t ON t.patient = p.id
"""


@pytest.mark.parametrize("sql", CONDITIONS.strip().splitlines())
def test_what_a_query_makes_null_is_a_condition(session: Session, sql: str) -> None:
    """All but one unit have the value: shown beside COUNT(*), it would open that one."""
    value = session.execute(sql).table.to_pylist()[0]["x"]
    assert value is None


UNITS = """
SELECT COUNT(*) FROM visits a JOIN visits b ON a.ward = b.ward
SELECT COUNT(*) FROM visits v JOIN wards w ON v.ward = w.ward
SELECT COUNT(*) FROM (SELECT ward, COUNT(*) AS n FROM visits GROUP BY ward) t
SELECT COUNT(*) FROM north.patients a JOIN north.patients b ON a.region = b.region
"""


@pytest.mark.parametrize("sql", UNITS.strip().splitlines())
def test_rows_of_several_units_protect_nobody_clearly(session: Session, sql: str) -> None:
    with pytest.raises((NotSupportedError, PolicyDenied), match=r"not of one privacy unit|without noise"):
        session.execute(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) FROM visits v WHERE days > (SELECT AVG(w.days) FROM visits w WHERE w.ward = v.ward)",
        "SELECT COUNT(*) FROM (SELECT rank() OVER (PARTITION BY ward ORDER BY days) AS r FROM visits) t WHERE r = 1",
    ],
)
def test_noise_covers_no_row_that_depends_on_other_units(sql: str) -> None:
    opened = Session.open(federation("required"))
    with pytest.raises(NotSupportedError, match="by their privacy unit"):
        opened.execute(sql)
    opened.close()


def test_a_value_of_an_earlier_stage_is_one_row(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows would repeat the parties' rows: COUNT(*) would be the sum of ages."""
    sql = "SELECT COUNT(*) FROM patients WHERE age > (SELECT COUNT(*) FROM visits)"
    session.execute(sql)
    honest = Workbench.input

    def forged(self, planned):
        made = honest(self, planned)
        return replace(made, rows=tuple((str(i),) for i in range(200)))

    monkeypatch.setattr(Workbench, "input", forged)
    with pytest.raises(OperationalError, match="an input of the question is malformed"):
        session.execute(sql)


@pytest.mark.parametrize("again", ["40", "+41", "041"])
def test_parties_refuse_rows_that_repeat_a_key(again, monkeypatch):
    """An analyst whose own check is gone, and one who spells a number in two ways."""
    own = Workbench.input

    def cheating(self, planned):
        honest = own(self, planned)
        return replace(honest, rows=(*honest.rows, (again,)))

    with closing(Session.open(federation())) as cheated:
        cheated.execute("CREATE TABLE keys AS SELECT 40 + range AS i FROM range(13)")
        sql = "SELECT COUNT(*) FROM patients p JOIN keys w ON w.i = p.age"
        assert cheated.execute(sql).table.to_pylist() == [{"count_star()": 23}]
        monkeypatch.setattr(Workbench, "input", cheating)
        with pytest.raises(OperationalError, match="could not run its part"):
            cheated.execute(sql)
