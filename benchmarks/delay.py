"""A slow link: passes TCP connections on to a port of this machine, every byte some time later, in both directions.

    python benchmarks/delay.py PORT TARGET SECONDS

Listens at PORT of this machine. What goes through is not looked at, so TLS holds from end to end. Only the time under
way is longer: order and speed stay, as on a long line that is not full. Ends by a signal.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from queue import SimpleQueue
from threading import Thread

_CHUNK = 1 << 16
_Line = SimpleQueue[tuple[float, bytes]]  # what is under way, and when it arrives; no bytes are the end


def serve(port: int, target: int, seconds: float) -> None:
    """Listen for ever."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        while True:
            near, _ = listening.accept()
            try:
                far = socket.create_connection(("127.0.0.1", target))
            except OSError:
                near.close()
                continue
            for source, sink in ((near, far), (far, near)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line: _Line = SimpleQueue()
                Thread(target=_receive, args=(source, line, seconds), daemon=True).start()
                Thread(target=_pass_on, args=(line, sink), daemon=True).start()


def _receive(source: socket.socket, line: _Line, seconds: float) -> None:
    data = b"there is more"
    while data:
        try:
            data = source.recv(_CHUNK)
        except OSError:
            data = b""
        line.put((time.monotonic() + seconds, data))


def _pass_on(line: _Line, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while (piece := line.get())[1]:
            time.sleep(max(0.0, piece[0] - time.monotonic()))
            sink.sendall(piece[1])
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
