"""One client of the gateway: its session, its prepared statements and results, and whose turn it is in it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from fedsql.answer import Answer
from fedsql.errors import Cancelled, Error, LoginFailed
from fedsql.executors.roles.common import event
from fedsql.flight.statements import Pending, Prepared, Results
from fedsql.flight.types import with_types
from fedsql.flight.users import User
from fedsql.session import Session
from fedsql.workbench import CANCELLED

_log = logging.getLogger("fedsql.gateway")
DESCRIBED = 64  # queries of one client whose columns are remembered


@dataclass
class Client:
    """One client's session. One statement runs at a time; others wait for their turn.

    ``gate`` lets so many queries of the analyst through at once, of all sessions together.
    """

    user: User
    open: Callable[[], Session]
    key: bytes
    gate: threading.Semaphore
    used: float = 0.0
    calls: int = 0
    results: Results = field(default_factory=Results)
    prepared: dict[bytes, Prepared] = field(default_factory=dict)
    transactions: dict[bytes, int] = field(default_factory=dict)  # by handle: how many writes there were before
    writes: int = 0
    closed: bool = False
    _session: Session | None = None
    _changes: int = 0
    _described: dict[str, tuple[object, tuple[tuple[str, str], ...]]] = field(default_factory=dict)
    _running: Pending | None = None
    _opening: threading.Lock = field(default_factory=threading.Lock)
    _turn: threading.RLock = field(default_factory=threading.RLock)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def session(self) -> Session:
        """The session; it is opened when it is first needed."""
        with self._opening:
            if self.closed:
                raise LoginFailed("the session was closed", hint="connect again")
            if self._session is None:
                self._session = self.open()
            return self._session

    @property
    def version(self) -> object:
        """What changes whenever a statement might be described differently."""
        return self.session.federation.directory.catalog.digest, self._changes

    @contextmanager
    def turn(self, *, changes: bool = False) -> Iterator[Session]:
        """Wait for the turn of this client's next statement and give the session."""
        with self._turn:
            yield self.session
            self._changes += changes

    def describe(self, prepared: Prepared, parameters: Sequence[object]) -> tuple[tuple[str, str], ...] | Answer | None:
        """Return what `Session.describe` does. A query without parameters is described once, while nothing changes."""
        with self.turn() as session:
            version, known = self.version, self._described.get(prepared.sql)
            if known is not None and known[0] == version and not prepared.parameters:
                return known[1]
            found = session.describe(prepared.sql, parameters)
            if isinstance(found, tuple) and not prepared.parameters:
                self._described[prepared.sql] = version, found
                while len(self._described) > DESCRIBED:
                    del self._described[next(iter(self._described))]
            return found

    def shape(self, found: tuple[tuple[str, str], ...] | Answer | None) -> pa.Schema:
        """Return the schema of a result that was described so; an empty one for what yields no rows."""
        if found is None:
            return pa.schema([])
        if isinstance(found, Answer):
            return pa.schema([]) if found.table is None else with_types(found.table.schema, found.columns)
        with self.turn() as session:
            return with_types(session.schema(found), found)

    def submit(
        self, prepared: Prepared, parameters: Sequence[object], gone: Callable[[], bool]
    ) -> tuple[bytes, Pending]:
        """Return the handle of a result that is computed when it is asked for.

        What changes something is run at once: clients go on without asking for a result. ``gone`` as for `change`.
        """
        found = self.describe(prepared, parameters)
        if found is None:
            found = self.change(lambda session: session.execute(prepared.sql, parameters), gone)
        schema = self.shape(found)
        if isinstance(found, Answer):
            pending = Pending.known(schema, found)
        else:
            pending = Pending(schema, None)
            pending.run = lambda: self._run(pending, lambda session: session.execute(prepared.sql, parameters))
        return self.results.add(pending), pending

    def change(self, work: Callable[[Session], Answer], gone: Callable[[], bool]) -> Answer:
        """Run what changes a setting or a local table; it is cancelled when ``gone`` says that the client has hung up."""

        def run() -> Answer:
            answer = self._run(pending, work, changes=True)
            self.wrote(answer.changed)
            return answer

        pending = Pending(pa.schema([]), run)
        pending.wait(gone, self.stop)
        return pending.known_answer()

    def wrote(self, rows: int | None) -> None:
        """Count what a statement has changed (None: that is not said): no rollback takes it back."""
        self.writes += rows != 0

    def fetch(self, handle: bytes, gone: Callable[[], bool]) -> pa.Table:
        """Return the result of a handle: see `Results.fetch`."""
        return self.results.fetch(handle, gone, self.stop)

    def stop(self, pending: Pending) -> None:
        """Cancel a statement, also one that has not begun; return when it has ended. Nothing else of this client is touched."""
        pending.cancelled = True
        while True:  # the session takes no notice of what comes a moment before the statement begins in it
            with self._guard:  # for which the next statement waits
                if self._running is not pending:
                    return
                if self._session is not None:
                    self._session.interrupt()
            pending.done.wait(0.01)

    def _run(self, pending: Pending, work: Callable[[Session], Answer], *, changes: bool = False) -> Answer:
        with self.turn(changes=changes) as session:
            with self._guard:
                self._running = pending
            try:
                with self._passed(pending):
                    return self._execute(session, work)
            finally:
                with self._guard:
                    self._running = None

    def _execute(self, session: Session, work: Callable[[Session], Answer]) -> Answer:
        """Run a statement and write into the log who asked: parties know the analyst alone, and the query's id."""
        told = {"user": self.user.name, "analyst": self.user.analyst}
        begun = time.perf_counter()
        try:
            answer = work(session)
        except Error as error:
            why = {"reason": error.message, "query_id": error.query_id}
            _log.warning("not answered", extra=event("not answered", **told, **why))
            raise
        seconds = round(time.perf_counter() - begun, 3)
        if answer.query_id is not None:
            _log.info("answered", extra=event("answered", **told, query_id=answer.query_id, seconds=seconds))
        return answer

    @contextmanager
    def _passed(self, pending: Pending) -> Iterator[None]:
        while not self.gate.acquire(timeout=0.1):
            if pending.cancelled:
                raise Cancelled(CANCELLED)
        try:
            if pending.cancelled:
                raise Cancelled(CANCELLED)
            yield
        finally:
            self.gate.release()

    def close(self) -> None:
        """End the session: what runs is cancelled; local tables, settings and results are gone."""
        self.closed = True  # who waits for a turn is refused when it comes
        while not self._turn.acquire(timeout=0.02):
            running = self._running
            if running is not None:
                self.stop(running)
        try:
            if self._session is not None:
                self._session.close()
            self._session = None
            self.prepared.clear()
            self.results = Results()
        finally:
            self._turn.release()
