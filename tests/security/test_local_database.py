"""The analyst's own DuckDB, and the one that describes statements, reach no file: not even where DuckDB would spill to.

DuckDB lets statements read its folder for temporary files in spite of its lock, and by default that is `.tmp` where the
process runs: there would be rows of every session of the process.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import small

from fedsql.errors import Error, ProgrammingError
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
    with pytest.raises(ProgrammingError, match="disabled by configuration"):
        session.execute(sql)
    session.close()


def test_describing_reads_no_file_either(spilled: None) -> None:
    with pytest.raises(Error, match="disabled by configuration"):
        DuckDBTyper(Catalog("f", ())).describe("SELECT * FROM read_csv('.tmp/spilled')")
