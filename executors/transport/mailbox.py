"""The inbox of one query at one participant: filled by the thread that reads, emptied by the one that drives.

It puts the parts of long messages together, holds what arrived until somebody wants it, and is bounded in bytes, by
itself and together with the other queries: a participant that is sent more than it may hold gives up rather than grow.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from threading import Condition, Lock

from fedsql.errors import ProtocolError
from fedsql.executors.protocol.wire import ABORT, Aborted, Inbox, Message, Wanted, named
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


class Allowance:
    """How many bytes may wait unread in several mailboxes together."""

    def __init__(self, limit: float = math.inf) -> None:
        self.limit = limit
        self._lock = Lock()
        self._held = 0

    def take(self, size: int) -> bool:
        """Take ``size`` bytes (or give them back, below zero) if there are so many left; return whether there were."""
        with self._lock:
            if size > 0 and self._held + size > self.limit:
                return False
            self._held += size
            return True


_FREE = Allowance()


class Mailbox:
    """A thread-safe inbox that holds up to ``limit`` bytes of bodies, and of each sender what its allowance has left."""

    def __init__(self, limit: int = 2 * LIMIT, allowance: Callable[[str], Allowance] = lambda sender: _FREE) -> None:
        self._limit = limit
        self._allowance = allowance
        self._changed = Condition()
        self._parts: dict[Wanted, list[bytes]] = {}
        self._arrived: dict[Wanted, Message] = {}
        self._aborted: Aborted | None = None
        self._held = 0
        self._closed = False

    @property
    def aborted(self) -> bool:
        """Whether an ABORT waits to be thrown."""
        return self._aborted is not None

    def accept(self, frame: Frame) -> None:
        """Take one frame. Raises Malformed when the parts of a message do not come in order, or an ABORT has several."""
        message = frame.message
        key = message.kind, message.sender
        with self._changed:
            if self._closed:
                return
            if frame.part != len(self._parts.get(key, ())) or (message.kind == ABORT and frame.parts > 1):
                raise Malformed
            if message.kind == ABORT:
                self._interrupt(message)
            elif not self._hold(message):
                self._overfill(message)
            else:
                parts = self._parts.setdefault(key, [])
                parts.append(message.body)
                if len(parts) == frame.parts:
                    del self._parts[key]
                    body = parts[0] if len(parts) == 1 else b"".join(parts)
                    self._take(Message(message.kind, message.sender, message.recipient, body, message.sealed))

    def put(self, message: Message) -> None:
        """Take one whole message."""
        with self._changed:
            if message.kind == ABORT:
                self._interrupt(message)
            elif self._hold(message):
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
                    for message in inbox.values():
                        self._release(message.sender, len(message.body))
                    return inbox
                if self._aborted is not None:
                    aborted, self._aborted = self._aborted, None
                    return aborted
                rest = until - time.monotonic()
                if rest <= 0:
                    return _too_late(groups, self._arrived, deadline)
                self._changed.wait(rest)

    def close(self) -> None:
        """Let go of what nobody will read, and take no more."""
        with self._changed:
            self._closed = True
            for (_, sender), parts in self._parts.items():
                self._release(sender, sum(map(len, parts)))
            for message in self._arrived.values():
                self._release(message.sender, len(message.body))
            self._parts.clear()
            self._arrived.clear()

    def _hold(self, message: Message) -> bool:
        size = len(message.body)
        if self._held + size > self._limit or not self._allowance(message.sender).take(size):
            return False
        self._held += size
        return True

    def _release(self, sender: str, size: int) -> None:
        self._held -= size
        self._allowance(sender).take(-size)

    def _take(self, message: Message) -> None:
        replaced = self._arrived.get((message.kind, message.sender))
        if replaced is not None:
            self._release(message.sender, len(replaced.body))
        self._arrived[message.kind, message.sender] = message
        self._changed.notify_all()

    def _interrupt(self, message: Message) -> None:
        if self._aborted is None:  # the first one says why
            self._aborted = aborted_by(message)
        self._changed.notify_all()

    def _overfill(self, message: Message) -> None:
        self.close()
        limit = min(self._limit, self._allowance(message.sender).limit)
        reason = f"more than {limit} bytes wait unread, the last of them from {named(message.sender)}"
        self._interrupt(abort_message(message.sender, message.recipient, message.sender, reason))


def _too_late(groups: Groups, arrived: Iterable[Wanted], deadline: float) -> Aborted:
    missing = [[key for key in group if key not in arrived] for group in groups]
    nearest = min(missing, key=len)
    names = list(dict.fromkeys(sender for _, sender in nearest))
    kinds = list(dict.fromkeys(kind for kind, _ in nearest))
    reason = f"no answer from {', '.join(map(named, names))} within {deadline:g} s (waiting for {', '.join(kinds)})"
    record = abort_message(names[0], names[0], names[0], reason, lost=True).record()
    assert isinstance(record, dict)
    return Aborted(names[0], record)
