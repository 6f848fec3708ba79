"""How many bytes a participant has sent and received since its start, over all of its connections."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock


class Traffic:
    """Counts the bytes of frames, without what gRPC and TLS add. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._received = self._sent = 0

    def total(self) -> tuple[int, int]:
        """Return the bytes (received, sent)."""
        with self._lock:
            return self._received, self._sent

    def received(self, data: bytes) -> bytes:
        """Count ``data``, which has arrived, and return it."""
        with self._lock:
            self._received += len(data)
        return data

    def sending(self, write: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """Return ``write``, counting what it has written."""

        def counted(data: bytes) -> None:
            write(data)
            with self._lock:
                self._sent += len(data)

        return counted
