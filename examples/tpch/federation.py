"""A TPC-H federation: customers, with their orders and lineitems, over three parties; all other tables public.

generate(folder, scale) -> writes the tables as Parquet files, by tpchgen-cli (pip install tpchgen-cli)
federation(folder) -> a mapping for fedsql.connect, over these files
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb

PARTIES = ("north", "south", "west")
PUBLIC = ("nation", "region", "part", "partsupp", "supplier")
USES = ["group", "filter", "aggregate", "join"]
OPEN = {"min_group_size": 1, "min_parties": 1, "quota": {"queries": 1_000_000}}
_UNITS: dict[str, dict[str, Any]] = {
    "customer": {"privacy_unit": "c_custkey"},
    "orders": {"references": {"o_custkey": "customer.c_custkey"}, "privacy_unit": "customer.c_custkey"},
    "lineitem": {"references": {"l_orderkey": "orders.o_orderkey"}, "privacy_unit": "customer.c_custkey"},
}
_KEYS = {"partsupp": [["ps_partkey", "ps_suppkey"]]}  # of several columns: those of one are found
_BOUNDS = {  # by the specification; without them a sum's slot is as wide as its type, and a ciphertext holds fewer
    "l_extendedprice": [900, 105_000], "l_quantity": [1, 50], "l_discount": [0, 0.1], "l_tax": [0, 0.08],
    "o_totalprice": [0, 1_000_000], "c_acctbal": [-1000, 10_000], "ps_supplycost": [1, 1000],
}  # fmt: skip
_SHARES = {  # not by c_custkey % 3: every third customer has no orders
    "customer": "c_custkey // 10 % 3 = {0}",
    "orders": "o_custkey // 10 % 3 = {0}",
    "lineitem": "l_orderkey IN (SELECT o_orderkey FROM orders WHERE o_custkey // 10 % 3 = {0})",
}


def generate(folder: Path, scale: float) -> Path:
    """Write all tables at a scale factor (1: six million lineitems) to ``folder``; return it."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    program = shutil.which("tpchgen-cli", path=places)
    if program is None:
        raise SystemExit("tpchgen-cli makes the data: pip install tpchgen-cli")
    subprocess.run([program, "parquet", "-s", str(scale), "--output-dir", folder], check=True, capture_output=True)
    return folder


def federation(folder: Path, release: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the federation as a mapping. Each party's rows are Arrow tables; the public tables are north's."""
    database = duckdb.connect()
    for name in (*_SHARES, *PUBLIC):
        database.execute(f"CREATE VIEW {name} AS FROM '{folder / name}.parquet'")
    parties: dict[str, Any] = {}
    for number, party in enumerate(PARTIES):
        tables: dict[str, Any] = {}
        for name, condition in _SHARES.items():
            rows = database.sql(f"FROM {name} WHERE {condition.format(number)}").to_arrow_table()
            tables[name] = {
                "source": rows,
                **_UNITS[name],
                "columns": {c: _column(c, {"use": USES}) for c in rows.column_names},
            }
        for name in PUBLIC if number == 0 else ():
            rows = database.sql(f"FROM {name}").to_arrow_table()
            tables[name] = {"source": rows, "public": True, "columns": {c: _column(c, {}) for c in rows.column_names}}
            tables[name] |= {"unique": _KEYS[name]} if name in _KEYS else {}
        parties[party] = {"tables": tables, "release": release or OPEN}
    return {"name": "tpch", "parties": parties}


def _column(name: str, rest: dict[str, Any]) -> dict[str, Any]:
    return rest | ({"bounds": _BOUNDS[name]} if name in _BOUNDS else {})


def queries() -> dict[str, str]:
    """Return the 22 queries by name."""
    return {path.stem: path.read_text() for path in sorted((Path(__file__).parent / "queries").glob("*.sql"))}
