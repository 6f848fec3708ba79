"""The hub's end of one connection, and the loop that writes to it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fedsql.executors.protocol.wire import ANALYST
from fedsql.executors.transport.frames import control
from fedsql.executors.transport.login import ANALYST_ROLE
from fedsql.executors.transport.outbox import Closed, Outbox


@dataclass(eq=False)
class Connection:
    """One participant's connection; ``name`` and ``role`` are empty until it has logged in."""

    peer: str  # as gRPC names it
    outbox: Outbox
    name: str = ""
    role: str = ""
    key: bytes | None = None  # that it has logged in with
    since: int = 0  # Unix time of the login
    offered: bool = False  # whether it has made its offer since then: its last one may be out of date
    heard: float = field(default_factory=time.monotonic)  # inf while what was heard is being passed on
    closed_at: float = math.inf

    @property
    def wire_name(self) -> str:
        """The name under which this participant sends."""
        return ANALYST if self.role == ANALYST_ROLE else self.name

    def close(self, reason: str = "", final: bool = False) -> None:
        """Say goodbye and write no more. ``final``: the participant should not come back."""
        self.closed_at = min(self.closed_at, time.monotonic())
        self.outbox.close(control("bye", {"reason": reason, "final": final}))


def pump(outbox: Outbox, write: Callable[[bytes], None]) -> None:
    """Write what is put into ``outbox`` until it is closed or the connection breaks."""
    try:
        while True:
            write(outbox.take())
    except Closed:
        return
    except Exception:  # whatever Flight calls a broken connection: the reader finds it broken as well
        outbox.close()
