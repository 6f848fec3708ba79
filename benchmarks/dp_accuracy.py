"""How exact answers under noise are: three parties, one of which may collude, against one curator who has all rows.

    python benchmarks/dp_accuracy.py [--quick] [--rows 100000,1000000] [--runs 150] [--smartnoise-runs 5]

`SELECT sex, COUNT(*), AVG(age), SUM(income) FROM people GROUP BY sex` at epsilon 1 over rows that are like a census (made
by a seeded generator), three ways in one run:

- fedsql: three parties, noise_colluders = 1, unit_scope = "global", all columns required; each run asks another
  text (WHERE age < 1000, 1001, ...), so it is planned anew and its noise is fresh.
- OpenDP: totals of the pooled rows by DuckDB, each under OpenDP's integer Laplace noise at a third of epsilon.
- SmartNoise SQL, installed from the package index into a folder of its own, at the epsilon for which it says it spends 1.

For each: seconds a query (median) and the relative error of each column, over both groups and all runs (OpenDP: ten times
as many): its median, and the root of its mean square. ``ratio`` is fedsql's root mean square over OpenDP's, with its
standard error; ``stated`` is what the laws of both noises say, without sampling: sqrt(1.5) = 1.22 where both have equal
sensitivities (N = 3 shares, of which N - t = 2 are enough). Medians of COUNT are those of whole numbers: 2 or 3 rows.
A table goes to stderr, one line of JSON to stdout.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import opendp.prelude as dp
import pyarrow as pa
from pyarrow import csv

from fedsql.session import Session

PARTIES = ("north", "south", "west")
EPSILON = 1.0
LARGEST = {"count": 1, "age": 100, "income": 500_000}  # what a person adds at most
QUERY = "SELECT sex, COUNT(*) AS n, AVG(age) AS a, SUM(income) AS s FROM people GROUP BY sex"
COLUMNS = ("count", "avg", "sum")
Errors = dict[str, list[float]]  # of each column: |answer - truth| / truth
SMARTNOISE = """
import json, sys, time
import pandas
from snsql import Privacy, from_df

file, runs, largest = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
rows = pandas.read_csv(file)
columns = {"id": {"type": "int", "private_id": True}, "sex": {"type": "string"}}
columns |= {name: {"type": "int", "lower": 0, "upper": largest[name]} for name in ("age", "income")}
table = {"row_privacy": False, "max_ids": 1, "censor_dims": False, "rows": len(rows), **columns}
sql = "SELECT sex, COUNT(*) AS n, AVG(age) AS a, SUM(income) AS s FROM d.people GROUP BY sex"

def reader(epsilon):
    return from_df(rows, privacy=Privacy(epsilon=epsilon, delta=1e-6), metadata={"": {"d": {"people": table}}})

spent, _ = reader(1.0).get_privacy_cost(sql)
found = []
for _ in range(runs):
    asked = reader(1.0 / float(spent))
    start = time.perf_counter()
    answer = asked.execute(sql)
    found.append([time.perf_counter() - start, [[row[0], *map(float, row[1:])] for row in answer[1:]]])
