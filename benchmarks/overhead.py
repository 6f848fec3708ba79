"""What privacy costs in time: three parties against DuckDB on the pooled rows, stage by stage.

    python benchmarks/overhead.py [--rows 10000000] [--groups 10,10000] [--runs 3]

Ten million rows in all with a unique unit, GROUP BY a column of unknown domain, four aggregates. For each number of
groups: the median wall time of both, and fedsql's by stage. A small ungrouped answer shows the fixed cost. The last line
is one JSON object. Figures are ratios within one run: both sides use the same machine, one after the other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import Any

import duckdb
import pyarrow as pa

from fedsql.session import Session

PARTIES = ("north", "south", "west")
QUERY = "SELECT grp, COUNT(*) AS n, SUM(amount) AS total, AVG(age) AS age, SUM(cents) AS cents FROM events GROUP BY grp"
SMALL = "SELECT COUNT(*), SUM(amount), AVG(age) FROM small"


def table(rows: int, groups: int, seed: int) -> pa.Table:
    """Return one party's rows."""
    sql = f"""SELECT range + {seed} * 100000000 AS id, (hash(range, {seed}) % {groups})::INTEGER AS grp,
              (hash(range, {seed}, 1) % 1000000)::BIGINT AS amount, (hash(range, {seed}, 2) % 100)::INTEGER AS age,
              ((hash(range, {seed}, 3) % 1000000) / 100)::DECIMAL(10,2) AS cents FROM range({rows})"""
    return duckdb.sql(sql).to_arrow_table()


def federation(tables: dict[str, dict[str, pa.Table]]) -> Session:
    """Open the parties' tables with everything allowed."""
    columns = {
        "id": {"use": ["join"]},
        "grp": {"use": ["group", "filter"]},
        "amount": {"use": ["aggregate"], "bounds": [0, 1_000_000]},
        "age": {"use": ["aggregate", "filter"], "bounds": [0, 120]},
        "cents": {"use": ["aggregate"], "bounds": [0, 10_000]},
    }
    parties: dict[str, Any] = {
        name: {
            "tables": {t: {"source": source, "privacy_unit": "id", "columns": columns} for t, source in held.items()}
        }
        for name, held in tables.items()
    }
    return Session.open({"name": "benchmark", "parties": parties})


def median(run: Any, runs: int) -> tuple[float, Any]:
    """Return the median wall seconds of ``run`` and its last result."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def measure(rows: int, groups: int, runs: int) -> dict[str, Any]:
    """Compare one number of groups."""
    held = {name: {"events": table(rows // 3, groups, i), "small": table(1000, 1, i)} for i, name in enumerate(PARTIES)}
    pooled = duckdb.connect()
    for name in ("events", "small"):
        union = " UNION ALL ".join(f"SELECT * FROM {party}_{name}" for party in PARTIES)
        for party in PARTIES:
            pooled.register(f"{party}_{name}", held[party][name])
        pooled.execute(f"CREATE TABLE {name} AS {union}")
    session = federation(held)
    session.execute("SELECT COUNT(*) FROM small")  # the session's key is made by now
    plain, expected = median(lambda: pooled.sql(QUERY).to_arrow_table(), runs)
    ours, answer = median(lambda: session.execute(QUERY), runs)
    small_plain, _ = median(lambda: pooled.sql(SMALL).to_arrow_table(), 9)
    small_ours, _ = median(lambda: session.execute(SMALL), 9)
    if sorted(map(str, answer.table.to_pylist())) != sorted(map(str, expected.to_pylist())):
        raise SystemExit("the answers differ")
    values = answer.table.num_rows * (answer.table.num_columns - 1)
    session.close()
    return {
        "groups": groups,
        "released_values": values,
        "duckdb_s": round(plain, 4),
        "fedsql_s": round(ours, 4),
        "ratio": round(ours / plain, 2),
        "ms_per_released_value": round(1000 * (ours - plain) / values, 4),
        "small_over_duckdb_s": round(small_ours - small_plain, 4),
        "stages_s": {name: round(seconds, 4) for name, seconds in answer.seconds.items()},
        "bytes_sent": sum(message.size for message in answer.sent),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--groups", default="10,10000")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    results = []
    for groups in arguments.groups.split(","):
        result = measure(arguments.rows, int(groups), arguments.runs)
        results.append(result)
        print(f"{groups} groups: {json.dumps(result)}", file=sys.stderr)
    print(json.dumps({"benchmark": "overhead", "rows": arguments.rows, "parties": len(PARTIES), "results": results}))


if __name__ == "__main__":
    main()
