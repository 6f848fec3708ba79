"""The gateway under load: what it adds to a small query, and fifty clients at once.

    python benchmarks/gateway.py [--clients 50] [--seconds 60] [--runs 40]

Needs adbc-driver-flightsql. A gateway runs as a process of its own (`fedsql serve`, TLS off) over the three hospitals of
the demo. First the same small query, in turns, through ADBC and by an embedded session of this process, which is the
peer: the difference of the medians is what the gateway adds. Then the clients ask queries whose answers are known, and
each answer is compared. The gateway's memory is read ten times, after a first quarter in which every session begins.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi

from fedsql.session import Session
from fedsql.shell.tour import folder_for

SMALL = "SELECT sex, COUNT(*) AS n, AVG(age) AS age FROM patients GROUP BY sex ORDER BY sex"
QUERIES = (
    SMALL,
    "SELECT COUNT(*) AS n FROM patients WHERE age > 40",
    "SELECT year, SUM(visits) AS v FROM patients GROUP BY year ORDER BY year",
    "SELECT plan, COUNT(*) AS n FROM patients WHERE sex = 'F' GROUP BY plan ORDER BY plan",
    "SHOW TABLES",
)
PASSWORD = "benchmark password"
FEDSQL = (str(Path(sys.executable).with_name("fedsql")),)


class Served:
    """`fedsql serve` as a process."""

    def __init__(self, federation: Path) -> None:
        users = ["user", "add", str(federation), "ada", "--password-stdin"]
        subprocess.run([*FEDSQL, *users], input=PASSWORD, text=True, check=True, capture_output=True)
        serve = ["serve", str(federation), "--port", "0", "--no-tls", "--operations", "127.0.0.1:0"]
        self.process = subprocess.Popen([*FEDSQL, *serve], stderr=subprocess.PIPE, text=True)
        self.port = self.sessions_at = 0
        assert self.process.stderr is not None
        said = ""
        while not self.port and (line := self.process.stderr.readline()):
            said += line
            if found := re.search(r"grpc://[\w.]+:(\d+)", line):
                self.port = int(found[1])
        if not self.port:
            raise SystemExit(f"the gateway does not start:\n{said}")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def connect(self) -> Any:
        given = {"username": "ada", "password": PASSWORD}
        return adbc_driver_flightsql.dbapi.connect(f"grpc://127.0.0.1:{self.port}", db_kwargs=given, autocommit=True)

    def megabytes(self) -> float:
        """The resident memory of the process; 0 where /proc is not there."""
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        except OSError:
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def asked(connection: Any, sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetch_arrow_table().to_pylist()


def overhead(served: Served, session: Session, runs: int) -> dict[str, float]:
    """Return the medians, in ms, of the small query through the gateway and embedded."""
    connection = served.connect()
    through, embedded = [], []
    for number in range(runs + 3):
        start = time.perf_counter()
        asked(connection, SMALL)
        middle = time.perf_counter()
        session.execute(SMALL)
        end = time.perf_counter()
        if number >= 3:  # keys and their tables are made in the first ones
            through.append(1000 * (middle - start))
            embedded.append(1000 * (end - middle))
    connection.close()
    one, other = statistics.median(through), statistics.median(embedded)
    return {"gateway_ms": round(one, 1), "embedded_ms": round(other, 1), "overhead_ms": round(one - other, 1)}


def load(served: Served, answers: dict[str, Any], clients: int, seconds: float) -> dict[str, Any]:
    """Let ``clients`` ask for ``seconds``."""
    latencies: list[float] = []
    wrong: list[str] = []
    until = time.monotonic() + seconds

    def work(number: int) -> None:
        try:
            connection = served.connect()
            at = number
            while time.monotonic() < until:
                sql = QUERIES[at % len(QUERIES)]
                at += 1
                start = time.perf_counter()
                rows = asked(connection, sql)
                latencies.append(time.perf_counter() - start)
                if rows != answers[sql]:
                    wrong.append(f"{sql}: {rows}")
            connection.close()
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    memory = []
    time.sleep(seconds / 4)
    for _ in range(10):
        memory.append(round(served.megabytes()))
        time.sleep(0.75 * seconds / 10)
    for thread in threads:
        thread.join()
    for each in wrong[:5]:
        print(each)
    cuts = statistics.quantiles(latencies, n=100)
    return {
        "clients": clients,
        "answers": len(latencies),
        "per_second": round(len(latencies) / seconds, 1),
        "p50_ms": round(1000 * cuts[49]),
        "p99_ms": round(1000 * cuts[98]),
        "wrong": len(wrong),
        "memory_mb": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--runs", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, folder_for(Path(folder) / "demo", noise=False) as file:
        served = Served(Path(file))
        session = Session.open(file)
        try:
            figures: dict[str, Any] = overhead(served, session, options.runs)
            print(figures)
            answers = {sql: session.execute(sql).table.to_pylist() for sql in QUERIES}
            figures |= load(served, answers, options.clients, options.seconds)
            connection = served.connect()  # the last word: all the others have gone
            connection.close()
            figures["memory_after_mb"] = round(served.megabytes())
        finally:
            session.close()
            served.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
