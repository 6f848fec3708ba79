"""Statements of others are described in a process of its own: as here, within limits, and without leaving anything behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fedsql.errors import DatabaseError, OperationalError, ProgrammingError, TooComplex
from fedsql.executors.engines.describer import Describer
from fedsql.executors.engines.typer import DuckDBTyper
from fedsql.planner.catalog import Catalog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

LOCAL = (("t", (("a", "INTEGER"), ("b", "DECIMAL(9,2)"), ("c", "VARCHAR"))),)
LONG = "SELECT length(repeat('x', 4000000000))"
LARGE = "SELECT len(list_transform([i for i in range(1000)], lambda x: list_transform(range(100000), lambda y: y)))"
STATEMENTS = """SELECT * FROM t
SELECT a AS "A b", sum(b), count(*), max(c) AS größte FROM t GROUP BY 1
SELECT {'x': a, 'y': [b]} AS s, DATE '2024-01-01' AS d FROM t
SELECT a FORM t
SELECT nope FROM t
SELECT a, nope + 1 FROM t WHERE a > 3
SELECT lower(a) FROM nowhere
SELECT sum(c) FROM t
SELECT round(c, c, c) FROM t
SELECT a, count(*) FROM t
SELECT CAST(a AS NOTYPE) FROM t
SELECT a FROM t; SELECT b FROM t
SELECT a FROM t UNION SELECT a, b FROM t
SELECT CAST('x' AS INTEGER)
SELECT "ß" FROM t
SELECT * FROM read_csv('x.csv')
SET threads = 4
DROP TABLE t"""


@pytest.fixture(scope="module")
def typers() -> Iterator[tuple[DuckDBTyper, DuckDBTyper]]:
    describer = Describer()
    yield DuckDBTyper(Catalog("f", ()), LOCAL), DuckDBTyper(Catalog("f", ()), LOCAL, describer.database())
    describer.close()


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT 'it''s' FROM main.t AS x, (SELECT 1 FROM main.t WHERE a IN (SELECT 2 FROM u)) y", "u main.t main.t"),
        (
            "SELECT (TABLE v), EXISTS (FROM w) FROM a.b NATURAL JOIN c SEMI JOIN d USING (x) UNION ALL FROM e",
            "c d e v w a.b",
        ),
        ("WITH q AS (FROM t) SELECT * FROM q, LATERAL (SELECT q.a FROM r), (VALUES (1)) s", "q r t"),
        ("SELECT * FROM range(3), read_csv('x')", "TABLE_FUNCTION TABLE_FUNCTION"),
        ("SELECT * FROM other.main.t, (SHOW TABLES), (UNPIVOT t ON a)", "BASE_TABLE PIVOT SHOW_REF t"),
        ('SELECT 1 FROM t AS "x), main.u AS (" WHERE b = \'{"sample": null, "type": "BASE_TABLE"}\'', "t"),
        ("SELECT 1 FROM t; SELECT 2 FROM u", "t u"),
    ],
)
def test_what_a_text_reads(typers, sql, found):
    """A fragment may read what its relation reads, and nothing else: no name in a text passes as a table, or hides one."""
    for typer in typers:
        assert [".".join(filter(None, table)) for table in typer.reads(sql)] == found.split()


def test_what_cannot_be_read_reads_nothing_unnoticed(typers):
    for typer in typers:
        for sql in ("SELECT FROM", "UPDATE t SET a = 1", "CALL x()"):
            with pytest.raises(ProgrammingError):
                typer.reads(sql)


@pytest.fixture
def narrow() -> Iterator[Describer]:
    """One with little time and room."""
    describer = Describer(seconds=0.3, memory=192 << 20)
    yield describer
    describer.close()


def _typer(describer: Describer) -> DuckDBTyper:
    return DuckDBTyper(Catalog("f", ()), LOCAL, describer.database())


def _said(typer: DuckDBTyper, sql: str) -> object:
    try:
        return typer.describe(sql)
    except DatabaseError as error:
        return type(error), error.message, error.hint, error.position, error.sqlstate


def _wait_for_end(pid: int) -> bool:
    """Wait until a process that need not be our child has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 60)[0])
    finally:
        os.close(handle)


@pytest.mark.parametrize("sql", STATEMENTS.splitlines())
def test_it_says_what_a_typer_in_this_process_says(typers: tuple[DuckDBTyper, DuckDBTyper], sql: str) -> None:
    here, apart = typers
    assert _said(apart, sql) == _said(here, sql)


