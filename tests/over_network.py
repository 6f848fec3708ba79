"""The embedded federation's parties behind a real coordinator on the loopback interface: `pytest --network` uses it.

Every question of every test then goes through Arrow Flight: the hub, a connection for each party and each analyst.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from fedsql.config.models import FederationConfig
from fedsql.crypto.keys import IdentityKey
from fedsql.executors.embedded import EmbeddedFederation
from fedsql.executors.engines.describer import Describer
from fedsql.executors.federation import OnProgress
from fedsql.executors.protocol.wire import Message, Steps
from fedsql.executors.roles.analyst import Analyst
from fedsql.executors.roles.consult import consult
from fedsql.executors.stopwatch import Stopwatch
from fedsql.executors.transport.hub import Hub
from fedsql.executors.transport.login import ANALYST_ROLE, PARTY
from fedsql.executors.transport.node import Node
from fedsql.planner.plans import Plan
from fedsql.planner.question import Question

DEADLINE = 120.0


class OverNetwork(EmbeddedFederation):
    """As its base, but every message goes over the network transport."""

    def __init__(self, config: FederationConfig, describer: Describer | None = None) -> None:
        self._nodes: dict[str, Node] = {}
        self._hub: Hub | None = None
        super().__init__(config, describer)
        self._hub = Hub("grpc://127.0.0.1:0", self.name, self.coordinator.identity, self._known, self._coordinate)
        for name, party in self.parties.items():
            self._connect(name, PARTY, party.identity, partial(self._answer, name), party.interrupt)

    def ask(
        self,
        analyst: Analyst,
        question: Question,
        plan: Plan,
        watch: Stopwatch,
        record: Callable[[Message], None] | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[pa.Table]:
        steps = analyst.ask(question, plan, self.directory, watch)
        query = (question.query_id, question.attempt)
        with self._asking.one(analyst, *query):
            tables: list[pa.Table] = self._node(analyst).ask(*query, steps, DEADLINE, record, on_progress)
        return tables

    def _consult(self, analyst: Analyst, what: str, parties: Sequence[str]) -> dict[str, Any]:
        query_id, steps = consult(analyst, what, parties, self.directory)
        replies: dict[str, Any] = self._node(analyst).ask(query_id, 1, steps, DEADLINE)
        return replies

    def interrupt(self, analyst: Analyst) -> None:
        for query in self._asking.of(analyst):
            self._node(analyst).interrupt(*query, "the query was cancelled")

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()
        if self._hub is not None:
            self._hub.close()
        super().close()

    def _node(self, analyst: Analyst) -> Node:
        if analyst.name not in self._nodes:
            self._connect(analyst.name, ANALYST_ROLE, analyst.identity)
        return self._nodes[analyst.name]

    def _connect(self, name: str, role: str, identity: IdentityKey, *hooks: Any) -> None:
        assert self._hub is not None
        on_query, on_abort = hooks or (None, None)
        node = Node(
            self._hub.address,
            name,
            role,
            identity,
            self.coordinator.identity.public,
            self.name,
            on_query=on_query,
            on_abort=on_abort,
        )
        node.connect()
        self._nodes[name] = node

    def _known(self, name: str, role: str) -> bytes | None:
        if role == ANALYST_ROLE:
            return self._analysts.get(name)
        return self.directory.identities.get(name)

    def _coordinate(self, query_id: bytes, attempt: int) -> Steps[None]:
        return self.coordinator.serve(self.directory.identities)

    def _answer(self, name: str, query_id: bytes, attempt: int, watch: Stopwatch) -> Steps[None]:
        return self.parties[name].serve(self.directory, watch, (query_id, attempt))
