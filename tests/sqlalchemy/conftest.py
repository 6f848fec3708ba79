"""A federation for the dialect's own tests. SQLAlchemy's suite is in suite/, and runs in a process of its own."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

collect_ignore = ["suite"]
PARTIES = ("north", "south", "west")
_POLICY = """
name = "{party}"
[tables.patients]
source = "{party}.parquet"
privacy_unit = "id"
[tables.patients.columns]
id = {{ use = ["join"] }}
sex = {{ use = ["group", "filter"] }}
age = {{ use = ["group", "filter", "aggregate"], bounds = [0, 120] }}
charges = {{ use = ["aggregate"], bounds = [0, 100000] }}
seen = {{ use = ["group", "filter"] }}
[release]
min_group_size = 1
min_parties = 1
"""
_ROWS = """SELECT i AS id, CASE WHEN i % 3 = 0 THEN 'F' ELSE 'M' END AS sex, (i * 7 + {at}) % 90 AS age,
 (i % 50 + 0.25)::DECIMAL(9,2) AS charges, DATE '2024-01-01' + (i % 70)::INTEGER AS seen FROM range({count}) r(i)"""


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospitals")
    text = 'name = "hospitals"\n'
    for at, party in enumerate(PARTIES):
        rows = _ROWS.format(at=at, count=40 + at)
        duckdb.sql(rows).write_parquet(str(folder / f"{party}.parquet"))
        (folder / f"{party}.toml").write_text(_POLICY.format(party=party))
        text += f'[parties.{party}]\nconfig = "{party}.toml"\n'
    (folder / "federation.toml").write_text(text)
    return folder / "federation.toml"


@pytest.fixture(scope="session")
def pooled(federation: Path) -> duckdb.DuckDBPyConnection:
    """DuckDB over the rows of all parties."""
    database = duckdb.connect()
    database.execute(f"CREATE TABLE patients AS FROM read_parquet('{federation.parent}/*.parquet')")
    return database