def test_tables_are_those_of_the_catalog_for_each_typer_alone(typers: tuple[DuckDBTyper, DuckDBTyper]) -> None:
    here, apart = typers
    assert apart.tables == here.tables
    assert apart.supertype(["INTEGER", "DECIMAL(9,2)"]) == here.supertype(["INTEGER", "DECIMAL(9,2)"])


def test_a_text_longer_than_a_socket_holds_is_described(typers: tuple[DuckDBTyper, DuckDBTyper]) -> None:
    listed = ", ".join(f"a + {i} AS {'n' * 50}{i}" for i in range(5000))
    assert [name for name, _ in typers[1].describe(f"SELECT {listed} FROM t")] == [
        "n" * 50 + str(i) for i in range(5000)
    ]


@pytest.mark.parametrize(
    ("sql", "limits", "reason"),
    [
        (LONG, {"seconds": 0.3, "memory": 8 << 30}, "over 0.3 s of computing"),
        (LARGE, {"seconds": 60.0, "memory": 192 << 20}, "over 192 MiB"),
        (LONG, {"seconds": 60.0, "memory": 8 << 30, "patience": 0.3}, "over 0.3 s"),
    ],
)
def test_what_takes_too_much_is_refused_and_others_are_answered(
    sql: str, limits: dict[str, float], reason: str
) -> None:
    describer = Describer(**limits)  # type: ignore[arg-type]
    try:
        typer = _typer(describer)
        with ThreadPoolExecutor(4) as pool:
            refused = pool.submit(_said, typer, sql)
            others = [pool.submit(typer.describe, f"SELECT a AS a{i} FROM t") for i in range(8)]
            assert [other.result() for other in others] == [[(f"a{i}", "INTEGER")] for i in range(8)]
        kind, message, hint, position, state = refused.result()  # type: ignore[misc]
        assert (kind, position, state) == (TooComplex, None, "54001")
        assert message == f"describing the statement takes {reason}"
        assert "constants" in hint
        assert typer.describe("SELECT b FROM t") == [("b", "DECIMAL(9,2)")]
    finally:
        describer.close()


@pytest.mark.parametrize("depth", [14, 24])
def test_types_that_take_too_much_room_are_refused(narrow: Describer, depth: int) -> None:
    """Each level makes the type twice as long: at the first depth that of the answer, at the second what DuckDB needs."""
    deep = "SELECT 1 AS x"
    for _ in range(depth):
        deep = f"SELECT {{'a': x, 'b': x}} AS x FROM ({deep})"
    with pytest.raises(TooComplex):
        _typer(narrow).describe(deep)


def test_the_process_is_given_nothing_and_takes_no_notice_of_signals(narrow: Describer) -> None:
    typer = _typer(narrow)
    pid = narrow.pid
    assert pid is not None
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert {each.partition(b"=")[0] for each in variables if each} <= {b"PYTHONPATH", b"LD_LIBRARY_PATH"}
    assert {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()} == {0, 1, 2}
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, each)
    assert typer.describe("SELECT a FROM t") == [("a", "INTEGER")]
    assert narrow.pid == pid


def test_one_that_others_have_ended_is_started_again(narrow: Describer) -> None:
    typer = _typer(narrow)
    first = narrow.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert typer.describe("SELECT a FROM t") == [("a", "INTEGER")]
    assert narrow.pid != first


def test_closing_ends_what_is_being_described() -> None:
    describer = Describer(seconds=600.0, memory=64 << 30, patience=600.0)
    typer = _typer(describer)
    pid = describer.pid
    assert pid is not None
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(typer.describe, LONG)
        describer.close()
        with pytest.raises(OperationalError):
            waiting.result()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(OperationalError, match="ending"):
        typer.describe("SELECT a FROM t")


_PARENT = """
import threading
from tests.executors.test_describer import LONG, Describer, _typer
describer = Describer(seconds=600.0, memory=64 << 30, patience=600.0)
typer = _typer(describer)
print(describer.pid, flush=True)
threading.Thread(target=typer.describe, args=("SELECT length(repeat('x', 900000000))",), daemon=True).start()
input()
"""


def test_it_ends_with_a_parent_that_is_killed() -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdin=-1, stdout=-1, text=True, cwd=root) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert _wait_for_end(pid)
