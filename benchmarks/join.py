"""The private join of two parties' rows by key: CPU time of all roles, bytes moved and peak memory, measured in one run.

    python benchmarks/join.py [--rows 100000 1000000] [--groups 1000] [--spu PYTHON]

Both sides have ``--rows`` ids, half of which match; the answer is COUNT, SUM and SUM of squares of the provider's value by
the anchor's groups. Each figure is of a process of its own, in which all roles run, through the very messages that a network
would carry, sealed. The lines of the table, which goes to stderr, one line of JSON to stdout:

- ``protocol``: from arrays to shares, in one thread. The opened shares are checked against the sums in the clear.
- ``sql``: the whole way of COUNT, SUM and VAR_POP from the question to the answer, of an embedded federation that has loaded
  both tables: fragments, join, verdict, encryption, opening. It is checked against DuckDB's answer on the pooled rows.
- ``duckdb``: that one, on tables that it has loaded.
- ``spu_rr22_psi``: SPU's private set intersection (RR22), which aggregates nothing, in two processes on loopback; where
  ``--spu`` names the Python of an environment that has ``spu``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from fedsql.crypto.keys import IdentityKey
from fedsql.crypto.matching import Keys
from fedsql.crypto.packing import add_columns, to_ints
from fedsql.crypto.words import of_int64
from fedsql.executors.protocol.anchor import AnchorRows, join_rows
from fedsql.executors.protocol.conversation import Context, Conversation
from fedsql.executors.protocol.helper import help_join
from fedsql.executors.protocol.joining import MATCHED, PROVIDED, Request, Setting
from fedsql.executors.protocol.provider import ProviderRows, provide
from fedsql.executors.protocol.wire import COORDINATOR, Message, Steps
from fedsql.executors.transport.inprocess import run

ANCHOR, PROVIDER = "anchor", "provider"
QUERY = """SELECT grp, COUNT(*) AS n, SUM(value) AS total, VAR_POP(value) AS spread
           FROM bank.a JOIN telco.b ON a.id = b.id GROUP BY grp ORDER BY grp"""
COLUMNS = {
    "a": {"id": {"use": ["join"]}, "grp": {"use": ["group"]}},
    "b": {"id": {"use": ["join"]}, "value": {"use": ["aggregate"], "bounds": [-1000, 1000]}},
}


def conversations() -> dict[str, Conversation]:
    context = Context(os.urandom(16), 1, bytes(32), bytes(32), ((ANCHOR, PROVIDER),), bytes(32))
    talks = {name: Conversation(name, context, IdentityKey.generate()) for name in (ANCHOR, PROVIDER, COORDINATOR)}
    identities = {name: talk.identity.public for name, talk in talks.items()}
    hellos = [talk.hello() for talk in talks.values()]
    for talk in talks.values():
        talk.admit(hellos, identities, tuple(talks))
    return talks


def timed(steps: Steps[Any], seconds: dict[str, float], name: str) -> Generator[Any, Any, Any]:
    """Drive ``steps``, adding the CPU time of each step to ``seconds``."""
    given = None
    while True:
        start = time.process_time()
        try:
            exchange = steps.send(given)
        except StopIteration as stop:
            return stop.value
        finally:
            seconds[name] += time.process_time() - start
        given = yield exchange


def measure(rows: int, groups: int) -> dict[str, Any]:
    """Join once and return the figures. Exits when a sum is wrong."""
    rng = np.random.default_rng(1)
    names = np.frombuffer(os.urandom(8 * (rows + rows // 2)), np.uint8)
    ends, known = 8 * np.arange(rows + 1), np.ones(rows, bool)
    keys = Keys(names, ends, known)
    held = Keys(names, ends + 8 * (rows // 2), known)  # the last half of one side is the first of the other
    slots, values = rng.integers(0, groups, rows), rng.integers(-1000, 1000, rows)
    columns = [of_int64(values, 1), of_int64(values**2, 1)]
    setting = Setting(0, ANCHOR, {PROVIDER: Request(provided=(1, 1))}, frozenset({PROVIDER}))
    talks, moved, seconds = conversations(), [0, 0], dict.fromkeys((ANCHOR, PROVIDER, COORDINATOR), 0.0)

    def count(message: Message) -> None:
        moved[0] += 1
        moved[1] += len(message.body)

    anchor = AnchorRows({PROVIDER: keys}, slots, groups, {PROVIDER: []})
    table = ProviderRows(held, [columns])
    steps: dict[str, Steps[Any]] = {
        ANCHOR: join_rows(talks[ANCHOR], setting, anchor),
        PROVIDER: provide(talks[PROVIDER], setting, table),
        COORDINATOR: help_join(talks[COORDINATOR], setting),
    }
    start, before = time.process_time(), time.perf_counter()
    found = run({name: timed(each, seconds, name) for name, each in steps.items()}, count)
    total, wall = time.process_time() - start, time.perf_counter() - before
    both = found[ANCHOR][PROVIDER], found[PROVIDER]
    got = [
        to_ints(add_columns(*(shares.column(source, provided=at) for shares in both)))
        for source, at in ((MATCHED, -1), (PROVIDED, 0), (PROVIDED, 1))
    ]
    matched = rows - rows // 2
    own, theirs = slots[rows // 2 :], values[:matched]
    wanted = [np.bincount(own, weights, groups).astype(np.int64) for weights in (None, theirs, theirs**2)]
    if got != [column.tolist() for column in wanted]:
        sys.exit("the sums are wrong")
    return {
        "rows": rows,
        "cpu_s": round(total, 2),
        "cpu_s_by_role": {name: round(spent, 2) for name, spent in seconds.items()},
        "wall_s": round(wall, 2),
        "moved_mb": round(moved[1] / 1e6, 1),
        "messages": moved[0],
        "peak_mb": peak_mb(),
    }


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def quiet() -> duckdb.DuckDBPyConnection:
    return duckdb.connect().execute("SET enable_progress_bar = false")


def write_tables(rows: int, groups: int, folder: str) -> dict[str, str]:
    """Write both sides' tables; return their files."""
    texts = {
        "a": f"SELECT range AS id, (hash(range, 1) % {groups})::INTEGER AS grp FROM range({rows})",
        "b": f"SELECT range + {rows // 2} AS id, (hash(range, 2) % 2001)::BIGINT - 1000 AS value FROM range({rows})",
    }
    files = {name: f"{folder}/{name}.parquet" for name in texts}
    with quiet() as database:
        for name, text in texts.items():
            database.execute(f"COPY ({text}) TO '{files[name]}'")
    return files


