"""The process in which statements of others are described: a program of its own, which `describer.Describer` starts.

A request is the CBOR of [key, statements that make the database or null, statement], a reply that of [kind, ...], each
after its length in four bytes, on a socket that is its standard input. It imports nothing of fedsql, so that it starts
quickly, and ends when nobody holds the other end of the socket any more, whatever it does at that moment.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import cbor2
import duckdb

FRAME = 4  # bytes of a frame's length, big-endian
CHUNK = 1 << 16  # bytes read at once
MOST = 4 << 20  # bytes of a reply
UNKNOWN, ROWS, ERROR, LONG = "unknown", "rows", "error", "long"  # what a reply begins with
_MOST_ERROR = 1 << 20  # characters
_MOST_TYPES = 1 << 18  # characters of all different types: what reads them may take 2 s for so many
_KEPT = 16  # databases
_SOCKET = 0
_LOCKED = {
    "threads": "1",
    "memory_limit": "256MB",
    "temp_directory": "",  # such a folder can be read in spite of the lock
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


def locked() -> duckdb.DuckDBPyConnection:
    """Return an empty database that reaches no file, network or extension."""
    database = duckdb.connect(":memory:", config=dict(_LOCKED))
    database.execute("SET enable_external_access = false")  # last: with it the folder cannot be set
    return database


def run(database: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    """Run one statement and return its rows. Raises duckdb.Error, also where it is not one."""
    statements = database.extract_statements(sql)
    if len(statements) != 1:
        raise duckdb.ParserException("write one statement at a time")
    return database.execute(statements[0]).fetchall()  # the statement, not its text: that would be parsed again


class _Databases:
    """The databases that were used last, each known by the key under which it was made."""

    def __init__(self) -> None:
        self._made: OrderedDict[bytes, duckdb.DuckDBPyConnection] = OrderedDict()

    def make(self, key: bytes, statements: list[str]) -> None:
        database = locked()
        for statement in statements:
            run(database, statement)
        self._made[key] = database
        while len(self._made) > _KEPT:
            self._made.popitem(last=False)[1].close()

    def get(self, key: bytes) -> duckdb.DuckDBPyConnection | None:
        if key in self._made:
            self._made.move_to_end(key)
        return self._made.get(key)


def _reply(databases: _Databases, request: Any, seconds: float) -> bytes:
    key, statements, sql = request
    try:
        if statements is not None:
            databases.make(key, statements)
        database = databases.get(key)
        if database is None:
            return cbor2.dumps([UNKNOWN])
        signal.setitimer(signal.ITIMER_PROF, seconds)  # DuckDB cannot be interrupted, but this ends the process
        columns = [row[:2] for row in run(database, sql)]
        long = sum(map(len, {type_ for _, type_ in columns})) > _MOST_TYPES
        made = cbor2.dumps([LONG] if long else [ROWS, columns])
    except duckdb.Error as error:
        made = cbor2.dumps([ERROR, type(error).__name__, str(error)[:_MOST_ERROR]])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return made if len(made) <= MOST else cbor2.dumps([LONG])


def _end_with_parent() -> None:
    alone = select.poll()
    alone.register(_SOCKET, 0)  # nothing but the end of the other side wakes it
    alone.poll()
    os._exit(0)


def _receive() -> bytes:
    data = b""
    while len(data) < FRAME or len(data) < FRAME + int.from_bytes(data[:FRAME], "big"):
        if not (more := os.read(_SOCKET, CHUNK)):
            sys.exit()
        data += more
    return data[FRAME:]


def _send(data: bytes) -> None:
    data = len(data).to_bytes(FRAME, "big") + data
    while data:
        data = data[os.write(_SOCKET, data) :]


def main() -> None:
    """Answer requests, each within the seconds of computing that the first argument says."""
    import resource  # Windows has none

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # the parent may get them too, and ends this when it ends
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # where memory runs out, this one goes and not its parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    seconds, databases = float(sys.argv[1]), _Databases()
    _send(b"")
    while True:
        _send(_reply(databases, cbor2.loads(_receive()), seconds))


if __name__ == "__main__":
    main()
