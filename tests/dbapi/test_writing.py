"""Local tables as a database: constraints, RETURNING, sequences, executemany that writes all or nothing."""

import threading
from typing import Any

import pytest

import fedsql


@pytest.fixture
def table(small: fedsql.Connection) -> fedsql.Cursor:
    """A cursor; its table `kept` holds 1 and 2."""
    cursor = small.cursor()
    for name in ("parts", "kept", "other"):
        cursor.execute(f"DROP TABLE IF EXISTS {name}")
    cursor.execute(
        "CREATE TABLE kept (k INTEGER PRIMARY KEY, v VARCHAR NOT NULL DEFAULT 'new', n INTEGER CHECK (n > 0))"
    )
    cursor.execute("CREATE TABLE parts (k INTEGER REFERENCES kept (k), label VARCHAR UNIQUE)")
    cursor.execute("INSERT INTO kept VALUES (1, 'a', 1), (2, 'b', 2)")
    cursor.execute("INSERT INTO parts VALUES (1, 'one')")
    return cursor


def rows(cursor: fedsql.Cursor) -> list[tuple]:
    return cursor.execute("SELECT * FROM kept ORDER BY k").fetchall()


@pytest.mark.parametrize(
    ("sql", "parameters", "error", "sqlstate"),
    [
        ("INSERT INTO kept VALUES (?, 'c', 3)", (1,), fedsql.IntegrityError, "23505"),
        ("INSERT INTO parts VALUES (2, :label)", {"label": "one"}, fedsql.IntegrityError, "23505"),
        ("INSERT INTO kept VALUES (3, ?, 3)", (None,), fedsql.IntegrityError, "23502"),
        ("UPDATE kept SET n = 0", (), fedsql.IntegrityError, "23514"),
        ("INSERT INTO parts VALUES (9, 'nine')", (), fedsql.IntegrityError, "23503"),
        ("DELETE FROM kept WHERE k = 1", (), fedsql.IntegrityError, "23503"),
        ("INSERT INTO kept VALUES ('three', 'c', 3)", (), fedsql.DataError, "22018"),
        ("INSERT INTO kept VALUES (?, 'c', 3)", (2**40,), fedsql.DataError, "22003"),
        ("INSERT INTO kept VALUES (7 // 0, 'c', 3)", (), fedsql.DataError, "22012"),
        ("INSERT INTO kept (nothing) VALUES (1)", (), fedsql.ProgrammingError, "42703"),
        ("INSERT INTO nothing VALUES (1)", (), fedsql.ProgrammingError, "42P01"),
        ("INSERT INTO kept VALUES (nothing(1), 'c', 3)", (), fedsql.ProgrammingError, "42883"),
        ("INSERT INTO kept VALUES (1", (), fedsql.ProgrammingError, "42601"),
        ("CREATE TABLE kept (a INTEGER)", (), fedsql.ProgrammingError, "42P07"),
        ("CREATE TABLE x (a INTEGER REFERENCES t (x))", (), fedsql.ProgrammingError, "42P01"),
        ("CREATE TABLE x (a NOTHING)", (), fedsql.ProgrammingError, "42704"),
        ("DROP TABLE kept, parts", (), fedsql.NotSupportedError, "0A000"),
        ("ALTER TABLE kept RENAME TO t", (), fedsql.NotSupportedError, "0A000"),
        ("ALTER TABLE kept RENAME TO _release_0", (), fedsql.ProgrammingError, "42000"),
        ("CREATE INDEX i ON t (g)", (), fedsql.NotSupportedError, "0A000"),
        ("CREATE VIEW v AS SELECT * FROM kept WHERE k > ?", (1,), fedsql.NotSupportedError, "0A000"),
        ("CREATE TYPE mood AS ENUM ('good')", (), fedsql.NotSupportedError, "0A000"),
        ("BEGIN", (), fedsql.NotSupportedError, "0A000"),
        ("INSERT INTO kept SELECT COUNT(*), g, 1 FROM t GROUP BY g RETURNING k", (), fedsql.NotSupportedError, "0A000"),
    ],
)
def test_errors_of_writing(table: fedsql.Cursor, sql: str, parameters: Any, error: type, sqlstate: str) -> None:
    before = rows(table)
    with pytest.raises(fedsql.Error) as caught:
        table.execute(sql, parameters)
    assert (type(caught.value), caught.value.sqlstate) == (error, sqlstate), caught.value
    assert rows(table) == before