def asked(files: dict[str, str]) -> tuple[dict[str, Any], list[Any]]:
    """Ask a federation of two parties once; return the figures and the answer."""
    from fedsql.session import Session  # here, for it would weigh on the protocol's peak of memory

    parties = {
        party: {
            "release": {"min_group_size": 1, "allow_alone": True},
            "tables": {name: {"source": files[name], "privacy_unit": "id", "columns": COLUMNS[name]}},
        }
        for party, name in (("bank", "a"), ("telco", "b"))
    }
    session = Session.open({"name": "benchmark", "parties": parties})
    session.execute("SELECT COUNT(*) FROM bank.a")  # the session's key is made by now
    loaded, start, before = peak_mb(), time.process_time(), time.perf_counter()
    answer = session.execute(QUERY)
    total, wall = time.process_time() - start, time.perf_counter() - before
    session.close()
    figures = {
        "cpu_s": round(total, 2),
        "wall_s": round(wall, 2),
        "stages_s": {name: round(seconds, 2) for name, seconds in answer.seconds.items()},
        "moved_mb": round(sum(message.size for message in answer.sent) / 1e6, 1),
        "messages": len(answer.sent),
        "loaded_mb": loaded,
        "peak_mb": peak_mb(),
    }
    return figures, answer.table.to_pylist()


