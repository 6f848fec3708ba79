"""Connections and cursors over the real demo hospitals."""

import datetime
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import fedsql
from fedsql import demo

BY_HEALTH = "SELECT health, COUNT(*), SUM(visits), SUM(medical), AVG(visits) FROM patients GROUP BY health ORDER BY 2"
ENDLESS = "SELECT count(*) FROM range(100000000) a, range(1000000) b WHERE a.range + b.range = -1"


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fedsql.Connection]:
    with fedsql.connect(demo.write(tmp_path_factory.mktemp("demo"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[fedsql.Connection]:
    with fedsql.connect(demo.write(tmp_path_factory.mktemp("noisy"), noise=True)) as opened:
        yield opened


def pooled(sql: str) -> list[tuple]:
    files = str(Path(demo.__file__).parent / "data" / "*.parquet")
    with duckdb.connect() as database:
        database.execute(f"CREATE VIEW patients AS FROM read_parquet('{files}')")
        return database.execute(sql).fetchall()


def test_rows_are_those_of_the_pooled_data_in_python_types(connection: fedsql.Connection) -> None:
    rows = connection.execute(BY_HEALTH).fetchall()
    expected = pooled(BY_HEALTH)
    assert [row[:4] for row in rows] == [row[:4] for row in expected]
    assert [row[4] for row in rows] == pytest.approx([row[4] for row in expected], rel=1e-9)
    assert [type(value) for value in rows[0]] == [str, int, int, Decimal, float]


def test_description_shows_and_compares_types(connection: fedsql.Connection) -> None:
    cursor = connection.execute(BY_HEALTH)
    assert cursor.description is not None
    assert [column[1] for column in cursor.description] == ["VARCHAR", "BIGINT", "HUGEINT", "DECIMAL(38,2)", "DOUBLE"]
    assert cursor.description[0] == ("health", "VARCHAR", None, None, None, None, None)
    assert cursor.description[0][1] == fedsql.STRING
    assert all(column[1] == fedsql.NUMBER for column in cursor.description[1:])
    assert cursor.rowcount == 4


def test_no_result_set(connection: fedsql.Connection) -> None:
    cursor = connection.cursor()
    assert (cursor.description, cursor.rowcount, cursor.arraysize) == (None, -1, 1)
    for fetch in (cursor.fetchone, cursor.fetchmany, cursor.fetchall, cursor.fetch_arrow_table):
        with pytest.raises(fedsql.ProgrammingError, match="no result set"):
            fetch()
    assert cursor.execute("SET epsilon = 1").description is None
    cursor.execute("SELECT 1")
    with pytest.raises(fedsql.ProgrammingError):
        cursor.execute("SELEC 1")
    assert cursor.description is None


def test_fetching_goes_on_where_it_stopped(connection: fedsql.Connection) -> None:
    cursor = connection.cursor()
    cursor.execute("SELECT * FROM range(10)")
    assert cursor.fetchone() == (0,)
    assert cursor.fetchmany() == [(1,)]
    cursor.arraysize = 3
    assert cursor.fetchmany() == [(2,), (3,), (4,)]
    assert cursor.fetchmany(2) == [(5,), (6,)]
    assert next(iter(cursor)) == (7,)
    assert cursor.fetch_arrow_table().to_pydict() == {"range": [8, 9]}
    assert (cursor.fetchone(), cursor.fetchmany(5), cursor.fetchall(), list(cursor)) == (None, [], [], [])
    with pytest.raises(fedsql.InterfaceError):
        cursor.fetchmany(-1)


def test_values_of_every_kind(connection: fedsql.Connection) -> None:
    sql = """SELECT DATE '2024-02-29', TIMESTAMP '2024-02-29 01:02:03.5', TIMESTAMP_NS '2024-02-29 01:02:03.123456789',
        TIME '01:02:03', INTERVAL '1 month 2 days', true, NULL, 1.5::DOUBLE, 1.50::DECIMAL(10,2),
        (2::HUGEINT ** 100)::HUGEINT, [7::HUGEINT, NULL], {'a': 7::HUGEINT, 'b': 1.00::DECIMAL(9,2)}, 'x'::BLOB"""
    row = connection.execute(sql).fetchone()
    expected = (
        datetime.date(2024, 2, 29),
        datetime.datetime(2024, 2, 29, 1, 2, 3, 500000),
        datetime.datetime(2024, 2, 29, 1, 2, 3, 123456),
        datetime.time(1, 2, 3),
        datetime.timedelta(days=32),
        True,
        None,
        1.5,
        Decimal("1.50"),
        2**100,
        [7, None],
        {"a": 7, "b": Decimal("1.00")},
        b"x",
    )
    assert row == expected
    assert [type(value) for value in row] == [type(value) for value in expected]
    assert type(row[10][0]) is int
    assert type(row[11]["b"]) is Decimal


def test_parameters(connection: fedsql.Connection) -> None:
    count = "SELECT count(*) FROM patients WHERE sex = ? AND age >= ?"
    assert connection.execute(count, ("F", 18)).fetchall() == pooled(count.replace("?", "'F'", 1).replace("?", "18"))
    assert connection.execute("SELECT $2 || $1", ["a", "b"]).fetchone() == ("ba",)


@pytest.mark.parametrize(
    ("sql", "parameters", "error"),
    [
        ("SELECT count(*) FROM patients WHERE age > ?", (), fedsql.ProgrammingError),
        ("SELECT count(*) FROM patients WHERE age > ?", (1, 2), fedsql.ProgrammingError),
        ("SHOW TABLES", (1,), fedsql.ProgrammingError),
        ("SELECT ?", {"a": 1}, fedsql.ProgrammingError),
        ("SELECT ?", "a", fedsql.ProgrammingError),
        ("SELECT ?", 1, fedsql.ProgrammingError),
        ("SELECT ?", (object(),), fedsql.DataError),
        (None, (), fedsql.ProgrammingError),
        ("", (), fedsql.ProgrammingError),
        ("SELECT nothing FROM patients", (), fedsql.ProgrammingError),
        ("SELECT * FROM patients", (), fedsql.PolicyDenied),
        ("SELECT count(*) FROM patients WHERE medical > 1", (), fedsql.PolicyDenied),
        ("DROP TABLE patients", (), fedsql.NotSupportedError),
        ("SELECT 'x'::INTEGER", (), fedsql.DataError),
        ("SET epsilon = -1", (), fedsql.DataError),
    ],
)
def test_errors_by_kind(connection: fedsql.Connection, sql: str, parameters: tuple, error: type) -> None:
    with pytest.raises(error) as caught:
        connection.execute(sql, parameters)
    assert type(caught.value) is error


def test_executemany_refuses(connection: fedsql.Connection) -> None:
    with pytest.raises(fedsql.NotSupportedError, match="a query"):
        connection.cursor().executemany("SELECT ?", [(1,), (2,)])
    with pytest.raises(fedsql.NotSupportedError):
        connection.cursor().executemany("SET epsilon = 1", [])


def test_privacy_of_an_exact_query(connection: fedsql.Connection) -> None:
    cursor = connection.execute(BY_HEALTH)
    assert cursor.privacy.epsilon is None
    assert cursor.privacy.parties == ("north", "south", "west")
    assert len(bytes.fromhex(cursor.privacy.query_id or "")) == 16
    assert cursor.notices == cursor.privacy.notices
    assert "not shown" in cursor.notices[0]
    assert connection.execute("SELECT 1").privacy.query_id is None


def test_privacy_of_a_noisy_query_names_the_columns_of_the_answer(noisy: fedsql.Connection) -> None:
    sql = "WITH t AS (SELECT sex, COUNT(*) AS n, AVG(age) AS a FROM patients GROUP BY sex)"
    cursor = noisy.execute(f"{sql} SELECT a AS mean, n, round(a), sex FROM t ORDER BY n")
    assert cursor.privacy.epsilon == 1.0
    assert cursor.privacy.delta == 1e-6
    assert set(cursor.privacy.margins) == {"mean", "n"}
    margin = cursor.privacy.margins["n"]
    assert margin is not None
    assert 0 < margin < 1000
    assert 0 < (cursor.privacy.margins["mean"] or 0) < 100


def test_explain_costs_nothing(noisy: fedsql.Connection) -> None:
    before = noisy.execute("SHOW BUDGET").fetchall()
    text = noisy.explain("SELECT count(*) FROM patients WHERE age > ?", (18,))
    assert "Who learns what" in text
    assert noisy.cursor().explain("SELECT count(*) FROM patients WHERE age > 18").split() == text.split()
    with pytest.raises(fedsql.ProgrammingError):
        noisy.explain("SELECT nothing FROM patients")
    assert noisy.execute("SHOW BUDGET").fetchall() == before


def test_arrow_and_data_frames(connection: fedsql.Connection) -> None:
    cursor = connection.execute(BY_HEALTH)
    table = cursor.fetch_arrow_table()
    assert table.column_names[0] == "health"
    assert table.num_rows == 4
    reader = connection.execute("SELECT * FROM range(3)").fetch_record_batch()
    assert isinstance(reader, pa.RecordBatchReader)
    assert reader.read_all().num_rows == 3
    frame = connection.execute(f"SELECT *, (2::HUGEINT ** 100)::HUGEINT AS wide FROM ({BY_HEALTH})").fetch_df()
    assert [str(frame.dtypes.iloc[i]) for i in (1, 2)] == ["int64", "int64"]
    assert int(frame["wide"].iloc[0]) == 2**100


def test_cancel_from_another_thread(connection: fedsql.Connection) -> None:
    cursor, done = connection.cursor(), threading.Event()

    def cancel() -> None:
        while not done.is_set():  # whenever it comes, before, between or after the steps
            cursor.cancel()

    killer = threading.Thread(target=cancel)
    killer.start()
    try:
        with pytest.raises(fedsql.OperationalError, match="cancelled"):
            cursor.execute(ENDLESS)
    finally:
        done.set()
        killer.join()
    assert cursor.execute("SELECT 1").fetchone() == (1,)


def test_use_after_close(tmp_path: Path) -> None:
    opened = fedsql.connect(demo.write(tmp_path))
    with opened.cursor() as cursor:
        cursor.execute("SELECT 1")
    for use in (cursor.fetchone, cursor.fetchall, cursor.cancel, lambda: cursor.execute("SELECT 1")):
        with pytest.raises(fedsql.InterfaceError, match="cursor is closed"):
            use()
    other = opened.cursor()
    opened.commit()
    opened.rollback()
    opened.close()
    opened.close()
    for use in (opened.cursor, opened.commit, opened.rollback, lambda: other.execute("SELECT 1"), opened.__enter__):
        with pytest.raises(fedsql.InterfaceError, match="connection is closed"):
            use()
    with pytest.raises(fedsql.InterfaceError):
        opened.explain("SELECT 1")


def test_errors_are_attributes_of_connections(connection: fedsql.Connection) -> None:
    for name in ("Warning", "Error", "InterfaceError", "DatabaseError", "DataError", "OperationalError"):
        assert getattr(connection, name) is getattr(fedsql, name)
    for name in ("IntegrityError", "InternalError", "ProgrammingError", "NotSupportedError"):
        assert getattr(connection, name) is getattr(fedsql, name)


def test_connect_to_tables_in_memory() -> None:
    rows = pa.table({"g": ["a", "b"] * 10, "x": list(range(20))})
    columns = {"g": {"use": ["group"]}, "x": {"use": ["aggregate"], "bounds": [0, 100]}}
    party = {"tables": {"t": {"source": rows, "columns": columns}}, "release": {"min_group_size": 5}}
    with fedsql.connect({"parties": {"north": party, "south": party}}, analyst="ada") as opened:
        found = opened.execute("SELECT g, SUM(x) FROM t GROUP BY g ORDER BY g").fetchall()
    assert found == [("a", 180), ("b", 200)]


@pytest.mark.parametrize(
    ("source", "error"),
    [(3, fedsql.InterfaceError), ({}, fedsql.ConfigError), ("nowhere/federation.toml", fedsql.ConfigError)],
)
def test_connect_refuses(source: object, error: type) -> None:
    with pytest.raises(error):
        fedsql.connect(source)  # type: ignore[arg-type]
