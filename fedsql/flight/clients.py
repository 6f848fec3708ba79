"""The gateway's clients: who is logged in, each with a session of its own, until it says goodbye or is idle for long.

ADBC keeps no cookies, so a session is known by the bearer token that the handshake gave out. A client that logs in with
an issued token, and without a handshake, has the session of that token; one that keeps cookies has that of its cookie.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fedsql.errors import OperationalError
from fedsql.flight.client import Client
from fedsql.flight.users import User, Users
from fedsql.session import Session

MOST = 1000  # clients
MOST_OF_ONE = 200  # of one user
CALLS = 256  # of one user that run or wait at once: each has a thread
AT_ONCE = 16  # queries of one analyst that run at once; half of those that a coordinator takes


class Clients:
    """All clients. ``open_session`` opens one for an analyst; ``idle``: after how many seconds without a call one ends."""

    def __init__(
        self,
        open_session: Callable[[str], Session],
        users: Users,
        idle: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open, self._users, self._idle, self._clock = open_session, users, idle, clock
        self._guard = threading.Condition()
        self._known: dict[bytes, Client] = {}
        self._gates: dict[str, threading.Semaphore] = {}
        self._closing = False

    def login(self, user: User) -> tuple[str, Client]:
        """Begin a session; return the bearer token it is known by."""
        token = secrets.token_urlsafe(32)
        return token, self._enter(user, _digest(token))

    def of(self, token: str) -> Client | None:
        """Return the client whose session has this bearer token, or that of this cookie; None when it has ended."""
        return self._alive(_digest(token))

    def of_user(self, user: User, key: str) -> Client:
        """Return the session that a user without a handshake has under ``key``; it begins with the first call."""
        digest = _digest(f"{user.name}\0{key}")
        return self._alive(digest) or self._enter(user, digest)

    def end(self, client: Client) -> None:
        """End a session."""
        with self._guard:
            self._known.pop(client.key, None)
        client.close()

    def sweep(self) -> None:
        """End the sessions that nobody has used for long, and those of users who are no longer there."""
        now = self._clock()
        with self._guard:
            over = [
                client
                for client in self._known.values()
                if (client.calls == 0 and now - client.used > self._idle) or not self._users.current(client.user)
            ]
        for client in over:
            self.end(client)

    def count(self) -> int:
        """How many sessions there are."""
        with self._guard:
            return len(self._known)

    def drain(self, timeout: float) -> bool:
        """Take no new client; wait ``timeout`` seconds at most for the calls that run. Return whether all ended."""
        with self._guard:
            self._closing = True
            return self._guard.wait_for(lambda: not any(client.calls for client in self._known.values()), timeout)

    def close(self) -> None:
        """End all sessions."""
        with self._guard:
            self._closing = True
            clients = list(self._known.values())
        for client in clients:
            self.end(client)

    @contextmanager
    def call(self, client: Client) -> Iterator[Client]:
        """Count a call of a client: while it runs the session is not idle. Raises OperationalError where there are too many."""
        with self._guard:
            if sum(each.calls for each in self._known.values() if each.user == client.user) >= CALLS:
                raise OperationalError("there are too many calls at once", hint="wait for those that run")
            client.calls += 1
        try:
            yield client
        finally:
            with self._guard:
                client.calls -= 1
                client.used = self._clock()
                self._guard.notify_all()

    def _alive(self, digest: bytes) -> Client | None:
        with self._guard:
            client = self._known.get(digest)
        if client is None or self._users.current(client.user):
            return client
        self.end(client)
        return None

    def _enter(self, user: User, digest: bytes) -> Client:
        self.sweep()
        with self._guard:
            gate = self._gates.setdefault(user.analyst, threading.Semaphore(AT_ONCE))
            client = Client(user, lambda: self._open(user.analyst), digest, gate, used=self._clock())
            if self._closing:
                raise OperationalError("the gateway is shutting down", hint="try again later")
            if len(self._known) >= MOST or sum(c.user == user for c in self._known.values()) >= MOST_OF_ONE:
                raise OperationalError(
                    "there are too many sessions",
                    hint="close connections that are not used; idle ones end by themselves",
                )
            return self._known.setdefault(digest, client)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
