"""What the network costs: the same files asked in one process and over real processes, on loopback and on slow links.

    python benchmarks/network.py [--quick] [--seconds 60] [--queries 100] [--parties 3,10,30] [--analysts 20]

Small questions of three kinds (ungrouped, by a key with public values, by one that is aligned), each as a text that was
asked before, whose plan everybody remembers, and as a new one, which analyst and parties plan each for itself:

1. chains: how many messages of each kind wait for one another (see chain.py), and how many hops these are.
2. latency: embedded and networked at the first number of parties, in turn within one loop; the difference is *added*.
   Embedded, all roles share one thread; networked, they use all cores of the machine, so little or nothing may be added.
3. load: many analysts at once, each a process of its own.
4. delay: a round trip of 30 ms between everybody and the coordinator (see delay.py), measured, and predicted: what it
   takes on loopback plus 15 ms a hop.
5. by_parties: networked, at the other numbers of parties. All of them share this machine's cores.

Every answer is compared with DuckDB's on the pooled rows; a wrong one ends the run. Times are wall time. A table goes to
stderr, one line of JSON to stdout. ``--quick`` takes under 30 s on an idle machine; its figures mean little.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from analysts import agree, ask_at_once
from chain import ChainedFederation
from processes import Files, running

from fedsql.session import Session

KINDS = {
    "ungrouped": "SELECT COUNT(*) AS n, AVG(visits) AS visits FROM patients WHERE age < {}",
    "public": "SELECT health, COUNT(*) AS n, AVG(visits) AS visits FROM patients WHERE age < {} GROUP BY health",
    "aligned": "SELECT site, COUNT(*) AS n, AVG(visits) AS visits FROM patients WHERE age < {} GROUP BY site",
}
OLD = 1000  # more than anybody's age, as are the numbers that make a text new: the answer stays the same
ONE_WAY = 0.015
WARM = 2  # questions of each kind that are not counted
_new = itertools.count(OLD + 1)


class Asker:
    """Asks questions of a session; ``expected`` holds the right answer of each kind."""

    def __init__(self, session: Session, expected: Mapping[str, pa.Table]) -> None:
        self.session = session
        self._expected = expected

    def __call__(self, kind: str, new: bool = False) -> float:
        """Ask a question and return the seconds until its answer. Exits on a wrong one."""
        sql = KINDS[kind].format(next(_new) if new else OLD)
        start = time.perf_counter()
        answer = self.session.execute(sql)
        seconds = time.perf_counter() - start
        if answer.table is None or not agree(answer.table, self._expected[kind]):
            raise SystemExit(f"the answers differ: {sql}")
        return seconds

    def figures(self, queries: int) -> dict[str, dict[str, float]]:
        """Return the `figures` of each kind, as a text asked before."""
        return {kind: figures([self(kind) for _ in range(WARM + queries)][WARM:]) for kind in KINDS}


def pooled(files: Files) -> dict[str, pa.Table]:
    """Return DuckDB's answer to each kind of question on the pooled rows."""
    with duckdb.connect() as database:
        database.execute(f"CREATE TABLE patients AS SELECT * FROM read_parquet({files.data})")
        return {kind: database.sql(sql.format(OLD)).to_arrow_table() for kind, sql in KINDS.items()}


def figures(seconds: Sequence[float]) -> dict[str, float]:
    """Return median and 99th percentile (nearest rank), in milliseconds."""
    ordered = sorted(seconds)
    p99 = ordered[max(0, math.ceil(0.99 * len(ordered)) - 1)]
    return {"p50_ms": round(1000 * statistics.median(ordered), 1), "p99_ms": round(1000 * p99, 1)}


def latency(embedded: Asker, network: Asker, queries: int) -> dict[str, Any]:
    """Compare the two at each kind of question, in turn, so that whatever else the machine does meets both."""
    found: dict[str, Any] = {}
    for kind, (text, new) in itertools.product(KINDS, (("seen", False), ("new", True))):
        pairs = [(embedded(kind, new), network(kind, new)) for _ in range(WARM + queries)][WARM:]
        one, other = map(figures, zip(*pairs, strict=True))
        added = round(other["p50_ms"] - one["p50_ms"], 1)
        found.setdefault(kind, {})[text] = {"embedded": one, "network": other, "added_ms": added}
        say(f"{kind}, {text} text", f"embedded {shown(one)}, network {shown(other)}, added {added:.0f} ms")
    return found


