"""What asks for no rows is answered with DuckDB's columns and none, and nobody is asked; all else is as it was."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
import pytest

import fedsql

ROWS = pa.table({"id": [1, 2], "k": ["a", None], "v": [1.5, None], "d": pa.array([1, 2], pa.decimal128(9, 2))})
COLUMNS = {name: {"use": ["aggregate"]} for name in ROWS.column_names}
PARTY = {"tables": {"t": {"source": ROWS, "columns": COLUMNS}}, "release": {"min_group_size": 2}}
CONFIG = {"name": "c", "parties": {"north": PARTY, "south": PARTY}}


@pytest.fixture(scope="module")
def connection() -> Any:
    with fedsql.connect(CONFIG) as opened:
        opened.execute("CREATE TABLE own AS SELECT 1 AS a, 'x' AS b")
        yield opened


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t LIMIT 0",
        "SELECT * FROM t WHERE 1 = 0",
        'SELECT "k" AS "K k", v, v FROM main.t WHERE FALSE AND v > 2',
        "SELECT * FROM (SELECT k, SUM(v) AS s, [1] AS l FROM t GROUP BY k) AS q LIMIT 0",
        "SELECT t.*, u.v FROM t, t AS u WHERE 0 = 1",
        "SELECT k FROM t UNION ALL SELECT k FROM t LIMIT 0",
        "WITH q AS (SELECT id, d FROM t) SELECT * FROM q WHERE 1 = 0 ORDER BY d",
        "SELECT a, b FROM own WHERE 1 = 0",
        "SELECT COUNT(*) AS n, now() AS at FROM t LIMIT 0 OFFSET 3",
    ],
)
def test_no_rows(connection: Any, sql: str) -> None:
    cursor = connection.execute(sql)
    assert cursor.fetchall() == []
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("t", ROWS)
        con.execute("CREATE TABLE own AS SELECT 1 AS a, 'x' AS b")
        expected = con.sql(sql.replace("main.", ""))
        assert [column[:2] for column in cursor.description] == list(
            zip(expected.columns, map(str, expected.types), strict=True)
        )
    assert cursor.privacy.query_id is None
    assert cursor.privacy.parties == ()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t LIMIT 1",
        "SELECT * FROM t",
        "SELECT * FROM t WHERE 1 = 1",
        "SELECT k FROM t WHERE v = 0",
        "SELECT * FROM t WHERE 1 = 0 OR v > 1",
        "SELECT random() FROM t WHERE 1 = 0",
    ],
)
def test_what_asks_for_rows_is_refused_as_before(connection: Any, sql: str) -> None:
    with pytest.raises(fedsql.DatabaseError):
        connection.execute(sql)


def test_one_row_of_an_aggregate_is_a_row(connection: Any) -> None:
    assert len(connection.execute("SELECT COUNT(*) FROM t WHERE 1 = 0").fetchall()) == 1


def test_an_unknown_column_is_an_error(connection: Any) -> None:
    with pytest.raises(fedsql.ProgrammingError, match="nope"):
        connection.execute("SELECT nope FROM t LIMIT 0")
    with pytest.raises(fedsql.ProgrammingError, match="no table nowhere"):
        connection.execute("SELECT * FROM nowhere WHERE 1 = 0")
