"""Which query's messages go where: between the participants of a query, and to the coordinator's own protocol for it.

A query begins with the first whole message of an analyst to the coordinator; the analyst's connection and the parties
that the coordinator has written to are its members, by connection: whoever reconnects is a new participant. When one
of them is lost, or cannot keep up, all others are told its name and the query is dead.

No analyst can be in another's way: it speaks to the coordinator alone, what it has sent and nobody has read is bounded,
and whoever has the fewest queries running is next.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Condition
from typing import Any

from fedsql.errors import OperationalError
from fedsql.executors.protocol.wire import ABORT, ANALYST, BEGIN, COORDINATOR, PROGRESS, Aborted, Message, Steps, named
from fedsql.executors.transport.connection import Connection
from fedsql.executors.transport.drive import drive
from fedsql.executors.transport.frames import HEADER, Frame, Query, abort_message, frames_of
from fedsql.executors.transport.login import ANALYST_ROLE
from fedsql.executors.transport.mailbox import Allowance, Mailbox
from fedsql.executors.transport.outbox import Closed, Slow
from fedsql.executors.transport.progress import progress_message
from fedsql.executors.transport.settings import Settings
from fedsql.executors.transport.turns import OpenQuery, in_turn

_log = logging.getLogger("fedsql.transport")
_REMEMBERED = 4096  # queries that are over: their late messages open nothing
_UNKNOWN = COORDINATOR, "this query is not open here"
_CLOSING = "the coordinator is shutting down"
_GIVEN_UP = "the analyst gave up"
FAILED = "the coordinator could not run its part of the query"
OnQuery = Callable[[bytes, int], Steps[Any]]


class Router:
    """Routes frames. ``find`` returns the connection of a party by name, if there is one."""

    def __init__(self, on_query: OnQuery, find: Callable[[str], Connection | None], settings: Settings) -> None:
        self._on_query = on_query
        self._find = find
        self._settings = settings
        self._guard = Condition()  # notified when a query is over
        self._queries: dict[Query, OpenQuery] = {}
        self._open: Counter[str] = Counter()  # by analyst's name, as what follows
        self._running: Counter[str] = Counter()
        self._allowances: dict[tuple[str, str], Allowance] = {}  # by name and role
        self._waiting: list[OpenQuery] = []  # for a thread, as they came
        self._closed = False
        self._pool = ThreadPoolExecutor(settings.at_once, thread_name_prefix="fedsql-coordinate")

    def take(self, connection: Connection, frame: Frame, data: bytes) -> None:
        """Pass on ``data``, which is ``frame``, from an authenticated connection. Raises Malformed.

        Waits while the recipient is slow. Whatever cannot be delivered is told to the sender by an ABORT.
        """
        message = frame.message
        if message.sender != connection.wire_name:
            _log.warning("a frame of %s in the name of %s was dropped", connection.name, ascii(message.sender))
            return
        query = self._query(connection, frame)
        name = message.recipient
        if not isinstance(query, OpenQuery):
            if message.kind not in (ABORT, PROGRESS):
                self._tell(connection, frame.query, *query)
        elif name == COORDINATOR:
            query.inbox.accept(frame)
            whole = message.kind in BEGIN and frame.part + 1 == frame.parts
            if whole or query.inbox.aborted:
                self._begin(query)
        elif connection is not query.session and name in query.parties:
            self._forward(query, query.parties[name], name, data)
        elif connection is not query.session and name == ANALYST and message.kind == PROGRESS:
            if len(data) <= HEADER:  # beside all that waits: who does not read it must not keep a party waiting
                query.session.outbox.urge((PROGRESS, frame.query, connection.name), [data])
        else:
            reason = f"{_printable(name)} takes no part in this query or is not connected"
            self._tell(connection, frame.query, name, reason)

    def lost(self, connection: Connection) -> None:
        """Tell the others of every open query of a connection that is gone."""
        with self._guard:
            queries = [query for query in self._queries.values() if connection in query.members()]
        for query in queries:
            self._abort(query, connection.wire_name, _gone(connection.wire_name), lost=True)

    def load(self) -> tuple[int, int]:
        """Return how many queries run, and how many wait for their turn."""
        with self._guard:
            return sum(self._running.values()), len(self._waiting)

    def drain(self, timeout: float) -> bool:
        """Open no new query; wait ``timeout`` seconds at most for those that are open. Return whether all are over."""
        with self._guard:
            self._closed = True
            return self._guard.wait_for(
                lambda: all(query.done or not query.begun for query in self._queries.values()), timeout
            )

    def close(self) -> None:
        """Abort every open query and wait for the coordinator's protocols to end."""
        with self._guard:
            self._closed = True
            queries = list(self._queries.values())
        for query in queries:
            self._abort(query, COORDINATOR, _CLOSING)
        self._pool.shutdown()

    def _query(self, connection: Connection, frame: Frame) -> OpenQuery | tuple[str, str]:
        """Return the query of a frame, opened if need be, or because of whom and why the frame is not passed on."""
        message = frame.message
        with self._guard:
            query = self._queries.get(frame.query)
            if query is not None:
                if connection not in query.members():
                    return _UNKNOWN
                if query.done and message.recipient == COORDINATOR:
                    return query.off or (COORDINATOR, "this query is over at the coordinator")
                return query.off or query
            first = message.kind in BEGIN and message.recipient == COORDINATOR and frame.part == 0
            if connection.role != ANALYST_ROLE or not first:
                return _UNKNOWN
            if self._closed:
                return COORDINATOR, _CLOSING
            if self._open[connection.name] >= self._settings.open_queries:
                return ANALYST, f"{connection.name} has {self._settings.open_queries} open queries already"
            inbox = Mailbox(self._settings.inbox, partial(self._allowance, connection.name))
            query = self._queries[frame.query] = OpenQuery(frame.query, connection, inbox)
            self._open[connection.name] += 1
            return query

    def _allowance(self, analyst: str, sender: str) -> Allowance:
        """Return what may wait unread of who sends in a query of ``analyst``."""
        analysts = sender == ANALYST
        limit = self._settings.asked if analysts else self._settings.held
        with self._guard:
            return self._allowances.setdefault((analyst if analysts else sender, sender), Allowance(limit))

    def _begin(self, query: OpenQuery) -> None:
        """Let a query run as soon as it is its turn: its first message is here as a whole."""
        with self._guard:
            if query.begun:
                return
            if not self._closed:
                query.begun = True
                self._waiting.append(query)
                if sum(self._running.values()) >= self._settings.at_once:
                    self._tell_places()
                self._pool.submit(self._coordinate)
                return
        self._abort(query, COORDINATOR, _CLOSING)

    def _tell_places(self) -> None:
        """Tell the analysts of waiting queries their places; the caller holds the guard."""
        for place, query in enumerate(in_turn(self._waiting, self._running), 1):
            frames = list(frames_of(query.key, progress_message(COORDINATOR, "queued", place)))
            query.session.outbox.urge((PROGRESS, query.key), frames)

    def _coordinate(self) -> None:
        with self._guard:
            query = in_turn(self._waiting, self._running)[0]
            self._waiting.remove(query)
            self._running[query.session.name] += 1
            self._tell_places()
        try:
            if query.inbox.aborted:  # while it waited for its turn: by its analyst, or because of how much it has sent
                aborted = query.inbox.wait((), 0)
                assert isinstance(aborted, Aborted)
                self._abort(query, aborted.sender, str(aborted.record.get("message", _GIVEN_UP)))
                return
            steps = self._on_query(*query.key)
            drive(steps, partial(self._send, query), query.inbox, self._settings.deadline)
        except Exception:
            _log.exception("the coordinator's protocol failed")
            self._abort(query, COORDINATOR, FAILED)
        finally:
            with self._guard:
                self._running[query.session.name] -= 1
            self._finish(query)

    def _finish(self, query: OpenQuery) -> None:
        query.inbox.close()
        with self._guard:
            if not query.done:
                query.done = True
                self._open[query.session.name] -= 1
                over = [key for key, each in self._queries.items() if each.done]
                for key in over[: max(0, len(over) - _REMEMBERED)]:
                    del self._queries[key]
                self._guard.notify_all()

    def _send(self, query: OpenQuery, messages: Sequence[Message]) -> None:
        """Send messages of the coordinator; whom it writes to becomes a member.

        All of them before the first is sent to, for that one may write to the others at once.
        """
        names = {message.recipient for message in messages} - {ANALYST, *query.parties}
        found = {name: connection for name in names if (connection := self._find(name)) is not None}
        with self._guard:
            query.parties |= found
        for message in messages:
            self._send_one(query, message)

    def _send_one(self, query: OpenQuery, message: Message) -> None:
        name = message.recipient
        target = query.session if name == ANALYST else query.parties.get(name)
        if target is None:
            query.inbox.put(_blame(name, _gone(name), lost=True))
            return
        try:
            for data in frames_of(query.key, message):
                target.outbox.put(data, self._settings.stalled)
        except OperationalError as error:  # too long
            query.inbox.put(_blame(COORDINATOR, error.message))
        except Closed:
            query.inbox.put(_blame(name, _gone(name), lost=True))
        except Slow:
            query.inbox.put(_blame(name, self._slow(name), lost=True))

    def _forward(self, query: OpenQuery, target: Connection, name: str, data: bytes) -> None:
        try:
            target.outbox.put(data, self._settings.stalled)
        except Closed:
            self._abort(query, name, _gone(name), lost=True)
        except Slow:
            self._abort(query, name, self._slow(name), lost=True)

    def _abort(self, query: OpenQuery, party: str, reason: str, *, lost: bool = False) -> None:
        """Tell every member, and the coordinator's protocol, that the query is off because of ``party``."""
        with self._guard:
            if query.off or query.done:
                return
            query.off = party, reason
            members, idle = query.members(), not query.begun
            query.begun = True
        query.inbox.put(_blame(party, reason, lost=lost))
        for member in members:
            self._tell(member, query.key, party, reason, lost=lost)
        if idle:  # no protocol runs that would do it
            self._finish(query)

    def _tell(self, connection: Connection, query: Query, party: str, reason: str, *, lost: bool = False) -> None:
        message = abort_message(COORDINATOR, connection.wire_name, party, reason, lost=lost)
        connection.outbox.urge((ABORT, query), list(frames_of(query, message)))

    def _slow(self, name: str) -> str:
        return f"{named(name)} took nothing for {self._settings.stalled:g} s"


def _blame(party: str, reason: str, *, lost: bool = False) -> Message:
    return abort_message(party, COORDINATOR, party, reason, lost=lost)


def _gone(name: str) -> str:
    return f"{named(name)} is not connected"


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)
