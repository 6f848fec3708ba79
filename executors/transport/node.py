"""A participant's side of the network: dials out to the hub, stays connected, and runs its protocols over it.

When the connection is lost every open query is interrupted by `Aborted`, and the node dials again, waiting longer after
each failure.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from threading import Condition, Event, Thread
from typing import NamedTuple, TypeVar

from fedsql.codec import decode, fits
from fedsql.crypto.keys import IdentityKey
from fedsql.errors import DataError, OperationalError
from fedsql.executors.protocol.wire import ANALYST, Aborted, Message, Steps
from fedsql.executors.transport.address import Address
from fedsql.executors.transport.frames import CONTROL, PART, Frame, Malformed, frames_of
from fedsql.executors.transport.link import Link
from fedsql.executors.transport.login import ANALYST_ROLE, ParticipantSide
from fedsql.executors.transport.mailbox import Mailbox
from fedsql.executors.transport.outbox import Outbox
from fedsql.executors.transport.queries import OnProgress, OnQuery, Queries
from fedsql.executors.transport.settings import Settings
from fedsql.executors.transport.traffic import Traffic

_log = logging.getLogger("fedsql.transport")
_log.addHandler(logging.NullHandler())  # for the operator; without it Python would print where no logging is set up
_LATEST = 1 << 37  # Unix time: what still has a date
T = TypeVar("T")


class Offered(NamedTuple):
    """One party's entry in the directory: whether it is connected, since when (Unix time), its offer (opaque bytes)."""

    since: int
    connected: bool
    offer: bytes


