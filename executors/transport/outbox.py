"""What waits to be written to one connection: bounded, so that a slow reader slows its senders, not the memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from threading import Condition

_MOST_URGENT = 1 << 14  # entries: more than wait for anybody who reads


class Closed(Exception):
    """The connection is closed."""


class Slow(Exception):
    """The other side took nothing for too long."""


class Outbox:
    """A queue of frames that holds up to ``room`` bytes; urgent frames pass it and are not counted.

    There is at most one urgent entry of each key (a newer directory replaces an older one). Who lets too many of them
    wait is cut off, so they are bounded too.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._changed = Condition()
        self._frames: deque[bytes] = deque()
        self._urgent: dict[Hashable, Sequence[bytes]] = {}
        self._now: deque[bytes] = deque()  # what is left of the urgent entry being written
        self._held = 0
        self._taken = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nothing more can be put in."""
        return self._closed

    def put(self, frame: bytes, timeout: float) -> None:
        """Add a frame, waiting for room. Raises Slow when none was taken for ``timeout`` seconds, or Closed."""
        with self._changed:
            while not self._closed and self._held and self._held + len(frame) > self._room:
                if not self._changed.wait_for(self._moved(), timeout):
                    raise Slow
            if self._closed:
                raise Closed
            self._frames.append(frame)
            self._held += len(frame)
            self._changed.notify_all()

    def _moved(self) -> Callable[[], bool]:
        before = self._taken
        return lambda: self._closed or self._taken != before

    def urge(self, key: Hashable, frames: Sequence[bytes]) -> None:
        """Write ``frames`` before all that waits, in place of an urgent entry of the same key; never waits."""
        with self._changed:
            if len(self._urgent) >= _MOST_URGENT:
                self.close()
            if not self._closed:
                self._urgent[key] = frames
                self._changed.notify_all()

    def take(self) -> bytes:
        """Wait for a frame and return it. Raises Closed when there will be none."""
        with self._changed:
            while True:
                if not self._now and self._urgent:
                    self._now.extend(self._urgent.pop(next(iter(self._urgent))))
                if self._now:
                    return self._now.popleft()
                if self._closed:
                    raise Closed
                if self._frames:
                    frame = self._frames.popleft()
                    self._held -= len(frame)
                    self._taken += 1
                    self._changed.notify_all()
                    return frame
                self._changed.wait()

    def close(self, farewell: Sequence[bytes] = ()) -> None:
        """Drop what waits, and close after ``farewell``. Only the first call counts."""
        with self._changed:
            if not self._closed:
                self._closed = True
                self._frames.clear()
                self._urgent = {"farewell": farewell} if farewell else {}
                self._changed.notify_all()
