"""ADBC's driver against the gateway: queries, types, parameters, local tables, metadata, errors, cancelling."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import pandas
import polars
import pyarrow as pa
import pytest

from fedsql.executors.protocol.wire import Message
from fedsql.flight.service import GatewayService
from tests.flight.accounts import PASSWORD
from tests.flight.world import federation, gateway, pooled

QUERIES = (
    "SELECT k, COUNT(*) AS n, SUM(v) AS s, AVG(price) AS p FROM t GROUP BY k ORDER BY k",
    "SELECT kind, flag, SUM(big) AS b, SUM(price) AS p FROM t GROUP BY ALL ORDER BY ALL",
    "SELECT day, seen, COUNT(*) AS n FROM t WHERE v > 10 GROUP BY day, seen ORDER BY ALL",
    "SELECT COUNT(*) FILTER (WHERE flag) AS n, STDDEV(small) AS d FROM t",
    "WITH x AS (SELECT k, SUM(v) AS s FROM t GROUP BY k) SELECT k, s, RANK() OVER (ORDER BY s) AS r FROM x ORDER BY k",
    "SELECT COUNT(*) AS n FROM t WHERE v > 1000",
)


@pytest.mark.parametrize("sql", QUERIES)
def test_answers_and_types_are_those_of_duckdb(adbc: Any, sql: str) -> None:
    with adbc.cursor() as cursor, pooled() as con:
        cursor.execute(sql)
        table = cursor.fetch_arrow_table()
        expected = con.sql(sql).to_arrow_table()
        assert table.schema.types == expected.schema.types
        assert table.column_names == expected.column_names
        found, wanted = table.to_pylist(), expected.to_pylist()
        for row in (*found, *wanted):
            row.update({k: round(x, 9) for k, x in row.items() if isinstance(x, float)})
        assert found == wanted


def test_every_type_comes_through(adbc: Any) -> None:
    sql = """SELECT 1::TINYINT AS a, 2::UBIGINT AS b, 3::HUGEINT AS c, 1.5::DECIMAL(38,2) AS d, 1.5::FLOAT AS e, true AS f,
      'ü'::VARCHAR AS g, 'x'::ENUM('x', 'y') AS h, DATE '2024-02-29' AS i, TIME '10:11:12.123456' AS j,
      TIMESTAMP '2024-02-29 10:11:12.123456' AS k, TIMESTAMPTZ '2024-02-29 10:11:12+02' AS l,
      INTERVAL '3' DAY AS m, '\\x00ff'::BLOB AS n, [1, NULL, 2] AS o, {'a': 1, 'b': 'x'} AS p, NULL::INTEGER AS q"""
    with adbc.cursor() as cursor, pooled() as con:
        cursor.execute(sql)
        table = cursor.fetch_arrow_table()
        expected = con.execute("SET TimeZone = 'UTC'").sql(sql).to_arrow_table()
        assert table.schema.equals(expected.schema)
        assert table.to_pylist() == expected.to_pylist()


def test_a_large_result_comes_in_pieces_under_the_limit(adbc: Any) -> None:
    with adbc.cursor() as cursor:
        cursor.execute("SELECT i, repeat('x', 100) AS x, (i % 2)::VARCHAR::ENUM('0', '1') AS e FROM range(300000) r(i)")
        sizes, rows = [], 0
        for batch in cursor.fetch_record_batch():
            sizes.append(batch.nbytes)
            rows += batch.num_rows
        assert rows == 300_000
        assert max(sizes) <= 5 << 20
        assert len(sizes) > 5


def test_parameters(adbc: Any) -> None:
    sql = "SELECT COUNT(*) AS n FROM t WHERE v > ? AND k = ? AND day >= ?"
    with adbc.cursor() as cursor, pooled() as con:
        for given in ((10, "k1", datetime.date(2024, 1, 2)), (50, "k0", datetime.date(2024, 1, 1)), (0, "no", None)):
            cursor.execute(sql, given)
            assert cursor.fetchall() == con.execute(sql, given).fetchall()
        cursor.execute("SELECT ? AS a, ? AS b, ? AS c", (1, "x", Decimal("1.50")))
        assert cursor.fetchall() == [(1, "x", Decimal("1.50"))]
        with pytest.raises(adbc_driver_manager.Error, match="3 parameters, 1 were given"):
            cursor.execute(sql, (1,))


def test_local_tables(adbc: Any) -> None:
    with adbc.cursor() as cursor:
        cursor.execute("CREATE TABLE saved AS SELECT k, SUM(v) AS s FROM t GROUP BY k")
        cursor.execute("SELECT COUNT(*) AS n FROM saved")
        assert cursor.fetchall() == [(3,)]
        cursor.execute("INSERT INTO saved VALUES ('x', 1), ('y', 2)")
        assert cursor.rowcount == 2
        cursor.executemany("INSERT INTO saved VALUES (?, ?)", [("z", 3), ("q", 4), ("w", None)])
        assert cursor.rowcount == 3
        cursor.execute("SELECT s FROM saved WHERE k IN ('z', 'w', 'x') ORDER BY k")
        assert cursor.fetchall() == [(None,), (1,), (3,)]
        with pytest.raises(adbc_driver_manager.Error, match="one row of parameters"):
            cursor.executemany("SELECT COUNT(*) FROM t WHERE v > ?", [(1,), (2,)])
        cursor.execute("DROP TABLE saved")
        with pytest.raises(adbc_driver_manager.Error, match="no table saved"):
            cursor.execute("SELECT * FROM saved")


def test_returning(adbc: Any) -> None:
    with adbc.cursor() as cursor:
        cursor.execute("CREATE TABLE numbered (a INTEGER PRIMARY KEY, b VARCHAR)")
        cursor.execute("INSERT INTO numbered VALUES (1, 'x'), (?, ?) RETURNING a, b", (2, "y"))
        assert [column[0] for column in cursor.description] == ["a", "b"]
        assert cursor.fetchall() == [(1, "x"), (2, "y")]
        cursor.execute("DELETE FROM numbered WHERE a = 1 RETURNING b")
        assert cursor.fetchall() == [("x",)]
        cursor.execute("SELECT a FROM numbered")
        assert cursor.fetchall() == [(2,)]


def test_tables_are_loaded(adbc: Any) -> None:
    rows = pa.table({"a": [1, 2], "b": ["x", None]})
    with adbc.cursor() as cursor:
        assert cursor.adbc_ingest("mine", rows, mode="create") == 2
        assert cursor.adbc_ingest("mine", rows, mode="append") == 2
        with pytest.raises(adbc_driver_manager.Error, match="mine already"):
            cursor.adbc_ingest("mine", rows, mode="create")
        cursor.execute("SELECT * FROM mine ORDER BY a")
        assert cursor.fetchall() == [(1, "x"), (1, "x"), (2, None), (2, None)]
        assert cursor.adbc_ingest("mine", rows.slice(0, 1), mode="replace") == 1
        for name, said in (("t", "federated table"), ("main", "keeps for itself")):
            with pytest.raises(adbc_driver_manager.Error, match=said):
                cursor.adbc_ingest(name, rows, mode="create")


def test_sessions_are_apart(service: GatewayService, connect: Callable[..., Any]) -> None:
    first, second = connect(service), connect(service)
    with first.cursor() as one, second.cursor() as two:
        one.execute("CREATE TABLE own AS SELECT 1 AS a")
        one.execute("SET epsilon = 3")
        with pytest.raises(adbc_driver_manager.Error, match="no table own"):
            two.execute("SELECT * FROM own")
        two.execute("SHOW SETTINGS")
        assert ("epsilon", "1") in two.fetchall()


def test_sessions_end_with_their_connections(service: GatewayService, connect: Callable[..., Any]) -> None:
    before = service.clients.count()
    connections = [connect(service) for _ in range(5)]
    assert service.clients.count() == before + 5
    for connection in connections:
        connection.close()
    assert service.clients.count() == before


def test_metadata(adbc: Any) -> None:
    info = adbc.adbc_get_info()
    assert info["vendor_name"] == "fedsql"
    assert adbc.adbc_get_table_types() == ["TABLE", "VIEW"]
    assert adbc.adbc_get_table_schema("t").names == [
        "id",
        "k",
        "kind",
        "flag",
        "small",
        "v",
        "big",
        "price",
        "day",
        "seen",
    ]
    with adbc.cursor() as cursor:
        cursor.execute("CREATE TABLE keyed (a INTEGER PRIMARY KEY, b VARCHAR)")
        cursor.execute("CREATE VIEW looked AS SELECT k, COUNT(*) AS n FROM t GROUP BY k")
    (catalog,) = adbc.adbc_get_objects(depth="all").read_all().to_pylist()
    assert catalog["catalog_name"] == "hospitals"
    schemas = {s["db_schema_name"]: s["db_schema_tables"] for s in catalog["catalog_db_schemas"]}
    assert set(schemas) == {"main", "north", "south", "west"}
    tables = {t["table_name"]: t for t in schemas["main"]}
    assert {name: t["table_type"] for name, t in tables.items()} == {
        "t": "TABLE",
        "visits": "TABLE",
        "keyed": "TABLE",
        "looked": "VIEW",
    }
    columns = {c["column_name"]: c for c in tables["t"]["table_columns"]}
    assert columns["price"]["xdbc_type_name"] == "DECIMAL(9,2)"
    assert [c["column_name"] for c in tables["looked"]["table_columns"]] == ["k", "n"]
    for table in schemas["north"]:
        assert table["table_name"] in ("t", "visits")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELEC 1", 'syntax error at or near "SELEC"'),
        ("SELECT * FROM nowhere", "there is no table nowhere"),
        ("SELECT v FROM t", "would move rows"),
        ("SELECT SUM(id) FROM t", "does not allow t.id"),
        ("SELECT SUM(v) FROM t WHERE nope > 1", "nope"),
        ("COPY t TO '/tmp/x'", "not answered"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
    ],
)
def test_errors_are_clean(adbc: Any, sql: str, said: str) -> None:
    with adbc.cursor() as cursor, pytest.raises(adbc_driver_manager.Error) as caught:
        cursor.execute(sql)
    text = f"{caught.value} {caught.value.details}"
    assert said in text
    assert "Traceback" not in text
    assert ".py" not in text
    assert "fedsql/" not in text
    details = b"".join(value if isinstance(value, bytes) else value.encode() for _, value in caught.value.details)
    assert b"google.rpc.ErrorInfo" in details


def test_a_connection_that_is_not_in_autocommit(service: GatewayService) -> None:
    given = {"username": "ada", "password": PASSWORD}
    connection = adbc_driver_flightsql.dbapi.connect(f"grpc://127.0.0.1:{service.port}", db_kwargs=given)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 1 AS a")
        connection.commit()
        cursor.execute("SELECT a FROM kept")
        assert cursor.fetchall() == [(1,)]
        connection.rollback()
        cursor.execute("INSERT INTO kept VALUES (2)")
        with pytest.raises(adbc_driver_manager.Error, match="is not taken back"):
            connection.rollback()
    connection.close()


def test_wrong_logins(service: GatewayService, connect: Callable[..., Any]) -> None:
    for given in ({"password": "no"}, {"username": "nobody"}):
        with pytest.raises(adbc_driver_manager.Error, match="user name or the password is wrong"):
            connect(service, **given)


def test_pandas_and_polars(adbc: Any) -> None:
    sql = "SELECT k, COUNT(*) AS n, AVG(v) AS a FROM t GROUP BY k ORDER BY k"
    with pooled() as con:
        expected = con.sql(sql).fetchall()
    frame = pandas.read_sql(sql, adbc)
    assert list(frame["n"]) == [n for _, n, _ in expected]
    assert list(frame["a"]) == pytest.approx([a for _, _, a in expected])
    other = polars.read_database(sql, adbc)
    assert other["n"].to_list() == [n for _, n, _ in expected]
    assert other["a"].to_list() == pytest.approx([a for _, _, a in expected])
    frame.to_sql("kept", adbc, index=False)
    assert pandas.read_sql("SELECT SUM(n) AS n FROM kept", adbc)["n"][0] == sum(n for _, n, _ in expected)


def test_cancel_stops_the_query_and_the_session_goes_on(
    tmp_path: Path, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with gateway(federation(tmp_path / "f")) as service:
        asking, stopped = threading.Event(), threading.Event()
        embedded = service._embedded
        assert embedded is not None
        ask = embedded.ask

        def slowly(analyst: Any, question: Any, plan: Any, watch: Any, record: Any, on_progress: Any) -> Any:
            def held(message: Message) -> None:
                asking.set()
                while not stopped.is_set():
                    try:
                        record(message)
                    except BaseException:
                        stopped.set()
                        raise

            return ask(analyst, question, plan, watch, held, on_progress)

        monkeypatch.setattr(embedded, "ask", slowly)
        connection = connect(service)
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) AS n FROM t")
            assert asking.wait(30)
            cursor.adbc_cancel()
            with pytest.raises(adbc_driver_manager.Error, match=r"(?i)cancel"):
                cursor.fetchall()
            assert stopped.wait(30)
        monkeypatch.setattr(embedded, "ask", ask)
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) AS n FROM t")
            assert cursor.fetchall() == [(63,)]
        connection.close()
