"""A federation on this machine for benchmarks: its files, a coordinator and parties as processes, and slow links to it.

The data is the demo's (real patients), dealt out person by person; everybody speaks TLS, as between machines.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fedsql.errors import OperationalError
from fedsql.executors.enrolment import enroll
from fedsql.executors.setup import SHARED, set_up
from fedsql.session import Session

FEDSQL = (sys.executable, "-c", "from fedsql.cli import main; main()")
DELAY = Path(__file__).with_name("delay.py")
EMBEDDED = "embedded.toml"
_PATIENCE = 120.0  # seconds until everybody is there


class Files:
    """The files of a federation in ``folder``, which must be new, and of the same parties in one process.

    The analysts are called analyst0, analyst1, ...
    """

    def __init__(self, folder: Path, parties: int, analysts: int = 1) -> None:
        self.folder, self.shared, self.embedded = folder, folder / SHARED, folder / EMBEDDED
        self.parties = [f"party{number}" for number in range(parties)]
        self.port = _free_port()
        set_up(folder, self.parties, port=self.port, analyst="analyst0", example=True)
        for number in range(1, analysts):
            enroll(self.shared, f"analyst{number}", party=False)
        entries = ['name = "embedded"']
        for name in self.parties:
            entries.append(f'[parties.{name}]\nconfig = "{name}/{name}.toml"')
            with self.party_file(name).open("a") as file:
                file.write("\n[release.quota]\nqueries = 1000000\n")
        self.embedded.write_text("\n".join(entries))

    def party_file(self, name: str) -> Path:
        """Return where the file of a party is."""
        return self.folder / name / f"{name}.toml"

    @property
    def data(self) -> list[str]:
        """The parties' rows: one Parquet file each."""
        return [str(self.folder / name / "data" / "patients.parquet") for name in self.parties]


@contextmanager
def running(files: Files, one_way: float = 0.0) -> Iterator[Session]:
    """Start the processes of a federation; give the session of analyst0 once every party is there; end them.

    ``one_way`` is how many seconds whatever anybody sends to the coordinator, or gets from it, is longer under way.
    """
    coordinator, processes = [*FEDSQL, "coordinator", str(files.shared)], list[subprocess.Popen[bytes]]()
    try:
        if one_way:
            behind = _free_port()
            coordinator += ["--listen", f"grpc+tls://127.0.0.1:{behind}"]
            _start(processes, [sys.executable, str(DELAY), str(files.port), str(behind), str(one_way)])
        _start(processes, coordinator)
        for name in files.parties:
            _start(processes, [*FEDSQL, "party", str(files.party_file(name))])
        session = _connected(files, processes)
        try:
            yield session
        finally:
            session.close()
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(processes: list[subprocess.Popen[bytes]], command: Sequence[str]) -> None:
    processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))


def _connected(files: Files, processes: Sequence[subprocess.Popen[bytes]]) -> Session:
    until, session = time.monotonic() + _PATIENCE, None
    while time.monotonic() < until and all(process.poll() is None for process in processes):
        with suppress(OperationalError):  # the coordinator does not listen yet
            session = session or Session.open(files.shared, "analyst0")
            if all(each.reachable for each in session.federation.presence()):
                return session
        time.sleep(0.1)
    if session is not None:
        session.close()
    raise SystemExit("the federation did not come up")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
