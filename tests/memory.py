"""What processes take of memory, and which they have started, as Linux says it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

ROOM = 100 << 20
"""By how many bytes a process may grow while it answers a few questions; computing `TOO_MUCH` takes several times as much."""
TOO_MUCH = (
    "SELECT length(repeat('x', 4000000000))",
    "SELECT len(list_transform([i for i in range(1000)], lambda x: list_transform(range(100000), lambda y: y)))",
)
"""What DuckDB computes while it describes it."""


def forget_peak(pid: int) -> int:
    """Let the peak of a process's memory begin anew; return it in bytes."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak(pid)


def peak(pid: int) -> int:
    """Return the most bytes of memory that a process has had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that describe statements."""
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            parent = int(each.read_text().rpartition(")")[2].split()[1])
            if parent == pid and is_there(int(each.parent.name)):
                found.append(int(each.parent.name))
    return found


def is_there(pid: int) -> bool:
    """Say whether a process that describes statements is there."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return "describer_process" in Path(f"/proc/{pid}/cmdline").read_text()
    return False
