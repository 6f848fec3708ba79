"""A TPC-DS federation: customers, with what they bought and returned, over three parties; all else is public at one.

DuckDB's own extension for TPC-DS makes rows and queries. There is a package of it for an older DuckDB alone, so both are
in a folder of their own (`make .venv/tpcds/.ready`), and run in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb

PLACE = Path(__file__).parents[2] / ".venv" / "tpcds"
PARTIES = ("north", "south", "west")
OPEN = {
    "min_group_size": 1,
    "min_parties": 1,
    "quota": {"queries": 1_000_000},
    "aggregates": ["count", "sum", "avg", "stddev", "var", "count_distinct", "min", "max"],
}

# table -> its order or ticket (one customer each), and its columns with customers, the buyer's first
_SALES = {
    "store_sales": ("ss_ticket_number", ["ss_customer_sk"]),
    "catalog_sales": ("cs_order_number", ["cs_bill_customer_sk", "cs_ship_customer_sk"]),
    "web_sales": ("ws_order_number", ["ws_bill_customer_sk", "ws_ship_customer_sk"]),
}
_RETURNS = {
    "store_returns": ("sr_ticket_number", ["sr_customer_sk"], "store_sales"),
    "catalog_returns": ("cr_order_number", ["cr_returning_customer_sk", "cr_refunded_customer_sk"], "catalog_sales"),
    "web_returns": ("wr_order_number", ["wr_returning_customer_sk", "wr_refunded_customer_sk"], "web_sales"),
}

_GENERATE = """
import json, sys, duckdb
place, folder, scale = sys.argv[1:]
made = duckdb.connect(config={"allow_unsigned_extensions": "true"})
made.execute(f"LOAD '{place}/duckdb_extension_tpcds/extensions/v{duckdb.__version__}/tpcds.duckdb_extension'")
made.execute(f"CALL dsdgen(sf = {scale})")
for (name,) in made.execute("SELECT table_name FROM duckdb_tables()").fetchall():
    made.execute(f"COPY {name} TO '{folder}/{name}.parquet'")
queries = {f"q{number:02}": text for number, text in made.execute("FROM tpcds_queries()").fetchall()}
json.dump(queries, open(f"{folder}/queries.json", "w"))
"""


def generate(folder: Path, scale: float) -> dict[str, str]:
    """Write all tables at a scale factor to ``folder`` as Parquet files; return the 99 queries by name."""
    environment = {**os.environ, "PYTHONPATH": str(PLACE)}
    subprocess.run([sys.executable, "-c", _GENERATE, PLACE, folder, str(scale)], env=environment, check=True)
    found: dict[str, str] = json.loads((folder / "queries.json").read_text())
    return found


def opened(folder: Path) -> duckdb.DuckDBPyConnection:
    """Return a database with all tables and, in each customer's, the ``party`` of a row.

    Who returns or is sent something lives, as a party's ids must, where the buyer does.
    """
    database = duckdb.connect()
    for path in sorted(folder.glob("*.parquet")):
        database.execute(f"CREATE TABLE {path.stem} AS FROM '{path}'")
    database.execute("ALTER TABLE customer ADD COLUMN party INTEGER")
    database.execute("UPDATE customer SET party = c_customer_sk // 10 % 3")
    for name, (order, customers) in _SALES.items():
        database.execute(
            f"CREATE TABLE {name}_orders AS SELECT {order} AS number, max({customers[0]}) AS buyer,"
            f" coalesce(max({customers[0]}) // 10, {order}) % 3 AS party FROM {name} GROUP BY {order}"
        )
    owned = {**{name: (*given, name) for name, given in _SALES.items()}, **_RETURNS}
    for name, (order, customers, sales) in owned.items():
        database.execute(f"ALTER TABLE {name} ADD COLUMN party INTEGER")
        moved = ", ".join(f"{c} = CASE WHEN {c} // 10 % 3 = o.party THEN {c} ELSE o.buyer END" for c in customers)
        database.execute(
            f"UPDATE {name} SET party = o.party, {moved} FROM {sales}_orders AS o WHERE o.number = {order}"
        )
    for name in _SALES:
        database.execute(f"DROP TABLE {name}_orders")
    return database


def federation(database: duckdb.DuckDBPyConnection) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the rows of each party, party -> table -> rows, and what stands in the parties' files of each table."""
    tables: dict[str, Any] = {"customer": {"privacy_unit": "c_customer_sk"}}
    owned = {**{name: (*given, None) for name, given in _SALES.items()}, **_RETURNS}
    for name, (order, customers, sales) in owned.items():
        references = dict.fromkeys(customers, "customer.c_customer_sk")
        if sales is not None:
            references[order] = f"{sales}.{_SALES[sales][0]}"
        tables[name] = {"privacy_unit": "customer.c_customer_sk", "references": references}
    rows: dict[str, Any] = {}
    names = [name for (name,) in database.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]
    for number, party in enumerate(PARTIES):
        rows[party] = {
            name: database.sql(f"SELECT * EXCLUDE (party) FROM {name} WHERE party = {number}").to_arrow_table()
            for name in tables
        }
    for name in names:
        if name not in tables:
            rows[PARTIES[0]][name] = database.sql(f"FROM {name}").to_arrow_table()
    tables |= {name: {"public": True} for name in names if name not in tables}
    return rows, tables
