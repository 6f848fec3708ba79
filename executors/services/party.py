"""A party as a process of its own, beside its data: it dials the coordinator and answers what is asked through it.

It reads its own file and the shared federation file, and holds to the keys that are pinned there. It can read both again
while it runs: `reload` takes what is right as a whole or leaves everything as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import fedsql
from fedsql.config.loading import load_federation, load_party
from fedsql.crypto.keys import parse_public
from fedsql.errors import ConfigError, OperationalError
from fedsql.executors.dry_run import keep_offers
from fedsql.executors.embedded import open_party, open_store
from fedsql.executors.engines.describer import Describer, describer
from fedsql.executors.live import LiveDirectory, signed_offer
from fedsql.executors.pinned import check_pinned, check_same
from fedsql.executors.protocol.wire import Steps
from fedsql.executors.roles.common import OnOutcome, event
from fedsql.executors.stopwatch import Stopwatch
from fedsql.executors.transport.login import COORDINATOR_ROLE, PARTY
from fedsql.executors.transport.node import Node, Offered
from fedsql.executors.transport.settings import Settings
from fedsql.planner.offer import Offer

_log = logging.getLogger("fedsql.service")


class PartyService:
    """One party over the network. ``file`` is its own, ``federation_file`` the shared one.

    Raises ConfigError with a line for each mistake, also when its key is not the one that is pinned for it.
    ``described``: where it describes statements, which it closes; by default a process of its own.
    """

    role = PARTY

    def __init__(
        self,
        file: Path,
        federation_file: Path,
        settings: Settings | None = None,
        described: Describer | None = None,
    ) -> None:
        self._file, self._federation_file = file, federation_file
        config, federation = load_party(file), load_federation(federation_file)
        self._federation, self._state = federation, config.state_directory
        self._started = self._ending = False
        self._describer = described or describer()
        self.party = open_party(config)
        try:
            check_pinned(config, federation, self.party.identity, federation_file)
            assert federation.coordinator is not None
            self._live = LiveDirectory(federation, self.party.offer(), self._describer)
            self._node = Node(
                federation.coordinator.address,
                config.name,
                PARTY,
                self.party.identity,
                parse_public(federation.coordinator.public_key),
                federation.name,
                federation.root_certificates,
                on_query=self._answer,
                on_abort=self.party.interrupt,
                on_directory=self._heard,
                settings=settings,
            )
            self._tell_offer()
        except BaseException:
            self.party.close()
            raise

    @property
    def name(self) -> str:
        """The party's name."""
        return self.party.name

    @property
    def reason(self) -> str:
        """Why it is not connected; empty while it is."""
        return self._node.reason

    def start(self) -> None:
        """Dial the coordinator, and go on doing so whenever the connection is lost.

        Raises OperationalError when the audit log cannot be written: then nothing is answered.
        """
        self._note("started", self.party.offer())
        self._started = True
        self._node.start()

    def observe(self, on_outcome: OnOutcome) -> None:
        """Tell ``on_outcome`` what becomes of each question."""
        self.party.on_outcome = on_outcome

    def wait_connected(self, timeout: float) -> bool:
        """Wait until it is logged in, ``timeout`` seconds at most; return whether it is."""
        return self._node.wait_connected(timeout)

    def ended(self) -> str | None:
        """Why it came to an end by itself: another process has logged in under its name. None while it goes on."""
        return self._node.reason if self._node.wait_closed(0) else None

    def connected(self) -> int:
        """Whether it is logged in, as a number."""
        return int(self._node.wait_connected(0))

    def unhealthy(self) -> str | None:
        """Why it cannot answer now; None when it can."""
        if self._ending:
            return "it is ending"
        if not self.connected():
            return self._node.reason or "not connected yet"
        try:
            self.party.ledger.entries()
        except OperationalError as error:
            return error.message
        return None

    def due(self) -> str | None:
        """None: it has nothing that ends."""
        return None

    def load(self) -> tuple[int, int]:
        """How many fragments run, and how many wait for their turn."""
        return self.party.engine.load()

    def traffic(self) -> tuple[int, int]:
        """How many bytes were received and sent since the start."""
        return self._node.traffic.total()

    def present(self) -> dict[str, bool]:
        """Whether the coordinator is connected."""
        return {COORDINATOR_ROLE: bool(self.connected())}

    def entries(self) -> tuple[int, int]:
        """How many attempts were ever charged, and how many entries the audit log has. Raises OperationalError."""
        return self.party.ledger.entries()

    def reload(self) -> None:
        """Read both files and the data again. What was asked before is answered by the old policy, the next by the new.

        Raises ConfigError when they are not right, OperationalError when the audit log cannot be written; then nothing
        has changed.
        """
        config, federation = load_party(self._file), load_federation(self._federation_file)
        if config.name != self.party.name:
            raise ConfigError(
                config.line("name", f"was {self.party.name}; another name is another party: start it anew")
            )
        check_same(self._federation, federation, self._federation_file, "the party")
        check_pinned(config, federation, self.party.identity, self._federation_file)
        store = open_store(config, self.party.identity)
        try:
            self._note("reloaded", store.offer())
        except OperationalError:
            store.close()
            raise
        self.party.replace(store, store.offer().release)
        self._federation = federation
        self._live.configure(federation)
        self._live.offer(self.party.offer())
        self._tell_offer()

    def drain(self, timeout: float) -> bool:
        """Begin nothing new; wait ``timeout`` seconds at most for what runs. Return whether all of it ended."""
        self._ending = True
        return self._node.drain(timeout)

    def close(self) -> None:
        """Stop what runs, say goodbye, and close ledger and tables."""
        self.party.interrupt()
        self._node.close()
        if self._started:
            self._started = False
            try:
                self._note("stopped")
            except OperationalError:
                _log.exception("the audit log cannot be written")
        if self._describer is not None:
            self._describer.close()
        self.party.close()

    def _note(self, what: str, offer: Offer | None = None) -> None:
        """Write into the audit log, and its new head into the operator's, what began to hold or that it ended."""
        details: dict[str, object] = {"version": fedsql.__version__}
        if offer is not None:
            details["policy"] = asdict(offer.release)
            details["tables"] = [table.name for table in offer.tables]
            details["data_version"] = "/".join(table.data_version for table in offer.tables)
        head = self.party.ledger.note(what, details, self.party.clock())
        _log.info(what, extra=event(what, party=self.party.name, audit=head))

    def _tell_offer(self) -> None:
        self._node.offer(signed_offer(self.party.offer(), self._federation.name, self.party.identity))

    def _heard(self, offers: Mapping[str, Offered]) -> None:
        known = {name: each for name, each in offers.items() if name in self._federation.parties}
        self._live.update(known)
        if self._state is not None:
            keep_offers(self._state, known)

    def _answer(self, query_id: bytes, attempt: int, watch: Stopwatch) -> Steps[None]:
        return self.party.serve(self._live, watch, (query_id, attempt))