def test_errors_of_writing_have_a_place(table: fedsql.Cursor) -> None:
    with pytest.raises(fedsql.ProgrammingError) as caught:
        table.execute("-- why\n\nINSERT INTO kept\nVALUES (1, 'a', nothing); ")
    assert caught.value.position == (4, 17)
    with pytest.raises(fedsql.NotSupportedError, match="CREATE TYPE is not answered"):
        table.execute("-- why\ncreate type mood AS ENUM ('good')")


def test_a_table_that_exists_costs_nothing(small: fedsql.Connection, table: fedsql.Cursor) -> None:
    before = small.execute("SHOW BUDGET").fetchall()
    with pytest.raises(fedsql.ProgrammingError, match="there is a local table kept already") as caught:
        table.execute("CREATE TABLE kept AS SELECT COUNT(*) AS n FROM t WHERE x > 11")
    assert "CREATE OR REPLACE TABLE kept" in (caught.value.hint or "")
    assert table.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT COUNT(*) AS n FROM t WHERE x > 12").rowcount == -1
    assert small.execute("SHOW BUDGET").fetchall() == before
    assert len(rows(table)) == 2


def test_returning_gives_rows(table: fedsql.Cursor) -> None:
    table.execute("INSERT INTO kept (k, n) VALUES (?, 7), (?, 8) RETURNING k + 1 AS next, v", (3, 4))
    assert [column[:2] for column in table.description or ()] == [("next", "INTEGER"), ("v", "VARCHAR")]
    assert table.rowcount == 2
    assert table.fetchall() == [(4, "new"), (5, "new")]
    assert table.execute("UPDATE kept SET v = :v WHERE k > 2 RETURNING k", {"v": "z"}).fetchall() == [(3,), (4,)]
    assert table.execute("DELETE FROM kept WHERE k > 9 RETURNING *").fetchall() == []
    assert table.description is not None
    assert table.execute("DELETE FROM kept WHERE k > 2").rowcount == 2
    assert table.description is None


def test_sequences_number_rows(small: fedsql.Connection) -> None:
    small.execute("CREATE SEQUENCE ids START 5")
    small.execute("CREATE TABLE numbered (id INTEGER DEFAULT nextval('ids') PRIMARY KEY, v VARCHAR)")
    found = small.execute("INSERT INTO numbered (v) VALUES ('a'), ('b') RETURNING id").fetchall()
    assert found == [(5,), (6,)]
    small.execute("INSERT INTO numbered VALUES (nextval('ids'), 'c')")
    assert small.execute("SELECT MAX(id) FROM numbered").fetchone() == (7,)
    with pytest.raises(fedsql.ProgrammingError, match="Sequence") as caught:
        small.execute("SELECT nextval('ids')")
    assert "queries read no sequences" in (caught.value.hint or "")
    small.execute("CREATE UNIQUE INDEX by_v ON numbered (v)")
    with pytest.raises(fedsql.IntegrityError):
        small.execute("INSERT INTO numbered (v) VALUES ('a')")
    small.execute("DROP INDEX by_v")
    small.execute("DROP TABLE numbered")
    small.execute("DROP SEQUENCE ids")


def test_tables_are_altered(small: fedsql.Connection) -> None:
    small.execute("CREATE TABLE old (a INTEGER)")
    small.execute("ALTER TABLE old ADD COLUMN b INTEGER DEFAULT 3")
    small.execute("ALTER TABLE old RENAME TO younger")
    small.execute("INSERT INTO younger (a) VALUES (1)")
    assert small.execute("SELECT * FROM younger").fetchall() == [(1, 3)]
    small.execute("CREATE VIEW v AS SELECT 1 AS x")
    with pytest.raises(fedsql.ProgrammingError, match="v is a view"):
        small.execute("ALTER TABLE younger RENAME TO v")
    small.execute("DROP VIEW v")
    small.execute("DROP TABLE younger")


