"""Cuts TCP connections of this process's Flight server.

pyarrow's server can neither cancel a call nor stop while one is open, and a stopped or hostile client keeps its call
open for ever. Shutting the socket down ends both directions at once: the blocked read and write return.
"""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

_DESCRIPTORS = Path("/dev/fd")  # Linux and macOS; elsewhere only the client's own end can end a connection


def sever(port: int, peer: str | None = None) -> int:
    """Shut down the connection from ``peer`` (as gRPC names it: ``ipv4:127.0.0.1:40000``) to our ``port``.

    Without ``peer``, every connection to it. Returns how many there were.
    """
    severed = 0
    for name in os.listdir(_DESCRIPTORS) if _DESCRIPTORS.is_dir() else ():
        try:
            copy = os.dup(int(name))  # ours to look at: the number may be another file's by the time we act
        except OSError:
            continue
        if not stat.S_ISSOCK(os.fstat(copy).st_mode):
            os.close(copy)
            continue
        with socket.socket(fileno=copy) as end:
            try:
                if end.getsockname()[1] == port and peer in (None, _peer(end)):
                    end.shutdown(socket.SHUT_RDWR)
                    severed += 1
            except (OSError, IndexError):  # not connected, or not TCP
                continue
    return severed


def _peer(end: socket.socket) -> str:
    host, port = end.getpeername()[:2]
    host = host.removeprefix("::ffff:")  # IPv4 on a socket that takes both
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"
