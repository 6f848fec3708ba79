"""A small federation in files, and a gateway over it, for tests of what clients see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from fedsql.flight.service import GatewayService
from tests.flight.accounts import accounts

PARTIES = ("north", "south", "west")
TYPES = {
    "k": "VARCHAR",
    "kind": "ENUM('new', 'old')",
    "flag": "BOOLEAN",
    "small": "SMALLINT",
    "v": "INTEGER",
    "big": "BIGINT",
    "price": "DECIMAL(9,2)",
    "day": "DATE",
    "seen": "TIMESTAMP",
}
_POLICY = """
name = "{party}"
[tables.t]
source = "t.parquet"
privacy_unit = "id"
sql = "SELECT id, k, kind::ENUM('new', 'old') AS kind, flag, small, v, big, price, day, seen FROM source"
[tables.t.columns]
id = {{ use = ["join"] }}
k = {{ use = ["group", "filter"] }}
kind = {{ use = ["group", "filter"] }}
flag = {{ use = ["group", "filter"] }}
small = {{ use = ["group", "filter", "aggregate"], bounds = [0, 5] }}
v = {{ use = ["group", "filter", "aggregate"], bounds = [0, 100] }}
big = {{ use = ["aggregate"] }}
price = {{ use = ["aggregate"], bounds = [0, 1000] }}
day = {{ use = ["group", "filter"] }}
seen = {{ use = ["group", "filter"] }}
[tables.visits]
source = "visits.parquet"
references = {{ patient = "t.id" }}
privacy_unit = "t.id"
[tables.visits.columns]
patient = {{ use = ["join"] }}
ward = {{ use = ["group", "filter"] }}
[release]
min_group_size = 1
min_parties = 1
noise = "{noise}"
[release.budget]
epsilon = 10.0
[release.quota]
queries = {queries}
"""


def rows(party: str) -> pa.Table:
    """Return the rows of a party's table t."""
    at = PARTIES.index(party)
    with duckdb.connect() as con:
        return con.sql(
            f"""SELECT i AS id, 'k' || (i % 3) AS k, CASE WHEN i % 2 = 0 THEN 'new' ELSE 'old' END AS kind, i % 4 = 0 AS flag,
            (i % 6)::SMALLINT AS small, ((i * 7 + {at}) % 101)::INTEGER AS v, i * 1000000000000::BIGINT AS big,
            (i % 50 + 0.25)::DECIMAL(9,2) AS price, DATE '2024-01-01' + (i % 5)::INTEGER AS day,
            TIMESTAMP '2024-01-01 10:00:00.5' + INTERVAL (i % 2) HOUR AS seen
            FROM range({20 + at}) r(i)"""
        ).to_arrow_table()


def pooled() -> duckdb.DuckDBPyConnection:
    """Return DuckDB over the rows of all parties."""
    con = duckdb.connect()
    con.register("_rows", pa.concat_tables([rows(party) for party in PARTIES]))
    con.execute("CREATE TABLE t AS FROM _rows")  # an ENUM of a party is offered as text
    return con


def federation(folder: Path, *, noise: str = "none", queries: int = 100_000, state: bool = False) -> Path:
    """Write a federation into ``folder``; return its file."""
    text = 'name = "hospitals"\n'
    for party in PARTIES:
        (folder / party).mkdir(parents=True)
        pq.write_table(rows(party), folder / party / "t.parquet")
        pq.write_table(pa.table({"patient": [1, 1, 2], "ward": ["a", "b", "a"]}), folder / party / "visits.parquet")
        (folder / party / f"{party}.toml").write_text(_POLICY.format(party=party, noise=noise, queries=queries))
        text += f'[parties.{party}]\nconfig = "{party}/{party}.toml"\n'
    (folder / "federation.toml").write_text(text)
    return folder / "federation.toml"


@contextmanager
def gateway(file: Path, **options: object) -> Iterator[GatewayService]:
    """Run a gateway over a federation with the users ada and bob."""
    service = GatewayService(file, accounts(file.parent)[0], **options)  # type: ignore[arg-type]
    service.start()
    try:
        yield service
    finally:
        service.close()
