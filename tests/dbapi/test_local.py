"""Local tables and views of a session: they hold released results, join with federated rows, and end with the session."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import fedsql
from fedsql import demo

FILES = str(Path(demo.__file__).parent / "data" / "*.parquet")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[fedsql.Connection]:
    with fedsql.connect(demo.write(tmp_path)) as opened:
        yield opened


def pooled(*statements: str) -> list[tuple]:
    with duckdb.connect() as database:
        database.execute(f"CREATE VIEW patients AS FROM read_parquet('{FILES}')")
        for statement in statements[:-1]:
            database.execute(statement)
        return database.execute(statements[-1]).fetchall()


SAVED = "CREATE TABLE saved AS SELECT health, COUNT(*) AS n, SUM(visits) AS v FROM patients GROUP BY health"


def test_released_results_are_saved_in_their_own_types(connection: fedsql.Connection) -> None:
    assert connection.execute(SAVED).rowcount == 4
    cursor = connection.execute("SELECT * FROM saved ORDER BY n")
    assert [column[1] for column in cursor.description or ()] == ["VARCHAR", "BIGINT", "HUGEINT"]
    assert cursor.fetchall() == pooled(SAVED, "SELECT * FROM saved ORDER BY n")
    assert cursor.privacy.query_id is None  # nobody was asked


def test_local_tables_join_with_federated_rows(connection: fedsql.Connection) -> None:
    rows = "CREATE TABLE wanted AS SELECT * FROM (VALUES ('good', 2), ('poor', 5)) v(health, weight)"
    connection.execute(rows)
    sql = "SELECT w.weight, COUNT(*) FROM patients p JOIN wanted w ON p.health = w.health GROUP BY 1 ORDER BY 1"
    assert connection.execute(sql).fetchall() == pooled(rows, sql)
    sql = "SELECT COUNT(*) FROM patients WHERE health IN (SELECT health FROM wanted WHERE weight > 3)"
    assert connection.execute(sql).fetchall() == pooled(rows, sql)


def test_a_joined_local_table_has_each_key_once(connection: fedsql.Connection) -> None:
    connection.execute("CREATE TABLE twice AS SELECT * FROM (VALUES ('good'), ('poor'), ('good'), (NULL), (NULL)) v(h)")
    sql = "SELECT COUNT(*) FROM patients p JOIN twice w ON p.health = w.h"
    with pytest.raises(fedsql.PolicyDenied, match="h good stands in 2 rows of what you join"):
        connection.execute(sql)
    connection.execute("DELETE FROM twice WHERE h = 'good'")
    assert connection.execute(sql).fetchone() == pooled("SELECT COUNT(*) FROM patients WHERE health = 'poor'")[0]
    connection.execute("CREATE TABLE texts AS SELECT range::VARCHAR AS age FROM range(100)")
    with pytest.raises(fedsql.PolicyDenied, match="a join with x may repeat rows"):  # '7' and '07' are one number
        connection.execute("SELECT COUNT(*) FROM patients p JOIN texts x ON p.age = x.age")


def test_parties_see_the_columns_that_are_named_alone(connection: fedsql.Connection) -> None:
    connection.execute("CREATE TABLE wanted (health VARCHAR, secret VARCHAR)")
    text = connection.explain("SELECT COUNT(*) FROM patients p JOIN wanted w ON p.health = w.health")
    assert '_input_0 = SELECT "w"."health"' in text
    assert "secret" not in text


def test_rows_are_written_changed_and_counted(connection: fedsql.Connection) -> None:
    connection.execute("CREATE TABLE t (a INTEGER, b VARCHAR)")
    cursor = connection.cursor()
    assert cursor.executemany("INSERT INTO t VALUES (?, ?)", [(1, "x"), (2, "y"), (3, None)]).rowcount == 3
    assert cursor.execute("INSERT INTO t SELECT COUNT(*), health FROM patients GROUP BY health").rowcount == 4
    assert cursor.execute("UPDATE t SET b = 'z' WHERE a < ?", (3,)).rowcount == 2
    assert cursor.execute("DELETE FROM t WHERE b IS NULL").rowcount == 1
    assert cursor.execute("SELECT COUNT(*) FROM t").fetchall() == [(6,)]
    assert cursor.execute("DROP TABLE t").rowcount == -1
    with pytest.raises(fedsql.ProgrammingError, match="there is no table t"):
        cursor.execute("SELECT * FROM t")


def test_a_view_is_asked_anew(connection: fedsql.Connection) -> None:
    connection.execute("CREATE VIEW old AS SELECT * FROM patients WHERE age > 20")
    connection.execute("CREATE VIEW counts (kind, n) AS SELECT health, COUNT(*) FROM old GROUP BY health")
    sql = "SELECT kind, n FROM counts ORDER BY n"
    rows = pooled(
        "CREATE VIEW old AS FROM patients WHERE age > 20", "SELECT health, COUNT(*) AS n FROM old GROUP BY 1 ORDER BY 2"
    )
    assert connection.execute(sql).fetchall() == rows
    assert connection.execute("DESCRIBE counts").fetchall() == [("kind", "VARCHAR"), ("n", "BIGINT")]
    listed = [row[0] for row in connection.execute("SHOW TABLES").fetchall()]
    assert {"patients", "old", "counts"} <= set(listed)
    connection.execute("DROP VIEW counts")
    with pytest.raises(fedsql.ProgrammingError, match="there is no table counts"):
        connection.execute(sql)


def test_local_tables_are_described_and_listed(connection: fedsql.Connection) -> None:
    connection.execute("CREATE TABLE t (a INTEGER NOT NULL, b DECIMAL(10,2) DEFAULT 1.5)")
    described = [("a", "INTEGER", "no", None), ("b", "DECIMAL(10,2)", "yes", "1.5")]
    assert connection.execute("DESCRIBE t").fetchall() == described
    assert connection.execute('DESCRIBE "main".T').fetchall() == described
    assert ("t", None, 2, None, None) in connection.execute("SHOW TABLES").fetchall()
    with pytest.raises(fedsql.ProgrammingError, match="north offers no table t"):
        connection.execute("DESCRIBE north.t")


def test_keys_and_views_are_listed(connection: fedsql.Connection) -> None:
    connection.execute('CREATE TABLE "a, b" ("x ""y" INTEGER PRIMARY KEY, n INTEGER, m INTEGER, UNIQUE (m, n))')
    connection.execute('CREATE TABLE c (k INTEGER REFERENCES "a, b" ("x ""y") CHECK (k > 1))')
    connection.execute('CREATE INDEX i ON "a, b" (m, "x ""y")')
    rows = connection.execute("SHOW KEYS").fetchall()
    assert [(row[0], *row[2:]) for row in rows] == [
        ("a, b", "primary key", 'x "y', None, None),
        ("a, b", "unique", "m", None, None),
        ("a, b", "unique", "n", None, None),
        ("c", "foreign key", "k", "a, b", 'x "y'),
        ("a, b", "index", "m", None, None),
        ("a, b", "index", '"x ""y"', None, None),
    ]
    assert len({row[1] for row in rows}) == 4
    assert [row[0] for row in connection.execute('DESCRIBE "a, b"').fetchall()] == ['x "y', "n", "m"]
    connection.execute("CREATE VIEW v AS SELECT 1 AS x")
    assert connection.execute("SHOW VIEWS").fetchall() == [("v", "SELECT 1 AS x")]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CREATE TABLE patients AS SELECT 1 AS a", "patients is a federated table, and these are read-only"),
        ("INSERT INTO patients VALUES (1)", "patients is a federated table"),
        ("DELETE FROM north.patients", "north.patients is not yours: federated tables are read-only"),
        ("DROP TABLE patients", "patients is a federated table"),
        ("CREATE TABLE x AS SELECT * FROM patients", "this query would move rows"),
        ("CREATE VIEW v AS SELECT * FROM nowhere", "there is no table nowhere"),
        ("CREATE TABLE x AS FROM '/etc/passwd'", "there is no table /etc/passwd"),
        (
            "CREATE TABLE x AS SELECT * FROM read_csv('/etc/passwd')",
            "in FROM is not answered",
        ),
        ("CREATE TEMP TABLE x AS SELECT 1", "TEMP is not needed"),
        ("CREATE SCHEMA s", "CREATE SCHEMA is not answered"),
        ("CREATE MACRO m() AS 1", "CREATE MACRO is not answered"),
        ("DROP VIEW v", "there is no view v"),
        ("INSERT INTO nowhere VALUES (1)", "nowhere"),
        ("UPDATE t SET a = (SELECT COUNT(*) FROM patients)", "UPDATE cannot read federated tables"),
        ("CREATE TABLE _release_0 AS SELECT 1 AS a", "_release_0 is a name that fedsql keeps"),
    ],
)
def test_what_cannot_be_written_is_refused(connection: fedsql.Connection, sql: str, message: str) -> None:
    connection.execute("CREATE TABLE t (a INTEGER)")
    with pytest.raises(fedsql.Error, match=message):
        connection.execute(sql)
    assert connection.execute("SELECT COUNT(*) FROM t").fetchall() == [(0,)]


def test_local_tables_are_of_one_connection(tmp_path: Path) -> None:
    file = demo.write(tmp_path)
    with fedsql.connect(file) as one, fedsql.connect(file) as other:
        one.execute("CREATE TABLE t (a INTEGER)")
        with pytest.raises(fedsql.ProgrammingError, match="there is no table t"):
            other.execute("SELECT * FROM t")


def test_where_nobody_offers_anything_local_tables_are_there() -> None:
    with fedsql.connect({"parties": {"north": {"tables": {}}}}) as connection:
        assert connection.execute("SELECT 1 AS one").fetchall() == [(1,)]
        assert connection.execute("SHOW TABLES").fetchall() == []
        connection.execute('CREATE TABLE "Mixed" (a INTEGER)')
        connection.execute('CREATE VIEW "Seen" AS SELECT a FROM mixed')
        assert connection.execute("SELECT * FROM seen").fetchall() == []
        assert [row[0] for row in connection.execute("SHOW TABLES").fetchall()] == ["Mixed", "Seen"]