def load(files: Files, analysts: int, seconds: float, expected: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Let many analysts ask at once. Exits on a wrong answer."""
    asked = ask_at_once(files.shared, analysts, seconds, {KINDS[k].format(OLD): t for k, t in expected.items()})
    answers = [each for analyst in asked for each in analyst.seconds]
    errors = [error for analyst in asked for error in analyst.errors]
    if wrong := sum(analyst.wrong for analyst in asked):
        raise SystemExit(f"{wrong} of {len(answers)} answers are wrong; errors: {errors[:3]}")
    found = {
        "analysts": analysts,
        "seconds": seconds,
        "answers": len(answers),
        "wrong": wrong,
        "errors": len(errors),
        "first_errors": sorted(set(errors))[:3],
        "per_s": round(len(answers) / seconds, 1),
        **figures(answers),
    }
    say(f"{analysts} analysts", f"{found['per_s']} answers a second, {shown(found)}, 0 wrong, {len(errors)} errors")
    return found


def chains(files: Files, expected: Mapping[str, pa.Table], queries: int) -> dict[str, dict[str, int]]:
    """Count the messages of each kind that must wait for one another."""
    federation = ChainedFederation.open(files.embedded)
    session, found = Session(federation, owns=True), {}
    for kind in KINDS:
        longest = []
        for _ in range(queries):  # who computes differs from one to the next
            Asker(session, expected)(kind)
            longest.append(federation.longest)
        messages, hops = map(max, zip(*longest, strict=True))
        found[kind] = {"messages": messages, "hops": hops}
        say(f"{kind}: longest chain", f"{messages} messages, {hops} hops")
    session.close()
    return found


def delayed(ask: Asker, queries: int, before: Mapping[str, Any]) -> dict[str, Any]:
    """Measure each kind on slow links, beside what its hops and its time without them let expect."""
    found: dict[str, Any] = ask.figures(queries)
    for kind, each in found.items():
        hops, fast = before["chains"][kind]["hops"], before["latency"][kind]["seen"]["network"]["p50_ms"]
        each["predicted_ms"] = round(fast + 1000 * ONE_WAY * hops, 1)
        say(f"{kind}, {2000 * ONE_WAY:g} ms round trip", f"{shown(each)}, predicted {each['predicted_ms']:.0f} ms")
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few of everything")
    parser.add_argument("--seconds", type=float, help="how long many analysts ask at once (60; quick: 3)")
    parser.add_argument("--queries", type=int, help="questions for each latency (100; quick: 3)")
    parser.add_argument("--parties", help="numbers of parties (3,10,30; quick: 3)")
    parser.add_argument("--analysts", type=int, help="how many ask at once (20; quick: 2)")
    options = parser.parse_args()
    usual: tuple[Any, ...] = (3.0, 3, "3", 2) if options.quick else (60.0, 100, "3,10,30", 20)
    given = (options.seconds, options.queries, options.parties, options.analysts)
    seconds, queries, numbers, analysts = (u if g is None else g for u, g in zip(usual, given, strict=True))
    few = max(3, queries // 5)
    first, *others = (int(number) for number in numbers.split(","))

    result: dict[str, Any] = {"benchmark": "network", "cores": os.cpu_count(), "parties": first, "queries": queries}
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder) / "federation", first, analysts)
        expected = pooled(files)
        say("cores, shared by all", str(os.cpu_count()))
        result["chains"] = chains(files, expected, few)
        with running(files) as session:
            embedded = Session.open(files.embedded)
            result["latency"] = latency(Asker(embedded, expected), Asker(session, expected), queries)
            embedded.close()
            result["load"] = load(files, analysts, seconds, expected)
        with running(files, ONE_WAY) as session:
            result["delay"] = {"round_trip_ms": 2000 * ONE_WAY, **delayed(Asker(session, expected), few, result)}
        result["by_parties"] = {}
        for number in others:
            files = Files(Path(folder) / str(number), number)
            with running(files) as session:
                found = result["by_parties"][number] = Asker(session, pooled(files)).figures(few)
            for kind, each in found.items():
                say(f"{kind}, {number} parties", shown(each))
    print(json.dumps(result))


def say(what: str, text: str) -> None:
    """Print a line of the table."""
    print(f"{what + ':':32}{text}", file=sys.stderr, flush=True)


def shown(each: Mapping[str, float]) -> str:
    """Return `figures` as text."""
    return f"{each['p50_ms']:.0f} ms (p99 {each['p99_ms']:.0f})"


if __name__ == "__main__":
    main()
