"""The hub: the coordinator's listener. Parties and analysts dial out to it; nobody else listens.

An Arrow Flight server with one DoExchange per participant, which carries frames as application metadata. Its thread
reads; a second one writes. No exception leaves a handler: Flight would send its traceback to the other side.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Sequence
from threading import Condition, Event, Thread
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight

import fedsql
from fedsql.crypto.keys import IdentityKey
from fedsql.errors import ConfigError
from fedsql.executors.transport.address import Address
from fedsql.executors.transport.connection import Connection, pump
from fedsql.executors.transport.frames import (
    CONTROL,
    HEADER,
    MALFORMED,
    PART,
    VERSION,
    Frame,
    Malformed,
    WrongVersion,
    control,
    parse,
)
from fedsql.executors.transport.login import ANALYST_ROLE, PARTY, HubSide, Known, Refused, challenge_of, new_challenge
from fedsql.executors.transport.outbox import Outbox
from fedsql.executors.transport.router import OnQuery, Router
from fedsql.executors.transport.server import Server
from fedsql.executors.transport.settings import Settings
from fedsql.executors.transport.severing import sever
from fedsql.executors.transport.traffic import Traffic

_log = logging.getLogger("fedsql.transport")
_log.addHandler(logging.NullHandler())  # for the operator; without it Python would print where no logging is set up
_GRACE = 1.0  # seconds for a goodbye to be read


class Hub:
    """Listens from its construction until `close`. Port 0 takes a free one; ``address`` says which.

    ``known`` returns the pinned key of a (name, role) or None; ``on_query`` makes the coordinator's protocol of a new
    query. ``tls`` is (certificate chain, private key) in PEM. Raises ConfigError when it cannot listen.
    """

    def __init__(
        self,
        address: str,
        federation: str,
        identity: IdentityKey,
        known: Known,
        on_query: OnQuery,
        *,
        tls: tuple[bytes, bytes] | None = None,
        settings: Settings | None = None,
    ) -> None:
        where = Address.parse(address)
        if where.tls != (tls is not None):
            raise ConfigError(f"{address}: grpc+tls:// needs a certificate and its key, grpc:// takes none")
        self._settings = settings or Settings()
        self.traffic = Traffic()
        self._login_side = HubSide(federation, identity, known)
        self._connections: set[Connection] = set()
        self._offers: dict[str, tuple[int, bytes]] = {}  # each party's last one, with when it came or went
        self._changed = Condition()  # guards the connections; notified when one is gone
        self._closing = Event()
        self._router = Router(on_query, self._party, self._settings)
        try:
            self._server = Server(where.location(), self.exchange, tls)
        except Exception:  # gRPC tells the reason on standard error alone
            causes = "another process may use the port" + (
                ", or the certificate and its key may not fit" if tls else ""
            )
            raise ConfigError(f"{address}: cannot listen here", hint=causes) from None
        self.address = where._replace(port=self._server.port).location()
        self._watchman = Thread(target=self._watch, name="fedsql-hub-watch", daemon=True)
        self._watchman.start()

    def connected(self) -> list[str]:
        """Return the names of the parties that are connected."""
        with self._changed:
            return sorted(each.name for each in self._connections if each.role == PARTY and not each.outbox.closed)

    def load(self) -> tuple[int, int]:
        """Return how many queries run, and how many wait for their turn."""
        return self._router.load()

    def recheck(self) -> None:
        """Close the connections of those who are no longer known, or by another key: after a change of who is."""
        with self._changed:
            known = self._login_side.known
            strangers = [each for each in self._connections if each.name and known(each.name, each.role) != each.key]
            for each in strangers:
                each.close(f"{each.name} is no longer known by this key")
        for each in strangers:
            self._router.lost(each)
            self._went(each)

    def drain(self, timeout: float) -> bool:
        """Open no new query; wait ``timeout`` seconds at most for those that are open. Return whether all are over."""
        return self._router.drain(timeout)

    def close(self) -> None:
        """Say goodbye to everybody and stop listening."""
        with self._changed:
            self._closing.set()
            for each in self._connections:
                each.close("the coordinator is shutting down")
        self._router.close()
        self._watchman.join()
        with self._changed:
            self._changed.wait_for(lambda: not self._connections, _GRACE)
        stopping = Thread(target=self._server.shutdown, daemon=True)
        stopping.start()
        while stopping.is_alive():  # it waits for every open call, also for those that never said a word
            stopping.join(_GRACE / 10)
            sever(self._server.port)

    def exchange(self, peer: str, reader: Any, writer: Any) -> None:
        """Serve one connection to its end; called by the Flight server. Raises nothing."""
        connection = Connection(peer, Outbox(self._settings.room))
        with self._changed:
            if self._closing.is_set() or len(self._connections) >= self._settings.connections:
                return
            self._connections.add(connection)
        write = self.traffic.sending(writer.write_metadata)
        pumping = Thread(target=pump, args=(connection.outbox, write), daemon=True)
        pumping.start()
        reason = ""
        try:
            self._login(connection, reader)
            while True:
                self._listen(connection, reader)
        except Refused as refused:
            reason = str(refused)
            _log.warning("a login from %s was refused: %s%s", peer, reason, refused.why and f" ({refused.why})")
        except WrongVersion as wrong:
            reason = (
                f"{connection.name or 'the participant'} speaks version {wrong.version} of the protocol, the coordinator"
                f" (fedsql {fedsql.__version__}) version {VERSION}: everybody needs the same fedsql"
            )
            _log.warning("%s: %s", peer, reason)
        except Malformed:
            reason = MALFORMED
            _log.warning("a malformed frame from %s (%s)", connection.name or "somebody", peer)
        except StopIteration:
            pass
        except (OSError, flight.FlightError, pa.ArrowException):
            _log.info("the connection of %s (%s) broke", connection.name or "somebody", peer)
        except Exception:
            _log.exception("a connection failed")
            reason = MALFORMED
        connection.close(reason)
        if connection.name:
            self._router.lost(connection)
            self._went(connection)
        # A call that ends while the client still writes may lose its last words: let the client end it, or be severed.
        with contextlib.suppress(Exception):
            while True:
                reader.read_chunk()
        pumping.join()
        self._leave(connection)

    def _login(self, connection: Connection, reader: Any) -> None:
        theirs, ours = challenge_of(self._receive(connection, reader)[0], "dial"), new_challenge()
        connection.outbox.urge("login", self._login_side.challenge(theirs, ours))
        name, role = self._login_side.admit(self._receive(connection, reader)[0], theirs, ours)
        with self._changed:
            if connection.outbox.closed:  # it took too long
                raise StopIteration
            sessions = sum((each.name, each.role) == (name, role) for each in self._connections)
            if role == ANALYST_ROLE and sessions >= self._settings.sessions:
                raise Refused(f"{name} has {sessions} connections already")
            older = self._find(name) if role == PARTY else None
            if older is not None:
                older.close(f"{name} has logged in from elsewhere", final=True)
            connection.name, connection.role, connection.since = name, role, int(time.time())
            connection.key = self._login_side.known(name, role)
            connection.heard = time.monotonic()
            connection.outbox.urge("login", control("welcome", {"ping": float(self._settings.ping)}))
            self._announce([connection])
        if older is not None:
            self._router.lost(older)
        _log.info("%s %s connected", role, name)

    def _listen(self, connection: Connection, reader: Any) -> None:
        frame, data = self._receive(connection, reader)
        if connection.outbox.closed:
            raise StopIteration
        connection.heard = math.inf  # while it waits for a slow recipient it cannot be heard
        try:
            if frame.query != CONTROL:
                self._router.take(connection, frame, data)
            elif frame.message.kind == "ping":
                connection.outbox.urge("pong", control("pong"))
            elif frame.message.kind == "offer" and connection.role == PARTY and frame.parts == 1:
                with self._changed:
                    connection.offered = True
                    self._offers[connection.name] = connection.since, frame.message.body
                    self._announce(self._connections)
            elif frame.message.kind == "bye":
                raise StopIteration
            else:
                raise Malformed
        finally:
            connection.heard = time.monotonic()

    def _receive(self, connection: Connection, reader: Any) -> tuple[Frame, bytes]:
        chunk = reader.read_chunk()
        if chunk.data is not None or chunk.app_metadata is None:
            raise Malformed
        data = self.traffic.received(chunk.app_metadata.to_pybytes())
        return parse(data, PART + HEADER if connection.name else HEADER), data

    def _leave(self, connection: Connection) -> None:
        with self._changed:
            self._connections.discard(connection)
            self._changed.notify_all()

    def _went(self, connection: Connection) -> None:
        with self._changed:
            if connection.role == PARTY and connection.name in self._offers and self._find(connection.name) is None:
                self._offers[connection.name] = int(time.time()), self._offers[connection.name][1]
                self._announce(self._connections)

    def _announce(self, whom: Sequence[Connection] | set[Connection]) -> None:
        """Send the directory of all offers; the caller holds the guard, so that the newest comes last.

        The offer of a party that is away stays: so plans that do not need it go on being made, and it is known what needs it.
        """
        here = {each.name for each in self._parties() if each.offered}
        frames = control(
            "directory", sorted((name, since, name in here, o) for name, (since, o) in self._offers.items())
        )
        for each in whom:
            if each.name:
                each.outbox.urge("directory", frames)

    def _parties(self) -> list[Connection]:
        return [each for each in self._connections if each.role == PARTY and not each.outbox.closed]

    def _find(self, name: str) -> Connection | None:
        return next((each for each in self._parties() if each.name == name), None)

    def _party(self, name: str) -> Connection | None:
        with self._changed:
            return self._find(name)

    def _watch(self) -> None:
        """Close whoever is silent or does not log in, and cut off whoever does not go."""
        while not self._closing.wait(min(self._settings.ping, _GRACE) / 2):
            now = time.monotonic()
            with self._changed:
                connections = list(self._connections)
            for each in connections:
                patience = self._settings.silent if each.name else self._settings.login
                if not each.outbox.closed and now - each.heard > patience:
                    _log.warning("%s (%s) does not answer: closed", each.name or "somebody", each.peer)
                    each.close("nothing was heard for too long")
                    self._router.lost(each)
                    self._went(each)
                if now - each.closed_at > _GRACE:
                    sever(self._server.port, each.peer)
