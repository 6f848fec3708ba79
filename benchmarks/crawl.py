"""How long a BI tool takes to open its tree of tables: every schema, table, column and key, by the Java driver's commands.

    python benchmarks/crawl.py [--tables 50] [--columns 30] [--runs 5]

Over the demo federation and over three parties with TABLES tables of COLUMNS columns each, against a gateway in this
process: the first crawl of a session, and the median of later ones, in wall and CPU time of client and gateway together.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from fedsql import demo
from tests.flight.crawl import crawl, wide
from tests.flight.raw import Raw
from tests.flight.world import gateway


def measure(file: Path, runs: int) -> dict[str, Any]:
    """Crawl one federation: all of it, and the schema main alone."""
    found: dict[str, Any] = {}
    with gateway(file) as service:
        for name, schemas in (("main", ["main"]), ("all", None)):
            raw = Raw(service)
            seconds, cpu = [], time.process_time()
            for _ in range(runs + 1):
                start = time.perf_counter()
                seen = crawl(raw, None, schemas)
                seconds.append(time.perf_counter() - start)
            cpu = (time.process_time() - cpu) / (runs + 1)
            raw.close()
            found[name] = {
                "tables": len(seen.columns),
                "columns": sum(map(len, seen.columns.values())),
                "commands": seen.commands,
                "first_s": round(seconds[0], 3),
                "again_s": round(statistics.median(seconds[1:]), 3),
                "cpu_s": round(cpu, 3),
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", type=int, default=50)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        results["demo"] = measure(demo.write(Path(folder) / "demo", noise=False), options.runs)
        results["wide"] = measure(wide(Path(folder) / "wide", options.tables, options.columns), options.runs)
    for federation, found in results.items():
        for schemas, each in found.items():
            print(
                f"{federation:5} {schemas:5} {each['tables']:4} tables {each['columns']:5} columns"
                f" {each['commands']:4} commands: first {each['first_s']:.3f} s, again {each['again_s']:.3f} s, CPU {each['cpu_s']:.3f} s"
            )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
