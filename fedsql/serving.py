"""Runs a coordinator, a party or a gateway as a process: signals, reloading of changed files, and a graceful end.

SIGTERM and SIGINT end it once what runs has ended (a second one, or the grace period, ends it at once). SIGHUP, or a
changed file, makes it read its files again; files with mistakes change nothing and are told in the log.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Protocol

from fedsql.errors import ConfigError, OperationalError

_log = logging.getLogger("fedsql.service")
GRACE = 10.0  # seconds for what runs when it is to end
_LOOK = 2.0  # seconds between looks at the files
_AGAIN = 86400.0  # seconds between reminders


class Ended(OperationalError):
    """The service came to an end by itself: another one has taken its place, and would be ended by a new start."""


class Service(Protocol):
    """What is run: see executors/services/."""

    def reload(self) -> None:
        """Read the files again; ConfigError or OperationalError leave all as it was."""

    def drain(self, timeout: float) -> bool:
        """Begin nothing new and wait for what runs."""

    def close(self) -> None:
        """End."""

    def ended(self) -> str | None:
        """Why it came to an end by itself, None while it runs."""

    def connected(self) -> int:
        """How many are connected."""

    def unhealthy(self) -> str | None:
        """Why it cannot answer now, None when it can."""

    def due(self) -> str | None:
        """What its operator must see to soon, None when there is nothing."""


class Gateway(Service, Protocol):
    """The gateway: see fedsql/flight/service.py. ``connected`` counts its sessions."""

    role: str

    @property
    def name(self) -> str:
        """The federation's name."""

    @property
    def port(self) -> int:
        """Where it listens."""

    def start(self) -> None:
        """Begin to listen."""

    def certificate_expiry(self) -> float | None:
        """When the TLS certificate ends that it shows, in seconds since 1970; None without TLS."""


def run(
    service: Service,
    files: Iterable[Path],
    *,
    grace: float = GRACE,
    on_reload: Callable[[bool], None] = lambda success: None,
) -> None:
    """Serve until a signal ends it; ``on_reload`` is told whether the files could be used when they were read again.

    Raises Ended when the service came to an end by itself.
    """
    watched = list(files)
    seen = _versions(watched)
    reminded = -_AGAIN
    with _signals() as (stop, again):
        try:
            while not stop.wait(_LOOK):
                if (due := service.due()) is not None and time.monotonic() - reminded >= _AGAIN:
                    reminded = time.monotonic()
                    _log.warning("%s", due)
                if (reason := service.ended()) is not None:
                    raise Ended(reason)
                now = _versions(watched)
                if now != seen or again.is_set():
                    seen = now
                    again.clear()
                    on_reload(_reload(service))
            _log.info("ending: waiting up to %g s for what runs", grace)
            stop.clear()  # a second signal ends the waiting
            until = time.monotonic() + grace
            while not service.drain(0.2) and time.monotonic() < until and not stop.is_set():
                pass
        finally:
            service.close()
            _log.info("ended")


def _reload(service: Service) -> bool:
    try:
        service.reload()
    except OperationalError as error:
        for problem in error.problems if isinstance(error, ConfigError) else [error.message]:
            _log.error("not reloaded, the old policy goes on: %s", problem)
        return False
    _log.info("the files were read again; the next question meets them")
    return True


def _versions(files: Iterable[Path]) -> list[tuple[int, int] | None]:
    found: list[tuple[int, int] | None] = []
    for file in files:
        try:
            state = file.stat()
            found.append((state.st_mtime_ns, state.st_size))
        except OSError:  # being replaced, perhaps
            found.append(None)
    return found


@contextmanager
def _signals() -> Iterator[tuple[Event, Event]]:
    stop, again = Event(), Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    def reload(number: int, frame: FrameType | None) -> None:
        again.set()

    handlers = {signal.SIGTERM: end, signal.SIGINT: end}
    if hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = reload
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stop, again
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
