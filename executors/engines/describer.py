"""Describing statements of others in a process of its own: what that takes of time and memory is bounded.

DuckDB computes constants while it only describes a statement, outside of its memory limit and deaf to being
interrupted. A process that serves many must not do that itself. Where a statement takes too much, the process is ended
and that statement alone fails; the next one gets a new process.

No limit of the operating system bounds the memory: DuckDB hides that an allocation failed, goes on without the constant,
and whoever runs the statement then meets it. So the process is looked at while it works.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

import cbor2
import duckdb

from fedsql.codec import decode, digest, encode, fits
from fedsql.errors import OperationalError, TooComplex
from fedsql.executors.engines import describer_process
from fedsql.executors.engines.describer_process import CHUNK, ERROR, FRAME, LONG, MOST, ROWS, UNKNOWN

_log = logging.getLogger("fedsql.describer")
_START = 60.0  # seconds in which the process must be there: nobody else's doing, and the machine may be busy
_LOOK = 0.003  # seconds between looks at its memory: what it takes in between is over the limit
_HINT = "constants are computed while a statement is read: write their values, or make them smaller"
_NOT = "DuckDB broke down when it described the statement"
_SAID = 2000  # characters of its last words, for the log
_KEPT = ("LD_LIBRARY_PATH",)  # of the environment: some Pythons do not start without it
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0


class _Ended(Exception):
    """The process has ended, or is not worth waiting for. ``reason``: why, where that is known."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason


class Describer:
    """One process, which threads may share: it describes one statement at a time. It is started when it is first needed.

    A statement may take ``seconds`` of computing and ``memory`` bytes (of the whole process, which needs 80 MB itself), and
    is waited for ``patience`` seconds, however busy the machine is.
    """

    def __init__(self, seconds: float = 2.0, memory: int = 512 << 20, patience: float = 10.0) -> None:
        self._seconds, self._memory, self._patience = seconds, memory, patience
        self._slow = f"describing the statement takes over {patience:g} s"
        self._guard = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The id of the process; None while there is none."""
        process = self._process
        return None if process is None else process.pid

    def database(self) -> Apart:
        """Return a new database in this process."""
        return Apart(self)

    def run(self, key: bytes, statements: Sequence[str], sql: str) -> list[Any]:
        """Run one statement in the database that ``statements`` make, which is known there as ``key``; return its reply.

        Raises TooComplex where it takes too much, OperationalError where there can be no process.
        """
        with self._guard:
            if self._closed:
                raise OperationalError("statements are not described any more: this process is ending")
            try:
                connection = self._alive() or self._started()
                until = monotonic() + self._patience
                reply = self._ask(connection, [key, None, sql], until)
                if reply == [UNKNOWN]:
                    reply = self._ask(connection, [key, list(statements), sql], until)
            except _Ended as ended:
                raise TooComplex(self._why(ended), hint=_HINT) from None
            except OSError as error:  # there is no room for a process, or for its socket
                self._end()
                raise OperationalError(f"statements cannot be described here: {error.strerror}") from None
            except BaseException:
                self._end()
                raise
        return reply

    def close(self) -> None:
        """End the process, also while it describes something."""
        self._closed = True
        if (process := self._process) is not None:
            process.kill()
        with self._guard:
            self._end()

    def _alive(self) -> socket.socket | None:
        """Return the connection to the process; None where there is none, or where others have ended it."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        return self._socket

    def _started(self) -> socket.socket:
        """Start the process, which holds nothing but its end of a socket, and return the other end."""
        ours, theirs = socket.socketpair()
        places = dict.fromkeys(str(Path(str(each.__file__)).parents[1]) for each in (duckdb, cbor2))
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._socket = ours
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-s", "-P", describer_process.__file__, str(self._seconds)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={"PYTHONPATH": os.pathsep.join(places), **kept},
                cwd="/",
            )
        try:
            self._receive(ours, monotonic() + _START)
        except _Ended as ended:
            self._why(ended)
            raise OperationalError("statements cannot be described here", hint="the log says why") from None
        return ours

    def _ask(self, connection: socket.socket, request: list[Any], until: float) -> list[Any]:
        data = encode(request)
        connection.settimeout(max(0.0, until - monotonic()))
        try:
            connection.sendall(len(data).to_bytes(FRAME, "big") + data)
        except TimeoutError:
            raise _Ended(self._slow) from None
        except OSError:
            raise _Ended from None
        try:
            reply = decode(self._receive(connection, until))
        except ValueError:
            raise _Ended(_NOT) from None
        if not (fits(reply, list[Any]) and reply):
            raise _Ended(_NOT)
        found: list[Any] = reply
        return found

    def _receive(self, connection: socket.socket, until: float) -> bytes:
        """Return the next frame; meanwhile look at the process."""
        data, size = bytearray(), FRAME
        connection.settimeout(_LOOK)
        while len(data) < size:
            try:
                more = connection.recv(CHUNK)
            except TimeoutError:
                if self._resident() > self._memory:
                    raise _Ended(f"describing the statement takes over {self._memory >> 20} MiB") from None
                if monotonic() > until:
                    raise _Ended(self._slow) from None
                continue
            except OSError:
                more = b""
            if not more:
                raise _Ended
            data += more
            if len(data) >= FRAME and (size := FRAME + int.from_bytes(data[:FRAME], "big")) > FRAME + MOST:
                raise _Ended(_NOT)
        return bytes(data[FRAME:])

    def _resident(self) -> int:
        """Return how many bytes of memory the process takes; 0 where the operating system does not say it so."""
        assert self._process is not None
        try:
            return int(Path(f"/proc/{self._process.pid}/statm").read_bytes().split()[1]) * _PAGE
        except OSError:
            return 0

    def _why(self, ended: _Ended) -> str:
        """End the process, and return why the statement is not described."""
        code, said = self._end()
        if ended.reason is not None:
            return ended.reason
        if code == -signal.SIGPROF:
            return f"describing the statement takes over {self._seconds:g} s of computing"
        _log.warning("the process that describes statements has ended (%s): %s", code, said)
        return _NOT

    def _end(self) -> tuple[int | None, str]:
        """End the process; return its exit code, and what it said at last."""
        process, self._process = self._process, None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if process is None:
            return None, ""
        process.kill()
        _, said = process.communicate()
        return process.returncode, said.decode(errors="replace")[-_SAID:].strip()