def test_executemany_counts_all_rows(table: fedsql.Cursor) -> None:
    many = [(k, f"v{k}", 1) for k in range(10, 2510)]
    assert table.executemany("INSERT INTO kept VALUES (?, ?, ?)", many).rowcount == 2500
    assert rows(table)[2:] == many
    named = ({"k": k, "v": None if k == 10 else "w"} for k in range(10, 13))  # any iterable
    assert table.executemany("UPDATE kept SET v = coalesce(:v, 'none') WHERE k = :k", named).rowcount == 3
    assert table.execute("SELECT v FROM kept WHERE k IN (10, 11)").fetchall() == [("none",), ("w",)]
    assert (
        table.executemany("DELETE FROM kept WHERE k BETWEEN ? AND ?", [(10, 19), (20, 29), (5000, 6000)]).rowcount == 20
    )
    assert table.executemany("INSERT INTO kept VALUES (?, 'x', 1), (?, 'y', 1)", [(-1, -2), (-3, -4)]).rowcount == 4
    again = "INSERT INTO kept VALUES (?, 'x', 1) ON CONFLICT DO NOTHING"
    assert table.executemany(again, [(-1,), (-5,), (-6,)]).rowcount == 2
    assert table.executemany("DELETE FROM kept WHERE k < ? RETURNING k", [(-5,), (0,)]).rowcount == 6
    assert table.description is None
    assert table.executemany(again, []).rowcount == 0


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ((1, "twice", 1), fedsql.IntegrityError),
        ((9999, "small", 0), fedsql.IntegrityError),
        (("nine", "text", 1), fedsql.DataError),
        ((9999, object(), 1), fedsql.DataError),
        ((9999, "short"), fedsql.ProgrammingError),
        ({"k": 1}, fedsql.ProgrammingError),
        (9999, fedsql.ProgrammingError),
    ],
)
def test_executemany_writes_all_or_nothing(table: fedsql.Cursor, bad: Any, error: type) -> None:
    before = rows(table)
    good = [(k, "v", 1) for k in range(10, 1500)]
    with pytest.raises(error):
        table.executemany("INSERT INTO kept VALUES (?, ?, ?)", [*good, bad])
    assert table.rowcount == -1
    assert rows(table) == before
    assert table.executemany("INSERT INTO kept VALUES (?, ?, ?)", good).rowcount == len(good)


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT ?", fedsql.NotSupportedError),
        ("SHOW TABLES", fedsql.NotSupportedError),
        ("CREATE TABLE x AS SELECT ? AS a", fedsql.NotSupportedError),
        ("INSERT INTO kept SELECT COUNT(*), ?, 1 FROM t", fedsql.NotSupportedError),
        ("DELETE FROM t WHERE x = ?", fedsql.NotSupportedError),
        ("INSERT INTO nothing VALUES (?)", fedsql.ProgrammingError),
    ],
)
def test_executemany_writes_local_rows_alone(table: fedsql.Cursor, sql: str, error: type) -> None:
    for many in ([(1,)], []):
        with pytest.raises(error):
            table.executemany(sql, many)


@pytest.mark.parametrize("many", [5, "ab", {"a": 1}, None])
def test_executemany_takes_many(table: fedsql.Cursor, many: Any) -> None:
    with pytest.raises(fedsql.ProgrammingError, match="sequence of parameters"):
        table.executemany("DELETE FROM kept WHERE k = ?", many)


def test_rollback_does_not_take_back(small: fedsql.Connection, table: fedsql.Cursor) -> None:
    table.execute("DELETE FROM kept WHERE k = 2")
    small.rollback()
    assert [row[0] for row in rows(table)] == [1]
    assert small.autocommit
    small.autocommit = True
    with pytest.raises(fedsql.NotSupportedError, match="no transactions"):
        small.autocommit = False


@pytest.mark.parametrize("many", [False, True])
def test_writing_is_cancelled(small: fedsql.Connection, table: fedsql.Cursor, many: bool) -> None:
    before, done = rows(table), threading.Event()

    def cancel() -> None:
        while not done.is_set():
            small.cancel()

    def endless() -> Any:
        k = 100
        while True:
            k += 1
            yield (k, "v", 1)

    def write() -> None:
        if many:
            table.executemany("INSERT INTO kept VALUES (?, ?, ?)", endless())
        else:
            nothing = "range(100000000) a, range(1000000) b WHERE a.range + b.range = -1"
            table.execute(f"INSERT INTO kept SELECT a.range, 'x', 1 FROM {nothing}")

    killer = threading.Thread(target=cancel)
    killer.start()
    try:
        with pytest.raises(fedsql.OperationalError, match="cancelled") as caught:
            write()
    finally:
        done.set()
        killer.join()
    assert caught.value.sqlstate == "57014"
    assert rows(table) == before