print(json.dumps({"spent_at_1": float(spent), "runs": found}))
"""


def people(rows: int, seed: int) -> pa.Table:
    """Return rows whose columns have the shapes of a census: grown-ups, and incomes that are skewed, a tenth of them 0."""
    rng = np.random.default_rng(seed)
    age = 18 + 75 * rng.beta(1.3, 1.9, rows)
    income = np.where(rng.random(rows) < 0.1, 0, rng.lognormal(10.1, 1.0, rows))
    return pa.table(
        {
            "id": np.arange(rows),
            "sex": np.where(rng.random(rows) < 0.51, "F", "M"),
            "age": age.astype(np.int64),
            "income": np.minimum(income, LARGEST["income"]).astype(np.int64),
        }
    )


def session(pooled: pa.Table) -> Session:
    """Open a federation in which every third row is at another party."""
    columns: dict[str, Any] = {"id": {"use": ["join"]}, "sex": {"use": ["group"], "values": ["F", "M"]}}
    for name in ("age", "income"):
        columns[name] = {"use": ["aggregate", "filter"], "bounds": [0, LARGEST[name]], "required": True}
    parties = {}
    for i, name in enumerate(PARTIES):
        source = pooled.take(pa.array(range(i, pooled.num_rows, len(PARTIES))))
        table = {"source": source, "privacy_unit": "id", "unit_scope": "global", "columns": columns}
        release = {"noise": "required", "noise_colluders": 1, "budget": {"epsilon": 1e9}}
        parties[name] = {"tables": {"people": table}, "release": release}
    return Session.open({"name": "benchmark", "parties": parties})


def note(errors: Errors, answer: list[list[Any]], truth: dict[str, list[float]]) -> None:
    """Add the relative errors of one answer; the group without a sex, which has no rows, is left out."""
    for sex, *values in answer:
        for name, value, true in zip(COLUMNS, values, truth.get(sex, ()), strict=bool(sex)):
            errors[name].append(abs(float(value) - true) / true)


def by_fedsql(asked: Session, truth: dict[str, list[float]], runs: int) -> tuple[Errors, list[float]]:
    errors: Errors = {name: [] for name in COLUMNS}
    seconds = []
    for run in range(runs):
        other = QUERY.replace("GROUP", f"WHERE age < {1000 + run} GROUP")  # the same question would get the same answer
        start = time.perf_counter()
        answer = asked.execute(other)
        seconds.append(time.perf_counter() - start)
        note(errors, [list(row.values()) for row in answer.table.to_pylist()], truth)
    return errors, seconds


def by_opendp(
    database: duckdb.DuckDBPyConnection, truth: dict[str, list[float]], runs: int
) -> tuple[Errors, list[float]]:
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
    noisy = [space >> dp.m.then_laplace(largest / (EPSILON / 3)) for largest in LARGEST.values()]
    clamped = ", ".join(f"SUM(least(greatest({c}, 0), {LARGEST[c]}))::BIGINT" for c in ("age", "income"))
    errors: Errors = {name: [] for name in COLUMNS}
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        groups = database.execute(f"SELECT sex, COUNT(*), {clamped} FROM people GROUP BY sex").fetchall()
        counts, ages, incomes = (
            mechanism(list(column))
            for mechanism, column in zip(noisy, list(zip(*groups, strict=True))[1:], strict=True)
        )
        answer = [[g[0], n, a / n, s] for g, n, a, s in zip(groups, counts, ages, incomes, strict=True)]
        seconds.append(time.perf_counter() - start)
        note(errors, answer, truth)
    return errors, seconds


def by_smartnoise(
    python: Path | None, pooled: pa.Table, truth: dict[str, list[float]], runs: int
) -> tuple[Errors, list[float]] | None:
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "people.csv"
        csv.write_csv(pooled, file)
        command = [python, "-W", "ignore", "-c", SMARTNOISE, file, str(runs), json.dumps(LARGEST)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"SmartNoise SQL failed: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    errors: Errors = {name: [] for name in COLUMNS}
    found = json.loads(done.stdout.splitlines()[-1])["runs"]
    for _, answer in found:
        note(errors, answer, truth)
    return errors, [seconds for seconds, _ in found]


def installed(folder: Path) -> tuple[Path | None, str | None]:
    """Return the Python of a new environment in ``folder`` with SmartNoise SQL and what it is called; or why there is none."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    wanted = ["smartnoise-sql>=1.0.10,<2", "setuptools"]
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", *wanted], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return None, f"not installed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
    told = "import importlib.metadata as m; print('SmartNoise SQL', m.version('smartnoise-sql'))"
    return python, subprocess.run([python, "-c", told], capture_output=True, text=True, check=True).stdout.strip()


def told(errors: Errors, seconds: list[float]) -> dict[str, Any]:
    """Return the figures of one way."""
    return {
        "runs": len(seconds),
        "seconds": round(statistics.median(seconds), 4),
        "median": {name: float(f"{statistics.median(e):.3g}") for name, e in errors.items()},
        "rms": {name: float(f"{root(e):.3g}") for name, e in errors.items()},
    }


def root(errors: list[float]) -> float:
    return math.sqrt(statistics.fmean(e * e for e in errors))


def compared(ours: Errors, theirs: Errors) -> dict[str, dict[str, float]]:
    """Return the ratio of root mean squares for each column, and its standard error by the delta method."""
    found = {}
    for name in COLUMNS:
        ratio = root(ours[name]) / root(theirs[name])
        spread = 0.0
        for errors in (ours[name], theirs[name]):
            squares = [e * e for e in errors]
            spread += statistics.variance(squares) / len(squares) / (2 * statistics.fmean(squares)) ** 2
        found[name] = {"ratio": round(ratio, 3), "standard_error": round(ratio * math.sqrt(spread), 3)}
    return found