class Node:
    """One participant; ``role`` is "party" or "analyst".

    ``coordinator_key`` is the hub's pinned public key, ``tls_root_certs`` PEM (None: the system's).
    ``on_query(query_id, attempt, watch)`` makes a party's protocol, in the query's own thread. ``on_directory`` gets each
    new directory, and ``on_abort(query_id, attempt)`` each query that is called off, both in the thread that reads: they
    must be quick. Raises ConfigError when ``address`` is not usable.
    """

    def __init__(
        self,
        address: str,
        name: str,
        role: str,
        identity: IdentityKey,
        coordinator_key: bytes,
        federation: str,
        tls_root_certs: bytes | None = None,
        *,
        on_query: OnQuery | None = None,
        on_abort: Callable[[bytes, int], None] | None = None,
        on_directory: Callable[[Mapping[str, Offered]], None] | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._location = Address.parse(address).location()
        self._side = ParticipantSide(name, role, federation, identity, coordinator_key)
        self._root_certs = tls_root_certs
        self._on_directory = on_directory
        self._settings = settings or Settings()
        self.traffic = Traffic()
        self._changed = Condition()  # guards what follows; notified at each change of it
        self._dialed: Link | None = None
        self._link: Link | None = None  # the same, while it is logged in
        self._ended = 0  # connections and attempts at one
        self._offer: bytes | None = None
        self._directory: dict[str, Offered] = {}
        self._closing = Event()
        wire_name = ANALYST if role == ANALYST_ROLE else name
        self._queries = Queries(wire_name, on_query, self._outbox, self._settings, on_abort)
        self._supervisor = Thread(target=self._supervise, name=f"fedsql-node-{name}", daemon=True)
        self.reason = ""  # why it is not connected

    def start(self) -> None:
        """Begin to dial, in the background, until `close`."""
        self._supervisor.start()

    def connect(self) -> None:
        """`start`, and return when logged in. Raises OperationalError, and closes, when the first attempt fails."""
        self.start()
        with self._changed:
            self._changed.wait_for(lambda: self._link is not None or self._ended or self._closing.is_set())
            connected = self._link is not None
        if not connected:
            self.close()
            raise OperationalError(f"{self._location}: {self.reason}")

    def wait_connected(self, timeout: float) -> bool:
        """Wait until the node is logged in, ``timeout`` seconds at most; return whether it is."""
        with self._changed:
            self._changed.wait_for(lambda: self._link is not None or self._closing.is_set(), timeout)
            return self._link is not None

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until the node is closed, or was replaced by another login of its name (``reason`` says so)."""
        return self._closing.wait(timeout)

    @property
    def directory(self) -> dict[str, Offered]:
        """What the connected parties offer, by name, as the hub last said; empty while there is no connection."""
        with self._changed:
            return dict(self._directory)

    def offer(self, data: bytes) -> None:
        """Tell everybody ``data``, now and after each login. Raises DataError when it is over 4 MiB."""
        if len(data) > PART:
            raise DataError(f"an offer has {len(data)} bytes; at most {PART} are passed on")
        with self._changed:
            self._offer = data
            if self._link is not None:
                self._send_offer(self._link)

    def ask(
        self,
        query_id: bytes,
        attempt: int,
        steps: Steps[T],
        deadline: float,
        record: Callable[[Message], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> T:
        """Run an analyst's protocol in this thread; return its result. See `drive` for ``deadline`` and ``record``.

        ``on_progress`` is told what each participant does (name, stage, place in its queue), in the thread that reads.

        Whatever it raises, an interrupt included, is told to the coordinator as the end of the query. Raises
        OperationalError when there is no connection and none is made within the time for a login.
        """
        if not self.wait_connected(self._settings.login):
            raise OperationalError(f"{self._location}: {self.reason or 'there is no connection'}")
        return self._queries.ask((query_id, attempt), steps, deadline, record, on_progress)

    def tell(self, query_id: bytes, attempt: int, stage: str, place: int | None = None) -> None:
        """Tell the analyst of a query what this party does now."""
        self._queries.tell((query_id, attempt), stage, place)

    def interrupt(self, query_id: bytes, attempt: int, reason: str) -> None:
        """Call off one attempt, if it is open here."""
        self._queries.abort((query_id, attempt), reason)

    def drain(self, timeout: float) -> bool:
        """Begin no new query; wait ``timeout`` seconds at most for those that run. Return whether all are over."""
        return self._queries.drain(timeout)

    def close(self) -> None:
        """Interrupt every open query, say goodbye, and wait for all threads."""
        with self._changed:
            self._closing.set()
            if self._dialed is not None:
                self._dialed.stop()
            self._changed.notify_all()
        if self._supervisor.ident is not None:
            self._supervisor.join()
        self._queries.close()

    def _supervise(self) -> None:
        failures = 0
        while not self._closing.is_set():
            link = Link(self._location, self._side, self._root_certs, self._settings, self.traffic)
            control = Mailbox(self._settings.inbox)
            with self._changed:
                self._dialed = link
                if self._closing.is_set():
                    link.stop()
            link.run(self._logged_in, partial(self._take, control))
            with self._changed:
                failures = 0 if self._link is link else failures + 1
                self._link, self._directory, self.reason = None, {}, link.reason
                self._ended += 1
                if link.final:
                    self._closing.set()
                self._changed.notify_all()
            self._queries.abort_all(link.reason)
            if not self._closing.is_set():
                _log.warning("%s: %s", self._location, link.reason)
                self._closing.wait(self._pause(failures))

    def _pause(self, failures: int) -> float:
        longest = min(self._settings.backoff * 2.0 ** min(failures, 30), self._settings.longest_backoff)
        return longest * (0.5 + secrets.randbelow(1000) / 2000)  # not all parties at the same moment

    def _outbox(self) -> Outbox | None:
        link = self._link
        return None if link is None else link.outbox

    def _logged_in(self, link: Link) -> None:
        with self._changed:
            self._link, self.reason = link, ""
            _log.info("%s: connected", self._location)
            if self._offer is not None:
                self._send_offer(link)
            self._changed.notify_all()

    def _send_offer(self, link: Link) -> None:
        assert self._offer is not None
        link.outbox.urge("offer", list(frames_of(CONTROL, Message("offer", "", "", self._offer))))

    def _take(self, control: Mailbox, frame: Frame) -> None:
        """Take a frame of the hub, in the thread that reads. Raises Malformed."""
        if frame.query != CONTROL:
            self._queries.take(frame)
            return
        if frame.message.kind != "directory":
            raise Malformed
        control.accept(frame)
        arrived = control.wait((((frame.message.kind, frame.message.sender),),), 0)
        if isinstance(arrived, Aborted):  # not all of its parts are here
            return
        (message,) = arrived.values()
        directory = _directory_of(message.body)
        with self._changed:
            self._directory = directory
            self._changed.notify_all()
        if self._on_directory is not None:
            try:
                self._on_directory(dict(directory))
            except Exception:
                _log.exception("a new directory could not be used")


def _directory_of(body: bytes) -> dict[str, Offered]:
    try:
        listed = decode(body)
    except ValueError:
        raise Malformed from None
    if not fits(listed, list[tuple[str, int, bool, bytes]]):
        raise Malformed
    if not all(0 <= since < _LATEST and len(offer) <= PART for _, since, _, offer in listed):
        raise Malformed
    return {name: Offered(since, connected, offer) for name, since, connected, offer in listed}
