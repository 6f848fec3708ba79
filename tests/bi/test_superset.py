"""Superset over a gateway: datasets, charts, SQL Lab, and what it shows when a query is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fedsql.flight.service import GatewayService
from fedsql.session import Session
from tests.bi.dashboard import dashboard, database, dataset, picture
from tests.bi.portal import Superset, chart_query, metric
from tests.flight.accounts import PASSWORD


def _uri(service: GatewayService, options: str = "tls=off", password: str = PASSWORD) -> str:
    return f"fedsql+flightsql://ada:{quote(password)}@127.0.0.1:{service.port}/?{options}"


@pytest.fixture(scope="session")
def database_id(superset: Superset, service: GatewayService) -> int:
    return database(superset, _uri(service))


@pytest.fixture(scope="session")
def patients(superset: Superset, database_id: int) -> int:
    return dataset(superset, database_id)


@pytest.fixture(scope="session")
def direct(hospitals: Path) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Ask the federation without gateway and Superset."""
    with closing(Session.open(hospitals)) as session:

        def ask(sql: str) -> list[dict[str, Any]]:
            table = session.execute(sql.rstrip().rstrip(";")).table
            assert table is not None
            return table.to_pylist()

        yield ask


def _lab(superset: Superset, database_id: int, sql: str) -> tuple[int, Any]:
    asked = {"database_id": database_id, "sql": sql, "schema": "main", "queryLimit": 1000}
    status, text = superset.call("POST", "/api/v1/sqllab/execute/", asked)
    assert "Traceback" not in text
    return status, json.loads(text)


def _rows(superset: Superset, database_id: int, sql: str) -> list[dict[str, Any]]:
    status, answer = _lab(superset, database_id, sql)
    assert status == 200, answer
    return answer["data"]


def _used(superset: Superset, database_id: int) -> set[int]:
    return {row["queries_used"] for row in _rows(superset, database_id, "SHOW BUDGET")}


def _chart(superset: Superset, *given: Any, **more: Any) -> dict[str, Any]:
    (result,) = superset.post("/api/v1/chart/data", chart_query(*given, **more))["result"]
    assert (result["status"], result["error"], result["stacktrace"]) == ("success", None, None)
    return result


