"""The analyst's own DuckDB, and the one that describes statements, reach no file: not even where DuckDB would spill to.

DuckDB lets statements read its folder for temporary files in spite of its lock, and by default that is `.tmp` where the
process runs: there would be rows of every session of the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from harness import small

from fedsql.errors import Error, NotSupportedError
from fedsql.executors.engines.typer import DuckDBTyper
from fedsql.planner.catalog import Catalog
from fedsql.session import Session

READS = (
    "SELECT * FROM read_text('.tmp/spilled')",
    "CREATE TABLE x AS SELECT * FROM read_text('.tmp/spilled')",
    "CREATE TABLE x AS SELECT * FROM read_csv('.tmp/spilled')",
    "CREATE TABLE x AS SELECT * FROM glob('.tmp/*')",
    "CREATE TABLE x AS SELECT * FROM query('FROM read_blob(''.tmp/spilled'')')",
)


@pytest.fixture
def spilled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp" / "spilled").write_text("id,salary\n1,100\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("sql", READS)
def test_no_statement_reads_what_others_have_spilled(spilled: None, sql: str) -> None:
    session = Session.open(small({"north": {"aa": 20}, "south": {"aa": 20}}))
    with pytest.raises(NotSupportedError, match="in FROM is not answered"):
        session.execute(sql)
    with pytest.raises(duckdb.Error, match="disabled by configuration"):
        session._local.execute(sql)  # whatever came through
    session.close()


def test_describing_reads_no_file_either(spilled: None) -> None:
    with pytest.raises(Error, match="disabled by configuration"):
        DuckDBTyper(Catalog("f", ())).describe("SELECT * FROM read_csv('.tmp/spilled')")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM duckdb_secrets()",
        "SELECT (SELECT COUNT(*) FROM duckdb_extensions()) AS n",
        "WITH s AS (FROM duckdb_memory()) SELECT * FROM s",
        "SELECT * FROM query('SELECT * FROM duckdb_settings()')",
        "SELECT * FROM main.duckdb_databases() AS d",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/*')",
        "SELECT current_setting('home_directory')",
        "CREATE TABLE settings AS SELECT * FROM duckdb_settings()",
        "CREATE TABLE settings AS SELECT current_setting('temp_directory') AS t",
        "CREATE VIEW settings AS SELECT * FROM duckdb_settings()",
    ],
)
def test_no_statement_tells_of_the_machine(session: Session, sql: str) -> None:
    with pytest.raises(NotSupportedError, match="is not answered") as refused:
        session.execute(sql)
    assert "/root" not in str(refused.value)
    assert "directory" not in str(refused.value)


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM range(3)", "SELECT * FROM generate_series(1, 3) g(i)", "SELECT * FROM repeat('a', 2)"]
)
def test_functions_that_make_rows_work(session: Session, sql: str) -> None:
    assert session.execute(sql).table.num_rows in (2, 3)


@pytest.fixture
def session() -> Iterator[Session]:
    opened = Session.open(small({"north": {"aa": 20}, "south": {"aa": 20}}))
    yield opened
    opened.close()
