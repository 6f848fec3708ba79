"""An embedded federation: all parties and the coordinator in this process, through the very same protocol code.

Only the transport differs from a federation over the network. Each party still has its own keys, ledger and database.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from fedsql.config.loading import federation_from, load_federation
from fedsql.config.models import FederationConfig, PartyConfig
from fedsql.crypto.keys import IdentityKey
from fedsql.errors import ConfigError
from fedsql.executors.engines.describer import Describer
from fedsql.executors.engines.store import PartyStore
from fedsql.executors.federation import Asking, Fetched, OnProgress, Presence
from fedsql.executors.protocol.wire import ANALYST, COORDINATOR
from fedsql.executors.roles.analyst import Analyst
from fedsql.executors.roles.consult import BUDGET, consult, spent_of
from fedsql.executors.roles.coordinator import Coordinator
from fedsql.executors.roles.directory import Directory
from fedsql.executors.roles.party import Party
from fedsql.executors.stopwatch import Stopwatch
from fedsql.executors.transport.inprocess import Recorder, run
from fedsql.planner.catalog import Catalog, PublicTable
from fedsql.planner.plans import Plan
from fedsql.planner.question import Question
from fedsql.privacy.ledger import Ledger, Spent


class EmbeddedFederation:
    """The opened parties of a federation file (or of the same shape in Python). Close it to drop all rows.

    ``describer`` as for `Directory`.
    """

    def __init__(self, config: FederationConfig, describer: Describer | None = None) -> None:
        if config.remote:
            raise ConfigError(
                f"{config.name}: {', '.join(config.remote)} are reached over the network and others run in this process;"
                " a federation is all the one or all the other"
            )
        self.name = config.name
        self._opened = int(time.time())
        self.coordinator = Coordinator()
        self.parties: dict[str, Party] = {}
        problems: list[str] = []
        for name, party in sorted(config.embedded.items()):
            try:
                self.parties[name] = open_party(party)
            except ConfigError as error:
                problems += error.problems
        if problems:
            self.close()
            raise ConfigError(*problems)
        self._identities: dict[str, IdentityKey] = {}
        self._analysts: dict[str, bytes] = {}
        self._asking = Asking()
        self._fetched = Fetched(self._consult)
        catalog = Catalog(config.name, tuple(party.offer() for party in self.parties.values()))
        self.directory = Directory(catalog, self.coordinator.identity.public, self._analysts, None, describer)

    @classmethod
    def open(cls, source: str | Path | Mapping[str, Any] | FederationConfig) -> EmbeddedFederation:
        """Open a federation file, or a mapping of the same shape whose sources may be tables in memory."""
        if isinstance(source, FederationConfig):
            return cls(source)
        return cls(federation_from(source) if isinstance(source, Mapping) else load_federation(source))

    def admit(self, name: str) -> Analyst:
        """Return an analyst of this process, whose key is pinned here under ``name``: one for all sessions of that name."""
        identity = self._identities.setdefault(name, IdentityKey.generate())
        self._analysts[name] = identity.public
        return Analyst(name, identity)

    def ask(
        self,
        analyst: Analyst,
        question: Question,
        plan: Plan,
        watch: Stopwatch,
        record: Recorder | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[pa.Table]:
        """Run the protocol for one signed question; return the released relations."""
        watches = {name: watch.beside(on_progress and partial(on_progress, name)) for name in plan.participants}
        query = (question.query_id, question.attempt)
        participants: dict[str, Any] = {
            name: self.parties[name].serve(self.directory, own, query) for name, own in watches.items()
        }
        participants[COORDINATOR] = self.coordinator.serve(self.directory.identities)
        participants[ANALYST] = analyst.ask(question, plan, self.directory, watch)
        watches |= {COORDINATOR: watch.beside(), ANALYST: watch.beside()}
        with self._asking.one(analyst, *query):
            tables: list[pa.Table] = run(participants, record, watches)[ANALYST]
        return tables

    def presence(self) -> list[Presence]:
        """Return that every party is here."""
        return [Presence(name, "here", self._opened) for name in self.parties]

    def budgets(self, analyst: Analyst) -> dict[str, Spent | None]:
        """Ask each party where the analyst stands."""
        return {name: spent_of(name, told) for name, told in self._consult(analyst, BUDGET, list(self.parties)).items()}

    def fetch(self, analyst: Analyst, tables: Sequence[PublicTable]) -> dict[str, pa.Table]:
        """Return the rows of public tables, by relation, as tables of texts (engines/texts.py)."""
        return self._fetched.fetch(analyst, tables, self.directory.catalog)

    def _consult(self, analyst: Analyst, what: str, parties: Sequence[str]) -> dict[str, Any]:
        _, asking = consult(analyst, what, parties, self.directory)
        watch = Stopwatch()
        participants: dict[str, Any] = {name: self.parties[name].serve(self.directory, watch) for name in parties}
        participants[COORDINATOR] = self.coordinator.serve(self.directory.identities)
        participants[ANALYST] = asking
        replies: dict[str, Any] = run(participants)[ANALYST]
        return replies

    def interrupt(self, analyst: Analyst) -> None:
        """Stop the fragments that run for this analyst's session."""
        for query in self._asking.of(analyst):
            for party in self.parties.values():
                party.interrupt(*query)

    def close(self) -> None:
        """Close every party's database and ledger."""
        for party in self.parties.values():
            party.close()


def open_party(config: PartyConfig) -> Party:
    """Open a party's keys, ledger and tables. Raises ConfigError with a line for each mistake in its file."""
    state = config.state_directory
    try:
        identity = IdentityKey.generate() if state is None else _identity(state / "identity.pem")
    except OSError as error:
        reason = f"{state}: {error.strerror}; the keys and the ledger are kept there: name another folder"
        raise ConfigError(config.line("state", reason)) from None
    store = open_store(config, identity)
    ledger = Ledger(":memory:" if state is None else state / "ledger.sqlite")
    return Party(config.name, store, store.offer().release, ledger, identity)


def open_store(config: PartyConfig, identity: IdentityKey) -> PartyStore:
    """Load a party's tables. Raises ConfigError with a line for each mistake."""
    # Ed25519 signatures are deterministic: this is a secret that stays the same as long as the identity does.
    return PartyStore(config, hashlib.sha256(identity.sign(b"fedsql data versions")).digest())


def _identity(path: Path) -> IdentityKey:
    if path.exists():
        return IdentityKey.from_file(path)
    identity = IdentityKey.generate()
    identity.to_file(path)
    return identity
