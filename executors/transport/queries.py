"""The open queries of one participant: an inbox and a thread for each.

A party answers: each query that the coordinator begins runs in a thread of a pool. An analyst asks: its protocol runs
in the calling thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Condition
from typing import Any, TypeVar

from fedsql.errors import InterfaceError, OperationalError
from fedsql.executors.protocol.wire import ABORT, COORDINATOR, PROGRESS, Message, Steps, named
from fedsql.executors.stopwatch import Stopwatch
from fedsql.executors.transport.drive import drive
from fedsql.executors.transport.frames import Frame, Malformed, Query, abort_message, frames_of
from fedsql.executors.transport.mailbox import Allowance, Mailbox
from fedsql.executors.transport.outbox import Closed, Outbox, Slow
from fedsql.executors.transport.progress import STAGES, progress_message, progress_of
from fedsql.executors.transport.settings import Settings

_log = logging.getLogger("fedsql.transport")
_REMEMBERED = 4096  # queries that are over: their late messages start nothing
_WORKERS = 64  # more than a hub runs at once, or two parties could each wait for what the other has not begun
FAILED = "a party could not run its part of the query"
LOST = "the connection to the coordinator was lost"
T = TypeVar("T")
OnQuery = Callable[[bytes, int, Stopwatch], Steps[Any]]
OnProgress = Callable[[str, str, int | None], None]


class Queries:
    """``name`` is the participant's on the wire; ``on_query`` makes a party's protocol (None: it only asks).

    ``outbox`` returns where frames for the hub go, None while there is no connection. ``on_abort`` is told each query
    that is called off, in the thread that reads: it must be quick.
    """

    def __init__(
        self,
        name: str,
        on_query: OnQuery | None,
        outbox: Callable[[], Outbox | None],
        settings: Settings,
        on_abort: Callable[[bytes, int], None] | None = None,
    ) -> None:
        self._name = name
        self._on_query = on_query
        self._on_abort = on_abort or (lambda query_id, attempt: None)
        self._outbox = outbox
        self._settings = settings
        self._guard = Condition()  # notified when a query is over
        self._held = Allowance(settings.held)
        self._inboxes: dict[Query, Mailbox] = {}
        self._watching: dict[Query, OnProgress] = {}
        self._over: dict[Query, None] = {}
        self._closed = False
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix=f"fedsql-{name}")

    def take(self, frame: Frame) -> None:
        """Take a frame that the hub passed on; never waits. Raises Malformed."""
        message = frame.message
        if message.kind == PROGRESS:
            told = progress_of(message)
            if told is not None and (watching := self._watching.get(frame.query)) is not None:
                watching(message.sender, *told)
            return
        with self._guard:
            inbox = self._inboxes.get(frame.query)
            if inbox is None:
                begins = (
                    message.kind != ABORT and frame.part == 0
                )  # from a peer, perhaps: it got the question before us
                if self._on_query is None or not begins or frame.query in self._over:
                    return
                if self._closed:
                    self._refuse(frame.query, f"{self._name} is shutting down")
                    return
                if len(self._inboxes) >= self._settings.answering:
                    self._refuse(frame.query, f"{self._name} has {len(self._inboxes)} open queries already")
                    return
                inbox = self._inboxes[frame.query] = self._mailbox()
                self._pool.submit(self._answer, self._on_query, frame.query, inbox)
        try:
            inbox.accept(frame)
        except Malformed:  # by who sent it: the hub passes on what it cannot know to be wrong
            reason = f"the parts of a message of {named(message.sender)} do not come in order ({message.kind})"
            inbox.put(abort_message(message.sender, self._name, message.sender, reason))
        if message.kind == ABORT:
            self._on_abort(*frame.query)

    def tell(self, query: Query, stage: str, place: int | None = None) -> None:
        """Tell the analyst of a query which of STAGES this participant is in. Never waits long, and never fails."""
        outbox = self._outbox()
        if outbox is not None and stage in STAGES:  # another would take the place of one that still waits
            for data in frames_of(query, progress_message(self._name, stage, place)):
                outbox.urge((PROGRESS, query), [data])

    def ask(
        self,
        query: Query,
        steps: Steps[T],
        deadline: float,
        record: Callable[[Message], None] | None,
        on_progress: OnProgress | None = None,
    ) -> T:
        """Run an analyst's protocol to its end; whatever it raises is told to the coordinator as the query's end."""
        inbox = self._mailbox()
        with self._guard:
            if self._closed:
                raise InterfaceError("the connection is closed")
            if query in self._inboxes or query in self._over:
                raise InterfaceError("this attempt of the query was asked before")
            self._inboxes[query] = inbox
            if on_progress is not None:
                self._watching[query] = on_progress
        try:
            return drive(steps, partial(self._send, query, inbox), inbox, deadline, record)
        except BaseException:  # Ctrl-C too: nobody should go on working for it
            self._send(query, inbox, [abort_message(self._name, COORDINATOR, self._name, "the analyst gave up")])
            raise
        finally:
            self._forget(query)

    def abort_all(self, reason: str) -> None:
        """Interrupt every open query."""
        with self._guard:
            queries = list(self._inboxes)
        for query in queries:
            self.abort(query, reason)

    def abort(self, query: Query, reason: str) -> None:
        """Interrupt one query, if it is open."""
        with self._guard:
            inbox = self._inboxes.get(query)
        if inbox is not None:
            inbox.put(abort_message(COORDINATOR, self._name, COORDINATOR, reason))
            self._on_abort(*query)

    def drain(self, timeout: float) -> bool:
        """Begin no new query; wait ``timeout`` seconds at most for those that are open. Return whether all are over."""
        with self._guard:
            self._closed = True
            return self._guard.wait_for(lambda: not self._inboxes, timeout)

    def close(self) -> None:
        """Interrupt every open query and wait for the party's threads."""
        with self._guard:
            self._closed = True
        self.abort_all("the connection was closed here")
        self._pool.shutdown()

    def _mailbox(self) -> Mailbox:
        return Mailbox(self._settings.inbox, lambda sender: self._held)

    def _refuse(self, query: Query, reason: str) -> None:
        outbox = self._outbox()
        if outbox is not None:
            message = abort_message(self._name, COORDINATOR, self._name, reason, lost=True)
            outbox.urge((ABORT, query), list(frames_of(query, message)))

    def _answer(self, on_query: OnQuery, query: Query, inbox: Mailbox) -> None:
        try:
            if inbox.aborted:  # while it waited for a thread
                return
            watch = Stopwatch(partial(self.tell, query))
            steps = on_query(*query, watch)
            drive(steps, partial(self._send, query, inbox), inbox, 2 * self._settings.deadline, watch=watch)
        except Exception:
            _log.exception("%s: a protocol failed", self._name)
            self._send(query, inbox, [abort_message(self._name, COORDINATOR, self._name, FAILED)])
        finally:
            self._forget(query)

    def _send(self, query: Query, inbox: Mailbox, messages: Sequence[Message]) -> None:
        """Send messages to the hub. Raises nothing: what goes wrong is an ABORT in ``inbox``."""
        reason = LOST
        outbox = self._outbox()
        try:
            if outbox is not None:
                for message in messages:
                    for data in frames_of(query, message):
                        outbox.put(data, self._settings.stalled)
                return
        except OperationalError as error:
            reason = error.message
        except Slow:
            reason = f"the coordinator took nothing for {self._settings.stalled:g} s"
        except Closed:
            pass
        inbox.put(abort_message(COORDINATOR, self._name, COORDINATOR, reason))

    def _forget(self, query: Query) -> None:
        with self._guard:
            self._inboxes.pop(query).close()
            self._watching.pop(query, None)
            self._over[query] = None
            if len(self._over) > _REMEMBERED:
                del self._over[next(iter(self._over))]
            self._guard.notify_all()
