"""The 22 queries of TPC-H: three parties against DuckDB on the pooled rows, one query after the other in one run.

    python benchmarks/tpch.py [--scale 1] [--runs 3] [--queries q01,q18] [--data FOLDER] [--clock cpu]

Customers with their orders and lineitems are parted over three parties, everything else is public at one (see
`examples/tpch`). For each query: the median time of both, planning included (by the wall, or with --clock cpu the
processor's, of all threads, where the machine has other things to do), and how many stages, releases and
released values it took. What a query takes beyond DuckDB should be at most 0.15 s for each release and 0.4 ms for each
released value; one that takes more is marked. A table, then as the last line one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from fedsql.planner import planning
from fedsql.planner.plans import Plan
from fedsql.session import Session

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "tpch"))

from federation import federation, generate, queries

PER_RELEASE = 0.15  # seconds
PER_VALUE = 0.4e-3
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
HEAD = ("query", "DuckDB s", "fedsql s", "ratio", "stages", "releases", "values", "over s", "allowed s", "")


class Counted:
    """Counts the values that a federation releases: rows times aggregates, or rows where there are only keys."""

    def __init__(self, session: Session) -> None:
        self.session, self.values = session, 0
        self._ask = session.federation.ask
        session.federation.ask = self.ask  # type: ignore[method-assign]

    def ask(self, analyst: Any, question: Any, plan: Plan, *rest: Any) -> list[Any]:
        """Ask, and count what is released."""
        tables = self._ask(analyst, question, plan, *rest)
        for release, table in zip(plan.releases, tables, strict=True):
            self.values += table.num_rows * max(1, len(release.outputs))
        return tables


def seconds(runs: int, clock: Callable[[], float], *ways: Callable[[], Any]) -> list[tuple[float, Any]]:
    """Return the median seconds and the last result of each way, after one run of each that is not measured.

    They take turns: a machine's speed changes from minute to minute, and is the same for all of them so.
    """
    results = [way() for way in ways]
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(runs):
        for at, way in enumerate(ways):
            start = clock()
            results[at] = way()
            taken[at].append(clock() - start)
    return [(statistics.median(each), result) for each, result in zip(taken, results, strict=True)]


def measure(
    name: str, counted: Counted, pooled: duckdb.DuckDBPyConnection, runs: int, clock: Callable[[], float]
) -> dict[str, Any]:
    """Compare one query."""
    sql = queries()[name]
    plans: list[Plan] = []

    def ask() -> Any:
        planning._memo.clear()  # what a text that was never asked does not find there
        counted.values = 0
        answer = counted.session.execute(sql)
        plans[:] = planning._memo.values()  # the one plan, under two keys
        return answer

    (plain, expected), (ours, answer) = seconds(runs, clock, lambda: pooled.sql(sql).to_arrow_table(), ask)
    if answer.table.num_rows != expected.num_rows or answer.table.schema != expected.schema:
        raise SystemExit(f"{name}: the answers differ")
    plan = plans[0]
    releases = len(plan.releases)
    allowed = PER_RELEASE * max(1, releases) + PER_VALUE * counted.values
    return {
        "query": name,
        "duckdb_s": round(plain, 4),
        "fedsql_s": round(ours, 4),
        "ratio": round(ours / plain, 1),
        "stages": plan.last_stage + 1 if releases else 0,
        "releases": releases,
        "values": counted.values,
        "over_s": round(ours - plain, 4),
        "allowed_s": round(allowed, 4),
        "within": ours - plain <= allowed,
        "stages_s": {stage: round(s, 4) for stage, s in answer.seconds.items()},
    }


def line(cells: Sequence[object]) -> str:
    """Return one row of the table."""
    return "  ".join(str(cell).rjust(len(head)) for cell, head in zip(cells, HEAD, strict=True)).rstrip()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--queries", default=",".join(queries()))
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--data", type=Path, help="where the tables are, or are written")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = arguments.data or Path(place)
        if not (folder / "lineitem.parquet").exists():
            generate(folder, arguments.scale)
        pooled = duckdb.connect()
        for path in sorted(folder.glob("*.parquet")):
            pooled.execute(f"CREATE TABLE {path.stem} AS FROM '{path}'")
        session = Session.open(federation(folder))
        session.execute("SELECT COUNT(*) FROM customer")  # the session's key is made by now
        counted, results = Counted(session), []
        print(line(HEAD))
        for name in arguments.queries.split(","):
            result = measure(name, counted, pooled, arguments.runs, CLOCKS[arguments.clock])
            results.append(result)
            cells = [value for key, value in result.items() if key not in ("within", "stages_s")]
            print(line([*cells, "" if result["within"] else "*"]), flush=True)
        session.close()
    print(json.dumps({"benchmark": "tpch", "scale": arguments.scale, "clock": arguments.clock, "results": results}))


if __name__ == "__main__":
    main()