class Apart:
    """A database of a `Describer`: a `fedsql.executors.engines.typer.Database`. It is made there again whenever it is gone."""

    def __init__(self, describer: Describer) -> None:
        self._describer = describer
        self._statements: list[str] = []
        self._key = b""

    def prepare(self, statements: Sequence[str]) -> None:
        """Run statements of our own, that make what others are described over. Raises duckdb.Error."""
        self._statements += statements
        self._key = digest(self._statements)
        self.run("DESCRIBE SELECT 1")

    def run(self, sql: str) -> list[tuple[str, str]]:
        """Run one statement that describes, and return two columns of it. Raises duckdb.Error, TooComplex."""
        reply = self._describer.run(self._key, self._statements, sql)
        if fits(reply, tuple[str, list[tuple[str, str]]]) and reply[0] == ROWS:
            return [(name, type_) for name, type_ in reply[1]]
        if fits(reply, tuple[str, str, str]) and reply[0] == ERROR:
            kind = getattr(duckdb, reply[1], None)
            raise (kind if isinstance(kind, type) and issubclass(kind, duckdb.Error) else duckdb.Error)(reply[2])
        if reply == [LONG]:
            raise TooComplex(
                "the names and types of the columns are too long", hint="ask for fewer, or for fields of them"
            )
        raise TooComplex(_NOT, hint=_HINT)


def describer() -> Describer | None:
    """Return a new describer; None on Windows, where statements are described in the process itself."""
    return Describer() if os.name == "posix" else None