def stated(asked: Session, truth: dict[str, list[float]]) -> dict[str, float]:
    """Return the ratio of standard deviations by the laws of both noises; for AVG at the true averages."""
    (release,) = asked._plan(QUERY, ())[0].releases
    assert release.noise is not None
    if len(release.noise) != 3:
        raise SystemExit(f"{len(release.noise)} values share epsilon, and not 3")
    outputs = dict(zip(COLUMNS, release.outputs, strict=True))
    variances = dict(zip((p.name for p in release.partials), (n.variance for n in release.noise), strict=True))
    count, total = (variances[outputs[name].partials[0]] for name in ("count", "sum"))
    age = variances[outputs["avg"].partials[1]]
    central = []
    for largest in LARGEST.values():
        q = math.exp(-EPSILON / 3 / largest)
        central.append(2 * q / (1 - q) ** 2)
    # noisy sum of (age - middle) over noisy count: d(avg) = (d(sum) - (avg - middle) d(count)) / n
    middle = float(outputs["avg"].offsets[0])
    mean = statistics.fmean(average for _, average, _ in truth.values())
    ratios = {
        "count": count / central[0],
        "avg": (age + (mean - middle) ** 2 * count) / (central[1] + mean**2 * central[0]),
        "sum": total / central[2],
    }
    return {name: round(math.sqrt(ratio), 3) for name, ratio in ratios.items()}


def measure(rows: int, runs: int, python: Path | None, smartnoise_runs: int) -> dict[str, Any]:
    """Compare at one number of rows."""
    pooled = people(rows, rows)
    database = duckdb.connect()
    database.register("given", pooled)
    database.execute("CREATE TABLE people AS SELECT * FROM given")
    truth = {sex: list(map(float, values)) for sex, *values in database.execute(QUERY).fetchall()}
    asked = session(pooled)
    asked.execute(f"SET epsilon = {EPSILON}")
    asked.execute(QUERY)  # the session's key and the tables of the noise are made by now
    ours = by_fedsql(asked, truth, runs)
    theirs = by_opendp(database, truth, 10 * runs)
    others = by_smartnoise(python, pooled, truth, smartnoise_runs)
    expected = stated(asked, truth)
    asked.close()
    database.close()
    return {
        "rows": rows,
        "fedsql": told(*ours),
        "opendp": told(*theirs),
        "smartnoise": told(*others) if others else None,
        "over_opendp": {n: {**found, "stated": expected[n]} for n, found in compared(ours[0], theirs[0]).items()},
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="100000,1000000")
    parser.add_argument("--runs", type=int, default=150)
    parser.add_argument("--smartnoise-runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="10,000 rows, 20 runs, and no SmartNoise")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rows, arguments.runs, arguments.smartnoise_runs = "10000", 20, 0
    results = []
    with tempfile.TemporaryDirectory() as folder:
        python, peer = installed(Path(folder)) if arguments.smartnoise_runs else (None, "not asked for")
        print(f"SmartNoise SQL: {peer}", file=sys.stderr)
        for rows in map(int, arguments.rows.split(",")):
            results.append(result := measure(rows, arguments.runs, python, arguments.smartnoise_runs))
            show(result)
    print(json.dumps({"benchmark": "dp_accuracy", "epsilon": EPSILON, "smartnoise": peer, "results": results}))


def show(result: dict[str, Any]) -> None:
    """Print a table of one number of rows."""
    print(
        f"\n{result['rows']:,} rows    {'COUNT':>9}{'AVG':>9}{'SUM':>9}   s/query   (median relative error)",
        file=sys.stderr,
    )
    for name in ("fedsql", "opendp", "smartnoise"):
        if (found := result[name]) is not None:
            errors = "".join(f"{found['median'][column]:9.2g}" for column in COLUMNS)
            print(f"{name:16}{errors}{found['seconds']:10.3f}   {found['runs']} runs", file=sys.stderr)
    for name in ("ratio", "standard_error", "stated"):
        values = "".join(f"{result['over_opendp'][column][name]:9.3f}" for column in COLUMNS)
        print(f"{name.replace('_', ' '):16}{values}", file=sys.stderr)


if __name__ == "__main__":
    main()