def pooled(files: dict[str, str]) -> tuple[dict[str, Any], list[Any]]:
    """Ask DuckDB the same of the pooled tables; return the figures and the answer."""
    with quiet() as database:
        for schema, name in (("bank", "a"), ("telco", "b")):
            database.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.{name} AS FROM '{files[name]}'")
        start, before = time.process_time(), time.perf_counter()
        answer = database.sql(QUERY).to_arrow_table().to_pylist()
        total, wall = time.process_time() - start, time.perf_counter() - before
    return {"cpu_s": round(total, 2), "wall_s": round(wall, 2), "peak_mb": peak_mb()}, answer


def measure_sql(rows: int, groups: int) -> dict[str, dict[str, Any]]:
    """Return the figures of the whole way and of DuckDB. Exits when the answers differ."""
    with tempfile.TemporaryDirectory() as folder:
        files = write_tables(rows, groups, folder)
        (ours, answer), (plain, expected) = measured_apart(asked, files), measured_apart(pooled, files)
    one, other = ([row.pop("spread") for row in each] for each in (answer, expected))
    if answer != expected or not np.allclose(one, other, rtol=1e-9):
        sys.exit("the answers differ")
    return {"sql": {"rows": rows, **ours}, "duckdb": {"rows": rows, **plain}}


def measured_apart(target: Any, *values: Any) -> Any:
    """Return what ``target`` returns in a process of its own, so that its peak of memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(target, values)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def beside(python: str, rows: int) -> dict[str, Any]:
    """Return the figures of SPU's intersection of as many ids, half of which match. Exits when it is wrong."""
    ports, script = free_ports(2), str(Path(__file__).with_name("spu_psi.py"))
    with tempfile.TemporaryDirectory() as folder:
        files = [(f"{folder}/{rank}.csv", f"{folder}/out-{rank}.csv") for rank in (0, 1)]
        for rank, (ids, _) in enumerate(files):
            first = rank * (rows // 2)
            Path(ids).write_text("id\n" + "".join(f"{i:016x}\n" for i in range(first, first + rows)))
        before = time.perf_counter()
        sides = [
            subprocess.Popen([python, script, str(rank), *map(str, ports), *paths], stdout=subprocess.PIPE, text=True)
            for rank, paths in enumerate(files)
        ]
        said = [side.communicate()[0] for side in sides]
        spent = [float(text.partition("CPU seconds: ")[2].split()[0]) for text in said]  # SPU logs to stdout too
        wall = time.perf_counter() - before
        if any(Path(out).read_text().count("\n") != 1 + rows - rows // 2 for _, out in files):
            sys.exit("SPU's intersection is wrong")
        return {"rows": rows, "cpu_s": round(sum(spent), 2), "wall_s": round(wall, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000], help="ids of each side")
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--spu", metavar="PYTHON", help="run SPU's intersection beside it, with this Python")
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for rows in options.rows:
        ways = {"protocol": measured_apart(measure, rows, options.groups), **measure_sql(rows, options.groups)}
        if options.spu:
            ways["spu_rr22_psi"] = beside(options.spu, rows)
        for name, figures in ways.items():
            found.setdefault(name, []).append(figures)
    print(f"{'':12}{'rows':>10}{'CPU s':>9}{'wall s':>9}{'MB moved':>10}{'peak MB':>9}", file=sys.stderr)
    for name, listed in found.items():
        for row in listed:
            rest = "".join(f"{row.get(key, ''):>{width}}" for key, width in (("moved_mb", 10), ("peak_mb", 9)))
            print(f"{name:12}{row['rows']:10}{row['cpu_s']:9}{row['wall_s']:9}{rest}", file=sys.stderr)
    print(json.dumps({"benchmark": "join", "groups": options.groups, **found}))


if __name__ == "__main__":
    main()
