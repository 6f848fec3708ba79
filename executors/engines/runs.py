"""The queries that run in one party's database: how many at once, for how long, and how to stop one of them.

What is over the limit waits in order. A query is stopped by the key of its attempt, also when it has not begun: DuckDB
forgets an interrupt that comes a moment before it begins, so the interrupt is repeated until the query has ended.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import duckdb

from fedsql.errors import OperationalError

OnPlace = Callable[[int], None]  # the place in the queue of who has to wait, from 1; 0 when its turn has come
_REMEMBERED = 4096  # cancelled keys
_AGAIN = 0.02  # seconds between interrupts
CANCELLED = "the query was cancelled"


class Runs:
    """At most ``limit`` queries at once, each for ``seconds`` at most."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._running: dict[duckdb.DuckDBPyConnection, tuple[Hashable, float]] = {}
        self._stopping: set[duckdb.DuckDBPyConnection] = set()
        self._cancelled: OrderedDict[Hashable, None] = OrderedDict()
        self._watchman: threading.Thread | None = None

    @contextmanager
    def one(
        self, database: duckdb.DuckDBPyConnection, key: Hashable, on_place: OnPlace | None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Wait for a turn and give a cursor. Raises OperationalError when it was cancelled or took too long."""
        cursor = self._begin(database, key, on_place)
        try:
            yield cursor
        except duckdb.InterruptException:
            with self._changed:
                cancelled = cursor in self._stopping
            reason = CANCELLED if cancelled else f"it took over {self._seconds:g} s ([limits] time)"
            raise OperationalError(reason) from None
        finally:
            with self._changed:
                del self._running[cursor]
                self._stopping.discard(cursor)
                self._changed.notify_all()
            cursor.close()

    def interrupt(self, key: Hashable = None) -> None:
        """Stop the queries of ``key``, now and later; without one all that run now."""
        with self._changed:
            if key is not None:
                self._cancelled[key] = None
                while len(self._cancelled) > _REMEMBERED:
                    self._cancelled.popitem(last=False)
            for cursor, (running, _) in self._running.items():
                if key is None or running == key:
                    self._stopping.add(cursor)
                    cursor.interrupt()
            self._changed.notify_all()

    def load(self) -> tuple[int, int]:
        """Return how many queries run, and how many wait for their turn."""
        with self._changed:
            return len(self._running), len(self._waiting)

    def wait(self) -> None:
        """Wait until nothing runs."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running)

    def _begin(
        self, database: duckdb.DuckDBPyConnection, key: Hashable, on_place: OnPlace | None
    ) -> duckdb.DuckDBPyConnection:
        ticket, place = object(), 0
        with self._changed:
            self._waiting.append(ticket)
            try:
                while self._waiting[0] is not ticket or len(self._running) >= self._limit:
                    if key in self._cancelled:
                        raise OperationalError(CANCELLED)
                    now = self._waiting.index(ticket) + 1
                    if on_place is not None and now != place:
                        on_place(now)
                    place = now
                    self._changed.wait()
                if key in self._cancelled:
                    raise OperationalError(CANCELLED)
                cursor = database.cursor()
                self._running[cursor] = key, time.monotonic() + self._seconds
                if place and on_place is not None:
                    on_place(0)
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
            if self._watchman is None:
                self._watchman = threading.Thread(target=self._watch, name="fedsql-runs", daemon=True)
                self._watchman.start()
            return cursor

    def _watch(self) -> None:
        """Interrupt what is over its time, and again what is being stopped; end when nothing runs."""
        with self._changed:
            while self._running:
                now = time.monotonic()
                for cursor, (_, until) in self._running.items():
                    if cursor in self._stopping or now > until:
                        cursor.interrupt()
                next_look = min(until for _, until in self._running.values()) - now
                self._changed.wait(_AGAIN if self._stopping or next_look <= 0 else next_look)
            self._watchman = None
