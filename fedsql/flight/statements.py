"""What a client has asked for: prepared statements, and statements whose results wait behind a ticket.

A statement behind a ticket is run once, when its result is first asked for, and whoever asks again gets what it yielded
then, an error included: a client that repeats a DoGet is not charged twice.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from fedsql.answer import Answer
from fedsql.errors import Cancelled, Error, InternalError, OperationalError
from fedsql.workbench import CANCELLED

_KEPT = 64  # results of one client
_ROOM = 256 << 20  # bytes of them
HANDLE = 16  # bytes


def new_handle() -> bytes:
    """Return a handle that nobody can guess."""
    return os.urandom(HANDLE)


@dataclass
class Prepared:
    """A prepared statement: how many parameters it has, and the rows that were last bound to them."""

    sql: str
    parameters: int
    rows: Sequence[tuple[object, ...]] = ((),)


@dataclass
class Pending:
    """A statement behind a ticket, and once it has run what it yielded."""

    schema: pa.Schema
    run: Callable[[], Answer] | None
    answer: Answer | None = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)
    cancelled: bool = False
    begun: bool = False
    waiting: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def known(cls, schema: pa.Schema, answer: Answer) -> Pending:
        """Return one that has run already."""
        pending = cls(schema, None, answer)
        pending.done.set()
        return pending

    def known_answer(self) -> Answer:
        """Return what it yielded, or raise what it raised."""
        if self.error is not None:
            raise self.error
        assert self.answer is not None
        return self.answer

    def table(self) -> pa.Table:
        """Return the rows that it yielded, in the types that were told before, or raise what it raised."""
        answer = self.known_answer()
        table = answer.table
        if table is None:
            return self.schema.empty_table()
        if table.schema.types != self.schema.types:
            raise InternalError("the result has other types than were told", query_id=answer.query_id)
        return pa.table(table.columns, schema=self.schema)

    @property
    def rows(self) -> int | None:
        """How many rows it has, or has changed; None where that is not known (yet)."""
        if self.answer is None:
            return None
        return self.answer.changed if self.answer.table is None else int(self.answer.table.num_rows)

    @property
    def size(self) -> int:
        """How many bytes it holds."""
        return 0 if self.answer is None or self.answer.table is None else int(self.answer.table.nbytes)

    def wait(self, gone: Callable[[], bool], stop: Callable[[Pending], None]) -> None:
        """Return when it has run; begin that if nobody has. What comes of it is kept.

        ``gone`` tells whether who asks has hung up: when nobody waits any more, ``stop`` is called.
        """
        with self.guard:
            self.waiting += 1
            if not (self.begun or self.done.is_set()):
                self.begun = True
                threading.Thread(target=self._work, name="fedsql-gateway-query", daemon=True).start()
        left = False
        while not (self.done.wait(0.05) or left):
            left = gone()
        with self.guard:  # of those who leave together one is the last
            self.waiting -= 1
            alone = self.waiting == 0
        if left and not self.done.is_set():
            if alone:
                stop(self)
            raise Cancelled(CANCELLED)

    def _work(self) -> None:
        """Run it, in a thread of its own."""
        try:
            if self.cancelled:
                raise Cancelled(CANCELLED)
            assert self.run is not None
            self.answer = self.run()
        except Error as error:
            self.error = error.with_traceback(None)
        except Exception as error:  # a bug: `told` logs it and tells nothing of it
            self.error = error
        finally:
            self.run = None
            self.done.set()


class Results:
    """The results of one client, by handle, the oldest forgotten first. Threads may share it."""

    def __init__(self, kept: int = _KEPT, room: int = _ROOM) -> None:
        self._kept, self._room = kept, room
        self._guard = threading.Lock()
        self._known: OrderedDict[bytes, Pending] = OrderedDict()

    def add(self, pending: Pending) -> bytes:
        """Keep one; return its handle."""
        handle = new_handle()
        with self._guard:
            self._known[handle] = pending
            self._forget(handle)
        return handle

    def get(self, handle: bytes) -> Pending:
        """Return the one of this handle. Raises OperationalError when it is not kept (any more)."""
        with self._guard:
            pending = self._known.get(handle)
        if pending is None:
            raise OperationalError("this result is not kept any more", hint="run the query again")
        return pending

    def fetch(self, handle: bytes, gone: Callable[[], bool], stop: Callable[[Pending], None]) -> pa.Table:
        """Return the result of a handle; run the statement if that was not done yet: see `Pending.wait`."""
        pending = self.get(handle)
        pending.wait(gone, stop)
        with self._guard:
            self._forget(handle)  # it has a size only now
        return pending.table()

    def _forget(self, newest: bytes) -> None:
        """Forget the oldest where there are too many, or they are too large together; never the ``newest``."""
        over = sum(each.size for each in self._known.values()) - self._room
        for old, each in list(self._known.items()):
            if len(self._known) <= self._kept and over <= 0:
                break
            if each.waiting == 0 and old != newest:
                over -= each.size
                del self._known[old]
