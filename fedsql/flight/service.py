"""The gateway as a service: listens, opens a session for each client, and asks the federation as each user's analyst.

A federation whose parties run in this process is opened once. Over the network every analyst has a connection of its own
to the coordinator, made when the first of its users asks; all its sessions share that, and its Paillier key.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from fedsql.config.loading import load_federation
from fedsql.crypto.certificates import expiry
from fedsql.crypto.sealing import SealKey
from fedsql.errors import ConfigError, OperationalError
from fedsql.executors.connecting import open_federation
from fedsql.executors.engines.describer import Describer, describer
from fedsql.executors.federation import Federation
from fedsql.executors.roles.analyst import Analyst
from fedsql.flight.clients import Clients
from fedsql.flight.server import Server
from fedsql.flight.tls import due
from fedsql.flight.users import Users
from fedsql.session import Session
from fedsql.workbench import Limits

_log = logging.getLogger("fedsql.gateway")
_LOOK = 15.0  # seconds between looks at idle sessions
# Of one session: what it computes by itself and keeps in local tables, and one result.
LIMITS = Limits(memory="1GiB", threads=min(4, os.cpu_count() or 1), result=256 << 20)


class GatewayService:
    """Listens from `start` until `close`.

    ``keys``: the folder in which ``<analyst>/identity.pem`` is found, by default that of the federation file. ``port`` 0
    is any free one. ``idle``: after how many seconds a session that nobody uses ends. ``described``: where it describes
    statements, which it closes; by default a process of its own. Raises ConfigError.
    """

    role = "gateway"

    def __init__(
        self,
        federation: Path,
        users: Users,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: tuple[bytes, bytes] | None = None,
        keys: Path | None = None,
        idle: float = 3600.0,
        described: Describer | None = None,
    ) -> None:
        self._file, self._users, self._keys = federation, users, keys
        self._tls, self._listen = tls, (host, port)
        self._expiry = expiry(tls[0]) if tls else None
        self._config = load_federation(federation)
        self._guard = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}  # by analyst
        self._opened: dict[str, tuple[Federation, Analyst]] = {}
        self._describer = described or describer()
        self._embedded = None if self._config.remote else open_federation(self._config, describer=self._describer)
        self.clients = Clients(self._session, users, idle)
        self._ending = threading.Event()
        self._server: Server | None = None

    @property
    def name(self) -> str:
        """The federation's name."""
        return self._config.name

    @property
    def port(self) -> int:
        """The port at which it listens."""
        assert self._server is not None
        return int(self._server.port)

    def start(self) -> None:
        """Listen. Raises ConfigError when it cannot."""
        host, port = self._listen
        shown = f"[{host}]" if ":" in host else host
        location = f"grpc{'+tls' if self._tls else ''}://{shown}:{port}"
        try:
            self._server = Server(location, self._users, self.clients, self._tls)
        except pa.ArrowException as error:  # pyarrow does not say which of these it was
            _log.debug("not listening: %s", error)
            causes = "another process may use the port, or the address is not this machine's"
            raise ConfigError(f"{location}: cannot listen here", hint=causes) from None
        threading.Thread(target=self._sweep, name="fedsql-gateway-idle", daemon=True).start()

    def reload(self) -> None:
        """Read the users again. Sessions of those who are gone end. Raises ConfigError; then nothing has changed.

        The federation file is not taken up: which parties there are holds for as long as the gateway runs.
        """
        changed = load_federation(self._file) != self._config
        self._users.reload()
        if changed:
            _log.warning("%s has changed: start the gateway anew, the old one goes on until then", self._file)
        self.clients.sweep()

    def ended(self) -> str | None:
        """None: it does not end by itself."""
        return None

    def connected(self) -> int:
        """How many sessions there are."""
        return self.clients.count()

    def unhealthy(self) -> str | None:
        """Why it takes no client now; None when it does."""
        return "it is ending" if self._ending.is_set() else None

    def due(self) -> str | None:
        """Whether the TLS certificate that it shows ends soon."""
        return None if self._expiry is None else due(self._expiry)

    def certificate_expiry(self) -> float | None:
        """When the TLS certificate ends that it shows, in seconds since 1970; None without TLS."""
        return self._expiry

    def drain(self, timeout: float) -> bool:
        """Take no new client; wait ``timeout`` seconds at most for what runs. Return whether all of it ended."""
        self._ending.set()
        return self.clients.drain(timeout)

    def close(self) -> None:
        """End all sessions and stop listening."""
        self._ending.set()
        self.clients.close()
        if self._server is not None:
            self._server.shutdown()
        for federation, _ in list(self._opened.values()):
            federation.close()
        self._opened.clear()
        if self._embedded is not None:
            self._embedded.close()
        if self._describer is not None:
            self._describer.close()

    def _session(self, analyst: str) -> Session:
        with self._guard:
            opening = self._opening.setdefault(analyst, threading.Lock())
        with opening:  # to dial may take long: nobody but this analyst's users waits for it
            if analyst not in self._opened:
                try:
                    self._opened[analyst] = self._admitted(analyst)
                except ConfigError as error:  # it names files of this machine
                    _log.error("cannot ask as the analyst %s: %s", analyst, error)
                    told = f"the gateway cannot ask as the analyst {analyst}"
                    raise OperationalError(told, hint="its log says why") from None
            federation, known = self._opened[analyst]
        return Session(federation, replace(known, box=SealKey()), limits=LIMITS)

    def _admitted(self, analyst: str) -> tuple[Federation, Analyst]:
        federation = self._embedded
        if federation is None:
            key = (self._keys or self._file.parent) / analyst / "identity.pem"
            federation = open_federation(self._file, analyst, key=key, describer=self._describer)
        return federation, federation.admit(analyst)

    def _sweep(self) -> None:
        while not self._ending.wait(_LOOK):
            self.clients.sweep()