def _same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Compare rows in any order; a DECIMAL comes as a number."""
    assert found
    assert len(found) == len(expected)

    def key(row: dict[str, Any]) -> str:
        return repr([value for value in row.values() if isinstance(value, str | int | None)])

    for ours, theirs in zip(sorted(found, key=key), sorted(expected, key=key), strict=True):
        assert list(ours) == list(theirs)
        for value, meant in zip(ours.values(), theirs.values(), strict=True):
            exact = meant is None or isinstance(meant, str | int)
            assert value == (meant if exact else pytest.approx(float(meant), rel=1e-12))


def test_the_tree_of_tables(superset: Superset, database_id: int) -> None:
    schemas = superset.get(f"/api/v1/database/{database_id}/schemas/")["result"]
    assert sorted(schemas) == ["main", "north", "south", "west"]
    for schema in schemas:
        tables = superset.get(f"/api/v1/database/{database_id}/tables/?q=(schema_name:{schema})")["result"]
        assert [(each["type"], each["value"]) for each in tables] == [("table", "patients")]


def test_a_dataset_has_the_columns_with_their_types(superset: Superset, patients: int, direct: Any) -> None:
    columns = superset.get(f"/api/v1/dataset/{patients}")["result"]["columns"]
    found = {each["column_name"]: each["type"].replace(", ", ",") for each in columns}
    assert found == {row["column"]: row["type"] for row in direct("DESCRIBE patients")}
    assert {each["column_name"]: each["description"] for each in columns}["person"] == "join"


CASES: list[tuple[list[Any], list[Any], dict[str, Any], str]] = [
    (["sex"], ["count", metric("AVG", "age")], {}, "SELECT sex, COUNT(*), AVG(age) FROM patients GROUP BY sex"),
    (["plan"], [metric("SUM", "medical")], {}, "SELECT plan, SUM(medical) FROM patients GROUP BY plan"),
    ([], [metric("COUNT_DISTINCT", "person")], {}, "SELECT COUNT(DISTINCT person) FROM patients"),
    (
        ["health", "sex"],
        [metric("AVG", "visits")],
        {
            "filters": [{"col": "year", "op": "IN", "val": [1, 2]}, {"col": "age", "op": ">=", "val": 18}],
            "orderby": [["count", False]],
            "extras": {"having": "COUNT(*) > 50"},
        },
        "SELECT health, sex, AVG(visits) FROM patients WHERE year IN (1, 2) AND age >= 18"
        " GROUP BY health, sex HAVING COUNT(*) > 50",
    ),
    (
        [{"label": "decade", "sqlExpression": "age // 10 * 10", "expressionType": "SQL"}],
        [{"expressionType": "SQL", "sqlExpression": "SUM(drugs) / COUNT(*)", "label": "drugs"}],
        {"filters": [{"col": "child", "op": "==", "val": False}, {"col": "limitation", "op": "IS NOT NULL"}]},
        "SELECT age // 10 * 10, SUM(drugs) / COUNT(*) FROM patients WHERE NOT child AND limitation IS NOT NULL GROUP BY 1",
    ),
]


@pytest.mark.parametrize(("columns", "metrics", "more", "sql"), CASES)
def test_a_chart_shows_what_the_federation_answers(
    superset: Superset, patients: int, direct: Any, columns: list[Any], metrics: list[Any], more: Any, sql: str
) -> None:
    result = _chart(superset, patients, columns, metrics, **more)
    names = result["colnames"]
    expected = [dict(zip(names, row.values(), strict=True)) for row in direct(sql)]
    _same(result["data"], expected)
    _same(result["data"], direct(result["query"]))


def test_a_chart_is_cached_and_its_refresh_is_not_charged_again(
    superset: Superset, database_id: int, patients: int
) -> None:
    *asked, order = (patients, ["education"], [metric("AVG", "income")], {"orderby": [["education", True]]})
    before = _used(superset, database_id)
    first = _chart(superset, *asked, **order)
    (used,) = _used(superset, database_id)
    assert {used - 1} == before
    assert first["cache_timeout"] == 86400
    again = _chart(superset, *asked, **order)
    assert again["is_cached"]
    fresh = _chart(superset, *asked, force=True, **order)
    assert not fresh["is_cached"]
    assert first["data"] == again["data"] == fresh["data"]
    assert _used(superset, database_id) == {used}


def test_sql_lab(superset: Superset, database_id: int, direct: Any) -> None:
    sql = """WITH g AS (SELECT plan, COUNT(DISTINCT person) AS n, SUM(inpatient) AS cost FROM patients GROUP BY plan)
             SELECT plan, n, cost / n AS each FROM g QUALIFY rank() OVER (ORDER BY cost / n DESC) <= 3 ORDER BY each"""
    _same(_rows(superset, database_id, sql), direct(sql))


def test_sql_lab_says_what_a_query_would_cost(superset: Superset, database_id: int) -> None:
    before = _used(superset, database_id)
    asked = {"database_id": database_id, "sql": "SELECT COUNT(*) AS n FROM patients", "schema": "main"}
    (estimate,) = superset.post("/api/v1/sqllab/estimate/", asked)["result"]
    assert estimate == {"Privacy cost": "one query of the quota at each party (none if asked before on the same data)"}
    assert _used(superset, database_id) == before


REFUSED = [
    (
        "SELECT * FROM patients",
        "this query would move rows: it reads federated rows and does not aggregate them\n"
        "HINT: group and aggregate, for example SELECT COUNT(*), AVG(x) FROM t, or ... GROUP BY a column",
    ),
    (
        "SELECT COUNT(*) FROM north.patients",
        "patients of north alone is not answered: min_parties = 2\n"
        "HINT: ask over all parties that offer it; an owner's allow_alone = true in [release], at every party that"
        " offers the table, would waive this",
    ),
    (
        "SELECT income, COUNT(*) FROM patients GROUP BY income",
        "north does not allow patients.income in GROUP BY or DISTINCT (allowed: aggregate, filter)\n"
        'HINT: the owner would add "group" to tables.patients.columns.income.use',
    ),
    ("SELECT COUNT(*) FROM visits", "there is no table visits; there are: patients"),
]


@pytest.mark.parametrize(("sql", "told"), REFUSED)
def test_a_refusal_is_shown_with_its_hint_alone(superset: Superset, database_id: int, sql: str, told: str) -> None:
    before = _used(superset, database_id)
    status, answer = _lab(superset, database_id, sql)
    assert status >= 400
    assert [error["message"] for error in answer["errors"]] == [f"fedsql error: {told}"]
    assert _used(superset, database_id) == before


def test_a_chart_of_rows_is_refused_in_the_same_words(superset: Superset, patients: int) -> None:
    status, text = superset.call("POST", "/api/v1/chart/data", chart_query(patients, ["income", "age"], []))
    assert status == 400
    assert "Traceback" not in text
    assert "north does not allow patients.income in GROUP BY or DISTINCT (allowed: aggregate, filter)\\nHINT: " in text


def _tested(superset: Superset, uri: str, **more: Any) -> tuple[int, str]:
    given = {"sqlalchemy_uri": uri, "database_name": "tried", **more}
    return superset.call("POST", "/api/v1/database/test_connection/", given)


def test_a_wrong_password_is_said_plainly(superset: Superset, service: GatewayService) -> None:
    assert _tested(superset, _uri(service)) == (200, '{"message":"OK"}\n')
    status, text = _tested(superset, _uri(service, password="wrong"))
    (error,) = json.loads(text)["errors"]
    assert status >= 400
    told, hint = error["message"].split("\nHINT: ")
    assert told == "the user name or the password is wrong"
    assert hint.endswith("whoever runs the gateway can set a new one")
    assert error["error_type"] == "CONNECTION_ACCESS_DENIED_ERROR"


def test_over_tls(superset: Superset, secured: tuple[GatewayService, Path], direct: Any) -> None:
    service, authority = secured
    sql = "SELECT year, COUNT(*) AS n FROM patients GROUP BY year ORDER BY year"
    by_file = database(superset, _uri(service, f"tls={quote(str(authority))}"), "by file")
    _same(_rows(superset, by_file, sql), direct(sql))
    pasted = {"server_cert": authority.read_text()}
    assert _tested(superset, _uri(service, ""), **pasted) == (200, '{"message":"OK"}\n')
    status, text = _tested(superset, _uri(service, ""))
    assert status >= 400
    assert "certificate" in json.loads(text)["errors"][0]["message"]


@pytest.mark.skipif(shutil.which("chromedriver") is None, reason="there is no chromium here")
def test_a_dashboard_is_drawn(superset: Superset, patients: int, tmp_path: Path) -> None:
    picture(superset, dashboard(superset, patients), tmp_path / "hospitals.png")  # which waits for every chart
    assert (tmp_path / "hospitals.png").read_bytes().startswith(b"\x89PNG")
