"""The inbox of one query at one participant: filled by the thread that reads, emptied by the one that drives.

It puts the parts of long messages together, holds what arrived until somebody wants it, and is bounded in bytes: a
participant that is sent more than it may hold gives up rather than grow.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from threading import Condition

from fedsql.errors import ProtocolError
from fedsql.executors.protocol.wire import ABORT, Aborted, Inbox, Message, Wanted
from fedsql.executors.transport.frames import LIMIT, Frame, Malformed, abort_message

Groups = tuple[tuple[Wanted, ...], ...]


def collect(groups: Groups, arrived: dict[Wanted, Message]) -> Inbox | None:
    """Take the messages of every complete group out of ``arrived``; None when no group is complete."""
    complete = [group for group in groups if all(key in arrived for key in group)]
    if not complete:
        return None
    inbox = {key: arrived[key] for group in complete for key in group}
    for key in inbox:
        del arrived[key]
    return inbox


def aborted_by(message: Message) -> Aborted:
    """Return the interruption that an ABORT message asks for; whatever it says, its sender gave up."""
    try:
        record = message.record()
    except ProtocolError:
        record = None
    return Aborted(message.sender, record if isinstance(record, dict) else {})


class Mailbox:
    """A thread-safe inbox that holds up to ``limit`` bytes of bodies."""

    def __init__(self, limit: int = 2 * LIMIT) -> None:
        self._limit = limit
        self._changed = Condition()
        self._parts: dict[Wanted, list[bytes]] = {}
        self._arrived: dict[Wanted, Message] = {}
        self._aborts: deque[Aborted] = deque()
        self._held = 0
        self._overfull = False

    @property
    def aborted(self) -> bool:
        """Whether an ABORT waits to be thrown."""
        return bool(self._aborts)

    def accept(self, frame: Frame) -> None:
        """Take one frame. Raises Malformed when the parts of a message do not come in order."""
        message = frame.message
        key = message.kind, message.sender
        with self._changed:
            if self._overfull:
                return
            self._held += len(message.body)
            if self._held > self._limit:
                self._overfill(message)
                return
            parts = self._parts.setdefault(key, [])
            if frame.part != len(parts):
                raise Malformed
            parts.append(message.body)
            if len(parts) < frame.parts:
                return
            del self._parts[key]
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            self._take(Message(message.kind, message.sender, message.recipient, body, message.sealed))

    def put(self, message: Message) -> None:
        """Take one whole message, whatever its size: it comes from this side of the connection."""
        with self._changed:
            self._held += len(message.body)
            self._take(message)

    def wait(self, groups: Groups, deadline: float) -> Inbox | Aborted:
        """Wait until a group is complete, and return the messages of each complete one.

        Returns the interruption instead when an ABORT came, or when ``deadline`` seconds passed: this one names whom
        was waited for, and for what.
        """
        until = time.monotonic() + deadline
        with self._changed:
            while True:
                inbox = collect(groups, self._arrived)
                if inbox is not None:
                    self._held -= sum(len(message.body) for message in inbox.values())
                    return inbox
                if self._aborts:
                    return self._aborts.popleft()
                rest = until - time.monotonic()
                if rest <= 0:
                    return _too_late(groups, self._arrived, deadline)
                self._changed.wait(rest)

    def _take(self, message: Message) -> None:
        if message.kind == ABORT:
            self._held -= len(message.body)
            self._aborts.append(aborted_by(message))
        else:
            replaced = self._arrived.get((message.kind, message.sender))
            self._held -= 0 if replaced is None else len(replaced.body)
            self._arrived[message.kind, message.sender] = message
        self._changed.notify_all()

    def _overfill(self, message: Message) -> None:
        self._overfull = True
        self._parts.clear()
        self._arrived.clear()
        reason = f"more than {self._limit} bytes wait unread in a query, the last of them from {message.sender}"
        self._take(abort_message(message.sender, message.recipient, message.sender, reason))


def _too_late(groups: Groups, arrived: Iterable[Wanted], deadline: float) -> Aborted:
    missing = [[key for key in group if key not in arrived] for group in groups]
    nearest = min(missing, key=len)
    names = list(dict.fromkeys(sender for _, sender in nearest))
    kinds = list(dict.fromkeys(kind for kind, _ in nearest))
    reason = f"no answer from {', '.join(names)} within {deadline:g} s (waiting for {', '.join(kinds)})"
    record = abort_message(names[0], names[0], names[0], reason, lost=True).record()
    assert isinstance(record, dict)
    return Aborted(names[0], record)
