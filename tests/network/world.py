"""A federation of real processes on the loopback interface, for tests: a coordinator and three parties, or some of them."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

import pyarrow as pa
import pyarrow.parquet as pq

from fedsql.crypto.certificates import issue, make_authority
from fedsql.crypto.keys import IdentityKey, format_public
from fedsql.session import Session

NAMES = ("north", "south", "west")
SQL = "SELECT g, COUNT(*) AS n, SUM(v) AS s FROM t GROUP BY g ORDER BY g"
ROWS = {"north": ("a", 5), "south": ("a", 7), "west": ("b", 4)}
WHOLE = [("a", 20, 112), ("b", 16, 80)]
PORT = 31337
PROCESS = Path(__file__).with_name("process.py")
PARTY = """name = "{name}"
[tables.t]
source = "{name}.parquet"
privacy_unit = "id"
[tables.t.columns]
id = {{ use = ["join"] }}
g = {{ use = ["group", "filter"] }}
v = {{ use = ["aggregate", "filter"], bounds = [0, 1000] }}
[release]
{release}
"""


def rows_of(name: str) -> pa.Table:
    """Return a party's rows: twelve units of two groups, neither of which has ten units at one party."""
    big, value = ROWS[name]
    groups = [big] * 8 + ["b" if big == "a" else "a"] * 4
    return pa.table({"id": list(range(12)), "g": groups, "v": [value] * 12})


class Network:
    """The files in ``folder`` and the processes that serve them. ``release`` is TOML that stands in every party's file.

    Over TLS, with an authority of its own, where a ``host`` is given: an IP address at which the coordinator listens.
    ``inside`` says within which other command a process is started.
    """

    def __init__(
        self, folder: Path, release: str = "min_group_size = 10\nmin_parties = 2", host: str | None = None
    ) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.inside: dict[str, list[str]] = {}
        self._lines: dict[str, SimpleQueue[str]] = {}
        coordinator = f'public_key = "{self._key(folder / "coordinator" / "identity.pem")}"'
        if host is None:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                coordinator += f', address = "grpc://127.0.0.1:{free.getsockname()[1]}"'
        else:
            root, root_key = make_authority("tests")
            chain, key = issue(root, root_key, [host])
            for name, text in (("ca.pem", root), ("coordinator/tls.pem", chain), ("coordinator/tls.key", key)):
                (folder / name).write_bytes(text)
            coordinator += f', address = "grpc+tls://{host}:{PORT}", ca = "ca.pem"'
        lines = ['name = "hospitals"', f"coordinator = {{ {coordinator} }}"]
        for name in NAMES:
            public = self._key(folder / ".fedsql" / name / "identity.pem")
            lines += [f"[parties.{name}]", f'public_key = "{public}"']
            (folder / f"{name}.toml").write_text(PARTY.format(name=name, release=release))
            pq.write_table(rows_of(name), folder / f"{name}.parquet")
        for name in ("ada", "bob"):
            lines += [f"[analysts.{name}]", f'public_key = "{self._key(folder / name / "identity.pem")}"']
        self.shared.write_text("\n".join(lines) + "\n")

    @property
    def shared(self) -> Path:
        return self.folder / "federation.toml"

    def start(self, *names: str, fault: tuple[str, int] | None = None) -> None:
        """Start processes and wait until they listen or are connected. A ``fault`` strikes all of them."""
        self.end(*(name for name in names if name in self.processes))  # left by a test that failed
        for name in names:
            role = [name] if name == "coordinator" else ["party"]
            rest = [] if name == "coordinator" else [name, *map(str, fault or ())]
            with open(self._log(name), "a") as log:
                self.processes[name] = subprocess.Popen(
                    [*self.inside.get(name, ()), sys.executable, str(PROCESS), *role, str(self.folder), *rest],
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            self._lines[name] = SimpleQueue()
            threading.Thread(target=self._read, args=(self.processes[name], self._lines[name]), daemon=True).start()
        for name in names:
            assert self.says(name) in ("listening", "connected"), self.log(name)

    def says(self, name: str) -> str:
        """Wait for the next line of a process; empty when it has ended."""
        return self._lines[name].get(timeout=60)

    def log(self, name: str) -> str:
        """Return what a process has logged, over all of its lives."""
        return self._log(name).read_text()

    def is_silent(self, name: str) -> bool:
        """Whether the process has said nothing that is not read yet."""
        return self._lines[name].empty()

    def signal(self, name: str, number: int) -> None:
        os.kill(self.processes[name].pid, number)

    def end(self, *names: str) -> None:
        """End processes, whatever state they are in."""
        for name in names:
            process = self.processes.pop(name)
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            while self.says(name):  # to the end of what it said, so that its reader has closed the pipe
                pass

    def session(self, analyst: str = "ada") -> Session:
        return Session.open(self.shared, analyst)

    def charges(self, name: str) -> list[tuple[str, int]]:
        """Return (query id, attempt) of each charge in a party's ledger."""
        file = self.folder / ".fedsql" / name / "ledger.sqlite"
        if not file.exists():
            return []
        with sqlite3.connect(file) as ledger:
            rows = ledger.execute("SELECT query_id, attempt FROM charges ORDER BY time").fetchall()
        ledger.close()
        return [(query_id.hex(), attempt) for query_id, attempt in rows]

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: SimpleQueue[str]) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                lines.put(line.strip())
        lines.put("")

    def close(self) -> None:
        self.end(*list(self.processes))

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _key(self, path: Path) -> str:
        key = IdentityKey.generate()
        key.to_file(path)
        return format_public(key.public)
