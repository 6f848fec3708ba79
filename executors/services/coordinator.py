"""The coordinator as a process of its own, between all parties and analysts: it listens, and sees no SQL and no data.

It reads the shared federation file and lets in whose keys are pinned there. It can read the file again while it runs:
`reload` takes what is right as a whole or leaves everything as it was.
"""

from __future__ import annotations

from pathlib import Path

from fedsql.config.loading import load_federation
from fedsql.crypto.certificates import expiry
from fedsql.crypto.keys import IdentityKey, format_public, parse_public
from fedsql.errors import ConfigError
from fedsql.executors.pinned import certificate_due, check_same, everywhere, tls_files
from fedsql.executors.protocol.wire import Steps
from fedsql.executors.roles.common import OnOutcome
from fedsql.executors.roles.coordinator import Coordinator
from fedsql.executors.transport.address import Address
from fedsql.executors.transport.hub import Hub
from fedsql.executors.transport.login import COORDINATOR_ROLE, PARTY
from fedsql.executors.transport.settings import Settings


class CoordinatorService:
    """The coordinator: listens from its construction until `close`.

    ``state`` holds its identity.pem, and tls.pem with tls.key where the address asks for TLS. ``listen`` replaces the
    address of the federation file; by default it is every interface of this machine at that port, or the loopback one
    alone where that is dialled.
    """

    role = COORDINATOR_ROLE

    def __init__(
        self, federation_file: Path, state: Path, listen: str | None = None, settings: Settings | None = None
    ) -> None:
        self._file = federation_file
        self._ending = False
        self._federation = load_federation(federation_file)
        pinned = self._federation.coordinator
        if pinned is None:
            raise ConfigError(f"{federation_file}: coordinator: missing; this federation has none")
        identity = IdentityKey.from_file(state / "identity.pem")
        self._coordinator = Coordinator(identity)
        if format_public(identity.public) != pinned.public_key:
            raise ConfigError(
                f"{federation_file}: coordinator.public_key is not that of {state / 'identity.pem'}"
                f" ({format_public(identity.public)})"
            )
        address = listen or everywhere(pinned.address)
        tls = tls_files(state) if Address.parse(address).tls else None
        self._expiry = expiry(tls[0]) if tls else None
        self.hub = Hub(
            address, self._federation.name, identity, self._known, self._coordinate, tls=tls, settings=settings
        )

    @property
    def name(self) -> str:
        """The federation's name."""
        return self._federation.name

    def reload(self) -> None:
        """Read the federation file again: its parties and analysts. Who is no longer in it is disconnected.

        Raises ConfigError; then nothing has changed.
        """
        federation = load_federation(self._file)
        check_same(self._federation, federation, self._file, "the coordinator")
        self._federation = federation
        self.hub.recheck()

    def ended(self) -> str | None:
        """None: it does not end by itself."""
        return None

    def connected(self) -> int:
        """How many parties are connected."""
        return len(self.hub.connected())

    def unhealthy(self) -> str | None:
        """Why it takes no question now; None when it does: while it exists it listens."""
        return "it is ending" if self._ending else None

    def due(self) -> str | None:
        """Whether the TLS certificate that it shows ends soon."""
        then = "put the next one (fedsql certificate) in its place and start the coordinator anew"
        return None if self._expiry is None else certificate_due(self._expiry, then)

    def observe(self, on_outcome: OnOutcome) -> None:
        """Tell ``on_outcome`` what becomes of each question."""
        self._coordinator.on_outcome = on_outcome

    def load(self) -> tuple[int, int]:
        """How many questions are under way, and how many wait for their turn."""
        return self.hub.load()

    def traffic(self) -> tuple[int, int]:
        """How many bytes were received and sent since the start."""
        return self.hub.traffic.total()

    def present(self) -> dict[str, bool]:
        """Which parties of the federation are connected."""
        there = set(self.hub.connected())
        return {name: name in there for name in sorted(self._federation.parties)}

    def certificate_expiry(self) -> float | None:
        """When the TLS certificate ends that it shows, in seconds since 1970; None without TLS."""
        return self._expiry

    def drain(self, timeout: float) -> bool:
        """Begin nothing new; wait ``timeout`` seconds at most for what runs. Return whether all of it ended."""
        self._ending = True
        return self.hub.drain(timeout)

    def close(self) -> None:
        """Say goodbye to everybody and stop listening."""
        self.hub.close()

    def _known(self, name: str, role: str) -> bytes | None:
        entry = self._federation.parties.get(name) if role == PARTY else self._federation.analysts.get(name)
        return None if entry is None or entry.public_key is None else parse_public(entry.public_key)

    def _coordinate(self, query_id: bytes, attempt: int) -> Steps[None]:
        parties = self._federation.parties
        return self._coordinator.serve({n: parse_public(e.public_key) for n, e in parties.items() if e.public_key})
